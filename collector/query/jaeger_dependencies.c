/* jaeger_dependencies.c - who calls whom, in the three fields Jaeger has for it.
 *
 * They come from the counted edges, not from a walk over traces: live, exact under sampling, and
 * for any window. Up to a day is read as our own graph reads it. Jaeger's page asks for a week;
 * days before the last one are taken from the hourly sums, a day at a time, which bounds memory
 * and time (best evidence is then judged by the hour). Nodes are services by name; the user
 * outside and callers nobody named are no services and are left out. */
#include "base/clock.h"
#include "base/map.h"
#include "query/jaeger.h"

#define HOUR_NS      (3600 * NS_PER_S)
#define DAY_NS       (24 * HOUR_NS)
#define LOOKBACK_MAX (31 * DAY_NS) /* 744 hourly buckets an edge: seconds, not minutes */

struct link {
    struct sv parent, child;
    uint64_t calls;
};
struct links {
    struct arena mem;
    struct map by_names;
    struct link *list;
    size_t len, cap;
};

static void links_done(struct links *l)
{
    map_done(&l->by_names);
    arena_done(&l->mem);
}
DEFINE_AUTO_DONE(links);

static struct link *link_new(struct links *l, struct sv parent, struct sv child)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct link *list = arena_array(&l->mem, cap, sizeof(*list));
        if (!list)
            return NULL;
        if (l->len)
            memcpy(list, l->list, l->len * sizeof(*list));
        l->list = list;
        l->cap = cap;
    }
    struct link one = { arena_copy(&l->mem, parent), arena_copy(&l->mem, child), 0 };
    if (!one.parent.p || !one.child.p)
        return NULL;
    l->list[l->len] = one;
    return &l->list[l->len++];
}

static int add(struct links *l, struct sv parent, struct sv child, uint64_t calls)
{
    AUTO_DONE(buf) key = { 0 };
    buf_put_u64(&key, parent.len);
    buf_putc(&key, ' ');
    buf_put(&key, parent);
    buf_put(&key, child);
    if (key.failed)
        return -1;
    size_t at = (size_t)(uintptr_t)map_get(&l->by_names, buf_sv(&key));
    if (!at) {
        if (!link_new(l, parent, child) ||
            map_put(&l->by_names, buf_sv(&key), (void *)(uintptr_t)l->len, NULL) < 0)
            return -1;
        at = l->len;
    }
    l->list[at - 1].calls += calls;
    return 0;
}

static struct sv id_key(const uint64_t *id)
{
    return sv_of(id, sizeof(*id));
}

/* Nodes of the view that are services, by id. */
static int find_services(const struct view *v, struct map *services)
{
    for (size_t i = 0; i < v->nodes_len; i++) {
        struct node_view *n = &v->nodes[i];
        if (n->type == NODE_EXTERNAL || n->type == NODE_UNKNOWN || !n->who.service.len ||
            sv_eq(n->who.service, IDENTITY_UNKNOWN))
            continue;
        if (map_put(services, id_key(&n->id), n, NULL) < 0)
            return -1;
    }
    return 0;
}

static int add_view(struct links *l, const struct view *v, struct err *err)
{
    AUTO_DONE(map) services = { 0 };
    int rc = find_services(v, &services);
    for (size_t i = 0; rc == 0 && i < v->edges_len; i++) {
        const struct edge_view *e = &v->edges[i];
        if (e->sum.requests && map_get(&services, id_key(&e->source_id)) &&
            map_get(&services, id_key(&e->destination_id)))
            rc = add(l, e->edge.source.service, e->edge.destination.service, e->sum.requests);
    }
    return rc < 0 ? err_set(err, ERR_NOMEM, "dependencies") : 0;
}

static int add_recent(const struct api *api, struct links *l, struct window w, struct err *err)
{
    AUTO_DONE(view) v = { 0 };
    struct view_wish wish = { .window = w, .granularity = GRANULARITY_SERVICE };
    int rc = api_read_view(api, &wish, &v, err);
    return rc < 0 ? rc : add_view(l, &v, err);
}

static int add_hours(const struct api *api, struct links *l, struct window w, struct err *err)
{
    struct view_wish wish = { .window = w, .granularity = GRANULARITY_SERVICE };
    AUTO_FREE(view_builder) b = view_builder_new(&wish);
    AUTO_DONE(view) v = { 0 };
    if (!b)
        return err_set(err, ERR_NOMEM, "view");
    int rc = store_edges(api->store, &w, HOUR_NS, view_builder_add, b, err);
    if (rc == 0)
        rc = view_builder_finish(b, &v, err);
    return rc < 0 ? rc : add_view(l, &v, err);
}

static int collect(const struct api *api, struct links *l, struct window w, struct err *err)
{
    int64_t recent_ns = w.from_ns, from_ns = window_align_down(w.from_ns, HOUR_NS);
    int rc = 0;
    if (w.to_ns - w.from_ns > DAY_NS)
        recent_ns = window_align_up(w.to_ns - DAY_NS, HOUR_NS);
    for (; rc == 0 && from_ns < recent_ns && recent_ns > w.from_ns; from_ns += DAY_NS)
        rc = add_hours(api, l, (struct window){ from_ns, MIN(from_ns + DAY_NS, recent_ns) }, err);
    return rc < 0 ? rc : add_recent(api, l, (struct window){ recent_ns, w.to_ns }, err);
}

static int by_names(const void *pa, const void *pb)
{
    const struct link *a = pa, *b = pb;
    int order = sv_cmp(a->parent, b->parent);
    return order ? order : sv_cmp(a->child, b->child);
}

static void put_links(struct json_out *j, const struct links *l, struct sv service)
{
    json_open(j, '[');
    for (size_t i = 0; i < l->len; i++) {
        const struct link *one = &l->list[i];
        if (service.len && !sv_eq(service, one->parent) && !sv_eq(service, one->child))
            continue;
        json_open(j, '{');
        json_kv_str(j, "parent", one->parent);
        json_kv_str(j, "child", one->child);
        json_kv_u64(j, "callCount", one->calls);
        json_close(j);
    }
    json_close(j);
}

static int read_window(struct params *p, struct window *ret_w)
{
    int64_t to_ns = p->now_ns, lookback_ns = DAY_NS;
    if (jaeger_time(p, "endTs", NS_PER_MS, &to_ns) < 0 ||
        jaeger_time(p, "lookback", NS_PER_MS, &lookback_ns) < 0)
        return -1;
    to_ns = MIN(to_ns, window_align_up(p->now_ns, BUCKET_NS)); /* nothing lies in the future */
    lookback_ns = MIN(MIN(lookback_ns, LOOKBACK_MAX), to_ns);
    *ret_w = (struct window){ to_ns - lookback_ns, to_ns };
    return 0;
}

void jaeger_dependencies(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(links) l = { 0 };
    struct err err = { 0 };
    struct window w;
    struct sv service = SV_NONE;
    if (read_window(&q->params, &w) < 0) {
        jaeger_fault(a, &q->params);
        return;
    }
    (void)jaeger_get(&q->params, "service", &service);
    if (collect(api, &l, w, &err) < 0) {
        jaeger_failure(a, &err);
        return;
    }
    if (l.len)
        qsort(l.list, l.len, sizeof(*l.list), by_names);
    struct json_out j = jaeger_open(a);
    put_links(&j, &l, service);
    jaeger_close(&j, 0);
}
