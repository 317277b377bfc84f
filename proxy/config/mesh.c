/* SPDX-License-Identifier: Apache-2.0
 * mesh.c - the immutable result: loading it, sharing it, and asking it.
 *
 * Loading reads all files into a catalog, resolves it and throws the catalog away; any error among
 * the findings fails the load with the first one, so a proxy keeps the mesh it has. Asking costs a
 * hash look-up and the walk over one host's rules. */
#include "base/mem.h"
#include "proxy/config/check.h"
#include "proxy/config/resolve.h"
#include <malloc.h>

static struct mesh *mesh_new(void)
{
    struct mesh *m = mem_zalloc(sizeof(*m));
    if (m)
        m->refs = 1;
    return m;
}

struct mesh *mesh_ref(struct mesh *m)
{
    m->refs++;
    return m;
}

struct mesh *mesh_unref(struct mesh *m)
{
    if (!m || --m->refs > 0)
        return NULL;
    for (struct owned_regex *re = m->regexes; re; re = re->next)
        regex_free(re->regex);
    hosts_done(&m->hosts);
    hosts_done(&m->ingress);
    for (size_t i = 0; i < m->doors_len; i++)
        hosts_done(&m->doors[i].hosts);
    arena_done(&m->mem);
    mem_free(m);
    return NULL;
}

/* "app=x,version=v1" */
static struct labels parse_labels(struct resolve *r, struct sv text)
{
    size_t max = 1;
    for (size_t i = 0; i < text.len; i++)
        max += text.p[i] == ',';
    struct label *list = arena_array(r->catalog->scratch, max, sizeof(*list));
    struct labels l = { .list = list };
    if (!list)
        resolve_nomem(r);
    for (struct sv part; list && sv_cut(&text, ',', &part);) {
        size_t eq = sv_index(part, '=');
        if (part.len)
            list[l.len++] = (struct label){ sv_trim(sv_sub(part, 0, eq)),
                                            sv_trim(sv_from(part, eq + 1)) };
    }
    return l;
}

static struct sv or_else(struct sv text, struct sv fallback)
{
    return text.len && !sv_eq(text, IDENTITY_UNKNOWN) ? text : fallback;
}

static void resolve_all(struct resolve *r, const struct mesh_conf *conf)
{
    r->namespace = or_else(conf->self.namespace, SV("default"));
    r->workload = conf->self.workload;
    r->cluster = or_else(conf->self.cluster, IDENTITY_UNKNOWN);
    r->ingress_http = conf->ingress_http;
    r->ingress_https = conf->ingress_https;
    r->ingress_class = conf->ingress_class;
    r->gateway_class = conf->gateway_class;
    r->wants_tcp = conf->wants_tcp;
    r->trust_domain = or_else(conf->trust_domain, SV("cluster.local"));
    r->aliases = conf->trust_domain_aliases;
    r->self_labels = parse_labels(r, conf->self_labels);
    static void (*const steps[])(struct resolve *) = {
        resolve_pods,       resolve_services, resolve_scope,         resolve_rules,
        resolve_references, resolve_doors,    resolve_routes,        resolve_tcp,
        resolve_ingresses,  resolve_security, resolve_authorization, resolve_publish,
    };
    for (size_t i = 0; i < NELEMS(steps) && !r->catalog->findings.is_nomem; i++)
        steps[i](r);
}

static void keep_warnings(struct mesh *m, struct findings *f)
{
    struct sv *list = arena_array(&m->mem, MIN(f->warnings, FINDINGS_MAX) + 1, sizeof(*list));
    if (!list)
        f->is_nomem = true;
    for (const struct finding *at = list ? f->first : NULL; at; at = at->next) {
        if (at->is_error)
            continue;
        list[m->warnings_len] = arena_copy(&m->mem, at->text);
        f->is_nomem = f->is_nomem || !list[m->warnings_len].p;
        m->warnings_len++;
    }
    m->warnings = list;
}

static int first_error(const struct findings *f, struct err *err)
{
    if (f->is_nomem)
        return err_set(err, ERR_NOMEM, "out of memory while reading the configuration");
    for (const struct finding *at = f->first; at; at = at->next)
        if (at->is_error)
            return err_set(err, ERR_USAGE, "%.*s", SV_ARG(at->text));
    return 0;
}

