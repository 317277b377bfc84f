/* SPDX-License-Identifier: Apache-2.0
 * endpoints.c - which addresses stand behind each port of each Service.
 *
 * EndpointSlices (or Endpoints) are the cluster's own answer and win when a Service has any, even
 * empty ones. Without them, as in a folder written by hand, the Service's selector is applied to
 * the Pods here. Selecting looks a pod up by one label of the selector, so that thousands of
 * services and pods do not mean millions of comparisons. An address and port is one endpoint, shared
 * by all services and subsets that contain it, so that they share its connections. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

/* Pods that carry one certain label: the candidates of the services that select by it. */
struct candidates {
    const struct pod **list;
    size_t len, cap;
};

static struct sv label_key(struct resolve *r, struct buf *to, struct sv namespace,
                           const struct label *l)
{
    buf_clear(to);
    buf_printf(to, "%.*s/%.*s=%.*s", SV_ARG(namespace), SV_ARG(l->key), SV_ARG(l->value));
    if (to->failed)
        resolve_nomem(r);
    return buf_sv(to);
}

/* Room for one more element of a list that grows in scratch memory. */
static bool grow(struct resolve *r, void **list, size_t len, size_t *cap, size_t size)
{
    if (len < *cap)
        return true;
    size_t wider = *cap ? *cap * 2 : 4;
    void *grown = arena_array(r->catalog->scratch, wider, size);
    if (!grown) {
        resolve_nomem(r);
        return false;
    }
    if (len)
        memcpy(grown, *list, len * size);
    *list = grown;
    *cap = wider;
    return true;
}

static struct endpoint *endpoint_of(struct resolve *r, struct sv ip, uint16_t port,
                                    const struct pod *pod, const struct backends *from)
{
    AUTO_DONE(buf) key = { 0 };
    buf_printf(&key, "%.*s:%u", SV_ARG(ip), port);
    struct endpoint *e = key.failed ? NULL : map_get(&r->addresses, buf_sv(&key));
    if (e)
        return e;
    e = arena_zalloc(&r->mesh->mem, sizeof(*e));
    if (!e || key.failed) {
        resolve_nomem(r);
        return NULL;
    }
    e->address = resolve_name(r, ip);
    e->port = port;
    if (addr_parse(ip, port, &e->addr, NULL) < 0)
        e->addr = (struct addr){ 0 }; /* whoever connects will say so */
    e->text = resolve_name(r, buf_sv(&key));
    e->id = r->endpoints_len++;
    e->identity = identity_unknown();
    if (pod) {
        e->pod = resolve_name(r, pod->meta.name);
        e->identity = resolve_identity(r, pod);
        e->has_sidecar = resolve_takes_mtls(r, pod, port);
    } else if (from) {
        e->identity.cluster = resolve_name(r, r->cluster);
        e->identity.namespace = resolve_name(r, from->meta.namespace);
        e->identity.workload = e->identity.service = resolve_name(r, from->service);
    }
    resolve_put(r, &r->addresses, buf_sv(&key), e);
    return e;
}

static void add_backend(struct resolve *r, struct port_backends *to, struct sv ip, uint16_t port,
                        const struct pod *pod, const struct backends *from)
{
    struct endpoint *e = port && ip.len ? endpoint_of(r, ip, port, pod, from) : NULL;
    for (size_t i = 0; i < to->len; i++)
        if (to->list[i].endpoint == e)
            return; /* the same address in two slices */
    void *list = to->list;
    if (!e || !grow(r, &list, to->len, &to->cap, sizeof(*to->list)))
        return;
    to->list = list;
    to->list[to->len++] = (struct backend){ e, pod };
}

void resolve_pods(struct resolve *r)
{
    for (struct pod *p = r->catalog->pods.first; p; p = p->next) {
        const struct pod *known = p->ip.len ? map_get(&r->pods_by_ip, p->ip) : NULL;
        if (!p->ip.len || (known && p->is_inline))
            continue; /* a Pod knows best who it is */
        resolve_put(r, &r->pods_by_ip, p->ip, p);
        if (p->is_inline)
            continue;
        struct identity id = resolve_identity(r, p);
        if (r->mesh->self.workload.len || !sv_eq(p->meta.namespace, r->namespace) ||
            !sv_eq(id.workload, r->workload))
            continue;
        r->mesh->self = id;
        if (!r->self_labels.len)
            r->self_labels = p->meta.labels;
    }
}

static void from_slices(struct resolve *r, struct service_entry *e)
{
    const struct service *s = e->object;
    for (const struct backends *b = e->slices; b; b = b->next_of_service)
        for (size_t i = 0; i < s->ports_len; i++)
            for (size_t k = 0; k < b->ports_len; k++) {
                if (!sv_eq(b->ports[k].name, s->ports[i].name))
                    continue;
                for (size_t a = 0; a < b->addresses_len; a++)
                    add_backend(r, &e->ports[i], b->addresses[a].ip, b->ports[k].port,
                                map_get(&r->pods_by_ip, b->addresses[a].ip), b);
            }
}

