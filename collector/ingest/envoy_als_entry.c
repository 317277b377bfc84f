/* envoy_als_entry.c - envoy.data.accesslog.v3, field by field.
 *
 * Field numbers are those of envoy/data/accesslog/v3/accesslog.proto and config/core/v3/address.proto. An entry
 * has a hundred fields, of which a call needs a third; the rest is skipped without being looked into.
 * Headers, trailers and custom tags are there when the log is configured to hold them: tags go
 * to the pile under their own names, since an operator may name them after an attribute of
 * access records; of headers those are taken that say something about a call. x-forwarded-client-cert is
 * not: tls_properties know it better, and a caller without TLS could have written it. */
#include "ingest/envoy_als_entry.h"
#include "base/clock.h"
#include "ingest/otlp_proto.h"
#include "wire/grpc.h"
#include "wire/trace_ctx.h"

/* HTTPAccessLogEntry, TCPAccessLogEntry */
enum {
    ENTRY_COMMON = 1,
    HTTP_VERSION = 2,
    HTTP_REQUEST = 3,
    HTTP_RESPONSE = 4,
    TCP_CONNECTION = 2
};
/* ConnectionProperties */
enum { CONNECTION_RECEIVED = 1, CONNECTION_SENT = 2 };
/* AccessLogCommon */
enum {
    COMMON_DOWNSTREAM_REMOTE = 2,
    COMMON_DOWNSTREAM_LOCAL = 3,
    COMMON_TLS = 4,
    COMMON_START_TIME = 5,
    COMMON_LAST_DOWNSTREAM_TX = 12,
    COMMON_UPSTREAM_REMOTE = 13,
    COMMON_UPSTREAM_LOCAL = 14,
    COMMON_UPSTREAM_CLUSTER = 15,
    COMMON_FLAGS = 16,
    COMMON_TRANSPORT_FAILURE = 18,
    COMMON_ROUTE = 19,
    COMMON_DOWNSTREAM_DIRECT = 20,
    COMMON_FILTER_STATE = 21, /* map<string, Any> */
    COMMON_CUSTOM_TAGS = 22,  /* map<string, string> */
    COMMON_DURATION = 23,
    COMMON_TERMINATION = 25,
    COMMON_INTERMEDIATE = 27, /* bool */
    COMMON_TYPE = 33,         /* enum */
};
/* HTTPRequestProperties */
enum {
    REQUEST_METHOD = 1, /* enum */
    REQUEST_AUTHORITY = 3,
    REQUEST_PATH = 5,
    REQUEST_USER_AGENT = 6,
    REQUEST_ID = 9,
    REQUEST_ORIGINAL_PATH = 10,
    REQUEST_BODY_BYTES = 12,
    REQUEST_HEADERS = 13, /* map<string, string> */
};
/* HTTPResponseProperties */
enum {
    RESPONSE_CODE = 1, /* UInt32Value */
    RESPONSE_BODY_BYTES = 3,
    RESPONSE_HEADERS = 4,  /* map<string, string> */
    RESPONSE_TRAILERS = 5, /* likewise */
    RESPONSE_DETAILS = 6,
};
/* TLSProperties, CertificateProperties, SubjectAltName */
enum {
    TLS_FIELD_VERSION = 1,
    TLS_FIELD_CIPHER = 2,
    TLS_FIELD_SNI = 3,
    TLS_FIELD_OWN = 4,
    TLS_FIELD_PEER = 5
};
enum { CERTIFICATE_SAN = 1, SAN_URI = 1 };
/* Address, SocketAddress, Pipe */
enum { ADDRESS_SOCKET = 1, ADDRESS_PIPE = 2, SOCKET_ADDRESS = 2, SOCKET_PORT = 3, PIPE_PATH = 1 };
enum { FLAG_UNAUTHORIZED = 13, FLAGS_MAX = 31 };
/* Entries of maps; Any; Timestamp and Duration; UInt32Value */
enum {
    MAP_KEY = 1,
    MAP_VALUE = 2,
    ANY_TYPE = 1,
    ANY_VALUE = 2,
    TIME_SECONDS = 1,
    TIME_NANOS = 2,
    WRAPPED = 1
};

