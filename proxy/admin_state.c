/* SPDX-License-Identifier: Apache-2.0
 * admin_state.c - what is in force: configuration, clusters with their endpoints' health, certificates,
 * listeners.
 *
 * /clusters is Envoy's text, or JSON on request; /certs has Envoy's shape. Keys never leave the
 * process: what has one is told by the names of its Secret or files. */
#include "base/clock.h"
#include "proxy/admin_pages.h"
#include "proxy/explain/explain.h"
#include "proxy/route/hosts.h"

#define DAY_NS (24 * 3600 * NS_PER_S)

/* --- /clusters --- */

static int64_t out_ns(struct worker *w, const struct cluster *c, const struct endpoint *e)
{
    return c->outlier ? outlier_out_ns(&w->outlier, e, loop_now_ns(w->loop)) : 0;
}

static uint32_t active_of(const struct worker *w, const struct endpoint *e)
{
    return e->id < w->endpoints_len ? w->active[e->id] : 0;
}

static void put_line(struct buf *to, const struct cluster *c, const struct endpoint *e)
{
    buf_printf(to, "%.*s::%.*s::", SV_ARG(c->name), SV_ARG(e->text));
}

/* Envoy's text: cluster::address::key::value */
static void put_endpoint(struct worker *w, const struct cluster *c, const struct endpoint *e,
                         struct buf *to)
{
    int64_t ejected_ns = out_ns(w, c, e);
    put_line(to, c, e);
    buf_printf(to, "rq_active::%u\n", active_of(w, e));
    put_line(to, c, e);
    buf_printf(to, "tls_mode::%s\n", e->has_sidecar ? "istio" : "disabled");
    put_line(to, c, e);
    const struct health_checked *k = health_find(&w->health, c, e);
    bool is_down = k && k->is_down;
    buf_printf(to, "health_flags::%s%s%s\n", is_down ? "/failed_active_hc" : "",
               ejected_ns ? "/failed_outlier_check" : "", is_down || ejected_ns ? "" : "healthy");
    if (k && k->told_ns) {
        put_line(to, c, e);
        buf_printf(to, "health_check::%s\n", k->why);
    }
    if (!ejected_ns)
        return;
    put_line(to, c, e);
    buf_printf(to, "ejected_for_ms::%lld\n", (long long)(ejected_ns / NS_PER_MS));
}

static void json_health(struct worker *w, const struct health_checked *k, struct json_out *j)
{
    int64_t now_ns = loop_now_ns(w->loop);
    json_kv_open(j, "health_check", '{');
    json_kv_bool(j, "healthy", !k->is_down);
    if (k->told_ns) {
        json_kv_str(j, "last_answer", sv_z(k->why));
        json_kv_i64(j, "answered_ms_ago", (now_ns - k->told_ns) / NS_PER_MS);
        json_kv_u64(j, "in_a_row", k->good ? k->good : k->bad);
    }
    json_close(j);
}

static void json_endpoint(struct worker *w, const struct cluster *c, const struct endpoint *e,
                          struct json_out *j)
{
    int64_t ejected_ns = out_ns(w, c, e);
    json_open(j, '{');
    json_kv_str(j, "address", e->text);
    json_kv_str(j, "pod", e->pod);
    json_kv_str(j, "workload", e->identity.workload);
    json_kv_str(j, "version", e->identity.version);
    json_kv_str(j, "principal", e->identity.principal);
    json_kv_bool(j, "mutual_tls", explain_is_mutual(c, e));
    json_kv_u64(j, "requests_active", active_of(w, e));
    const struct health_checked *k = health_find(&w->health, c, e);
    json_kv_bool(j, "healthy", ejected_ns == 0 && !(k && k->is_down));
    if (k)
        json_health(w, k, j);
    if (ejected_ns)
        json_kv_i64(j, "ejected_for_ms", ejected_ns / NS_PER_MS);
    json_close(j);
}

static void json_clusters(struct worker *w, struct json_out *j)
{
    const struct cluster *const *list;
    size_t n = mesh_clusters(w->mesh, &list);
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(j, '{');
        json_kv_str(j, "name", list[i]->name);
        json_kv_str(j, "host", list[i]->host);
        json_kv_u64(j, "port", list[i]->port);
        json_kv_str(j, "subset", list[i]->subset);
        json_kv_str(j, "sni", list[i]->sni);
        json_kv_open(j, "endpoints", '[');
        for (size_t k = 0; k < list[i]->endpoints_len; k++)
            json_endpoint(w, list[i], list[i]->endpoints[k], j);
        json_close(j);
        json_close(j);
    }
    json_close(j);
}

