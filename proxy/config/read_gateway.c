/* SPDX-License-Identifier: Apache-2.0
 * read_gateway.c - networking.istio.io Gateway: which ports are open, for which hosts, with which TLS;
 * and Secrets, which may hold the certificates.
 *
 * HTTP is served without TLS, HTTPS and TLS with it ended here (SIMPLE, MUTUAL, OPTIONAL_MUTUAL, and
 * ISTIO_MUTUAL with the mesh's certificates), or handed on unopened (PASSTHROUGH by routes,
 * AUTO_PASSTHROUGH by the server name alone); TCP and the protocols on it are handed on as they are. */
#include "proxy/config/catalog.h"

enum server_tls {
    SERVER_TLS_NONE,
    SERVER_SIMPLE,
    SERVER_MUTUAL,
    SERVER_OPTIONAL,
    SERVER_PASSTHROUGH,
    SERVER_AUTO,
    SERVER_MESH,
};
static const struct choice tls_modes[] = {
    { "SIMPLE", SERVER_SIMPLE },
    { "MUTUAL", SERVER_MUTUAL },
    { "OPTIONAL_MUTUAL", SERVER_OPTIONAL },
    { "PASSTHROUGH", SERVER_PASSTHROUGH },
    { "AUTO_PASSTHROUGH", SERVER_AUTO },
    { "ISTIO_MUTUAL", SERVER_MESH },
};
static const struct choice tls_versions[] = {
    { "TLS_AUTO", 0x0303 }, { "TLSV1_0", 0x0301 }, { "TLSV1_1", 0x0302 },
    { "TLSV1_2", 0x0303 },  { "TLSV1_3", 0x0304 },
};
static const char *const later_tls[] = { "cipherSuites", "maxProtocolVersion", "credentialNames",
                                         NULL };
static const char *const later_server[] = { "defaultEndpoint", NULL };

static void read_certificate(struct reader *r, struct node *tls, struct gateway_server *to)
{
    struct gateway_cert *c = &to->cert;
    c->secret = field_text(r, tls, "credentialName");
    c->cert_file = field_text(r, tls, "serverCertificate");
    c->key_file = field_text(r, tls, "privateKey");
    c->ca_file = field_text(r, tls, "caCertificates");
    c->crl_file = field_text(r, tls, "caCrl");
    c->peer_names = read_peer_names(r, tls, false);
    c->tls_min = (uint16_t)field_choice(r, tls, "minProtocolVersion", tls_versions,
                                        NELEMS(tls_versions), 0x0303);
    if (c->tls_min < 0x0303) {
        finding_warn(r->to, field_any(r, tls, "minProtocolVersion"),
                     "TLS before 1.2 is not served");
        c->tls_min = 0x0303;
    }
}

/* Is there what the mode needs, and nothing that it would not look at? */
static void check_certificate(struct reader *r, struct node *tls, const struct gateway_server *to)
{
    bool has_any = to->cert.secret.len || to->cert.cert_file.len;
    if (to->port.is_tls && !to->is_passed_on && !to->cert.is_mesh && !has_any)
        finding_error(r->to, tls, "expected credentialName, or serverCertificate and privateKey");
    else if (has_any && to->cert.is_mesh)
        finding_warn(r->to, tls, "ISTIO_MUTUAL takes the mesh's certificates (--certs), not these");
    else if (has_any && to->is_passed_on)
        finding_warn(r->to, tls, "TLS is not ended here, so the certificate is not used");
}

static void read_server_tls(struct reader *r, struct node *n, struct gateway_server *to)
{
    struct node *tls = field_map(r, n, "tls"), *mode = field_any(r, tls, "mode");
    bool is_http = port_protocol_is_http(port_protocol_named(to->port.protocol));
    bool is_plain = is_http || to->port.is_tcp;
    int kind = field_choice(r, tls, "mode", tls_modes, NELEMS(tls_modes),
                            tls && !is_plain ? SERVER_SIMPLE : SERVER_TLS_NONE);
    to->redirects_plain = field_bool(r, tls, "httpsRedirect", false);
    read_certificate(r, tls, to);
    to->cert.is_mesh = kind == SERVER_MESH;
    to->cert.is_mutual = kind == SERVER_MUTUAL || kind == SERVER_MESH;
    to->cert.may_be_mutual = kind == SERVER_OPTIONAL;
    to->port.is_tls = kind != SERVER_TLS_NONE;
    to->is_by_name = kind == SERVER_AUTO;
    to->is_passed_on = kind == SERVER_PASSTHROUGH || to->is_by_name;
    bool is_wrong = to->is_by_name && !sv_eq(to->port.protocol, SV("TLS"));
    if (is_wrong)
        finding_warn(r->to, mode, "AUTO_PASSTHROUGH is for protocol TLS: this port is not opened");
    else if (!is_plain && !tls)
        finding_warn(r->to, n, "tls is missing: this port is not opened");
    else
        check_certificate(r, tls, to);
    to->is_served = to->port.number && !is_wrong && (is_plain || tls);
    fields_finish(r, tls, later_tls);
}

