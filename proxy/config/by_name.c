/* SPDX-License-Identifier: Apache-2.0
 * by_name.c - Gateway servers with AUTO_PASSTHROUGH: the way from one network into the mesh of another,
 * as Istio's east-west gateway.
 *
 * Callers ask for "outbound_.9080_.v1_.reviews.default.svc.cluster.local", which is all that has to be
 * known: no VirtualService leads them, and their mutual TLS ends at the Service's own sidecar. Every port
 * and subset of every Service whose name fits the server's hosts has such a name; hosts of
 * ServiceEntries have none, because this must be no way out of the mesh. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

#define ROUTE_NAME SV("auto_passthrough")

struct listing {
    struct tcp_name *list; /* NULL: they are only counted */
    size_t len;
};

/* The server that takes the name, NULL: none. */
static const struct door_server *server_for(struct resolve *r, const struct door *d, struct sv name,
                                            struct sv namespace)
{
    for (const struct door_server *s = d->servers; s; s = s->next)
        for (size_t i = 0; s->server->is_by_name && i < s->server->hosts.len; i++)
            if (resolve_host_met(r, s, s->server->hosts.list[i], name, namespace).len)
                return s;
    return NULL;
}

static const struct route *route_to(struct resolve *r, const struct cluster *c,
                                    const struct gateway *g)
{
    struct route *route = arena_zalloc(&r->mesh->mem, sizeof(*route));
    struct route_target *target = arena_zalloc(&r->mesh->mem, sizeof(*target));
    if (!route || !target) {
        resolve_nomem(r);
        return NULL;
    }
    *target = (struct route_target){ .cluster = c, .weight = 1 };
    *route = (struct route){ .name = ROUTE_NAME,
                             .targets = target,
                             .targets_len = 1,
                             .weight_sum = 1,
                             .origin = resolve_origin(r, &g->meta, &g->meta.place) };
    return route;
}

static void add(struct resolve *r, const struct door *d, struct service_entry *e, uint16_t port,
                struct sv subset, struct listing *to)
{
    if (!to->list) {
        to->len++;
        return;
    }
    const struct cluster *c = resolve_unopened_cluster(r, e, port, subset);
    struct sv name = c ? resolve_lower(r, c->name) : SV_NONE; /* as ClientHellos are compared */
    const struct door_server *s = server_for(r, d, name, e->object->meta.namespace);
    const struct route *route = s ? route_to(r, c, s->gateway) : NULL;
    if (route)
        to->list[to->len++] = (struct tcp_name){ resolve_name(r, name), route };
}

static void add_all(struct resolve *r, const struct door *d, struct listing *to)
{
    for (struct service_entry *e = r->entries.first; e; e = e->next) {
        if (!e->object || e->object->host.len)
            continue;
        for (size_t i = 0; i < e->object->ports_len; i++) {
            uint16_t port = e->object->ports[i].port;
            add(r, d, e, port, SV_NONE, to);
            for (const struct rule_link *at = resolve_rules_of(r, e); at; at = at->next)
                for (size_t k = 0; k < at->rule->subsets_len; k++)
                    add(r, d, e, port, at->rule->subsets[k].name, to);
        }
    }
}

static int in_order(const void *a, const void *b)
{
    const struct tcp_name *x = a, *y = b;
    return sv_cmp(x->sni, y->sni);
}

void resolve_by_name(struct resolve *r, struct door *d, struct tcp_service *to)
{
    struct listing all = { 0 };
    bool is_wanted = false;
    for (const struct door_server *s = d->servers; s; s = s->next)
        is_wanted = is_wanted || s->server->is_by_name;
    if (!is_wanted)
        return;
    add_all(r, d, &all);
    all.list = arena_array(&r->mesh->mem, all.len + 1, sizeof(*all.list));
    if (!all.list) {
        resolve_nomem(r);
        return;
    }
    all.len = 0;
    add_all(r, d, &all);
    qsort(all.list, all.len, sizeof(*all.list), in_order);
    to->by_name = all.list;
    to->by_name_len = all.len;
}
