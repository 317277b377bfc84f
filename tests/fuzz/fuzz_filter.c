/* fuzz_filter.c - any text is a filter or an error with a place inside it; a filter that was parsed
 * judges without trouble, and is true of nothing that it is not about. */
#include "query/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void judge(const struct filter *f)
{
    struct identity who = { SV("c"), SV("ns"), SV("reviews"), SV("reviews"), SV("v1"), SV("p") };
    struct node_view node = { .id = 1, .who = who };
    struct edge_view edge = { .source_id = 1,
                              .destination_id = 1,
                              .edge = { who, who, 0, who.service } };
    struct view v = { .edges = &edge, .edges_len = 1, .nodes = &node, .nodes_len = 1 };
    AUTO_DONE(arena) mem = { 0 };
    struct view_net net;
    INVARIANT(view_net_make(&v, &mem, &net) == 0);
    INVARIANT(filter_about(f) == (filter_about(f) & (FILTER_NODES | FILTER_EDGES)));
    INVARIANT(!filter_node(f, &net, 0, 60) || (filter_about(f) & FILTER_NODES));
    INVARIANT(!filter_edge(f, &net, 0, 60) || (filter_about(f) & FILTER_EDGES));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    const struct filter *f = NULL;
    if (filter_parse(sv_of(p, n), &mem, &f, &err) == 0)
        judge(f);
    else
        INVARIANT(err.why[0] && err.at <= n);
    return 0;
}
