/* SPDX-License-Identifier: Apache-2.0
 * check.c - `tulle check`: reads configuration as a proxy would and tells all that is wrong with it.
 *
 * The same code as the proxy's, so what passes here loads there. */
#include "proxy/config/check.h"
#include "base/json_out.h"
#include "cli/cli.h"

/* clang-format off */
static const struct flag rows[] = {
    { "json",   FLAG_BOOL, CLI_OFF(is_json),   "false", "print findings as JSON", NULL },
    { "strict", FLAG_BOOL, CLI_OFF(is_strict), "false", "warnings fail too", NULL },
};
/* clang-format on */

struct report {
    struct buf out;
    struct json_out json;
    bool is_json;
    size_t errors, warnings;
};

static void on_finding(void *to, bool is_error, struct sv place, struct sv reason)
{
    struct report *r = to;
    const char *severity = is_error ? "error" : "warning";
    *(is_error ? &r->errors : &r->warnings) += 1;
    if (!r->is_json) {
        buf_put(&r->out, place);
        buf_printf(&r->out, ": %s: ", severity);
        buf_put(&r->out, reason);
        buf_putc(&r->out, '\n');
        return;
    }
    json_open(&r->json, '{');
    json_kv_str(&r->json, "severity", sv_z(severity));
    json_kv_str(&r->json, "place", place);
    json_kv_str(&r->json, "reason", reason);
    json_close(&r->json);
}

static int run_check(const struct cli *c)
{
    struct report r = { .is_json = c->is_json };
    struct err err = { 0 };
    r.json = json_out_of(&r.out);
    if (r.is_json) {
        json_open(&r.json, '{');
        json_kv_open(&r.json, "findings", '[');
    }
    int rc = mesh_check((const char *const *)c->operands, (size_t)c->operands_len, on_finding, &r,
                        &err);
    if (r.is_json) {
        json_close(&r.json);
        json_kv_u64(&r.json, "errors", r.errors);
        json_kv_u64(&r.json, "warnings", r.warnings);
        json_close(&r.json);
        buf_putc(&r.out, '\n');
    } else {
        buf_printf(&r.out, "%zu error%s, %zu warning%s\n", r.errors, r.errors == 1 ? "" : "s",
                   r.warnings, r.warnings == 1 ? "" : "s");
    }
    int status = err.code == ERR_NOMEM ? cli_fail(&err) : cli_print(&r.out);
    buf_done(&r.out);
    bool is_bad = rc < 0 || (c->is_strict && r.warnings);
    return status == EXIT_OK && is_bad ? EXIT_FAILED : status;
}

const struct command command_check = {
    .name = "check",
    .flags = { "tulle check", "say what is wrong with configuration files, with line and column",
               " FILE-OR-FOLDER...", rows, NELEMS(rows) },
    .run = run_check,
    .operands_min = 1,
    .operands_max = -1,
};
