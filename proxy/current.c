/* SPDX-License-Identifier: Apache-2.0
 * current.c - what is in force, and how the next thing comes into force.
 *
 * Everything new is made first and put in place of the old only when all of it is there. Counters of
 * requests in flight belong to a mesh's endpoints, so they begin anew with each; states that have to
 * survive (ejected endpoints, rate limits, pools) are found by names. */
#include "proxy/current.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/downstream.h"
#include "proxy/tcp.h"
#include "proxy/upstream/pool.h"

static struct mesh *read_mesh(struct worker *w, struct err *err)
{
    const struct options *o = w->opt;
    struct mesh_conf conf = {
        .dir = o->config[0] ? o->config : NULL,
        .self = w->self,
        .self_labels = sv_z(o->labels),
        .trust_domain = sv_z(o->trust_domain),
        .trust_domain_aliases = sv_z(o->trust_domain_aliases),
        .is_gateway = o->is_gateway,
        .ingress_http = o->ingress_http_port,
        .ingress_https = o->ingress_https_port,
        .ingress_class = sv_z(o->ingress_class),
        .gateway_class = sv_z(o->gateway_class),
        .names = &(struct mesh_names){ &w->names, names_addresses },
        .wants_tcp = o->intercept || o->tcp_listen[0],
        .knows_original = o->intercept && !o->tcp_listen[0],
    };
    return mesh_load(&conf, err);
}

static void say_warnings(const struct mesh *m)
{
    const struct sv *warnings;
    size_t n = mesh_warnings(m, &warnings);
    for (size_t i = 0; i < n; i++)
        LOG_WARN("config.warning", KV_SV("what", warnings[i]));
}

/* Canonical service and version of our own Pod, as any other proxy would derive them. */
static void complete_self(struct worker *w)
{
    const struct identity *pod = mesh_self(w->mesh);
    if (!w->self.service.len)
        w->self.service = pod ? arena_copy(&w->mem, pod->service) : w->self.workload;
    if (!w->self.version.len)
        w->self.version = pod ? arena_copy(&w->mem, pod->version) : SV("latest");
}

static void no_gateway_cert(void *to, const struct gateway_cert *cert, const char *why,
                            bool is_kept)
{
    (void)to;
    LOG_WARN(is_kept ? "gateway.certificate_kept" : "gateway.no_certificate",
             KV_SV("namespace", cert->namespace), KV_SV("secret", cert->secret),
             KV_SV("host", cert->hosts[0]), KV_STR("why", why));
}

static int make_gateway_tls(struct worker *w, const struct mesh *m, struct gateway_tls **ret,
                            struct err *err)
{
    *ret = NULL;
    if (!w->opt->is_gateway)
        return 0;
    const struct gateway_tls_from from = { .secrets = w->opt->secrets,
                                           .own = w->certs ? w->certs->server : NULL,
                                           .before = w->gateway_tls,
                                           .warn = no_gateway_cert,
                                           .to = w };
    *ret = gateway_tls_new(m, &from, err);
    return *ret ? 0 : ERR_TLS;
}

static void use_gateway_tls(struct worker *w, struct gateway_tls *t)
{
    gateway_tls_free(w->gateway_tls);
    w->gateway_tls = t;
}

static bool is_open(const struct worker *w, uint16_t number)
{
    for (size_t i = 0; i < w->ports_len; i++)
        if (w->ports[i].listener && w->ports[i].number == number)
            return true;
    return false;
}

/* A place for one more: one that was closed and has no connections left, or a new one. */
static struct port *free_port(struct worker *w)
{
    for (size_t i = 0; i < w->ports_len; i++)
        if (!w->ports[i].listener && w->ports[i].downs_len == 0)
            return &w->ports[i];
    return w->ports_len < WORKER_PORTS_MAX ? &w->ports[w->ports_len++] : NULL;
}

