/* SPDX-License-Identifier: Apache-2.0
 * sniff.c - the few bytes that decide about a connection.
 *
 * Waiting for them is the danger: where the server speaks first the caller stays silent, and both
 * would wait for ever. So nobody is waited for where the port's declaration leaves no choice, and
 * elsewhere for --protocol-detection-timeout at most; who was silent that long is taken for a caller of
 * such a protocol. Bytes are only peeked at, so whoever takes over reads all of them; while more are
 * needed the kernel is asked not to wake us for fewer.
 *
 * In front of an application, PeerAuthentication asks first: under STRICT everything must be mutual TLS
 * of the mesh; under PERMISSIVE that is told by its ALPN, as in Istio, and other TLS is the
 * application's own. Where ports are not taken over (no --intercept) a port that nobody declares is
 * HTTP: it is the one application that --app names. */
#include "proxy/sniff.h"
#include "base/log.h"
#include "proxy/hello.h"
#include "proxy/route/tcp.h"
#include "proxy/tcp.h"

enum next {
    NEXT_LOOK, /* at the first bytes */
    NEXT_HTTP,
    NEXT_TCP,
    NEXT_TLS, /* a gateway's, ended here */
};

static bool is_taken_over(const struct down *d)
{
    return d->worker->opt->intercept != INTERCEPT_NONE;
}

static enum port_protocol own_protocol(const struct down *d)
{
    const struct mesh *m = d->worker->mesh;
    enum port_protocol p = mesh_own_protocol(m, down_app_port(d));
    if (is_taken_over(d))
        return p;
    if (p == PORT_UNNAMED)
        p = mesh_own_protocol(
            m, d->port->number); /* where the Service's targetPort is the sidecar's */
    return p == PORT_UNNAMED ? PORT_HTTP : p;
}

const struct tcp_service *sniff_service(const struct down *d)
{
    const struct mesh *m = d->worker->mesh;
    const struct port *p = d->port;
    if (p->side == SIDE_GATEWAY)
        return mesh_gateway_tcp(m, p->number);
    if (p->tcp_host.len)
        return mesh_tcp_by_host(m, p->tcp_host, p->tcp_port);
    if (!d->has_original)
        return NULL;
    struct ip ip = ip_of_addr(&d->original);
    return mesh_tcp_by_address(m, &ip, addr_port(&d->original));
}

/* Before anything has come. */
static enum next outbound_next(const struct down *d)
{
    const struct tcp_service *s = sniff_service(d);
    if (d->port->tcp_host.len)
        return s && s->wants_sni ? NEXT_LOOK : NEXT_TCP;
    if (!d->has_original)
        return NEXT_HTTP; /* an application that was told about us */
    switch (s ? s->protocol : PORT_UNNAMED) {
    case PORT_HTTP:
    case PORT_HTTP2:
    case PORT_GRPC: return NEXT_HTTP;
    case PORT_TCP:
    case PORT_TLS: return s->wants_sni ? NEXT_LOOK : NEXT_TCP;
    default: return NEXT_LOOK;
    }
}

static enum next gateway_next(const struct down *d)
{
    const struct tcp_service *s = sniff_service(d);
    bool is_ended = gateway_tls_port(d->worker->gateway_tls, d->port->number) != NULL;
    if (s && (s->wants_sni || (s->protocol == PORT_TLS && !is_ended)))
        return NEXT_LOOK;
    if (s && s->protocol == PORT_TCP)
        return NEXT_TCP;
    return is_ended ? NEXT_TLS : NEXT_HTTP;
}

static enum next first_next(const struct down *d)
{
    switch (d->port->side) {
    case SIDE_OUTBOUND: return outbound_next(d);
    case SIDE_GATEWAY: return gateway_next(d);
    default: break;
    }
    enum port_protocol p = own_protocol(d);
    bool is_plain = mesh_inbound_mtls(d->worker->mesh, down_app_port(d)) == MTLS_DISABLE;
    return is_plain && (p == PORT_TCP || p == PORT_TLS) ? NEXT_TCP : NEXT_LOOK;
}

