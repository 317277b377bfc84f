/* SPDX-License-Identifier: Apache-2.0
 * mesh_routes.c - HTTPRoutes and GRPCRoutes whose parent is a Service: rules of callers' sidecars.
 *
 * A route in the Service's namespace is the Service's own word and holds for every caller; one in another
 * namespace holds for the callers there, and instead of the Service's own. Routes of a Service are put
 * together, the most specific rule first, and what no rule takes is answered 404. A parent with a port
 * leaves the other ports as they are. Hostnames mean nothing here, and no ReferenceGrant is asked for: a
 * caller could go to the backend himself. Source: GEP-1294 and GEP-1324 of the Gateway API. */
#include "proxy/config/resolve.h"

/* The route's Service, as far as it is for this proxy's callers; NULL: it is not. */
static struct service_entry *service_of(struct resolve *r, const struct virtual_service *v)
{
    struct service_entry *e = v->is_mesh ? map_get(&r->services, v->hosts.list[0]) : NULL;
    if (!e || !e->object || e->object->host.len)
        return NULL;
    bool is_own_word = sv_eq(v->meta.namespace, e->object->meta.namespace);
    return is_own_word || sv_eq(v->meta.namespace, r->namespace) ? e : NULL;
}

/* Do callers of our namespace have a word of their own about the Service? */
static bool has_callers_word(struct resolve *r, const struct service_entry *e)
{
    if (sv_eq(e->object->meta.namespace, r->namespace))
        return false;
    for (const struct virtual_service *v = r->catalog->virtual_services.first; v; v = v->next)
        if (sv_eq(v->meta.namespace, r->namespace) && service_of(r, v) == e)
            return true;
    return false;
}

struct service_entry *resolve_mesh_parent(struct resolve *r, const struct virtual_service *v)
{
    struct service_entry *e = service_of(r, v);
    bool is_overruled = e && !sv_eq(v->meta.namespace, r->namespace) && has_callers_word(r, e);
    return is_overruled ? NULL : e;
}

/* A Service with one port is meant whether the caller names it or not. */
static uint16_t port_of(const struct virtual_service *v, const struct service_entry *e)
{
    return e->object->ports_len > 1 ? v->parent_port : 0;
}

bool resolve_mesh_port(struct resolve *r, const struct virtual_service *v,
                       const struct service_entry *e, struct route_entry *entries, size_t len)
{
    uint16_t port = port_of(v, e);
    for (size_t i = 0; port && i < len; i++) {
        struct match *m = arena_zalloc(&r->mesh->mem, sizeof(*m));
        if (!m) {
            resolve_nomem(r);
            return false;
        }
        if (entries[i].match)
            *m = *entries[i].match;
        m->port = port;
        entries[i].match = m;
    }
    return true;
}

bool resolve_is_mesh_port(struct resolve *r, const struct service_entry *e, uint16_t port)
{
    for (const struct virtual_service *v = r->catalog->virtual_services.first; v; v = v->next)
        if (resolve_mesh_parent(r, v) == e && (!port_of(v, e) || port_of(v, e) == port))
            return true;
    return false;
}