void admin_clusters(void *to, const struct web_ask *ask, struct web_reply *reply)
{
    struct worker *w = to;
    AUTO_DONE(buf) body = { 0 };
    AUTO_DONE(arena) mem = { 0 };
    size_t at = 0;
    const struct cluster *const *list;
    size_t n = mesh_clusters(w->mesh, &list);
    if (sv_eq(admin_parameter(ask->query, SV("format"), &at, &mem), SV("json"))) {
        struct json_out j = json_out_of(&body);
        json_clusters(w, &j);
        buf_putc(&body, '\n');
        n = 0;
    } else if (n == 0) {
        buf_put(&body, SV("no clusters\n"));
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < list[i]->endpoints_len; k++)
            put_endpoint(w, list[i], list[i]->endpoints[k], &body);
    web_reply_send(reply, body.failed ? 503 : 200, buf_sv(&body));
}

/* --- /certs --- */

struct cert_list {
    struct json_out *j;
    bool wants_roots;
    const char *path;
    int64_t now_ns;
};

static void json_cert(void *to, const struct tls_cert_text *cert)
{
    struct cert_list *l = to;
    char time[CLOCK_RFC3339_SIZE];
    int64_t left_ns = cert->not_after_ns - l->now_ns;
    if (cert->is_root != l->wants_roots)
        return;
    json_open(l->j, '{');
    json_kv_str(l->j, "path", sv_z(l->path));
    json_kv_str(l->j, "subject", cert->subject);
    json_kv_str(l->j, "serial_number", cert->serial);
    json_kv_open(l->j, "subject_alt_names", '[');
    if (cert->spiffe.len) {
        json_open(l->j, '{');
        json_kv_str(l->j, "uri", cert->spiffe);
        json_close(l->j);
    }
    json_close(l->j);
    json_kv_i64(l->j, "days_until_expiration", MAX(left_ns, 0) / DAY_NS);
    json_kv_bool(l->j, "expired", left_ns <= 0);
    json_kv_str(l->j, "valid_from", sv_z(clock_rfc3339(cert->not_before_ns, time)));
    json_kv_str(l->j, "expiration_time", sv_z(clock_rfc3339(cert->not_after_ns, time)));
    json_close(l->j);
}

static void json_own_certs(struct worker *w, struct json_out *j)
{
    struct cert_list l = { .j = j, .path = w->opt->certs, .now_ns = clock_wall_ns() };
    json_open(j, '{');
    json_kv_open(j, "ca_cert", '[');
    l.wants_roots = true;
    tls_ctx_each_cert(w->certs->server, json_cert, &l);
    json_close(j);
    json_kv_open(j, "cert_chain", '[');
    l.wants_roots = false;
    tls_ctx_each_cert(w->certs->server, json_cert, &l);
    json_close(j);
    json_close(j);
}

static void json_gateway_cert(const struct gateway_port *port, const struct gateway_cert *c,
                              struct json_out *j)
{
    json_open(j, '{');
    json_kv_u64(j, "port", port->listen);
    json_kv_open(j, "hosts", '[');
    for (size_t h = 0; h < c->hosts_len; h++)
        json_str(j, c->hosts[h]);
    json_close(j);
    json_kv_str(j, "namespace", c->namespace);
    json_kv_str(j, "secret", c->secret);
    json_kv_str(j, "file", c->cert_file);
    json_kv_bool(j, "of_the_mesh", c->is_mesh);
    json_kv_str(j, "key", SV("[redacted]"));
    json_kv_str(j, "callers_certificate",
                c->is_mutual       ? SV("required")
                : c->may_be_mutual ? SV("asked for")
                                   : SV("no"));
    json_close(j);
}

static void json_gateway_certs(const struct worker *w, struct json_out *j)
{
    const struct gateway_port *ports;
    size_t n = mesh_gateway_ports(w->mesh, &ports);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ports[i].certs_len; k++)
            json_gateway_cert(&ports[i], &ports[i].certs[k], j);
}

unsigned admin_certs(void *to, struct buf *body)
{
    struct worker *w = to;
    struct json_out j = json_out_of(body);
    char at[CLOCK_RFC3339_SIZE];
    json_open(&j, '{');
    json_kv_str(&j, "spiffe", w->certs ? w->certs->spiffe : SV_NONE);
    json_kv_str(&j, "in_force_since",
                w->certs ? sv_z(clock_rfc3339(w->reload.certs_at_ns, at)) : SV_NONE);
    json_kv_str(&j, "refused_since_then", sv_z(w->reload.certs_refused.why));
    json_kv_open(&j, "certificates", '[');
    if (w->certs)
        json_own_certs(w, &j);
    json_close(&j);
    json_kv_open(&j, "gateway", '[');
    json_gateway_certs(w, &j);
    json_close(&j);
    json_close(&j);
    return 200;
}

