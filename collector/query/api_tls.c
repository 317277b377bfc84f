/* api_tls.c - how much of the traffic is protected: the mesh, and each node's share of it.
 *
 * A view of the window, added up once more: every edge counts as outgoing at its source and as
 * incoming at its destination, so at granularity namespace or service these are the roll-ups of a
 * namespace or a service, and the mesh is the sum of all edges. */
#include "base/map.h"
#include "query/api.h"
#include "query/graph_json.h"
#include <stdlib.h>

enum { NODES_DEFAULT = 1000, NODES_MAX = 10000 };

struct tls_node {
    const struct node_view *node;
    struct edge_cell in, out; /* latencies stay empty */
};
struct tls_roll {
    struct map by_id;
    struct tls_node *nodes;
    struct edge_cell mesh;
    uint64_t plaintext_edges;
};

static struct sv id_key(const uint64_t *id)
{
    return sv_of(id, sizeof(*id));
}

static void add_cell(struct edge_cell *to, const struct edge_cell *from)
{
    struct edge_cell counts = *from;
    counts.latency = counts.server_latency = (struct hist){ 0 };
    int rc = edge_cell_merge(to, &counts);
    INVARIANT(rc == 0); /* only latencies take memory */
}

static int roll(struct tls_roll *r, struct view *v)
{
    r->nodes = arena_array(&v->mem, v->nodes_len + 1, sizeof(*r->nodes));
    if (!r->nodes)
        return -1;
    memset(r->nodes, 0, v->nodes_len * sizeof(*r->nodes));
    for (size_t i = 0; i < v->nodes_len; i++) {
        r->nodes[i].node = &v->nodes[i];
        if (map_put(&r->by_id, id_key(&v->nodes[i].id), &r->nodes[i], NULL) < 0)
            return -1;
    }
    for (size_t i = 0; i < v->edges_len; i++) {
        const struct edge_view *e = &v->edges[i];
        struct tls_node *source = map_get(&r->by_id, id_key(&e->source_id));
        struct tls_node *destination = map_get(&r->by_id, id_key(&e->destination_id));
        add_cell(&source->out, &e->sum);
        add_cell(&destination->in, &e->sum);
        add_cell(&r->mesh, &e->sum);
        r->plaintext_edges += e->sum.tls[TLS_PLAINTEXT] > 0;
    }
    return 0;
}

static uint64_t plaintext_of(const struct tls_node *n)
{
    return n->in.tls[TLS_PLAINTEXT] + n->out.tls[TLS_PLAINTEXT];
}

/* What is unprotected first; else in the view's order, by name. */
static int by_plaintext(const void *pa, const void *pb)
{
    const struct tls_node *a = pa, *b = pb;
    if (plaintext_of(a) != plaintext_of(b))
        return plaintext_of(a) > plaintext_of(b) ? -1 : 1;
    return a->node < b->node ? -1 : a->node > b->node;
}

static void json_node_tls(struct json_out *j, const struct tls_node *n)
{
    json_open(j, '{');
    json_kv_id(j, "id", n->node->id);
    json_kv_str(j, "type", sv_z(node_type_name(n->node->type)));
    json_identity(j, &n->node->who);
    json_kv_u64(j, "inRequests", n->in.requests);
    json_tls(j, "in", &n->in);
    json_kv_u64(j, "outRequests", n->out.requests);
    json_tls(j, "out", &n->out);
    json_close(j);
}

static void write_roll(struct json_out *j, const struct view *v, struct tls_roll *r, size_t from,
                       size_t limit)
{
    qsort(r->nodes, v->nodes_len, sizeof(*r->nodes), by_plaintext);
    json_kv_open(j, "mesh", '{');
    json_kv_u64(j, "requests", r->mesh.requests);
    json_kv_u64(j, "edges", v->edges_len);
    json_kv_u64(j, "edgesWithPlaintext", r->plaintext_edges);
    json_tls(j, "tls", &r->mesh);
    json_close(j);
    json_kv_u64(j, "total", v->nodes_len);
    json_kv_open(j, "nodes", '[');
    for (size_t i = from; i < v->nodes_len && i - from < limit; i++)
        json_node_tls(j, &r->nodes[i]);
    json_close(j);
}

void api_tls(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(view) v = { 0 };
    struct tls_roll r = { 0 };
    uint64_t offset = 0, limit = NODES_DEFAULT;
    if (params_u64(&q->params, "offset", 0, UINT32_MAX, &offset) < 0 ||
        params_u64(&q->params, "limit", 1, NODES_MAX, &limit) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    if (!api_read_picture(api, q, &v, a))
        return;
    if (roll(&r, &v) < 0) {
        answer_failure(a, &(struct err){ .code = ERR_NOMEM, .why = "TLS of every node" });
    } else {
        struct json_out j = json_out_of(&a->body);
        json_open(&j, '{');
        json_view_head(&j, &v, q->params.now_ns);
        write_roll(&j, &v, &r, (size_t)offset, (size_t)limit);
        json_close(&j);
    }
    map_done(&r.by_id);
}
