/* SPDX-License-Identifier: Apache-2.0
 * resolve.c - what the steps of resolving share: names, hosts, entries, and the published arrays.
 *
 * Steps work in scratch memory and put what lasts into the mesh's arena, each text once: 5,000
 * services repeat the same few namespaces, versions and accounts. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

void resolve_nomem(struct resolve *r)
{
    r->catalog->findings.is_nomem = true;
}

void resolve_done(struct resolve *r)
{
    map_done(&r->services);
    map_done(&r->names);
    map_done(&r->addresses);
    map_done(&r->pods_by_ip);
    map_done(&r->rules);
}

void resolve_put(struct resolve *r, struct map *m, struct sv key, void *value)
{
    if (!value || map_put(m, key, value, NULL) < 0)
        resolve_nomem(r);
}

struct sv resolve_name(struct resolve *r, struct sv text)
{
    const char *known = map_get(&r->names, text);
    if (known)
        return sv_of(known, text.len);
    struct sv copy = arena_copy(&r->mesh->mem, text);
    resolve_put(r, &r->names, text, (void *)copy.p);
    return copy;
}

const struct origin *resolve_origin(struct resolve *r, const struct meta *meta,
                                    const struct place *at)
{
    if (!at->file)
        return NULL;
    struct origin *o = arena_alloc(&r->mesh->mem, sizeof(*o));
    if (!o) {
        resolve_nomem(r);
        return NULL;
    }
    *o = (struct origin){ .kind = resolve_name(r, at->kind),
                          .namespace = resolve_name(r, meta->namespace),
                          .name = resolve_name(r, meta->name),
                          .file = resolve_name(r, sv_z(at->file)),
                          .line = at->line,
                          .column = at->column };
    return o;
}

struct sv resolve_host(struct resolve *r, struct sv host, struct sv namespace)
{
    AUTO_DONE(buf) fqdn = { 0 };
    bool has_dot = sv_index(host, '.') < host.len;
    if (sv_starts(host, SV("*")) || (has_dot && map_get(&r->services, host)))
        return host;
    struct sv name = sv_ends(host, SV(".svc")) ? sv_sub(host, 0, host.len - 4) : host;
    buf_put(&fqdn, name);
    if (!has_dot)
        buf_printf(&fqdn, ".%.*s", SV_ARG(namespace));
    buf_printf(&fqdn, ".svc.%.*s", SV_ARG(CLUSTER_DOMAIN));
    if (has_dot && !map_get(&r->services, buf_sv(&fqdn)))
        return host;
    struct sv copy = arena_copy(r->catalog->scratch, buf_sv(&fqdn));
    if (fqdn.failed || !copy.p)
        resolve_nomem(r);
    return copy;
}

struct service_entry *resolve_entry(struct resolve *r, struct sv fqdn)
{
    struct service_entry *e = map_get(&r->services, fqdn);
    if (e)
        return e;
    e = arena_zalloc(r->catalog->scratch, sizeof(*e));
    if (!e) {
        resolve_nomem(r);
        return NULL;
    }
    e->fqdn = resolve_name(r, fqdn);
    resolve_put(r, &r->services, fqdn, e);
    CATALOG_ADD(&r->entries, e);
    return e;
}

static int by_address(const void *a, const void *b)
{
    const struct endpoint *const *x = a, *const *y = b;
    return sv_cmp((*x)->address, (*y)->address);
}

/* Pods that no service has are still callers: they need an identity by address. */
static struct endpoint *lone_pod(struct resolve *r, const struct pod *p)
{
    struct endpoint *e = arena_zalloc(&r->mesh->mem, sizeof(*e));
    if (!e) {
        resolve_nomem(r);
        return NULL;
    }
    *e = (struct endpoint){ .address = resolve_name(r, p->ip),
                            .pod = resolve_name(r, p->meta.name),
                            .identity = resolve_identity(r, p),
                            .has_sidecar = p->has_sidecar,
                            .id = UINT32_MAX };
    return e;
}

static void publish_by_ip(struct resolve *r)
{
    struct mesh *m = r->mesh;
    size_t len = 0;
    AUTO_DONE(map) seen = { 0 };
    void *value;
    const struct endpoint **list = arena_array(&m->mem, m->endpoints_len + r->catalog->pods.len + 1,
                                               sizeof(struct endpoint *));
    if (!list) {
        resolve_nomem(r);
        return;
    }
    for (size_t i = 0; i < m->endpoints_len; i++) {
        if (map_get(&seen, m->endpoints[i]->address))
            continue;
        resolve_put(r, &seen, m->endpoints[i]->address, (void *)m->endpoints[i]);
        list[len++] = m->endpoints[i];
    }
    for (size_t i = 0; map_next(&r->pods_by_ip, &i, NULL, &value);) {
        const struct pod *p = value;
        struct endpoint *e = map_get(&seen, p->ip) ? NULL : lone_pod(r, p);
        if (e)
            list[len++] = e;
    }
    qsort(list, len, sizeof(*list), by_address);
    m->by_ip = list;
    m->by_ip_len = len;
}

void resolve_publish(struct resolve *r)
{
    struct mesh *m = r->mesh;
    void *value;
    m->clusters = arena_array(&m->mem, r->clusters.len + 1, sizeof(struct cluster *));
    m->endpoints = arena_array(&m->mem, (size_t)r->endpoints_len + 1, sizeof(struct endpoint *));
    if (!m->clusters || !m->endpoints) {
        resolve_nomem(r);
        return;
    }
    for (const struct cluster_entry *c = r->clusters.first; c; c = c->next)
        m->clusters[m->clusters_len++] = &c->cluster;
    for (size_t i = 0; map_next(&r->addresses, &i, NULL, &value);) {
        const struct endpoint *e = value;
        m->endpoints[e->id] = e;
    }
    m->endpoints_len = r->endpoints_len;
    publish_by_ip(r);
}
