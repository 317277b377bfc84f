/* SPDX-License-Identifier: Apache-2.0
 * scope.c - which of the objects this proxy is meant to see: exportTo, and the Sidecar and Telemetry of its
 * workload.
 *
 * A VirtualService out of sight is as if it were not there. A Service or ServiceEntry out of sight has no
 * virtual host and no address of its own for callers, but remains behind routes that name it, which is
 * what Istio does for destinations of visible routes, and still says what this workload's own ports speak.
 * Of Sidecars one is in force: of the own namespace the oldest whose selector fits, else the oldest without
 * selector, else that of the root namespace. */
#include "proxy/config/resolve.h"

bool resolve_is_exported(const struct resolve *r, const struct text_list *to, struct sv namespace)
{
    bool is_own = sv_eq(namespace, r->namespace);
    if (!to->len || r->role == ROLE_CHECK)
        return true;
    for (size_t i = 0; i < to->len; i++)
        if (sv_eq(to->list[i], SV("*")) || (sv_eq(to->list[i], SV(".")) && is_own) ||
            sv_eq(to->list[i], r->namespace))
            return true;
    return false;
}

static bool is_older(const struct meta *a, const struct meta *b)
{
    return a->created_s != b->created_s ? a->created_s < b->created_s : a->order < b->order;
}

/* 2: an object for this workload, 1: for its namespace, 0: for the mesh, -1: not for it. */
static int closeness(const struct resolve *r, const struct meta *meta,
                     const struct labels *selector)
{
    bool is_own = sv_eq(meta->namespace, r->namespace);
    if (selector->len)
        return is_own && labels_match(&r->self_labels, selector) ? 2 : -1;
    return is_own ? 1 : sv_eq(meta->namespace, ROOT_NAMESPACE) ? 0 : -1;
}

static const struct sidecar *sidecar_of(const struct resolve *r)
{
    const struct sidecar *best = NULL;
    int best_close = -1;
    for (const struct sidecar *s = r->catalog->sidecars.first; s; s = s->next) {
        int close = closeness(r, &s->meta, &s->selector);
        if (close < 0 || close < best_close ||
            (close == best_close && !is_older(&s->meta, &best->meta)))
            continue;
        best = s;
        best_close = close;
    }
    return best;
}

static void overlay(struct telemetry_rules *to, const struct telemetry_rules *from)
{
    if (from->sampling >= 0)
        to->sampling = from->sampling;
    if (from->spans)
        to->spans = from->spans;
    if (from->log) {
        to->log = from->log;
        to->log_from = from->log_from;
    }
}

/* Telemetry: the mesh's, the namespace's, the workload's, each over the one before; of one kind the oldest. */
static void resolve_telemetry(struct resolve *r)
{
    const struct telemetry_object *chosen[3] = { NULL };
    struct telemetry_rules *to = r->mesh->telemetry;
    for (const struct telemetry_object *t = r->catalog->telemetries.first; t; t = t->next) {
        int close = closeness(r, &t->meta, &t->selector);
        if (close >= 0 && (!chosen[close] || is_older(&t->meta, &chosen[close]->meta)))
            chosen[close] = t;
    }
    to[0] = to[1] = (struct telemetry_rules){ .sampling = -1 };
    for (size_t i = 0; i < NELEMS(chosen); i++)
        for (size_t side = 0; chosen[i] && side < 2; side++)
            overlay(&to[side], &chosen[i]->rules[side]);
}

bool resolve_covers(struct sv pattern, struct sv host)
{
    if (sv_eq(pattern, SV("*")) || sv_eq(pattern, host))
        return true;
    return sv_starts(pattern, SV("*.")) && host.len > pattern.len - 1 &&
           sv_ends(host, sv_from(pattern, 1));
}

static bool is_namespace(const struct resolve *r, struct sv wanted, struct sv namespace)
{
    return sv_eq(wanted, SV("*")) || sv_eq(wanted, namespace) ||
           (sv_eq(wanted, SV(".")) && sv_eq(namespace, r->namespace));
}

