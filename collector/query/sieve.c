/* sieve.c - takes edges and nodes out of a view.
 *
 * Everything is decided on the whole view first and taken out in one go at the end, so that a filter
 * judges every node by all of its traffic whatever else is left out. Order: outsiders and thin
 * edges, then hide and keep, then the neighbourhood in what is left. A node that no edge touches
 * any more goes too, unless it is the one whose neighbourhood was asked for. */
#include "query/sieve.h"
#include "base/map.h"

struct marks {
    bool *edges; /* stays */
    bool *nodes; /* a filter or the request wants it out, whatever its edges */
};

static int read_filter(struct params *p, const char *name, const struct filter **ret_f)
{
    struct sv text;
    struct err err = { 0 };
    if (!params_get(p, name, &text) || !sv_trim(text).len)
        return 0;
    if (filter_parse(text, &p->mem, ret_f, &err) < 0)
        return params_fault(p, name, "%s", err.why);
    return 0;
}

static int read_node(struct params *p, struct sieve *s)
{
    struct sv text;
    uint8_t id[8];
    if (!params_get(p, "node", &text)) {
        if (params_get(p, "depth", &text) || params_get(p, "direction", &text))
            return params_fault(p, "node", "missing; depth and direction need it");
        return 0;
    }
    if (!sv_to_bytes(text, id, sizeof(id)))
        return params_fault(p, "node", "want the 16 hexadecimal digits of a node's id");
    for (size_t i = 0; i < sizeof(id); i++)
        s->node_id = s->node_id << 8 | id[i];
    s->has_node = true;
    return 0;
}

int sieve_read(struct params *p, struct sieve *ret_s)
{
    struct sieve s = { .depth = 1 };
    uint64_t depth = 1;
    size_t external = 0, direction = NET_BOTH;
    if (read_filter(p, "hide", &s.hide) < 0 || read_filter(p, "keep", &s.keep) < 0 ||
        params_u64(p, "minRequests", 0, INT64_MAX, &s.min_requests) < 0 ||
        params_number(p, "minRate", 0, 1e12, &s.min_rate) < 0 ||
        params_choice(p, "external", "true|false", &external) < 0 || read_node(p, &s) < 0 ||
        params_u64(p, "depth", 1, SIEVE_DEPTH_MAX, &depth) < 0 ||
        params_choice(p, "direction", "both|in|out", &direction) < 0)
        return -1;
    s.is_inside_only = external == 1;
    s.depth = (uint32_t)depth;
    s.direction = (enum net_direction)direction;
    *ret_s = s;
    return 0;
}

static bool is_outside(const struct node_view *n)
{
    return n->type == NODE_VIRTUAL || n->type == NODE_EXTERNAL || n->type == NODE_UNKNOWN;
}

static void mark_nodes(const struct sieve *s, const struct view_net *net, double seconds,
                       struct marks *m)
{
    for (size_t i = 0; i < net->view->nodes_len; i++)
        m->nodes[i] = (s->is_inside_only && is_outside(&net->view->nodes[i])) ||
                      (s->hide && filter_node(s->hide, net, i, seconds));
}

/* keep wants the edge itself, or one of its ends. */
static bool is_kept(const struct filter *keep, const struct view_net *net, size_t i, double seconds)
{
    return !keep || filter_edge(keep, net, i, seconds) ||
           filter_node(keep, net, net->sources[i], seconds) ||
           filter_node(keep, net, net->destinations[i], seconds);
}

static void mark_edges(const struct sieve *s, const struct view_net *net, double seconds,
                       struct marks *m)
{
    for (size_t i = 0; i < net->view->edges_len; i++) {
        const struct edge_view *e = &net->view->edges[i];
        m->edges[i] = e->sum.requests >= s->min_requests &&
                      (double)e->sum.requests >= s->min_rate * seconds &&
                      !m->nodes[net->sources[i]] && !m->nodes[net->destinations[i]] &&
                      !(s->hide && filter_edge(s->hide, net, i, seconds)) &&
                      is_kept(s->keep, net, i, seconds);
    }
}