static uint64_t read_wrapped(struct rd *r, struct pb_tag t)
{
    uint64_t v = 0;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == WRAPPED)
            v = pb_varint(r, u);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
    return v;
}

/* A Timestamp or a Duration, which are the same on the wire, none of them below zero here. */
static int64_t read_ns(struct rd *r, struct pb_tag t, struct gather *g, const char *what)
{
    size_t at = rd_offset(r);
    int64_t seconds = 0, nanos = 0;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case TIME_SECONDS: seconds = (int64_t)pb_varint(r, u); break;
        case TIME_NANOS: nanos = (int64_t)pb_varint(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    bool is_good = seconds >= 0 && seconds < INT64_MAX / NS_PER_S && nanos >= 0 && nanos < NS_PER_S;
    if (is_good)
        return seconds * NS_PER_S + nanos;
    gather_bad(g, ERR_MALFORMED, at, "%s: %lld s and %lld ns, want 0 or more, before the year 2262",
               what, (long long)seconds, (long long)nanos);
    return 0;
}

static void read_socket(struct rd *r, struct pb_tag t, struct als_address *to)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case SOCKET_ADDRESS: to->ip = pb_bytes(r, u); break;
        case SOCKET_PORT: to->port = (uint32_t)pb_varint(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

static void read_pipe(struct rd *r, struct pb_tag t, struct als_address *to)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == PIPE_PATH)
            to->ip = pb_bytes(r, u);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
}

static void read_address(struct rd *r, struct pb_tag t, struct als_address *to)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case ADDRESS_SOCKET: read_socket(r, u, to); break;
        case ADDRESS_PIPE: read_pipe(r, u, to); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

static struct sv read_san(struct rd *r, struct pb_tag t)
{
    struct sv uri = SV_NONE;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == SAN_URI)
            uri = pb_bytes(r, u);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
    return uri;
}

/* The SPIFFE id among its names, else its first URI. */
static struct sv read_certificate(struct rd *r, struct pb_tag t)
{
    struct sv best = SV_NONE;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field != CERTIFICATE_SAN) {
            pb_skip(r, u);
            continue;
        }
        struct sv uri = read_san(r, u);
        bool is_spiffe = sv_starts(uri, SV("spiffe://"));
        if (!best.len || (is_spiffe && !sv_starts(best, SV("spiffe://"))))
            best = uri;
    }
    pb_leave(r, outer);
    return best;
}

static void read_tls(struct rd *r, struct pb_tag t, struct als_tls *to)
{
    const uint8_t *outer = pb_enter(r, t);
    to->is_there = true;
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case TLS_FIELD_VERSION: to->version = pb_varint(r, u); break;
        case TLS_FIELD_CIPHER:
            to->cipher = read_wrapped(r, u);
            to->has_cipher = true;
            break;
        case TLS_FIELD_SNI: to->sni = pb_bytes(r, u); break;
        case TLS_FIELD_OWN: to->own = read_certificate(r, u); break;
        case TLS_FIELD_PEER: to->peer = read_certificate(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

/* All are bools but one, which is there or not. */
static void read_flags(struct rd *r, struct pb_tag t, uint32_t *flags)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        bool is_set = true;
        if (u.field == FLAG_UNAUTHORIZED || u.wire != PB_VARINT || u.field > FLAGS_MAX)
            pb_skip(r, u);
        else
            is_set = pb_varint(r, u) != 0;
        if (u.field <= FLAGS_MAX && (u.wire == PB_VARINT || u.field == FLAG_UNAUTHORIZED))
            *flags = is_set ? *flags | 1u << u.field : *flags & ~(1u << u.field);
    }
    pb_leave(r, outer);
}

