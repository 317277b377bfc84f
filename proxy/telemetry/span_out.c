/* SPDX-License-Identifier: Apache-2.0
 * span_out.c - an exchange as OTLP Span.
 *
 * Named like Istio's sidecars name theirs, "host.ns.svc.cluster.local:PORT/" and a star, so that
 * existing searches find them; attributes carry OpenTelemetry's stable names, and what these do not
 * cover carries the names of the access record (tls_state, source_principal ...) or Envoy's
 * (response_flags, upstream_cluster.name). A request without an answer, with 5xx, or with a gRPC
 * status other than OK is an error, the same rule that edges are counted by. */
#include "proxy/telemetry/otlp_attr.h"
#include <stdio.h>

/* Trace flags: the parent's remoteness is known and true, beside the sampled bit. */
enum { FLAG_SAMPLED = 0x01, FLAG_HAS_REMOTE = 0x100, FLAG_IS_REMOTE = 0x200 };

OTLP_INLINE void text(struct buf *to, struct sv key, struct sv value)
{
    otlp_attr_text(to, OTLP_SPAN_ATTRIBUTES, key, value);
}

OTLP_INLINE void number(struct buf *to, struct sv key, int64_t value)
{
    otlp_attr_int(to, OTLP_SPAN_ATTRIBUTES, key, value);
}

/* Host and port of "127.0.0.1:80", "[::1]:80", "name" (then port is empty). */
static void split_host(struct sv text_in, struct sv *ret_host, struct sv *ret_port)
{
    size_t end = sv_starts(text_in, SV("[")) ? sv_index(text_in, ']') : 0;
    size_t colon = end + sv_index(sv_from(text_in, end), ':');
    *ret_host = sv_sub(text_in, end ? 1 : 0, end ? end - 1 : colon);
    *ret_port = sv_from(text_in, colon + 1);
}

/* The Service port in "outbound|9080|v1|host" or "inbound|9080||". */
static struct sv cluster_port(struct sv cluster)
{
    struct sv rest = sv_from(cluster, sv_index(cluster, '|') + 1);
    return sv_sub(rest, 0, sv_index(rest, '|'));
}

