/* SPDX-License-Identifier: Apache-2.0
 * compare.c - `tulle compare`: before and after a moment, or one version of a service and another.
 *
 * Ends with status 1 when something is worse, so that a pipeline can stop a deploy by it. */
#include "cli/client.h"
#include "cli/table.h"
#include <stdio.h>

/* clang-format off */
static const struct flag rows[] = {
    CLI_ROWS_COLLECTOR,
    { "window",       FLAG_STR,    CLI_OFF(window),       "10m",     "length of each window", NULL },
    { "at",           FLAG_STR,    CLI_OFF(at),           "",        "the moment between the windows, as 2026-01-02T03:04:05Z or in seconds; default: window ago", NULL },
    { "service",      FLAG_STR,    CLI_OFF(service),      "",        "compare two versions of this service instead", NULL },
    { "base-version", FLAG_STR,    CLI_OFF(base_version), "",        "its version to compare with", NULL },
    { "new-version",  FLAG_STR,    CLI_OFF(new_version),  "",        "its version in question", NULL },
    { "namespace",    FLAG_STR,    CLI_OFF(namespace),    "",        "only edges that touch this namespace", NULL },
    { "granularity",  FLAG_CHOICE, CLI_OFF(granularity),  "service", "what a node is, between windows", "workload|versionedApp|app|service|namespace" },
    { "limit",        FLAG_UINT,   CLI_OFF(limit),        "1000",    "edges at most", NULL },
};
/* clang-format on */

static const char *name_of(const json_t *node)
{
    static const char *const keys[] = { "workload", "service", "namespace" };
    for (size_t i = 0; i < NELEMS(keys); i++)
        if (json_text(node, keys[i])[0])
            return json_text(node, keys[i]);
    return "unknown";
}

static void put_change(struct table *t, const json_t *edge, const char *key, const char *inner)
{
    const json_t *before = json_object_get(edge, "base"),
                 *after = json_object_get(edge, "candidate");
    const json_t *sides[] = { inner ? json_object_get(before, inner) : before,
                              inner ? json_object_get(after, inner) : after };
    char text[2][24] = { "-", "-" };
    double scale = strcmp(key, "errorRate") == 0 ? 100 : 1;
    for (size_t i = 0; i < NELEMS(sides); i++)
        if (json_is_object(sides[i]))
            snprintf(text[i], sizeof(text[i]), "%.2f", json_number(sides[i], key) * scale);
    table_cell(t, "%s > %s", text[0], text[1]);
}

static void put_p(struct table *t, const json_t *finding)
{
    if (json_text(finding, "test")[0])
        table_cell(t, "%.2g", json_number(finding, "pAdjusted"));
    else
        table_cell(t, "-");
}

static void put_edge(struct table *t, const json_t *e)
{
    const char *status = json_text(e, "status");
    bool is_both = strcmp(status, "both") == 0;
    table_cell(t, "%s", is_both ? json_text(e, "verdict") : status);
    table_cell(t, "%s", name_of(json_object_get(e, "source")));
    table_cell(t, "%s", name_of(json_object_get(e, "destination")));
    table_cell(t, "%s", json_text(e, "protocol"));
    put_change(t, e, "rate", NULL);
    put_change(t, e, "errorRate", NULL);
    put_p(t, json_object_get(e, "errors"));
    put_change(t, e, "p50Ms", "latency");
    put_change(t, e, "p95Ms", "latency");
    put_p(t, json_object_get(e, "latency"));
}

static void print_comparison(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { "VERDICT", "SOURCE",    "DESTINATION", "PROTO",
                                          ">RATE/S", ">ERRORS %", ">P",          ">P50 MS",
                                          ">P95 MS", ">P" };
    const json_t *summary = json_object_get(answer, "summary");
    AUTO_DONE(table) t;
    size_t i;
    json_t *edge;
    table_init(&t, titles, NELEMS(titles));
    json_array_foreach(json_object_get(answer, "edges"), i, edge) put_edge(&t, edge);
    table_print(&t, out);
    buf_printf(out,
               "%s: %.0f worse, %.0f better, %.0f same, %.0f new, %.0f gone, %.0f with too little "
               "data\nP: chance of such a difference where there is none, adjusted for %.0f tests "
               "(%s); below %g counts\n",
               json_text(answer, "verdict"), json_number(summary, "worse"),
               json_number(summary, "better"), json_number(summary, "same"),
               json_number(summary, "new"), json_number(summary, "gone"),
               json_number(summary, "tooLittleData"), json_number(answer, "tests"),
               json_text(answer, "correction"), json_number(answer, "alpha"));
}

static int run_compare(const struct cli *c)
{
    AUTO_DONE(buf) raw = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct err err = { 0 };
    char limit[24];
    bool has_versions = c->service[0] || c->base_version[0] || c->new_version[0];
    snprintf(limit, sizeof(limit), "%llu", (unsigned long long)c->limit);
    const struct query_param params[] = { { "window", c->window },
                                          { "at", c->at },
                                          { "service", c->service },
                                          { "baseVersion", c->base_version },
                                          { "version", c->new_version },
                                          { "namespace", c->namespace },
                                          { "granularity", has_versions ? "" : c->granularity },
                                          { "limit", limit } };
    json_t *answer = client_get(c, "compare", params, NELEMS(params), &raw, &err);
    if (!answer)
        return cli_fail(&err);
    bool is_worse = strcmp(json_text(answer, "verdict"), "worse") == 0;
    if (c->is_json)
        buf_put(&out, buf_sv(&raw));
    else
        print_comparison(answer, &out);
    json_decref(answer);
    int status = cli_print(&out);
    return status == EXIT_OK && is_worse ? EXIT_FAILED : status;
}

const struct command command_compare = {
    .name = "compare",
    .flags = { "tulle compare", "before and after, or two versions: what is new, gone, worse", NULL,
               rows, NELEMS(rows) },
    .run = run_compare,
};