/* Where a configuration comes from: files and folders, or a text. */
struct source {
    const char *const *paths;
    size_t paths_len;
    const char *name; /* of the text; NULL: paths */
    struct sv text;
};

/* Everything of a load: c->scratch and the findings live as long as the caller wants to read them.
 */
static struct mesh *load(struct catalog *c, const struct mesh_conf *conf, enum role role,
                         const struct source *from)
{
    struct mesh *m = mesh_new();
    struct resolve r = { .catalog = c, .mesh = m, .role = role };
    if (!m) {
        c->findings.is_nomem = true;
        return NULL;
    }
    c->mem = &m->mem;
    c->names = conf->names;
    c->knows_original = conf->knows_original;
    if (from->name)
        catalog_read_text(c, from->name, from->text);
    for (size_t i = 0; i < from->paths_len; i++)
        catalog_read_path(c, from->paths[i]);
    if (!c->findings.errors && !c->findings.is_nomem)
        resolve_all(&r, conf);
    resolve_done(&r);
    keep_warnings(m, &c->findings);
    m->regexes = c->regexes;
    m->names = c->wanted;
    m->names_len = c->wanted_len;
    return m;
}

/* The objects of 5,000 services leave 12 MB of free heap behind, which would stay resident for good
 * in a process that is otherwise smaller than that. */
#define TRIM_FROM_BYTES ((size_t)1024 * 1024)

static struct mesh *load_for(const struct mesh_conf *conf, const struct source *from,
                             struct err *err)
{
    AUTO_DONE(arena) scratch = { 0 };
    struct catalog c = { .scratch = &scratch, .findings = { .mem = &scratch } };
    struct mesh *m = load(&c, conf, conf->is_gateway ? ROLE_GATEWAY : ROLE_SIDECAR, from);
    bool is_big = scratch.held_bytes > TRIM_FROM_BYTES;
    if (first_error(&c.findings, err) < 0)
        m = mesh_unref(m);
    arena_done(&scratch);
    if (is_big)
        malloc_trim(0);
    return m;
}

struct mesh *mesh_load(const struct mesh_conf *conf, struct err *err)
{
    struct source from = { .paths = &conf->dir, .paths_len = conf->dir ? 1 : 0 };
    return load_for(conf, &from, err);
}

struct mesh *mesh_load_text(const struct mesh_conf *conf, const char *name, struct sv text,
                            struct err *err)
{
    struct source from = { .name = name, .text = text };
    return load_for(conf, &from, err);
}

int mesh_check(const char *const *paths, size_t len, mesh_finding_fn *each, void *to,
               struct err *err)
{
    AUTO_DONE(arena) scratch = { 0 };
    struct catalog c = { .scratch = &scratch, .findings = { .mem = &scratch } };
    struct mesh_conf conf = { .self = identity_unknown() };
    struct source from = { .paths = paths, .paths_len = len };
    struct mesh *m = load(&c, &conf, ROLE_CHECK, &from);
    for (const struct finding *at = c.findings.first; at && !c.findings.is_nomem; at = at->next)
        each(to, at->is_error, sv_sub(at->text, 0, at->place_len - 2),
             sv_from(at->text, at->place_len));
    mesh_unref(m);
    return first_error(&c.findings, err);
}

size_t mesh_names_wanted(const struct mesh *m, const struct sv **ret_list)
{
    *ret_list = m->names;
    return m->names_len;
}

size_t mesh_warnings(const struct mesh *m, const struct sv **ret_list)
{
    *ret_list = m->warnings;
    return m->warnings_len;
}

static const struct route *route_in(const struct hosts *h, const struct route_ask *ask,
                                    uint16_t match_port)
{
    uint16_t named = 0;
    struct match_ask match = { .req = ask->req, .port = match_port, .is_tls = ask->is_tls };
    const struct vhost *v = hosts_find(h, ask->req->authority, &named);
    return v ? vhost_route(v, &match, named) : NULL;
}

