/* SPDX-License-Identifier: Apache-2.0
 * graph.c - `tulle graph`, `tulle edges` and `tulle services`: who calls whom. */
#include "cli/client.h"
#include "cli/table.h"
#include <stdio.h>

/* clang-format off */
#define ROW_WINDOW    { "window", FLAG_STR, CLI_OFF(window), "60s", "how far to look back: 60s, 15m, 24h", NULL }
#define ROW_NAMESPACE { "namespace", FLAG_STR, CLI_OFF(namespace), "", "only edges that touch this namespace", NULL }
#define ROW_GRAIN     { "granularity", FLAG_CHOICE, CLI_OFF(granularity), "workload", "what a node is", "workload|versionedApp|app|service|namespace" }
#define ROWS_FILTER                                                                                \
    { "hide", FLAG_STR, CLI_OFF(hide), "", "leave out what this is true of: 'healthy or rt < 100'", NULL }, \
    { "keep", FLAG_STR, CLI_OFF(keep), "", "only what this is true of: 'name ^= pay and ! healthy'", NULL }
static const struct flag graph_rows[] = { CLI_ROWS_COLLECTOR, ROW_WINDOW, ROW_NAMESPACE, ROW_GRAIN, ROWS_FILTER };
static const struct flag edges_rows[] = {
    CLI_ROWS_COLLECTOR, ROW_WINDOW, ROW_NAMESPACE, ROW_GRAIN, ROWS_FILTER,
    { "sort",  FLAG_CHOICE, CLI_OFF(sort),  "requests", "most first", "requests|rate|errors|errorRate|failures|failureRate|p95" },
    { "limit", FLAG_UINT,   CLI_OFF(limit), "1000",     "edges at most", NULL },
};
static const struct flag services_rows[] = { CLI_ROWS_COLLECTOR };
/* clang-format on */

/* "namespace/workload", with what the granularity leaves out left out. */
static void put_node(struct table *t, const char *prefix, const json_t *node)
{
    const char *ns = json_text(node, "namespace"), *workload = json_text(node, "workload");
    const char *service = json_text(node, "service"), *version = json_text(node, "version");
    bool has_workload = workload[0] && strcmp(workload, "unknown") != 0;
    bool has_service = service[0] && strcmp(service, "unknown") != 0;
    const char *name = has_workload ? workload : has_service ? service : "unknown";
    bool has_ns = ns[0] && strcmp(ns, "unknown") != 0;
    bool has_version = version[0] && strcmp(version, "unknown") != 0 &&
                       strcmp(version, "latest") != 0 && !strstr(name, version);
    table_cell(t, "%s%s%s%s%s%s", prefix, has_ns ? ns : "", has_ns ? "/" : "", name,
               has_version ? "@" : "", has_version ? version : "");
}

static void put_p(struct table *t, const json_t *latency, const char *key)
{
    if (json_is_object(latency))
        table_cell(t, "%.2f", json_number(latency, key));
    else
        table_cell(t, "-");
}

static void put_edge(struct table *t, const json_t *e)
{
    const json_t *latency = json_object_get(e, "latency");
    table_cell(t, "%s", json_text(e, "protocol"));
    table_cell(t, "%.0f", json_number(e, "requests"));
    table_cell(t, "%.2f", json_number(e, "rate"));
    table_cell(t, "%.2f", json_number(e, "failureRate") * 100);
    put_p(t, latency, "p50Ms");
    put_p(t, latency, "p95Ms");
    put_p(t, latency, "p99Ms");
    table_cell(t, "%s", json_text(json_object_get(e, "tls"), "state"));
    table_cell(t, "%s", json_text(e, "evidence"));
}

static int show(const struct cli *c, const char *path, const struct query_param *params, size_t len,
                void (*print)(const json_t *answer, struct buf *out))
{
    AUTO_DONE(buf) raw = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct err err = { 0 };
    json_t *answer = client_get(c, path, params, len, &raw, &err);
    if (!answer)
        return cli_fail(&err);
    if (c->is_json)
        buf_put(&out, buf_sv(&raw));
    else
        print(answer, &out);
    json_decref(answer);
    return cli_print(&out);
}

