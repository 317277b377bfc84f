/* SPDX-License-Identifier: Apache-2.0
 * snapshot.c - `tulle snapshot FILE`: a copy of the store while its collector goes on.
 *
 * The store is opened read-only beside its owner, so the collector is not asked and need not run;
 * whoever may read its files may copy them. */
#include "cli/cli.h"
#include "store/store.h"
#include <stdio.h>

/* clang-format off */
static const struct flag rows[] = {
    { "data",  FLAG_STR, CLI_OFF(data),  "./tulle-data", "the collector's folder", NULL },
    { "store", FLAG_STR, CLI_OFF(store), "",             "its store, sqlite:FILE (default sqlite:DATA/tulle.db)", NULL },
};
/* clang-format on */

static int run_snapshot(const struct cli *c)
{
    AUTO_DONE(buf) url = { 0 };
    AUTO_DONE(buf) said = { 0 };
    struct err err = { 0 };
    if (c->store[0])
        buf_put(&url, sv_z(c->store));
    else
        buf_printf(&url, "sqlite:%s/tulle.db", c->data);
    struct store_conf conf = { .url = buf_sv(&url), .is_read_only = true };
    int rc = url.failed ? err_set(&err, ERR_NOMEM, "store url") : 0;
    struct store *s = rc == 0 ? store_open(&conf, &err) : NULL;
    rc = s ? store_snapshot(s, c->operands[0], &err) : -1;
    store_close(s);
    if (rc < 0)
        return cli_fail(&err);
    buf_printf(&said, "%s\n", c->operands[0]);
    return cli_print(&said);
}

const struct command command_snapshot = {
    .name = "snapshot",
    .flags = { "tulle snapshot", "copy a collector's store to a new file while it runs", " FILE",
               rows, NELEMS(rows) },
    .run = run_snapshot,
    .operands_min = 1,
    .operands_max = 1,
};