/* host: whom what connects there is for; empty: requests say so. */
static int open_tcp_port(struct worker *w, enum side side, uint16_t number, struct sv host,
                         uint16_t port, struct err *err)
{
    if (number == 0 || is_open(w, number))
        return 0;
    struct port *p = free_port(w);
    if (!p)
        return err_set(err, ERR_LIMIT, "more than %d ports", WORKER_PORTS_MAX);
    *p = (struct port){
        .worker = w,
        .side = side,
        .number = number,
        .app_port = addr_port(&w->opt->app_addr),
        .tcp_host = host,
        .tcp_port = port,
    };
    struct listener_conf conf = { .host = sv_z(host.len ? w->opt->listen : w->opt->ports_listen),
                                  .port = number,
                                  .is_transparent = side == SIDE_INBOUND &&
                                                    w->opt->intercept == INTERCEPT_TPROXY,
                                  .max_conns = w->opt->max_connections };
    p->listener = listener_open(w->loop, &conf, down_accept, p, err);
    return p->listener ? 0 : ERR_IO;
}

static int open_port(struct worker *w, enum side side, uint16_t number, struct err *err)
{
    return open_tcp_port(w, side, number, SV_NONE, 0, err);
}

/* "3306=db:3306,6379=redis.cache:6379" */
static int open_tcp_ports(struct worker *w, struct err *err)
{
    struct sv all = sv_z(w->opt->tcp_listen);
    for (struct sv one; all.len && sv_cut(&all, ',', &one);) {
        size_t eq = sv_index(one, '='), colon = sv_rindex(one, ':');
        uint64_t number = 0, port = 0;
        bool is_fine = eq < colon && colon < one.len && sv_to_u64(sv_sub(one, 0, eq), &number) &&
                       sv_to_u64(sv_from(one, colon + 1), &port) && colon > eq + 1 && number &&
                       number <= UINT16_MAX && port && port <= UINT16_MAX;
        if (!is_fine)
            return err_set(err, ERR_USAGE, "--tcp-listen: '%.*s' is not PORT=HOST:PORT",
                           SV_ARG(one));
        int rc = open_tcp_port(w, SIDE_OUTBOUND, (uint16_t)number,
                               sv_sub(one, eq + 1, colon - eq - 1), (uint16_t)port, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int current_open_ports(struct worker *w, struct err *err)
{
    if (!w->opt->is_gateway) {
        int rc = open_port(w, SIDE_OUTBOUND, w->opt->outbound_port, err);
        if (rc == 0)
            rc = open_port(w, SIDE_INBOUND, w->opt->inbound_port, err);
        return rc < 0 ? rc : open_tcp_ports(w, err);
    }
    const struct gateway_port *list;
    size_t n = mesh_gateway_ports(w->mesh, &list);
    int first = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = open_port(w, SIDE_GATEWAY, list[i].listen, err); /* err keeps the first reason */
        first = first < 0 ? first : rc;
    }
    if (n == 0)
        LOG_WARN("gateway.no_ports",
                 KV_STR("why", "no Gateway selects this workload and there is no Ingress"));
    return first;
}

static void close_port(struct worker *w, struct port *p)
{
    p->listener = listener_close(p->listener);
    LIST_EACH (it, after, &w->downs) {
        struct down *d = CONTAINER_OF(it, struct down, node);
        if (d->port == p)
            down_end(d);
    }
}

/* Ports that no Gateway asks for any more. */
static void close_ports(struct worker *w)
{
    const struct gateway_port *list;
    size_t n = mesh_gateway_ports(w->mesh, &list);
    for (size_t i = 0; i < w->ports_len; i++) {
        struct port *p = &w->ports[i];
        bool is_wanted = p->side != SIDE_GATEWAY;
        for (size_t k = 0; k < n && !is_wanted; k++)
            is_wanted = list[k].listen == p->number;
        if (!is_wanted && p->listener)
            close_port(w, p);
    }
}

/* Callers in plaintext where mutual TLS has become a must. */
static void refuse_plaintext(struct worker *w)
{
    LIST_EACH (it, after, &w->downs) {
        struct down *d = CONTAINER_OF(it, struct down, node);
        bool is_plain = d->port->side == SIDE_INBOUND && !d->is_sniffing && !d->is_tls_begun;
        if (!is_plain || mesh_inbound_mtls(w->mesh, down_app_port(d)) != MTLS_STRICT)
            continue;
        if (d->tcp)
            tcp_abort(d->tcp);
        else
            down_end(d);
    }
}

static void use_mesh(struct worker *w, struct mesh *m, uint32_t *active)
{
    const struct endpoint *const *endpoints;
    struct mesh *before = w->mesh;
    w->mesh = m;
    health_follow(&w->health, m);
    if (before)
        mesh_unref(before);
    mem_free(w->active);
    w->active = active;
    w->endpoints_len = (uint32_t)mesh_endpoints(m, &endpoints);
    complete_self(w);
}

/* The ports that are open follow the new mesh; one that cannot be opened does not take it back. */
static void follow(struct worker *w)
{
    struct err err = { 0 };
    refuse_plaintext(w);
    if (!w->opt->is_gateway)
        return;
    close_ports(w);
    if (current_open_ports(w, &err) < 0)
        LOG_ERROR("gateway.port_failed", KV_STR("why", err.why));
}

int current_take_config(struct worker *w, struct err *err)
{
    bool is_first = !w->mesh;
    const struct endpoint *const *endpoints;
    struct gateway_tls *tls = NULL;
    struct mesh *m = read_mesh(w, err);
    if (!m)
        return ERR_USAGE;
    uint32_t *active = mem_zalloc(sizeof(*active) * MAX(mesh_endpoints(m, &endpoints), (size_t)1));
    int rc = active ? make_gateway_tls(w, m, &tls, err) : err_set(err, ERR_NOMEM, "counters");
    if (rc < 0) {
        mem_free(active);
        mesh_unref(m);
        return rc;
    }
    const struct sv *names;
    size_t names_len = mesh_names_wanted(m, &names);
    names_want(&w->names, names, names_len);
    say_warnings(m);
    use_mesh(w, m, active);
    use_gateway_tls(w, tls);
    if (!is_first)
        follow(w);
    return 0;
}

int current_take_secrets(struct worker *w, struct err *err)
{
    struct gateway_tls *tls = NULL;
    int rc = make_gateway_tls(w, w->mesh, &tls, err);
    if (rc == 0)
        use_gateway_tls(w, tls);
    client_tls_done(&w->client_tls_tcp);
    client_tls_done(&w->client_tls); /* made anew when next needed */
    return rc;
}

int current_take_certs(struct worker *w, struct err *err)
{
    if (!w->opt->certs[0]) {
        LOG_INFO("certs.none", KV_STR("so", "plaintext only: no identity is shown or asked for"));
        return 0;
    }
    AUTO_DONE(buf) domains = { 0 };
    bool has_aliases = w->opt->trust_domain_aliases[0] != '\0';
    buf_printf(&domains, "%s,%s", w->opt->trust_domain, w->opt->trust_domain_aliases);
    buf_putc(&domains, '\0');
    if (domains.failed)
        return err_set(err, ERR_NOMEM, "trust domains");
    struct certs *next = certs_new(w->opt->certs, has_aliases ? domains.mem : NULL, err);
    if (!next)
        return ERR_TLS;
    /* Requests in flight name us by this text, longer than the old certificates may live. */
    bool is_same = w->certs && sv_eq(w->certs->spiffe, next->spiffe);
    next->spiffe = is_same ? w->certs->spiffe : arena_copy(&w->mem, next->spiffe);
    if (!next->spiffe.p) {
        certs_free(next);
        return err_set(err, ERR_NOMEM, "certificates");
    }
    char until[CLOCK_RFC3339_SIZE];
    LOG_INFO("certs.loaded", KV_SV("spiffe", next->spiffe),
             KV_STR("until", clock_rfc3339(next->not_after_ns, until)));
    certs_free(w->certs);
    w->certs = next;
    pools_retire(w);
    return w->mesh ? current_take_secrets(w, err) : 0; /* ISTIO_MUTUAL shows these too */
}

void current_on_names(void *to)
{
    struct worker *w = to;
    struct err err = { 0 };
    if (w->is_draining)
        return;
    if (current_take_config(w, &err) < 0)
        LOG_ERROR("names.not_in_force", KV_STR("why", err.why),
                  KV_STR("so", "what was in force before goes on"));
}