static void print_edges(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { "SOURCE",  "DESTINATION", "PROTO",   ">REQUESTS",
                                          ">RATE/S", ">ERRORS %",   ">P50 MS", ">P95 MS",
                                          ">P99 MS", "TLS",         "SEEN BY" };
    AUTO_DONE(table) t;
    size_t i;
    json_t *e;
    table_init(&t, titles, NELEMS(titles));
    json_array_foreach(json_object_get(answer, "edges"), i, e)
    {
        put_node(&t, "", json_object_get(e, "source"));
        put_node(&t, "", json_object_get(e, "destination"));
        put_edge(&t, e);
    }
    table_print(&t, out);
}

/* Every node with its own traffic, and behind it the edges that leave it. */
static void print_graph(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { "NODE",    "PROTO",   ">REQUESTS", ">RATE/S", ">ERRORS %",
                                          ">P50 MS", ">P95 MS", ">P99 MS",   "TLS",     "SEEN BY" };
    AUTO_DONE(table) t;
    size_t i, k;
    json_t *node, *e;
    table_init(&t, titles, NELEMS(titles));
    json_array_foreach(json_object_get(answer, "nodes"), i, node)
    {
        put_node(&t, "", node);
        table_cell(&t, "in");
        table_cell(&t, "%.0f", json_number(node, "inRequests"));
        table_cell(&t, "%.2f", json_number(node, "inRate"));
        table_cell(&t, "%.2f", json_number(node, "inFailureRate") * 100);
        for (int blank = 0; blank < 3; blank++)
            table_cell(&t, " ");
        table_cell(&t, "%s", json_text(node, "health"));
        table_cell(&t, " ");
        json_array_foreach(json_object_get(answer, "edges"), k, e)
        {
            const json_t *from = json_object_get(e, "source");
            if (strcmp(json_text(from, "id"), json_text(node, "id")) != 0)
                continue;
            put_node(&t, "  -> ", json_object_get(e, "destination"));
            put_edge(&t, e);
        }
    }
    table_print(&t, out);
}

static void print_services(const json_t *answer, struct buf *out)
{
    static const char *const titles[] = { "SERVICE", "KIND", "OPERATION" };
    AUTO_DONE(table) t;
    size_t i, k;
    json_t *service, *operation;
    table_init(&t, titles, NELEMS(titles));
    json_array_foreach(json_object_get(answer, "services"), i, service)
    {
        json_array_foreach(json_object_get(service, "operations"), k, operation)
        {
            table_cell(&t, "%s", json_text(service, "name"));
            table_cell(&t, "%s", json_text(operation, "kind"));
            table_cell(&t, "%s", json_text(operation, "name"));
        }
    }
    table_print(&t, out);
}

static int run_graph(const struct cli *c)
{
    const struct query_param params[] = { { "window", c->window },
                                          { "namespace", c->namespace },
                                          { "granularity", c->granularity },
                                          { "hide", c->hide },
                                          { "keep", c->keep } };
    return show(c, "graph", params, NELEMS(params), print_graph);
}

static int run_edges(const struct cli *c)
{
    char limit[24];
    snprintf(limit, sizeof(limit), "%llu", (unsigned long long)c->limit);
    const struct query_param params[] = {
        { "window", c->window }, { "namespace", c->namespace }, { "granularity", c->granularity },
        { "hide", c->hide },     { "keep", c->keep },           { "sort", c->sort },
        { "limit", limit }
    };
    return show(c, "edges", params, NELEMS(params), print_edges);
}

static int run_services(const struct cli *c)
{
    return show(c, "services", NULL, 0, print_services);
}

const struct command command_graph = {
    .name = "graph",
    .flags = { "tulle graph", "nodes and the edges between them", NULL, graph_rows,
               NELEMS(graph_rows) },
    .run = run_graph,
};
const struct command command_edges = {
    .name = "edges",
    .flags = { "tulle edges", "edges as a table: rate, errors, latency, encryption", NULL,
               edges_rows, NELEMS(edges_rows) },
    .run = run_edges,
};
const struct command command_services = {
    .name = "services",
    .flags = { "tulle services", "services that sent spans, and their operations", NULL,
               services_rows, NELEMS(services_rows) },
    .run = run_services,
};
