/* heads.c - the heads we send: the request's for upstream, the response's for the caller.
 *
 * Fields pass through in their order; what belongs to one hop stays there, framing is written anew,
 * and what only we know is set: trace context, request id, who we are, who the caller proved to be.
 * Trust: peer metadata and client certificates in headers come from a mutual TLS peer or not at
 * all; a gateway believes nothing about the caller. Who we are is told once a connection to a proxy that
 * remembers it, else with every message. */
#include "proxy/stream.h"
#include "wire/grpc.h"

static const struct http_head *request_of(const struct stream *s)
{
    return s->req;
}

static bool is_connection(const struct http_header *h)
{
    return sv_eq_nocase(h->name, SV("connection"));
}

/* Fields that Connection names belong to this hop; most heads name none. */
static bool names_fields(const struct http_head *head)
{
    for (size_t i = 0; i < head->headers_len; i++) {
        const struct http_header *h = &head->headers[i];
        if (is_connection(h) && !sv_eq_nocase(h->value, SV("keep-alive")) &&
            !sv_eq_nocase(h->value, SV("close")))
            return true;
    }
    return false;
}

/* In any of its Connection fields: several are one list (RFC 9110 section 5.2). */
static bool is_named(const struct http_head *head, struct sv name)
{
    for (size_t i = 0; i < head->headers_len; i++)
        if (is_connection(&head->headers[i]) && http_list_has(head->headers[i].value, name))
            return true;
    return false;
}

static void put_framing(const struct http_head *from, bool is_chunked, struct buf *to)
{
    if (is_chunked) {
        h1_put_field(to, SV("transfer-encoding"), SV("chunked"));
    } else if (from->has_length) {
        buf_put(to, SV("content-length: "));
        buf_put_u64(to, from->content_length);
        buf_put(to, SV("\r\n"));
    }
}

static void put_upgrade(struct sv protocol, struct buf *to)
{
    h1_put_field(to, SV("connection"), SV("upgrade"));
    h1_put_field(to, SV("upgrade"), protocol);
}