static void start_tls(struct down *d, struct tls_ctx *ctx, bool becomes_tcp)
{
    d->becomes_tcp = becomes_tcp;
    d->is_tls_begun = true;
    if (conn_start_tls(d->conn, ctx, NULL, d->worker->opt->handshake_timeout_ns, NULL) < 0)
        down_close(d, 0);
}

static void start_gateway_tls(struct down *d)
{
    struct worker *w = d->worker;
    const struct tcp_service *s = sniff_service(d);
    bool becomes_tcp = false;
    for (size_t i = 0; s && i < s->entries_len; i++)
        becomes_tcp = becomes_tcp || !s->entries[i].is_tls;
    struct tls_ctx *ctx = gateway_tls_port(w->gateway_tls, d->port->number);
    if (ctx)
        start_tls(d, ctx, becomes_tcp);
    else
        down_close(d, 0);
}

static void refuse(struct down *d, enum tally_id count, bool is_tls, const char *why)
{
    tally(count);
    tcp_refused(d, is_tls);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "inbound.refused", KV_SV("peer", d->peer_addr),
              KV_STR("why", why));
    down_close(d, 0);
}

static void decided(struct down *d)
{
    d->is_sniffing = false;
    timer_stop(&d->sniff);
    conn_want(d->conn, 1);
}

static void go_tcp(struct down *d, const struct hello *h)
{
    decided(d);
    tcp_begin(d, h != NULL, h ? sv_z(h->sni) : SV_NONE);
}

static void go_http(struct down *d)
{
    decided(d);
    down_read_request(d);
}

/* In plaintext: HTTP or not. */
static void inbound_plain(struct down *d, enum speech speech)
{
    enum port_protocol p = own_protocol(d);
    bool is_http = speech == SPEECH_HTTP1 || speech == SPEECH_HTTP2;
    if (mesh_inbound_mtls(d->worker->mesh, down_app_port(d)) == MTLS_STRICT)
        refuse(d, TALLY_DOWN_STRICT, false, "plaintext, but PeerAuthentication says STRICT");
    else if (port_protocol_is_http(p) || (p == PORT_UNNAMED && is_http))
        go_http(d);
    else
        go_tcp(d, NULL);
}

static void inbound_tls(struct down *d, const struct hello *h)
{
    struct worker *w = d->worker;
    enum port_protocol p = own_protocol(d);
    enum mtls_mode mode = mesh_inbound_mtls(w->mesh, down_app_port(d));
    bool is_http = port_protocol_is_http(p);
    bool is_ours = is_http || mode == MTLS_STRICT || (h && h->is_mesh && mode != MTLS_DISABLE);
    if (!is_ours) {
        go_tcp(d, h);
    } else if (w->certs) {
        decided(d);
        start_tls(d, w->certs->server, !is_http && (p != PORT_UNNAMED || !h || !h->is_http));
    } else if (is_http || mode == MTLS_STRICT) {
        refuse(d, TALLY_DOWN_NO_CERTS, true, "TLS, but there are no certificates");
    } else {
        go_tcp(d, h);
    }
}

/* Where HTTP is out of the question, the first byte tells TLS from the rest. */
static bool may_be_http(const struct down *d)
{
    if (d->port->side == SIDE_INBOUND)
        return own_protocol(d) == PORT_UNNAMED &&
               mesh_inbound_mtls(d->worker->mesh, down_app_port(d)) != MTLS_STRICT;
    const struct tcp_service *s = sniff_service(d);
    return d->port->side == SIDE_OUTBOUND && !d->port->tcp_host.len &&
           (!s || s->protocol == PORT_UNNAMED);
}

static void outbound_first(struct down *d, enum speech speech, const struct hello *h)
{
    bool is_http = speech == SPEECH_HTTP1 || speech == SPEECH_HTTP2;
    if (is_http && may_be_http(d))
        go_http(d);
    else
        go_tcp(d, h);
}