static bool is_protocol_served(struct sv protocol)
{
    return port_protocol_named(protocol) != PORT_UNNAMED;
}

/* Without these fields more callers would be let in than are meant. */
static bool is_too_open(struct reader *r, struct node *n)
{
    static const struct {
        const char *where, *name;
    } rows[] = {
        { NULL, "bind" },
        { "tls", "verifyCertificateSpki" },
        { "tls", "verifyCertificateHash" },
        { "tls", "caCertCredentialName" },
    };
    bool is_open = false;
    for (size_t i = 0; i < NELEMS(rows); i++) {
        struct node *map = rows[i].where ? field_map(r, n, rows[i].where) : n;
        struct node *at = field_any(r, map, rows[i].name);
        bool is_any = at && sv_eq(at->text, SV("0.0.0.0"));
        if (!at || is_any)
            continue;
        finding_warn_key(r->to, at,
                         "is not supported: this port is not opened, because without it more "
                         "callers would be let in");
        is_open = true;
    }
    return is_open;
}

static void read_server(struct reader *r, struct node *n, struct gateway_server *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *port = field_map(r, n, "port");
    if (!port && !field_any(r, n, "port"))
        finding_error(r->to, n, "port is missing");
    to->port.number = field_port(r, port, "number");
    to->port.name = field_text(r, port, "name");
    to->port.protocol = field_text(r, port, "protocol");
    to->port.is_tcp = port_protocol_named(to->port.protocol) == PORT_TCP;
    (void)field_any(r, port, "targetPort"); /* deprecated, means nothing */
    (void)field_any(r, n, "name");          /* of the server: for people */
    to->hosts = read_texts(r, n, "hosts");
    if (!to->hosts.len)
        finding_error(r->to, n, "hosts is empty: what does it serve?");
    if (port && !field_any(r, port, "number"))
        finding_error(r->to, port, "number is missing");
    bool is_closed = is_too_open(r, n);
    read_server_tls(r, n, to);
    to->is_served = to->is_served && !is_closed;
    if (port && !is_protocol_served(to->port.protocol)) {
        finding_warn(r->to, port,
                     "expected HTTP, HTTP2, GRPC, HTTPS, TLS or TCP: this port is not opened");
        to->is_served = false;
    }
    fields_finish(r, port, NULL);
    fields_finish(r, n, later_server);
}

void read_gateway(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "servers");
    struct gateway *g = read_array(&r, 1, sizeof(*g));
    struct gateway_server *servers = read_array(&r, (list ? list->len : 0) + 1, sizeof(*servers));
    if (!g || !servers)
        return;
    g->meta = *meta;
    g->selector = field_labels(&r, spec, "selector");
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_server(&r, n, &servers[g->servers_len++]);
    g->servers = servers;
    if (!g->servers_len)
        finding_error(r.to, spec ? spec : root, "servers is empty");
    fields_finish(&r, spec, NULL);
    CATALOG_ADD(&c->gateways, g);
}

/* A Secret's value: of stringData as it is, of data in base64. */
static struct sv secret_value(struct reader *r, struct node *root, const char *name,
                              const char *other_name)
{
    struct node *data = field_map(r, root, "data"), *text = field_map(r, root, "stringData");
    const char *names[] = { name, other_name };
    struct sv bytes = SV_NONE;
    for (size_t i = 0; i < NELEMS(names) && !bytes.len; i++) {
        struct node *n = field_any(r, data, names[i]);
        bytes = field_text(r, text, names[i]);
        if (bytes.len || !n)
            continue;
        if (!base64_decode(r->mem, sv_trim(node_text(r, n)), &bytes))
            finding_error(r->to, n, "expected base64");
    }
    return bytes;
}

void read_secret(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct secret *s = read_array(&r, 1, sizeof(*s));
    if (!s)
        return;
    s->meta = *meta;
    s->cert = secret_value(&r, root, "tls.crt", "cert");
    s->key = secret_value(&r, root, "tls.key", "key");
    s->ca = secret_value(&r, root, "ca.crt", "cacert");
    s->crl = secret_value(&r, root, "ca.crl", "crl");
    if (s->cert.len || s->ca.len)
        CATALOG_ADD(&c->secrets, s);
}
