/* live_graph.c - from two pictures to the difference.
 *
 * Each edge is rendered, and its JSON hashed with the rate left out: the rate of an idle edge falls
 * with every second of the window, and would make everything change all the time. A client divides
 * requests by the event's seconds instead. What was told and is gone is listed by id. */
#include "query/live_graph.h"
#include "base/hash.h"
#include "query/graph_json.h"

void live_graph_done(struct live_graph *g)
{
    map_done(&g->edges);
    map_done(&g->nodes);
    buf_done(&g->full);
    buf_done(&g->part);
}

bool live_graph_is_stale(const struct live_graph *g, uint64_t generation, int64_t now_ns)
{
    return g->full.len == 0 || g->generation != generation ||
           g->bucket_ns != window_align_down(now_ns, BUCKET_NS);
}

/* What a change of an edge is: its counts, and who it joins. */
static uintptr_t hash_of_edge(const struct edge_view *e)
{
    const struct edge_cell *c = &e->sum;
    uint64_t h = hash_bytes(c->codes, sizeof(c->codes), e->id);
    h = hash_bytes(c->tls, sizeof(c->tls), h);
    h = hash_bytes(c->grpc, sizeof(c->grpc), h);
    const uint64_t rest[] = { c->requests,
                              c->errors,
                              c->bytes_sent,
                              c->bytes_received,
                              (uint64_t)c->latency.sum_ns,
                              (uint64_t)e->evidence,
                              (uint64_t)c->last_ns,
                              e->server_latency.count };
    h = hash_bytes(rest, sizeof(rest), h);
    h = hash_bytes(e->edge.source.principal.p, e->edge.source.principal.len, h);
    h = hash_bytes(e->edge.destination.principal.p, e->edge.destination.principal.len, h);
    return (uintptr_t)(h ? h : 1);
}

static uintptr_t hash_of_node(const struct node_view *n)
{
    uint64_t h = hash_bytes(&n->in, sizeof(n->in), n->id);
    h = hash_bytes(&n->out, sizeof(n->out), h);
    h = hash_bytes(n->who.principal.p, n->who.principal.len, h + (uint64_t)n->type);
    return (uintptr_t)(h ? h : 1);
}

struct lists {
    struct buf edges, nodes;
    struct map edges_told, nodes_told;
    struct json_out edges_part, nodes_part;
};

static int remember(struct map *told, uint64_t id, uintptr_t hash)
{
    return map_put(told, sv_of(&id, sizeof(id)), (void *)hash, NULL);
}

static bool was_told(const struct map *told, uint64_t id, uintptr_t hash)
{
    return (uintptr_t)map_get(told, sv_of(&id, sizeof(id))) == hash;
}

/* Everything into full, what changed into the two lists; -1 when memory is out. */
static int render(struct live_graph *g, const struct view *v, int64_t now_ns, struct lists *l)
{
    double seconds = view_seconds(v, now_ns);
    struct json_out j = json_out_of(&g->full);
    json_open(&j, '{');
    json_kv_bool(&j, "full", true);
    json_view_head(&j, v, now_ns);
    json_kv_open(&j, "nodes", '[');
    for (size_t i = 0; i < v->nodes_len; i++) {
        uintptr_t hash = hash_of_node(&v->nodes[i]);
        json_node(&j, &v->nodes[i], seconds);
        if (!was_told(&g->nodes, v->nodes[i].id, hash))
            json_node(&l->nodes_part, &v->nodes[i], seconds);
        if (remember(&l->nodes_told, v->nodes[i].id, hash) < 0)
            return -1;
    }
    json_close(&j);
    AUTO_DONE(json_ends) ends = { 0 };
    json_kv_open(&j, "edges", '[');
    for (size_t i = 0; i < v->edges_len; i++) {
        uintptr_t hash = hash_of_edge(&v->edges[i]);
        json_edge(&j, &v->edges[i], seconds, &ends);
        if (!was_told(&g->edges, v->edges[i].id, hash))
            json_edge(&l->edges_part, &v->edges[i], seconds, &ends);
        if (remember(&l->edges_told, v->edges[i].id, hash) < 0)
            return -1;
    }
    json_close(&j);
    json_close(&j);
    return 0;
}

/* "key":[ids of before that are not in now]; returns how many. */
static size_t put_removed(struct json_out *j, const char *key, const struct map *before,
                          const struct map *now)
{
    struct sv id;
    void *hash;
    size_t n = 0;
    json_kv_open(j, key, '[');
    for (size_t i = 0; map_next(before, &i, &id, &hash);) {
        uint64_t number;
        char text[17];
        if (map_get(now, id))
            continue;
        memcpy(&number, id.p, sizeof(number));
        snprintf(text, sizeof(text), "%016llx", (unsigned long long)number);
        json_str(j, sv_of(text, 16));
        n++;
    }
    json_close(j);
    return n;
}

static void put_part(struct live_graph *g, const struct view *v, int64_t now_ns, struct lists *l)
{
    struct json_out j = json_out_of(&g->part);
    json_open(&j, '{');
    json_kv_bool(&j, "full", false);
    json_view_head(&j, v, now_ns);
    json_key(&j, SV("nodes"));
    json_raw(&j, buf_sv(&l->nodes));
    json_key(&j, SV("edges"));
    json_raw(&j, buf_sv(&l->edges));
    size_t removed = put_removed(&j, "removedNodes", &g->nodes, &l->nodes_told);
    removed += put_removed(&j, "removedEdges", &g->edges, &l->edges_told);
    json_close(&j);
    if (removed == 0 && sv_eq(buf_sv(&l->nodes), SV("[]")) && sv_eq(buf_sv(&l->edges), SV("[]")))
        buf_clear(&g->part);
}

static void lists_done(struct lists *l)
{
    buf_done(&l->edges);
    buf_done(&l->nodes);
    map_done(&l->edges_told);
    map_done(&l->nodes_told);
}

int live_graph_update(struct live_graph *g, const struct view *v, int64_t now_ns)
{
    struct lists l = { 0 };
    l.edges_part = json_out_of(&l.edges);
    l.nodes_part = json_out_of(&l.nodes);
    buf_clear(&g->full);
    buf_clear(&g->part);
    json_open(&l.edges_part, '[');
    json_open(&l.nodes_part, '[');
    int rc = render(g, v, now_ns, &l);
    json_close(&l.edges_part);
    json_close(&l.nodes_part);
    if (rc == 0)
        put_part(g, v, now_ns, &l);
    if (rc < 0 || g->full.failed || g->part.failed || l.edges.failed || l.nodes.failed) {
        buf_clear(&g->full);
        buf_clear(&g->part);
        lists_done(&l);
        return -1;
    }
    map_done(&g->edges);
    map_done(&g->nodes);
    g->edges = l.edges_told;
    g->nodes = l.nodes_told;
    l.edges_told = l.nodes_told = (struct map){ 0 };
    lists_done(&l);
    return 0;
}