static uint16_t target_port(const struct service_port *s, const struct pod *p)
{
    for (size_t i = 0; p->is_entry && i < p->ports_len; i++)
        if (sv_eq(p->ports[i].name, s->name))
            return p->ports[i].port;
    if (!s->target_name.len || p->is_entry)
        return s->target ? s->target : s->port;
    for (size_t i = 0; i < p->ports_len; i++)
        if (sv_eq(p->ports[i].name, s->target_name))
            return p->ports[i].port;
    return 0;
}

static void from_pods(struct resolve *r, struct service_entry *e, const struct candidates *found)
{
    const struct service *s = e->object;
    for (size_t i = 0; i < found->len; i++) {
        const struct pod *p = found->list[i];
        if (!p->is_ready || p->is_inline || !labels_match(&p->meta.labels, &s->selector))
            continue;
        for (size_t k = 0; k < s->ports_len; k++)
            add_backend(r, &e->ports[k], p->ip, target_port(&s->ports[k], p), p, NULL);
    }
}

/* An empty list for each label that a service's selector begins with, then the pods into them. */
static void index_pods(struct resolve *r, struct map *index)
{
    AUTO_DONE(buf) text = { 0 };
    for (struct service_entry *e = r->entries.first; e; e = e->next) {
        const struct labels *want = &e->object->selector;
        if (!want->len || e->slices)
            continue;
        struct sv key = label_key(r, &text, e->object->meta.namespace, &want->list[0]);
        struct candidates *found = map_get(index, key)
                                       ? NULL
                                       : arena_zalloc(r->catalog->scratch, sizeof(*found));
        if (found)
            resolve_put(r, index, key, found);
    }
    for (struct pod *p = r->catalog->pods.first; p; p = p->next) {
        for (size_t i = 0; p->ip.len && i < p->meta.labels.len; i++) {
            struct sv key = label_key(r, &text, p->meta.namespace, &p->meta.labels.list[i]);
            struct candidates *to = map_get(index, key);
            void *list = to ? (void *)to->list : NULL;
            if (!to || !grow(r, &list, to->len, &to->cap, sizeof(struct pod *)))
                continue;
            to->list = list;
            to->list[to->len++] = p;
        }
    }
}

static void add_entry(struct resolve *r, struct service *s)
{
    AUTO_DONE(buf) fqdn = { 0 };
    if (s->host.len)
        buf_put(&fqdn, s->host);
    else
        buf_printf(&fqdn, "%.*s.%.*s.svc.%.*s", SV_ARG(s->meta.name), SV_ARG(s->meta.namespace),
                   SV_ARG(CLUSTER_DOMAIN));
    if (fqdn.failed)
        resolve_nomem(r);
    if (map_get(&r->services, buf_sv(&fqdn))) {
        if (!resolve_is_exported(r, &s->export_to, s->meta.namespace))
            return;
        finding_place(&r->catalog->findings, false, &s->meta.place,
                      "there is another Service or ServiceEntry of this name; this one is ignored");
        return;
    }
    struct port_backends *ports = arena_array(r->catalog->scratch, s->ports_len + 1,
                                              sizeof(*ports));
    struct service_entry *e = ports ? resolve_entry(r, buf_sv(&fqdn)) : NULL;
    if (!e) {
        resolve_nomem(r);
        return;
    }
    e->object = s;
    e->ports = ports;
    e->slices = s->own;
}

static void link_slices(struct resolve *r)
{
    AUTO_DONE(buf) fqdn = { 0 };
    for (struct backends *b = r->catalog->backends.first; b; b = b->next) {
        buf_clear(&fqdn);
        buf_printf(&fqdn, "%.*s.%.*s.svc.%.*s", SV_ARG(b->service), SV_ARG(b->meta.namespace),
                   SV_ARG(CLUSTER_DOMAIN));
        struct service_entry *e = map_get(&r->services, buf_sv(&fqdn));
        if (fqdn.failed) {
            resolve_nomem(r);
            return;
        }
        if (!e) {
            finding_place(&r->catalog->findings, false, &b->meta.place,
                          "there is no Service %.*s in namespace %.*s", SV_ARG(b->service),
                          SV_ARG(b->meta.namespace));
            continue;
        }
        b->next_of_service = (struct backends *)e->slices;
        e->slices = b;
    }
}

/* Of two ServiceEntries for one host that of the own namespace counts, then one that is exported to it. */
static int rank_of(const struct resolve *r, const struct service *s)
{
    if (!resolve_is_exported(r, &s->export_to, s->meta.namespace))
        return 2;
    return s->host.len && !sv_eq(s->meta.namespace, r->namespace) ? 1 : 0;
}

void resolve_services(struct resolve *r)
{
    AUTO_DONE(map) index = { 0 };
    AUTO_DONE(buf) text = { 0 };
    for (int rank = 0; rank < 3; rank++)
        for (struct service *s = r->catalog->services.first; s; s = s->next)
            if (rank_of(r, s) == rank)
                add_entry(r, s);
    link_slices(r);
    index_pods(r, &index);
    for (struct service_entry *e = r->entries.first; e; e = e->next) {
        const struct labels *want = &e->object->selector;
        if (e->slices) {
            from_slices(r, e);
        } else if (want->len) {
            const struct candidates *found = map_get(
                &index, label_key(r, &text, e->object->meta.namespace, &want->list[0]));
            if (found)
                from_pods(r, e, found);
        }
    }
}