/* An entry of a map with text as key, and text or a message as value. */
static void read_pair(struct rd *r, struct pb_tag t, struct sv *ret_key, struct sv *ret_value)
{
    *ret_key = *ret_value = SV_NONE;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case MAP_KEY: *ret_key = pb_bytes(r, u); break;
        case MAP_VALUE: *ret_value = pb_bytes(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

/* Of W3C's or B3's context only the trace is taken: whether the span in it is this proxy's or its
 * caller's cannot be told, and two calls may carry the same. */
static void note_trace(struct als_entry *e, struct sv key, struct sv text)
{
    struct trace_ctx ctx;
    struct trace_id id = { 0 };
    size_t bytes = text.len / 2;
    bool is_b3 = sv_eq(key, SV("x-b3-traceid")) && (text.len == 16 || text.len == 32);
    if (sv_eq(key, SV("traceparent")) && traceparent_parse(text, &ctx, NULL) == 0)
        e->trace_id = ctx.trace_id;
    else if (is_b3 && !trace_id_is_set(e->trace_id) &&
             sv_to_bytes(text, id.b + sizeof(id.b) - bytes, bytes))
        e->trace_id = id;
}

static void read_custom_tag(struct rd *r, struct pb_tag t, struct gather *g, struct als_entry *e)
{
    struct attr a = { .value = { .type = VALUE_STR } };
    size_t at = rd_offset(r);
    read_pair(r, t, &a.key, &a.value.str);
    note_trace(e, a.key, a.value.str);
    proto_check(r, pile_add(g, &g->attrs, &a, sizeof(a), at));
}

static void read_request_header(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    struct sv key, text;
    read_pair(r, t, &key, &text);
    note_trace(e, key, text);
    if (sv_eq(key, SV("content-type")))
        e->has_grpc_type |= grpc_is_content_type(text);
}

/* Of the headers or, what counts before them, the trailers. */
static void read_response_header(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    struct sv key, text;
    read_pair(r, t, &key, &text);
    if (sv_eq(key, SV("content-type")))
        e->has_grpc_type |= grpc_is_content_type(text);
    else if (sv_eq(key, SV("grpc-status")) && (t.field == RESPONSE_TRAILERS || !e->grpc_status.len))
        e->grpc_status = text;
}

/* What the peer has told of itself; filter state in any other form than Istio's Struct is passed over. */
static void read_filter_state(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    struct sv key, any, type = SV_NONE, value = SV_NONE;
    read_pair(r, t, &key, &any);
    bool is_up = sv_eq(key, SV("upstream_peer"));
    if (!rd_ok(r) || (!is_up && !sv_eq(key, SV("downstream_peer"))))
        return;
    struct rd inner = rd_of(any);
    inner.base = r->base;
    for (struct pb_tag u; pb_next(&inner, &u);) {
        switch (u.field) {
        case ANY_TYPE: type = pb_bytes(&inner, u); break;
        case ANY_VALUE: value = pb_bytes(&inner, u); break;
        default: pb_skip(&inner, u);
        }
    }
    if (rd_ok(&inner) && sv_ends(type, SV("google.protobuf.Struct"))) {
        struct envoy_node *peer = is_up ? &e->upstream_peer : &e->downstream_peer;
        *peer = envoy_node_empty();
        inner = rd_of(value);
        inner.base = r->base;
        envoy_node_read_peer(&inner, peer);
        *(is_up ? &e->has_upstream_peer : &e->has_downstream_peer) = true;
    }
    if (!rd_ok(&inner)) {
        rd_fail(r, inner.failed.code, "%s", inner.failed.why);
        r->failed.at = inner.failed.at;
    }
}

static bool read_common_address(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    enum als_end end;
    switch (t.field) {
    case COMMON_DOWNSTREAM_REMOTE: end = ALS_DOWNSTREAM_REMOTE; break;
    case COMMON_DOWNSTREAM_LOCAL: end = ALS_DOWNSTREAM_LOCAL; break;
    case COMMON_DOWNSTREAM_DIRECT: end = ALS_DOWNSTREAM_DIRECT; break;
    case COMMON_UPSTREAM_REMOTE: end = ALS_UPSTREAM_REMOTE; break;
    case COMMON_UPSTREAM_LOCAL: end = ALS_UPSTREAM_LOCAL; break;
    default: return false;
    }
    read_address(r, t, &e->address[end]);
    return true;
}

static void read_common_field(struct rd *r, struct pb_tag t, struct gather *g, struct als_entry *e)
{
    switch (t.field) {
    case COMMON_TLS: read_tls(r, t, &e->tls); break;
    case COMMON_START_TIME: e->start_ns = read_ns(r, t, g, "start_time"); break;
    case COMMON_LAST_DOWNSTREAM_TX:
        e->last_byte_ns = read_ns(r, t, g, "time_to_last_downstream_tx_byte");
        break;
    case COMMON_UPSTREAM_CLUSTER: e->cluster = pb_bytes(r, t); break;
    case COMMON_FLAGS: read_flags(r, t, &e->flags); break;
    case COMMON_TRANSPORT_FAILURE: e->transport_failure = pb_bytes(r, t); break;
    case COMMON_ROUTE: e->route = pb_bytes(r, t); break;
    case COMMON_FILTER_STATE: read_filter_state(r, t, e); break;
    case COMMON_CUSTOM_TAGS: read_custom_tag(r, t, g, e); break;
    case COMMON_DURATION: e->duration_ns = read_ns(r, t, g, "duration"); break;
    case COMMON_TERMINATION: e->termination = pb_bytes(r, t); break;
    case COMMON_INTERMEDIATE: e->is_intermediate = pb_varint(r, t) != 0; break;
    case COMMON_TYPE: e->type = pb_varint(r, t); break;
    default: pb_skip(r, t);
    }
}

static void read_common(struct rd *r, struct pb_tag t, struct gather *g, struct als_entry *e)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);)
        if (!read_common_address(r, u, e))
            read_common_field(r, u, g, e);
    pb_leave(r, outer);
}

