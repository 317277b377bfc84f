/* SPDX-License-Identifier: Apache-2.0
 * explain_route.c - which rules a request passed on its way to the one that took it.
 *
 * Asks the same tables in the same order as mesh_route() and mesh_gateway_route() and says what
 * those keep to themselves. Slow and complete: only people ask. */
#include "proxy/config/mesh_impl.h"

/* What is asked, and who wants to hear of it. */
struct walk {
    const struct route_ask *ask;
    mesh_miss_fn *each;
    void *to;
    struct sv host; /* of the last virtual host */
};

/* The name under which v stands in the tables; "*.x" is kept there as ".x" and told like that. */
static struct sv name_of(const struct hosts *h, const struct vhost *v)
{
    const struct map *maps[] = { &h->exact, &h->suffixes };
    struct sv key;
    void *value;
    for (size_t k = 0; k < NELEMS(maps); k++)
        for (size_t i = 0; map_next(maps[k], &i, &key, &value);)
            if (value == v)
                return key;
    return h->any == v ? SV("*") : SV_NONE;
}

/* True: an entry of the virtual host takes the request. */
static bool walk_host(struct walk *w, const struct vhost *v, const struct match_ask *match)
{
    if (v->if_plain && !match->is_tls)
        return true;
    for (size_t i = 0; i < v->entries_len; i++) {
        struct match_miss why;
        struct mesh_miss miss = { .host = w->host,
                                  .route = v->entries[i].routes[0].route,
                                  .why = &why };
        if (!route_entry_miss(&v->entries[i], match, &why, &miss.is_outer))
            return true;
        w->each(w->to, &miss);
    }
    return false;
}

static bool walk_table(struct walk *w, const struct hosts *h, uint16_t port, bool is_port_named)
{
    uint16_t named = 0;
    const struct vhost *v = hosts_find(h, w->ask->req->authority, &named);
    struct match_ask match = { .req = w->ask->req,
                               .port = port || !is_port_named ? port : named,
                               .is_tls = w->ask->is_tls };
    if (!v)
        return false;
    w->host = name_of(h, v);
    return walk_host(w, v, &match);
}

struct sv mesh_explain_route(const struct mesh *m, const struct route_ask *ask, bool is_gateway,
                             uint16_t port, mesh_miss_fn *each, void *to)
{
    struct walk w = { .ask = ask, .each = each, .to = to };
    bool is_found = false;
    if (!is_gateway)
        (void)walk_table(&w, &m->hosts, port, true);
    for (size_t i = 0; is_gateway && i < m->doors_len && !is_found; i++) {
        const struct door *d = &m->doors[i];
        uint16_t number = d->port->number;
        if (ask->listen && ask->listen != (ask->is_onward ? number : d->port->listen))
            continue;
        if (d->has_ingress && !ask->is_onward)
            is_found = walk_table(&w, &m->ingress, number, false);
        if (!is_found)
            is_found = walk_table(&w, &d->hosts, number, false);
    }
    return w.host;
}

static void each_host(const struct hosts *h, uint16_t listen, mesh_host_fn *each, void *to)
{
    const struct map *maps[] = { &h->exact, &h->suffixes };
    struct sv key;
    void *value;
    for (size_t k = 0; k < NELEMS(maps); k++)
        for (size_t i = 0; map_next(maps[k], &i, &key, &value);)
            each(to, listen, key, value);
    if (h->any)
        each(to, listen, SV("*"), h->any);
}

void mesh_each_host(const struct mesh *m, mesh_host_fn *each, void *to)
{
    each_host(&m->hosts, 0, each, to);
    each_host(&m->ingress, 0, each, to);
    for (size_t i = 0; i < m->doors_len; i++)
        each_host(&m->doors[i].hosts, m->doors[i].port->listen, each, to);
}