/* As OpenTelemetry wants it: methods that nobody standardized are all "HTTP". */
static struct sv known_method(struct sv method)
{
    static const char *const known[] = { "GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                         "CONNECT", "OPTIONS", "TRACE", "PATCH" };
    for (size_t i = 0; i < NELEMS(known); i++)
        if (sv_eq(sv_z(known[i]), method))
            return method;
    return SV("HTTP");
}

/* Names are few, whatever callers put into their requests: without a known service, a server is
 * called what it is and a client by its method. */
static void put_name(struct buf *to, const struct exchange *x)
{
    struct sv host = x->call.destination_service, port = cluster_port(x->upstream_cluster);
    if (!host.len && x->call.reporter == REPORTER_DESTINATION)
        host = x->call.destination.service;
    size_t name = pb_open(to, OTLP_SPAN_NAME);
    if (!host.len || sv_eq(host, IDENTITY_UNKNOWN)) {
        buf_put(to, known_method(x->call.method));
    } else {
        buf_put(to, sv_sub(host, 0, 256));
        if (port.len)
            buf_putc(to, ':');
        buf_put(to, sv_sub(port, 0, 8));
        buf_put(to, SV("/*"));
    }
    pb_close(to, name);
}

static void put_http(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    size_t question = sv_index(c->path, '?');
    struct sv version = x->protocol_text, host, port;
    uint64_t port_number;
    if (sv_starts(version, SV("HTTP/")))
        version = sv_from(version, 5);
    split_host(c->authority, &host, &port);
    text(to, SV("http.request.method"), c->method);
    text(to, SV("url.scheme"), SV("http"));
    text(to, SV("url.path"), sv_sub(c->path, 0, question));
    text(to, SV("url.query"), sv_from(c->path, question + 1));
    text(to, SV("server.address"), host);
    if (sv_to_u64(port.len ? port : cluster_port(x->upstream_cluster), &port_number))
        number(to, SV("server.port"), (int64_t)port_number);
    if (c->response_code)
        number(to, SV("http.response.status_code"), c->response_code);
    number(to, SV("http.request.body.size"), (int64_t)c->bytes_received);
    number(to, SV("http.response.body.size"), (int64_t)c->bytes_sent);
    if (c->protocol == PROTOCOL_GRPC && c->grpc_status >= 0)
        number(to, SV("rpc.grpc.status_code"), c->grpc_status);
    if (x->resends)
        number(to, SV("http.request.resend_count"), x->resends);
    text(to, SV("network.protocol.version"), version);
    text(to, SV("user_agent.original"), c->user_agent);
    text(to, SV("guid:x-request-id"), c->request_id);
}

static void put_peer(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    bool is_client = c->reporter == REPORTER_SOURCE;
    struct sv peer = is_client ? c->upstream_host : x->downstream_remote_address, host, port;
    uint64_t port_number;
    split_host(peer, &host, &port);
    text(to, SV("network.peer.address"), host);
    if (sv_to_u64(port, &port_number))
        number(to, SV("network.peer.port"), (int64_t)port_number);
    text(to, SV("upstream_cluster.name"), x->upstream_cluster);
    text(to, SV("tls_state"), sv_z(tls_state_name(c->tls)));
    text(to, SV("tls_version"), c->tls_version);
    text(to, SV("tls_cipher"), c->tls_cipher);
    text(to, SV("source_principal"), c->source_principal_seen);
    text(to, SV("destination_principal"), c->destination_principal_seen);
}

static void put_outcome(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    char code[8];
    text(to, SV("component"), SV("proxy"));
    text(to, SV("response_flags"), c->response_flags);
    text(to, SV("response_code_details"), c->response_code_details);
    if (!call_is_error(c))
        return;
    int n = snprintf(code, sizeof(code), "%u", c->response_code);
    text(to, SV("error.type"),
         c->response_code >= 400 ? sv_of(code, (size_t)n)
         : c->response_flags.len ? c->response_flags
                                 : SV("_OTHER"));
    size_t status = pb_open(to, OTLP_SPAN_STATUS);
    if (x->upstream_transport_failure_reason.len)
        pb_put_bytes(to, OTLP_STATUS_MESSAGE, x->upstream_transport_failure_reason);
    pb_put_varint(to, OTLP_STATUS_CODE, STATUS_ERROR);
    pb_close(to, status);
}

void otlp_put_span(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    bool has_parent = span_id_is_set(x->parent_id);
    size_t span = pb_open(to, OTLP_SCOPE_SPANS_SPANS);
    pb_put_bytes(to, OTLP_SPAN_TRACE_ID, sv_of(c->trace_id.b, sizeof(c->trace_id.b)));
    pb_put_bytes(to, OTLP_SPAN_SPAN_ID, sv_of(c->span_id.b, sizeof(c->span_id.b)));
    if (x->trace_state.len)
        pb_put_bytes(to, OTLP_SPAN_TRACE_STATE, x->trace_state);
    if (has_parent)
        pb_put_bytes(to, OTLP_SPAN_PARENT_SPAN_ID, sv_of(x->parent_id.b, sizeof(x->parent_id.b)));
    put_name(to, x);
    pb_put_varint(to, OTLP_SPAN_KIND,
                  c->reporter == REPORTER_SOURCE ? SPAN_KIND_CLIENT : SPAN_KIND_SERVER);
    pb_put_fixed64(to, OTLP_SPAN_START_TIME, (uint64_t)c->start_ns);
    pb_put_fixed64(to, OTLP_SPAN_END_TIME, (uint64_t)(c->start_ns + c->duration_ns));
    put_http(to, x);
    put_peer(to, x);
    put_outcome(to, x);
    otlp_put_authz(to, OTLP_SPAN_ATTRIBUTES, x->authz);
    otlp_put_reply_event(to, x);
    pb_put_fixed32(to, OTLP_SPAN_FLAGS,
                   FLAG_SAMPLED | (has_parent ? FLAG_HAS_REMOTE | FLAG_IS_REMOTE : 0));
    pb_close(to, span);
}
