/* SPDX-License-Identifier: Apache-2.0
 * traces.c - `tulle traces` and `tulle trace ID`: single requests and the way they took.
 *
 * A trace is printed as a tree. Spans may name a parent that never arrived, or (from broken
 * senders) be their own ancestor; each span is printed once, those without a known parent as
 * roots. */
#include "base/mem.h"
#include "cli/client.h"
#include "cli/table.h"
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 32 /* deeper ones are printed at this indentation */

/* clang-format off */
static const struct flag traces_rows[] = {
    CLI_ROWS_COLLECTOR,
    { "window",       FLAG_STR,    CLI_OFF(window),       "1h",  "how far to look back", NULL },
    { "service",      FLAG_STR,    CLI_OFF(service),      "",    "service.name of one of its spans", NULL },
    { "operation",    FLAG_STR,    CLI_OFF(operation),    "",    "name of one of its spans", NULL },
    { "status",       FLAG_CHOICE, CLI_OFF(status),       "any", "which spans to look for", "any|error" },
    { "min-duration", FLAG_STR,    CLI_OFF(min_duration), "",    "of one of its spans: 250ms", NULL },
    { "limit",        FLAG_UINT,   CLI_OFF(limit),        "20",  "traces at most", NULL },
};
static const struct flag trace_rows[] = { CLI_ROWS_COLLECTOR };
/* clang-format on */

static void print_traces(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { "TRACE",  "START",   ">DURATION MS",
                                          ">SPANS", ">ERRORS", "ROOT" };
    AUTO_DONE(table) t;
    size_t i;
    json_t *trace;
    table_init(&t, titles, NELEMS(titles));
    json_array_foreach(json_object_get(answer, "traces"), i, trace)
    {
        table_cell(&t, "%s", json_text(trace, "traceId"));
        table_cell(&t, "%s", json_text(trace, "start"));
        table_cell(&t, "%.3f", json_number(trace, "durationMs"));
        table_cell(&t, "%.0f", json_number(trace, "spans"));
        table_cell(&t, "%.0f", json_number(trace, "errors"));
        table_cell(&t, "%s %s", json_text(trace, "rootService"), json_text(trace, "rootName"));
    }
    table_print(&t, out);
    if (json_is_true(json_object_get(answer, "incomplete")))
        buf_put(out, SV("(there are more, or the search took too long: narrow it)\n"));
}

static int run_traces(const struct cli *c)
{
    AUTO_DONE(buf) raw = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct err err = { 0 };
    char limit[24];
    snprintf(limit, sizeof(limit), "%llu", (unsigned long long)c->limit);
    const struct query_param params[] = {
        { "window", c->window }, { "service", c->service },          { "operation", c->operation },
        { "status", c->status }, { "minDuration", c->min_duration }, { "limit", limit }
    };
    json_t *answer = client_get(c, "traces", params, NELEMS(params), &raw, &err);
    if (!answer)
        return cli_fail(&err);
    if (c->is_json)
        buf_put(&out, buf_sv(&raw));
    else
        print_traces(answer, &out);
    json_decref(answer);
    return cli_print(&out);
}

struct branch {
    const json_t *span;
    const char *id, *parent;
    int64_t start_ns;
    bool is_printed;
};
struct tree {
    struct branch *list;
    size_t len;
    int64_t start_ns;
};