static void read_request(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case REQUEST_METHOD: e->method = pb_varint(r, u); break;
        case REQUEST_AUTHORITY: e->authority = pb_bytes(r, u); break;
        case REQUEST_PATH: e->path = pb_bytes(r, u); break;
        case REQUEST_USER_AGENT: e->user_agent = pb_bytes(r, u); break;
        case REQUEST_ID: e->request_id = pb_bytes(r, u); break;
        case REQUEST_ORIGINAL_PATH: e->original_path = pb_bytes(r, u); break;
        case REQUEST_BODY_BYTES: e->bytes_received = pb_varint(r, u); break;
        case REQUEST_HEADERS: read_request_header(r, u, e); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

static void read_response(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case RESPONSE_CODE: e->code = read_wrapped(r, u); break;
        case RESPONSE_BODY_BYTES: e->bytes_sent = pb_varint(r, u); break;
        case RESPONSE_HEADERS:
        case RESPONSE_TRAILERS: read_response_header(r, u, e); break;
        case RESPONSE_DETAILS: e->details = pb_bytes(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

static void read_connection(struct rd *r, struct pb_tag t, struct als_entry *e)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case CONNECTION_RECEIVED: e->bytes_received = pb_varint(r, u); break;
        case CONNECTION_SENT: e->bytes_sent = pb_varint(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

void als_entry_read(struct rd *r, struct gather *g, bool is_http, struct als_entry *ret_e)
{
    *ret_e = (struct als_entry){ .at = rd_offset(r), .is_http = is_http, .duration_ns = -1 };
    for (struct pb_tag t; pb_next(r, &t);) {
        if (t.field == ENTRY_COMMON)
            read_common(r, t, g, ret_e);
        else if (!is_http && t.field == TCP_CONNECTION)
            read_connection(r, t, ret_e);
        else if (is_http && t.field == HTTP_VERSION)
            ret_e->http_version = pb_varint(r, t);
        else if (is_http && t.field == HTTP_REQUEST)
            read_request(r, t, ret_e);
        else if (is_http && t.field == HTTP_RESPONSE)
            read_response(r, t, ret_e);
        else
            pb_skip(r, t);
    }
    if (ret_e->duration_ns < 0)
        ret_e->duration_ns = ret_e->last_byte_ns;
}
