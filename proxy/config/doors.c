/* SPDX-License-Identifier: Apache-2.0
 * doors.c - the ports a gateway listens on, from Gateways whose selector fits it.
 *
 * A Gateway names the Service's port; where the process listens is that Service's targetPort, as in
 * Istio, so that port 80 needs no privilege. Without such a Service it is the port itself. Servers
 * that meet at one port share a door; with TLS each brings its certificates, chosen by server name.
 * Two that want the same port with and without TLS cannot both be had: the first one stays. */
#include "proxy/config/resolve.h"

struct sv resolve_split_name(struct sv text, struct sv *namespace)
{
    size_t slash = sv_index(text, '/');
    if (slash == text.len)
        return text;
    *namespace = sv_sub(text, 0, slash);
    return sv_from(text, slash + 1);
}

static bool is_ours(struct resolve *r, const struct gateway *g)
{
    if (r->role != ROLE_GATEWAY)
        return r->role == ROLE_CHECK;
    if (g->is_k8s)
        return !r->gateway_class.len || sv_eq(r->gateway_class, g->class);
    return labels_match(&r->self_labels, &g->selector);
}

bool resolve_names_gateway(const struct text_list *gateways, struct sv namespace,
                           const struct gateway *g)
{
    for (size_t i = 0; i < gateways->len; i++) {
        struct sv ns = namespace, name = resolve_split_name(gateways->list[i], &ns);
        if (sv_eq(g->meta.name, name) && sv_eq(g->meta.namespace, ns))
            return true;
    }
    return false;
}

bool resolve_names_server(struct resolve *r, const struct virtual_service *v,
                          const struct door_server *s)
{
    struct text_list one = { .len = 1 };
    if (v->is_k8s && !(s->server->kinds & v->kind))
        return false;
    if (v->is_k8s && s->server->namespaces &&
        !resolve_selects_namespace(r, s->server->namespaces, v->meta.namespace))
        return false;
    for (size_t i = 0; i < v->gateways.len && v->is_k8s == s->gateway->is_k8s; i++) {
        one.list = &v->gateways.list[i];
        const struct parent_part *part = v->is_k8s ? &v->parts[i] : NULL;
        bool is_meant = !part ||
                        ((!part->section.len || sv_eq(part->section, s->server->port.name)) &&
                         (!part->port || part->port == s->server->port.number));
        if (is_meant && resolve_names_gateway(&one, v->meta.namespace, s->gateway))
            return true;
    }
    return false;
}

bool resolve_is_bound(struct resolve *r, const struct text_list *gateways, struct sv namespace)
{
    if (r->role == ROLE_SIDECAR && !gateways->len)
        return true;
    for (size_t i = 0; i < gateways->len && r->role == ROLE_SIDECAR; i++)
        if (sv_eq(gateways->list[i], SV("mesh")))
            return true;
    for (const struct gateway *g = r->catalog->gateways.first; g; g = g->next)
        if (is_ours(r, g) && resolve_names_gateway(gateways, namespace, g))
            return true;
    return false;
}

static bool covers(struct sv pattern, struct sv host)
{
    struct sv suffix = sv_from(pattern, 1);
    if (sv_eq(pattern, SV("*")))
        return true;
    return sv_starts(pattern, SV("*.")) && host.len > suffix.len && sv_ends(host, suffix);
}

/* The namespace in front of a pattern: "." means the gateway's own, "*" any. */
struct sv resolve_host_met(struct resolve *r, const struct door_server *s, struct sv pattern,
                           struct sv host, struct sv vs_namespace)
{
    struct sv ns = SV("*"), name = resolve_split_name(pattern, &ns);
    if (sv_eq(ns, SV(".")))
        ns = s->gateway->meta.namespace;
    if (!sv_eq(ns, SV("*")) && !sv_eq(ns, vs_namespace))
        return SV_NONE;
    name = resolve_lower(r, name);
    if (sv_eq(name, host) || covers(name, host))
        return host;
    return covers(host, name) ? name : SV_NONE;
}

bool resolve_is_own_service(struct resolve *r, const struct service_entry *e)
{
    const struct service *s = e->object;
    if (r->role != ROLE_GATEWAY || !s)
        return false;
    if (s->selector.len)
        return sv_eq(s->meta.namespace, r->namespace) &&
               labels_match(&r->self_labels, &s->selector);
    for (size_t i = 0; i < s->ports_len; i++)
        for (size_t k = 0; k < e->ports[i].len; k++) {
            const struct identity *id = &e->ports[i].list[k].endpoint->identity;
            if (sv_eq(id->workload, r->workload) && sv_eq(id->namespace, r->namespace))
                return true;
        }
    return false;
}

static uint16_t own_container_port(struct resolve *r, struct sv name)
{
    for (const struct pod *p = r->catalog->pods.first; p; p = p->next) {
        struct identity id = resolve_identity(r, p);
        if (!sv_eq(id.workload, r->workload) || !sv_eq(p->meta.namespace, r->namespace))
            continue;
        for (size_t i = 0; i < p->ports_len; i++)
            if (sv_eq(p->ports[i].name, name))
                return p->ports[i].port;
    }
    return 0;
}

/* Where we listen for the Service port that a Gateway names. */
static uint16_t listen_port(struct resolve *r, uint16_t number)
{
    for (const struct service_entry *e = r->entries.first; e; e = e->next) {
        if (!resolve_is_own_service(r, e))
            continue;
        for (size_t i = 0; i < e->object->ports_len; i++) {
            const struct service_port *p = &e->object->ports[i];
            if (p->port != number)
                continue;
            uint16_t target = p->target_name.len ? own_container_port(r, p->target_name)
                                                 : p->target;
            return target ? target : number;
        }
    }
    return number;
}