static void put_subject(struct sv subject, struct buf *to)
{
    char *at = buf_reserve(to, 2 * subject.len), *start = at;
    if (!at)
        return;
    for (size_t i = 0; i < subject.len; i++) {
        char c = subject.p[i];
        if (c == '"' || c == '\\')
            *at++ = '\\';
        *at++ = (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
    }
    buf_commit(to, (size_t)(at - start));
}

/* By=ours;Hash=...;Subject="...";URI=theirs: in front of an application after what a trusted peer already
 * wrote; a gateway trusts nobody. Outside the mesh (its MUTUAL) there are no ids. */
static void put_client_cert(struct stream *s, const struct tls_info *tls, struct buf *to)
{
    buf_put(to, SV("x-forwarded-client-cert: "));
    if (s->seen[FIELD_XFCC].len && s->side == SIDE_INBOUND) {
        buf_put(to, s->seen[FIELD_XFCC]);
        buf_putc(to, ',');
    }
    if (who_is_of_mesh(s->down->conn)) {
        buf_put(to, SV("By="));
        buf_put(to, s->worker->certs->spiffe);
        buf_putc(to, ';');
    }
    buf_put(to, SV("Hash="));
    buf_put(to, tls->peer_hash);
    buf_put(to, SV(";Subject=\""));
    put_subject(tls->peer_subject, to);
    buf_putc(to, '"');
    if (tls->peer_spiffe.len) {
        buf_put(to, SV(";URI="));
        buf_put(to, tls->peer_spiffe);
    }
    buf_put(to, SV("\r\n"));
}

static void put_forwarded(struct stream *s, struct buf *to)
{
    bool is_gateway = s->side == SIDE_GATEWAY;
    char host[ADDR_TEXT_SIZE];
    if (is_gateway) {
        buf_put(to, SV("x-forwarded-for: "));
        if (s->seen[FIELD_XFF].len) {
            buf_put(to, s->seen[FIELD_XFF]);
            buf_put(to, SV(", "));
        }
        buf_put(to, addr_host(conn_peer(s->down->conn), host));
        buf_put(to, SV("\r\n"));
    }
    if (is_gateway || !s->seen[FIELD_XFP].len)
        h1_put_field(to, SV("x-forwarded-proto"),
                     is_gateway && conn_tls(s->down->conn) ? SV("https") : SV("http"));
}

static void put_trace(struct stream *s, struct buf *to)
{
    char text[TRACEPARENT_SIZE];
    struct trace_ctx ours = s->trace;
    ours.parent_id = s->side == SIDE_INBOUND ? s->server_span : s->client_span;
    h1_put_field(to, SV("traceparent"), traceparent_format(&ours, text));
    if (s->trace_state.len)
        h1_put_field(to, SV("tracestate"), s->trace_state);
    h1_put_field(to, SV("x-request-id"), s->request_id);
}

/* The deadline that is left goes on, not the one that came. */
static bool tells_time_left(const struct stream *s)
{
    return s->is_grpc && s->seen[FIELD_GRPC_TIMEOUT].len && timer_is_set(&s->timer);
}

static void put_time_left(struct stream *s, struct buf *to)
{
    char text[GRPC_TIMEOUT_SIZE];
    int64_t left_ns = s->timer.due_ns - loop_now_ns(s->worker->loop);
    h1_put_field(to, SV("grpc-timeout"), grpc_timeout_format(left_ns, text));
}

/* Whether a request field goes on as it is. */
static bool is_passed_up(const struct stream *s, enum field f)
{
    switch (f) {
    case FIELD_OTHER:
    case FIELD_USER_AGENT:
    case FIELD_CONTENT_TYPE:
    case FIELD_REASON:
    case FIELD_GRPC_STATUS: return true;
    case FIELD_GRPC_TIMEOUT: return !tells_time_left(s);
    case FIELD_XFF:
    case FIELD_XFP: return s->side != SIDE_GATEWAY;
    case FIELD_XFCC: return s->side == SIDE_OUTBOUND;
    default: return false;
    }
}

/* A proxy that remembers has been told by an earlier request of this connection; copies (mirror.c) go elsewhere. */
static bool tells_who_we_are(const struct stream *s)
{
    bool has_copies = s->route && s->route->actions && s->route->actions->mirrors_len;
    return s->side != SIDE_INBOUND && s->up->pool->is_mtls &&
           (!s->up->peer.remembers || has_copies);
}

void head_for_upstream(struct stream *s, struct buf *to)
{
    const struct http_head *req = request_of(s);
    bool has_names = names_fields(req);
    const struct tls_info *caller = conn_tls(s->down->conn);
    h1_put_request_line(to, req->method, s->traffic.path.p ? s->traffic.path : req->path);
    h1_put_field(to, SV("host"), s->traffic.authority.p ? s->traffic.authority : req->authority);
    for (size_t i = 0; i < req->headers_len; i++) {
        enum field f = (enum field)s->req_fields[i];
        struct sv name = req->headers[i].name;
        if (f == FIELD_TE && http_list_has(req->headers[i].value, SV("trailers")))
            h1_put_field(to, SV("te"), SV("trailers"));
        if (is_passed_up(s, f) && !(has_names && is_named(req, name)) && !traffic_hides(s, name))
            h1_put_field(to, name, req->headers[i].value);
    }
    put_framing(req, s->is_req_chunked, to);
    if (s->upgrade.len)
        put_upgrade(s->upgrade, to);
    if (tells_time_left(s))
        put_time_left(s, to);
    put_forwarded(s, to);
    traffic_put_request(s, to);
    put_trace(s, to);
    if (s->side != SIDE_OUTBOUND && caller && caller->is_mutual)
        put_client_cert(s, caller, to);
    if (tells_who_we_are(s)) {
        h1_put_field(to, PEER_METADATA_HEADER, s->worker->metadata);
        h1_put_field(to, PEER_METADATA_ID_HEADER, s->worker->metadata_id);
    }
    h1_put_end(to);
}

static bool is_passed_down(enum field f)
{
    switch (f) {
    case FIELD_CONNECTION:
    case FIELD_HOP:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_CONTENT_LENGTH:
    case FIELD_METADATA:
    case FIELD_METADATA_ID: return false;
    default: return true;
    }
}

/* How the response's body ends, and what becomes of the connection. */
static void put_hop(const struct stream *s, const struct http_head *from, struct buf *to)
{
    bool tells_chunked = s->is_resp_chunked || (from->is_chunked && s->is_head_request);
    if (from->status == 101) {
        put_upgrade(s->upgrade, to);
        return;
    }
    if (from->status != 204) /* RFC 9110 section 8.6 */
        put_framing(from, tells_chunked, to);
    if (!s->is_down_reusable)
        h1_put_field(to, SV("connection"), SV("close"));
    else if (request_of(s)->minor == 0)
        h1_put_field(to, SV("connection"), SV("keep-alive"));
}

void head_for_caller(struct stream *s, const struct http_head *from, struct buf *to)
{
    bool has_names = names_fields(from);
    h1_put_status_line(to, from->status, from->reason);
    for (size_t i = 0; i < from->headers_len; i++) {
        struct sv name = from->headers[i].name, value = from->headers[i].value;
        enum field f = field_of(name);
        if (f == FIELD_REASON && s->side == SIDE_GATEWAY)
            value = reply_reason_outside(value);
        if (is_passed_down(f) && !(has_names && is_named(from, name)) &&
            !traffic_hides_response(s, name))
            h1_put_field(to, name, value);
    }
    if (from->status >= 200 || from->status == 101) {
        traffic_put_response(s, to);
        put_hop(s, from, to);
        bool may_ask = s->side == SIDE_INBOUND || who_is_of_mesh(s->down->conn);
        if (may_ask && s->seen[FIELD_METADATA].len) {
            h1_put_field(to, PEER_METADATA_HEADER, s->worker->metadata);
            h1_put_field(to, PEER_METADATA_ID_HEADER,
                         peer_cache_own_id(&s->down->peer, s->worker->metadata_id));
        }
    }
    h1_put_end(to);
}