/* --- /listeners --- */

unsigned admin_listeners(void *to, struct buf *body)
{
    static const char *const names[SIDES_LEN] = {
        [SIDE_OUTBOUND] = "outbound", [SIDE_INBOUND] = "inbound", [SIDE_GATEWAY] = "gateway"
    };
    const struct worker *w = to;
    for (size_t i = 0; i < w->ports_len; i++)
        if (w->ports[i].listener)
            buf_printf(body, "%s_%u::%s:%u\n", names[w->ports[i].side], w->ports[i].number,
                       w->opt->listen, w->ports[i].number);
    return 200;
}

/* --- /config_dump --- */

static void tell_host(void *to, uint16_t listen, struct sv host, const struct vhost *v)
{
    struct telling *t = to;
    tell_open(t, NULL, '{');
    tell_printf(t, "host", "%s%.*s", sv_starts(host, SV(".")) ? "*" : "", SV_ARG(host));
    if (listen)
        tell_u64(t, "listen", listen);
    if (v->if_plain)
        tell_bool(t, "redirects_plaintext", true);
    tell_open(t, "rules", '[');
    for (size_t i = 0; i < v->entries_len; i++) {
        tell_open(t, NULL, '{');
        explain_route(t, v->entries[i].routes[0].route);
        tell_close(t);
    }
    tell_close(t);
    tell_close(t);
}

static void tell_security(struct worker *w, struct telling *t)
{
    static const char *const modes[] = {
        [MTLS_PERMISSIVE] = "PERMISSIVE", [MTLS_STRICT] = "STRICT", [MTLS_DISABLE] = "DISABLE"
    };
    uint16_t port = addr_port(&w->opt->app_addr);
    tell_open(t, "mutual_tls", '{');
    tell_u64(t, "port", port);
    tell_str(t, "mode", sv_z(modes[mesh_inbound_mtls(w->mesh, port)]));
    explain_origin(t, "decided_by", mesh_inbound_mtls_by(w->mesh, port));
    tell_close(t);
    tell_open(t, "authorization", '[');
    explain_all_policies(t, mesh_authz(w->mesh));
    tell_close(t);
}

static void tell_gateway_ports(const struct worker *w, struct telling *t)
{
    const struct gateway_port *ports;
    size_t n = mesh_gateway_ports(w->mesh, &ports);
    tell_open(t, "gateway_ports", '[');
    for (size_t i = 0; i < n; i++) {
        tell_open(t, NULL, '{');
        tell_u64(t, "number", ports[i].number);
        tell_u64(t, "listen", ports[i].listen);
        tell_str(t, "name", ports[i].name);
        tell_str(t, "protocol", ports[i].protocol);
        tell_bool(t, "tls", ports[i].is_tls);
        tell_close(t);
    }
    tell_close(t);
}

unsigned admin_config_dump(void *to, struct buf *body)
{
    struct worker *w = to;
    struct telling t = telling_of(body, true);
    const struct cluster *const *list;
    const struct sv *warnings;
    char at[CLOCK_RFC3339_SIZE];
    tell_open(&t, NULL, '{');
    tell_str(&t, "folder", sv_z(w->opt->config));
    tell_str(&t, "in_force_since", sv_z(clock_rfc3339(w->reload.config_at_ns, at)));
    tell_str(&t, "refused_since_then", sv_z(w->reload.config_refused.why));
    tell_open(&t, "warnings", '[');
    size_t n = mesh_warnings(w->mesh, &warnings);
    for (size_t i = 0; i < n; i++)
        tell_str(&t, NULL, warnings[i]);
    tell_close(&t);
    tell_gateway_ports(w, &t);
    tell_open(&t, "virtual_hosts", '[');
    mesh_each_host(w->mesh, tell_host, &t);
    tell_close(&t);
    tell_open(&t, "clusters", '[');
    n = mesh_clusters(w->mesh, &list);
    for (size_t i = 0; i < n; i++)
        explain_cluster(&t, list[i], -1);
    tell_close(&t);
    tell_security(w, &t);
    tell_close(&t);
    buf_putc(body, '\n');
    return 200;
}