/* What nobody passes on is ended here, if there is a certificate at all. */
static void gateway_first(struct down *d, const struct hello *h)
{
    const struct tcp_service *s = sniff_service(d);
    struct tcp_ask ask = { .is_tls = h != NULL, .sni = h ? sv_z(h->sni) : SV_NONE };
    ask.destination = ip_of_addr(conn_local(d->conn));
    bool is_passed_on = s && tcp_is_unopened(s, &ask);
    bool is_tls_port = gateway_tls_port(d->worker->gateway_tls, d->port->number) != NULL;
    if (is_passed_on || !is_tls_port || !h) {
        go_tcp(d, h);
        return;
    }
    decided(d);
    start_gateway_tls(d);
}

static void decide(struct down *d, enum speech speech, const struct hello *h)
{
    switch (d->port->side) {
    case SIDE_OUTBOUND: outbound_first(d, speech, h); break;
    case SIDE_GATEWAY: gateway_first(d, h); break;
    default:
        if (speech == SPEECH_TLS)
            inbound_tls(d, h);
        else
            inbound_plain(d, speech);
        break;
    }
}

static void on_silence(struct timer *t)
{
    struct down *d = CONTAINER_OF(t, struct down, sniff);
    bool is_inbound = d->port->side == SIDE_INBOUND;
    if (is_inbound && mesh_inbound_mtls(d->worker->mesh, down_app_port(d)) == MTLS_STRICT) {
        refuse(d, TALLY_DOWN_STRICT, false, "silence, but PeerAuthentication says STRICT");
        return;
    }
    tally(TALLY_SNIFF_SILENT);
    decide(d, SPEECH_OTHER, NULL);
}

/* For how long the caller may be silent; 0: as long as an idle connection. */
static int64_t patience(const struct down *d)
{
    const struct options *o = d->worker->opt;
    if (d->port->side != SIDE_INBOUND)
        return o->detection_timeout_ns;
    if (port_protocol_is_http(own_protocol(d)))
        return 0;
    bool is_strict = mesh_inbound_mtls(d->worker->mesh, down_app_port(d)) == MTLS_STRICT;
    return is_strict ? o->handshake_timeout_ns : o->detection_timeout_ns;
}

void sniff_begin(struct down *d)
{
    timer_init(&d->sniff, d->worker->loop, on_silence);
    switch (first_next(d)) {
    case NEXT_HTTP: return;
    case NEXT_TCP: go_tcp(d, NULL); return;
    case NEXT_TLS: start_gateway_tls(d); return;
    case NEXT_LOOK: break;
    }
    d->is_sniffing = true;
    if (patience(d))
        timer_after(&d->sniff, patience(d));
}

static void wait_for_more(struct down *d, size_t have, enum speech speech)
{
    if (conn_is_half_closed(d->conn))
        decide(d, speech == SPEECH_TLS ? SPEECH_TLS : SPEECH_OTHER, NULL);
    else
        conn_want(d->conn, have + 1);
}

void sniff_run(struct down *d)
{
    struct hello h;
    char *first = d->worker->body;
    bool is_http = d->port->side == SIDE_INBOUND && port_protocol_is_http(own_protocol(d));
    ssize_t n = conn_peek(d->conn, first, is_http ? 1 : HELLO_MAX);
    if (n == 0)
        return;
    if (n < 0) {
        down_close(d, 0);
        return;
    }
    if (is_http) { /* one byte is enough: no request begins with it */
        decide(d, tls_looks_like_hello(sv_of(first, 1)) ? SPEECH_TLS : SPEECH_HTTP1, NULL);
        return;
    }
    if (!tls_looks_like_hello(sv_of(first, 1)) && !may_be_http(d)) {
        decide(d, SPEECH_OTHER, NULL);
        return;
    }
    enum speech speech = detect_speech(sv_of(first, (size_t)n));
    if (speech == SPEECH_UNDECIDED) {
        wait_for_more(d, (size_t)n, speech);
        return;
    }
    enum hello_state state = speech == SPEECH_TLS ? hello_read(first, (size_t)n, &h) : HELLO_BAD;
    if (speech == SPEECH_TLS && state == HELLO_MORE)
        wait_for_more(d, (size_t)n, speech);
    else
        decide(d, speech, state == HELLO_DONE ? &h : NULL);
}