static void drop_edges(struct view *v, const bool *stays)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->edges_len; i++) {
        if (stays[i]) {
            v->edges[kept++] = v->edges[i];
            continue;
        }
        edge_cell_done(&v->edges[i].sum);
        hist_done(&v->edges[i].server_latency);
    }
    v->edges_len = kept;
}

/* Leaves the nodes that an edge touches, and the one of that id if it is wanted. */
static int drop_lonely(struct view *v, const uint64_t *wanted, struct err *err)
{
    AUTO_DONE(map) used = { 0 };
    size_t kept = 0;
    for (size_t i = 0; i < v->edges_len; i++) {
        const uint64_t *ends[] = { &v->edges[i].source_id, &v->edges[i].destination_id };
        for (size_t k = 0; k < NELEMS(ends); k++)
            if (map_put(&used, sv_of(ends[k], sizeof(*ends[k])), v, NULL) < 0)
                return err_set(err, ERR_NOMEM, "filtered graph");
    }
    for (size_t i = 0; i < v->nodes_len; i++) {
        uint64_t id = v->nodes[i].id;
        if ((wanted && id == *wanted) || map_get(&used, sv_of(&id, sizeof(id))))
            v->nodes[kept++] = v->nodes[i];
    }
    v->nodes_len = kept;
    return 0;
}

static int keep_around(const struct sieve *s, struct view *v, struct arena *mem, struct err *err)
{
    struct view_net net;
    if (view_net_make(v, mem, &net) < 0)
        return err_set(err, ERR_NOMEM, "neighbourhood");
    size_t start = view_net_find(&net, s->node_id);
    if (start == v->nodes_len)
        return err_set(err, ERR_NOT_FOUND, "no such node in this window at this granularity");
    uint32_t *far = view_net_distances(&net, start, s->depth, s->direction, mem);
    bool *stays = arena_array(mem, v->edges_len + 1, sizeof(*stays));
    if (!far || !stays)
        return err_set(err, ERR_NOMEM, "neighbourhood");
    for (size_t i = 0; i < v->edges_len; i++)
        stays[i] = far[net.sources[i]] != NET_UNREACHED &&
                   far[net.destinations[i]] != NET_UNREACHED;
    drop_edges(v, stays);
    return drop_lonely(v, &s->node_id, err);
}

int sieve_apply(const struct sieve *s, struct view *v, double seconds, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct view_net net;
    bool takes_out = s->hide || s->keep || s->min_requests || s->min_rate > 0 || s->is_inside_only;
    if (takes_out) {
        struct marks m = { arena_array(&mem, v->edges_len + 1, sizeof(bool)),
                           arena_array(&mem, v->nodes_len + 1, sizeof(bool)) };
        if (!m.edges || !m.nodes || view_net_make(v, &mem, &net) < 0)
            return err_set(err, ERR_NOMEM, "filtered graph");
        mark_nodes(s, &net, seconds, &m);
        mark_edges(s, &net, seconds, &m);
        drop_edges(v, m.edges);
        int rc = drop_lonely(v, s->has_node ? &s->node_id : NULL, err);
        if (rc < 0)
            return rc;
    }
    return s->has_node ? keep_around(s, v, &mem, err) : 0;
}

int sieve_page(struct view *v, size_t from, size_t len, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    if (from == 0 && len >= v->edges_len)
        return 0;
    bool *stays = arena_array(&mem, v->edges_len + 1, sizeof(*stays));
    if (!stays)
        return err_set(err, ERR_NOMEM, "page of the graph");
    for (size_t i = 0; i < v->edges_len; i++)
        stays[i] = i >= from && i - from < len;
    drop_edges(v, stays);
    return drop_lonely(v, NULL, err);
}