const struct route *mesh_gateway_route(const struct mesh *m, const struct route_ask *ask)
{
    const struct route *found = NULL;
    for (size_t i = 0; i < m->doors_len && !found; i++) {
        const struct door *d = &m->doors[i];
        uint16_t number = d->port->number;
        if (ask->listen && ask->listen != (ask->is_onward ? number : d->port->listen))
            continue;
        if (d->has_ingress && !ask->is_onward)
            found = route_in(&m->ingress, ask, number);
        if (!found)
            found = route_in(&d->hosts, ask, number);
    }
    return found;
}

const struct route *mesh_route(const struct mesh *m, const struct http_head *req, uint16_t port)
{
    uint16_t named = 0;
    if (m->doors_len)
        return mesh_gateway_route(m, &(struct route_ask){ .req = req });
    const struct vhost *v = hosts_find(&m->hosts, req->authority, &named);
    struct match_ask ask = { .req = req, .port = port ? port : named };
    return v ? vhost_route(v, &ask, ask.port) : NULL;
}

struct sv mesh_expected(const struct cluster *c, const struct endpoint *e)
{
    bool is_named = e && e->identity.principal.len &&
                    !sv_eq(e->identity.principal, IDENTITY_UNKNOWN);
    return c->identities.len ? c->identities : is_named ? e->identity.principal : SV_NONE;
}

const struct route_target *route_pick(const struct route *r, uint64_t random)
{
    uint64_t at = (random >> 32) * r->weight_sum >> 32; /* 0 .. weight_sum - 1, evenly */
    for (size_t i = 0; i + 1 < r->targets_len; i++) {
        if (at < r->targets[i].weight)
            return &r->targets[i];
        at -= r->targets[i].weight;
    }
    return &r->targets[r->targets_len - 1];
}

const struct identity *mesh_self(const struct mesh *m)
{
    return m->self.workload.len ? &m->self : NULL;
}

const struct endpoint *mesh_endpoint_by_ip(const struct mesh *m, struct sv ip)
{
    size_t from = 0, to = m->by_ip_len;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = sv_cmp(m->by_ip[mid]->address, ip);
        if (order == 0)
            return m->by_ip[mid];
        if (order < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

const struct endpoint *mesh_endpoint_meant(const struct mesh *m, const struct cluster *c,
                                           struct sv ip, uint16_t port)
{
    if (!mesh_endpoint_by_ip(m, ip)) /* a Service's own, nearly always */
        return NULL;
    for (size_t i = 0; i < c->endpoints_len; i++)
        if (c->endpoints[i]->port == port && sv_eq(c->endpoints[i]->address, ip))
            return c->endpoints[i];
    return NULL;
}

struct sv mesh_service_fqdn(const struct mesh *m, struct sv authority)
{
    return hosts_service(&m->hosts, authority);
}

enum mtls_mode mesh_inbound_mtls(const struct mesh *m, uint16_t port)
{
    for (size_t i = 0; i < m->mtls_ports_len; i++)
        if (m->mtls_ports[i].port == port && m->mtls_ports[i].mode != MTLS_UNSET)
            return (enum mtls_mode)m->mtls_ports[i].mode;
    return m->mtls;
}

const struct origin *mesh_inbound_mtls_by(const struct mesh *m, uint16_t port)
{
    for (size_t i = 0; i < m->mtls_ports_len; i++)
        if (m->mtls_ports[i].port == port && m->mtls_ports[i].mode != MTLS_UNSET)
            return m->mtls_ports_by;
    return m->mtls_by;
}

const struct authz *mesh_authz(const struct mesh *m)
{
    return m->authz;
}

size_t mesh_gateway_ports(const struct mesh *m, const struct gateway_port **ret_list)
{
    *ret_list = m->gateway_ports;
    return m->gateway_ports_len;
}

size_t mesh_clusters(const struct mesh *m, const struct cluster *const **ret_list)
{
    *ret_list = m->clusters;
    return m->clusters_len;
}

size_t mesh_endpoints(const struct mesh *m, const struct endpoint *const **ret_list)
{
    *ret_list = m->endpoints;
    return m->endpoints_len;
}
