/* SPDX-License-Identifier: Apache-2.0
 * unpaired.c - `tulle unpaired`: spans that made no edge, whose they are, and why. */
#include "cli/client.h"
#include "cli/table.h"
#include <stdio.h>

/* clang-format off */
static const struct flag rows[] = {
    CLI_ROWS_COLLECTOR,
    { "service", FLAG_STR,  CLI_OFF(service), "",   "only spans of this service", NULL },
    { "limit",   FLAG_UINT, CLI_OFF(limit),   "50", "rows at most", NULL },
};
/* clang-format on */

static void put_row(struct table *t, const json_t *row)
{
    const json_t *example = json_array_get(json_object_get(row, "examples"), 0);
    table_cell(t, "%s", json_text(row, "service"));
    table_cell(t, "%s", json_text(row, "namespace"));
    table_cell(t, "%s", json_text(row, "kind"));
    table_cell(t, "%s", json_text(row, "peer")[0] ? json_text(row, "peer") : "-");
    table_cell(t, "%s", json_text(row, "cause"));
    table_cell(t, "%.0f", json_number(row, "count"));
    table_cell(t, "%s", json_text(row, "lastSeen"));
    table_cell(t, "%s", json_text(example, "traceId"));
}

/* Each cause that occurs, once, in words. */
static void explain(const json_t *answer, struct buf *out)
{
    const json_t *list = json_object_get(answer, "rows");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *cause = json_text(json_array_get(list, i), "cause");
        bool is_said = false;
        for (size_t k = 0; k < i && !is_said; k++)
            is_said = strcmp(json_text(json_array_get(list, k), "cause"), cause) == 0;
        if (!is_said)
            buf_printf(out, "%s: %s\n", cause, json_text(json_array_get(list, i), "explanation"));
    }
}

static void print_rows(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { "SERVICE", "NAMESPACE", "KIND",      "PEER",
                                          "CAUSE",   ">COUNT",    "LAST SEEN", "EXAMPLE" };
    AUTO_DONE(table) t;
    size_t i;
    json_t *row;
    table_init(&t, titles, NELEMS(titles));
    json_array_foreach(json_object_get(answer, "rows"), i, row) put_row(&t, row);
    table_print(&t, out);
    explain(answer, out);
    buf_printf(out, "%.0f rows, %.0f spans wait for their other half, %.0f gave way\n",
               json_number(answer, "total"), json_number(answer, "waiting"),
               json_number(answer, "evicted"));
}

static int run_unpaired(const struct cli *c)
{
    AUTO_DONE(buf) raw = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct err err = { 0 };
    char limit[24];
    snprintf(limit, sizeof(limit), "%llu", (unsigned long long)c->limit);
    const struct query_param params[] = { { "service", c->service }, { "limit", limit } };
    json_t *answer = client_get(c, "unpaired", params, NELEMS(params), &raw, &err);
    if (!answer)
        return cli_fail(&err);
    if (c->is_json)
        buf_put(&out, buf_sv(&raw));
    else
        print_rows(answer, &out);
    json_decref(answer);
    return cli_print(&out);
}

const struct command command_unpaired = {
    .name = "unpaired",
    .flags = { "tulle unpaired", "spans that made no edge, whose they are, and why", NULL, rows,
               NELEMS(rows) },
    .run = run_unpaired,
};