struct door *resolve_door(struct resolve *r, uint16_t number, uint16_t listen, bool is_tls)
{
    struct mesh *m = r->mesh;
    for (size_t i = 0; i < m->doors_len; i++)
        if (m->doors[i].port->listen == listen)
            return &m->doors[i];
    INVARIANT(m->doors_len < r->doors_max);
    struct door *d = &m->doors[m->doors_len++];
    d->port = &m->gateway_ports[m->gateway_ports_len++];
    *d->port = (struct gateway_port){ .number = number, .listen = listen, .is_tls = is_tls };
    d->hosts.namespace = resolve_name(r, r->namespace);
    d->hosts.domain = CLUSTER_DOMAIN;
    return d;
}

static const struct secret *find_secret(struct resolve *r, struct sv namespace, struct sv name)
{
    for (const struct secret *s = r->catalog->secrets.first; s; s = s->next)
        if (sv_eq(s->meta.name, name) && sv_eq(s->meta.namespace, namespace))
            return s;
    return NULL;
}

const struct client_tls *resolve_client_tls(struct resolve *r, const struct client_tls *t)
{
    struct sv namespace = t->namespace.len ? t->namespace : r->namespace;
    const struct secret *s = t->secret.len ? find_secret(r, namespace, t->secret) : NULL;
    struct client_tls *own = arena_zalloc(&r->mesh->mem, sizeof(*own));
    if (!own) {
        resolve_nomem(r);
        return t;
    }
    *own = *t;
    own->namespace = resolve_name(r, namespace);
    if (s) {
        own->cert = s->cert;
        own->key = s->key;
        own->ca = s->ca;
        own->crl = s->crl;
    }
    return own;
}

void resolve_add_cert(struct resolve *r, struct door *d, const struct gateway_cert *cert)
{
    struct gateway_port *p = d->port;
    struct gateway_cert *list = arena_array(&r->mesh->mem, p->certs_len + 1, sizeof(*list));
    const struct secret *s = find_secret(r, cert->namespace, cert->secret);
    if (!list) {
        resolve_nomem(r);
        return;
    }
    if (p->certs_len)
        memcpy(list, p->certs, p->certs_len * sizeof(*list));
    list[p->certs_len] = *cert;
    if (s && cert->secret.len) {
        list[p->certs_len].cert = s->cert;
        list[p->certs_len].key = s->key;
        list[p->certs_len].ca = s->ca;
        list[p->certs_len].crl = s->crl;
    }
    p->certs = list;
    p->certs_len++;
}

static void add_server(struct resolve *r, const struct gateway *g, const struct gateway_server *s)
{
    struct door *d = resolve_door(r, s->port.number, listen_port(r, s->port.number),
                                  s->port.is_tls);
    struct door_server *link = arena_zalloc(&r->mesh->mem, sizeof(*link));
    struct sv *hosts = arena_array(&r->mesh->mem, s->hosts.len + 1, sizeof(*hosts));
    if (!link || !hosts) {
        resolve_nomem(r);
        return;
    }
    if (d->port->is_tls != s->port.is_tls) {
        finding_place(&r->catalog->findings, false, &g->meta.place,
                      "port %u is open %s TLS for another server: this one is not served",
                      s->port.number, d->port->is_tls ? "with" : "without");
        return;
    }
    if (d->port->name.len && d->port->is_tcp != s->port.is_tcp) {
        finding_place(&r->catalog->findings, false, &g->meta.place,
                      "port %u is open for %s of another server: this one is not served",
                      s->port.number, d->port->is_tcp ? "TCP" : "HTTP");
        return;
    }
    if (!d->port->name.len) {
        d->port->name = s->port.name;
        d->port->protocol = s->port.protocol;
        d->port->is_tcp = s->port.is_tcp;
    }
    *link = (struct door_server){ g, s, NULL };
    struct door_server **at = &d->servers;
    while (*at)
        at = &(*at)->next;
    *at = link;
    if (!s->port.is_tls || s->is_passed_on)
        return;
    struct gateway_cert cert = s->cert;
    struct sv ns;
    for (size_t i = 0; i < s->hosts.len; i++)
        hosts[i] = resolve_name(r, resolve_lower(r, resolve_split_name(s->hosts.list[i], &ns)));
    cert.hosts = hosts;
    cert.hosts_len = s->hosts.len;
    if (!cert.namespace.len)
        cert.namespace = g->meta.namespace;
    resolve_add_cert(r, d, &cert);
}

static const struct redirect to_https = { .scheme = { "https", 5 }, .status = 301 };
static const struct route_actions redirects = { .redirect = &to_https };

void resolve_doors(struct resolve *r)
{
    struct mesh *m = r->mesh;
    size_t max = 2; /* Ingress: HTTP and HTTPS */
    for (const struct gateway *g = r->catalog->gateways.first; g; g = g->next)
        max += g->servers_len;
    m->https_redirect = (struct route){ .name = SV("https_redirect"), .actions = &redirects };
    m->gateway_ports = arena_array(&m->mem, max, sizeof(*m->gateway_ports));
    m->doors = arena_array(&m->mem, max, sizeof(*m->doors));
    r->doors_max = max;
    if (!m->gateway_ports || !m->doors) {
        resolve_nomem(r);
        return;
    }
    for (const struct gateway *g = r->catalog->gateways.first; g && r->role == ROLE_GATEWAY;
         g = g->next)
        for (size_t i = 0; is_ours(r, g) && i < g->servers_len; i++)
            if (g->servers[i].is_served && resolve_may_show(r, g, &g->servers[i]))
                add_server(r, g, &g->servers[i]);
}