static int by_start(const void *pa, const void *pb)
{
    const struct branch *a = pa, *b = pb;
    return (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
}

static void put_branch(const struct tree *tree, struct branch *b, int depth, struct table *t)
{
    int indent = 2 * MIN(depth, DEPTH_MAX);
    b->is_printed = true;
    table_cell(t, "%.3f", (double)(b->start_ns - tree->start_ns) / 1e6);
    table_cell(t, "%.3f", json_number(b->span, "durationMs"));
    table_cell(t, "%s", json_text(b->span, "status"));
    table_cell(t, "%s", json_text(b->span, "kind"));
    table_cell(t, "%*s%s: %s", indent, "", json_text(b->span, "service"),
               json_text(b->span, "name"));
    for (size_t i = 0; i < tree->len; i++)
        if (!tree->list[i].is_printed && depth < 10 * DEPTH_MAX && b->id[0] &&
            strcmp(tree->list[i].parent, b->id) == 0)
            put_branch(tree, &tree->list[i], depth + 1, t);
}

static bool has_parent(const struct tree *tree, const struct branch *b)
{
    for (size_t i = 0; i < tree->len; i++)
        if (&tree->list[i] != b && b->parent[0] && strcmp(tree->list[i].id, b->parent) == 0)
            return true;
    return false;
}

static bool read_tree(const json_t *spans, struct tree *ret)
{
    size_t i;
    json_t *span;
    ret->list = mem_zalloc((json_array_size(spans) + 1) * sizeof(*ret->list));
    if (!ret->list)
        return false;
    json_array_foreach(spans, i, span)
    {
        struct branch *b = &ret->list[ret->len++];
        *b = (struct branch){ .span = span,
                              .id = json_text(span, "spanId"),
                              .parent = json_text(span, "parentId") };
        (void)sv_to_i64(sv_z(json_text(span, "startNs")), &b->start_ns);
    }
    qsort(ret->list, ret->len, sizeof(*ret->list), by_start);
    ret->start_ns = ret->len ? ret->list[0].start_ns : 0;
    return true;
}

static void print_trace(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { ">AT MS", ">TOOK MS", "STATUS", "KIND", "SPAN" };
    AUTO_DONE(table) t;
    struct tree tree = { 0 };
    if (!read_tree(json_object_get(answer, "spans"), &tree)) {
        out->failed = true;
        return;
    }
    table_init(&t, titles, NELEMS(titles));
    for (size_t i = 0; i < tree.len; i++)
        if (!tree.list[i].is_printed && !has_parent(&tree, &tree.list[i]))
            put_branch(&tree, &tree.list[i], 0, &t);
    for (size_t i = 0; i < tree.len; i++) /* those that are their own ancestors */
        if (!tree.list[i].is_printed)
            put_branch(&tree, &tree.list[i], 0, &t);
    buf_printf(out, "trace %s  %s  %.3f ms  %zu spans\n", json_text(answer, "traceId"),
               json_text(answer, "start"), json_number(answer, "durationMs"), tree.len);
    table_print(&t, out);
    mem_free(tree.list);
}

static int run_trace(const struct cli *c)
{
    AUTO_DONE(buf) raw = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct err err = { 0 };
    struct sv id = sv_z(c->operands[0]);
    uint8_t bytes[16];
    char path[64];
    if (!sv_to_bytes(id, bytes, sizeof(bytes))) {
        fprintf(stderr, "tulle: a trace id has 32 hexadecimal digits, this is '%.*s'\n",
                SV_ARG(sv_sub(id, 0, 64)));
        return EXIT_USAGE;
    }
    snprintf(path, sizeof(path), "traces/%s", c->operands[0]);
    json_t *answer = client_get(c, path, NULL, 0, &raw, &err);
    if (!answer)
        return cli_fail(&err);
    if (c->is_json)
        buf_put(&out, buf_sv(&raw));
    else
        print_trace(answer, &out);
    json_decref(answer);
    return cli_print(&out);
}

const struct command command_traces = {
    .name = "traces",
    .flags = { "tulle traces", "find traces by one of their spans", NULL, traces_rows,
               NELEMS(traces_rows) },
    .run = run_traces,
};
const struct command command_trace = {
    .name = "trace",
    .flags = { "tulle trace", "one trace as a tree of spans", " ID", trace_rows,
               NELEMS(trace_rows) },
    .run = run_trace,
    .operands_min = 1,
    .operands_max = 1,
};