/* Does the Sidecar let this host of an object in that namespace be seen? NULL: there is none. */
static bool is_let_through(struct resolve *r, const struct sidecar *s, struct sv namespace,
                           struct sv host)
{
    for (size_t i = 0; s && s->has_egress && i < s->hosts_len; i++) {
        struct sv pattern = resolve_host(r, resolve_lower(r, s->hosts[i].host), namespace);
        if (is_namespace(r, s->hosts[i].namespace, namespace) &&
            (resolve_covers(pattern, host) || (host.p[0] == '*' && resolve_covers(host, pattern))))
            return true;
    }
    return !s || !s->has_egress;
}

static bool is_visible(struct resolve *r, const struct sidecar *s, const struct virtual_service *v)
{
    bool is_seen = !v->hosts.len; /* delegates are asked for by name */
    if (!resolve_is_exported(r, &v->export_to, v->meta.namespace))
        return false;
    for (size_t i = 0; i < v->hosts.len && !is_seen; i++) {
        struct sv host = resolve_host(r, resolve_lower(r, v->hosts.list[i]), v->meta.namespace);
        is_seen = host.len && is_let_through(r, s, v->meta.namespace, host);
    }
    return is_seen;
}

static void drop_hidden(struct resolve *r, const struct sidecar *s)
{
    struct virtual_service **at = &r->catalog->virtual_services.first;
    while (*at) {
        if (is_visible(r, s, *at))
            at = &(*at)->next;
        else
            *at = (*at)->next;
    }
}

static bool is_wild_seen(struct resolve *r, const struct sidecar *s, const struct wild_host *h)
{
    return resolve_is_exported(r, &h->export_to, h->meta.namespace) &&
           is_let_through(r, s, h->meta.namespace, h->host);
}

static void publish_wild_hosts(struct resolve *r, const struct sidecar *s)
{
    struct mesh *m = r->mesh;
    size_t max = 0;
    for (const struct wild_host *h = r->catalog->wild_hosts.first; h; h = h->next)
        max += h->ports_len;
    struct wild_port *list = max ? arena_array(&m->mem, max, sizeof(*list)) : NULL;
    if (max && !list)
        resolve_nomem(r);
    for (const struct wild_host *h = list ? r->catalog->wild_hosts.first : NULL; h; h = h->next)
        for (size_t i = 0; is_wild_seen(r, s, h) && i < h->ports_len; i++)
            list[m->wild_ports_len++] = (struct wild_port){ resolve_name(r, h->host),
                                                            h->ports[i].port };
    m->wild_ports = list;
}

void resolve_scope(struct resolve *r)
{
    const struct sidecar *s = r->role == ROLE_SIDECAR ? sidecar_of(r) : NULL;
    resolve_telemetry(r);
    if (r->role == ROLE_CHECK)
        return;
    for (struct service_entry *e = r->entries.first; e; e = e->next)
        if (e->object)
            e->is_hidden = !resolve_is_exported(r, &e->object->export_to,
                                                e->object->meta.namespace) ||
                           !is_let_through(r, s, e->object->meta.namespace, e->fqdn);
    drop_hidden(r, s);
    publish_wild_hosts(r, s);
    r->mesh->outbound = s ? s->outbound : OUTBOUND_UNSAID;
}

/* Is there a ServiceEntry for hosts like this one ("a.b" or "a.b:80") at this port? */
static bool is_wild(const struct mesh *m, struct sv host, uint16_t port)
{
    struct sv name = host.len && host.p[0] == '[' ? host : sv_sub(host, 0, sv_rindex(host, ':'));
    for (size_t i = 0; i < m->wild_ports_len; i++) {
        struct sv suffix = sv_from(m->wild_ports[i].host, 1); /* "" of "*", ".x" of "*.x" */
        if (m->wild_ports[i].port == port && name.len > suffix.len &&
            sv_eq_nocase(sv_from(name, name.len - suffix.len), suffix))
            return true;
    }
    return false;
}

bool mesh_lets_out(const struct mesh *m, struct sv host, uint16_t port, bool otherwise)
{
    bool lets_any = m->outbound == OUTBOUND_UNSAID ? otherwise : m->outbound == OUTBOUND_ALLOW_ANY;
    return lets_any || is_wild(m, host, port);
}

const struct telemetry_rules *mesh_telemetry(const struct mesh *m, bool is_server)
{
    return &m->telemetry[is_server];
}
