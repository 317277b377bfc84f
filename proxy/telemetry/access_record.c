/* SPDX-License-Identifier: Apache-2.0
 * access_record.c - an exchange as OTLP LogRecord: what edges are counted from.
 *
 * Keys come from access_attrs.def, which the collector reads with too. */
#include "proxy/telemetry/otlp_out.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

enum { SEVERITY_INFO = 9, SEVERITY_ERROR = 17 };

enum access_attr {
#define ACCESS(id, key, type) ACCESS_##id,
#include "wire/access_attrs.def"
#undef ACCESS
    ACCESS_ATTRS_LEN
};
static const struct sv keys[ACCESS_ATTRS_LEN] = {
#define ACCESS(id, key, type) [ACCESS_##id] = { (key), sizeof(key) - 1 },
#include "wire/access_attrs.def"
#undef ACCESS
};

static void text(struct buf *to, enum access_attr attr, struct sv value)
{
    otlp_put_text(to, OTLP_LOG_ATTRIBUTES, keys[attr], value);
}

static void number(struct buf *to, enum access_attr attr, int64_t value)
{
    otlp_put_int(to, OTLP_LOG_ATTRIBUTES, keys[attr], value);
}

static void put_what(struct buf *to, const struct call *c)
{
    text(to, ACCESS_REPORTER, sv_z(reporter_name(c->reporter)));
    text(to, ACCESS_PROTOCOL, sv_z(protocol_name(c->protocol)));
    text(to, ACCESS_TLS_STATE, sv_z(tls_state_name(c->tls)));
    text(to, ACCESS_TLS_VERSION, c->tls_version);
    text(to, ACCESS_TLS_CIPHER, c->tls_cipher);
    if (c->peer_cert_expiry_ns)
        number(to, ACCESS_PEER_CERT_EXPIRY, c->peer_cert_expiry_ns);
    text(to, ACCESS_METHOD, c->method);
    text(to, ACCESS_PATH, c->path);
    text(to, ACCESS_AUTHORITY, c->authority);
    text(to, ACCESS_ROUTE_NAME, c->route_name);
    text(to, ACCESS_REQUEST_ID, c->request_id);
    text(to, ACCESS_USER_AGENT, c->user_agent);
    number(to, ACCESS_RESPONSE_CODE, c->response_code);
    if (c->grpc_status >= 0 && c->protocol == PROTOCOL_GRPC)
        number(to, ACCESS_GRPC_STATUS, c->grpc_status);
    text(to, ACCESS_RESPONSE_FLAGS, c->response_flags);
    text(to, ACCESS_RESPONSE_DETAILS, c->response_code_details);
    number(to, ACCESS_DURATION, c->duration_ns);
    number(to, ACCESS_BYTES_RECEIVED, (int64_t)c->bytes_received);
    number(to, ACCESS_BYTES_SENT, (int64_t)c->bytes_sent);
    text(to, ACCESS_UPSTREAM_HOST, c->upstream_host);
    text(to, ACCESS_DESTINATION_SERVICE, c->destination_service);
}

static void put_who(struct buf *to, const struct call *c)
{
    const struct identity *from = &c->source, *at = &c->destination;
    text(to, ACCESS_SOURCE_CLUSTER, from->cluster);
    text(to, ACCESS_SOURCE_NAMESPACE, from->namespace);
    text(to, ACCESS_SOURCE_WORKLOAD, from->workload);
    text(to, ACCESS_SOURCE_SERVICE, from->service);
    text(to, ACCESS_SOURCE_VERSION, from->version);
    text(to, ACCESS_SOURCE_PRINCIPAL, c->source_principal_seen);
    text(to, ACCESS_DESTINATION_CLUSTER, at->cluster);
    text(to, ACCESS_DESTINATION_NAMESPACE, at->namespace);
    text(to, ACCESS_DESTINATION_WORKLOAD, at->workload);
    text(to, ACCESS_DESTINATION_CANONICAL_SERVICE, at->service);
    text(to, ACCESS_DESTINATION_VERSION, at->version);
    text(to, ACCESS_DESTINATION_PRINCIPAL, c->destination_principal_seen);
}

void otlp_put_access_record(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    size_t record = pb_open(to, OTLP_SCOPE_LOGS_LOG_RECORDS);
    pb_put_fixed64(to, OTLP_LOG_TIME, (uint64_t)c->start_ns);
    pb_put_fixed64(to, OTLP_LOG_OBSERVED_TIME, (uint64_t)(c->start_ns + c->duration_ns));
    pb_put_varint(to, OTLP_LOG_SEVERITY_NUMBER, call_is_error(c) ? SEVERITY_ERROR : SEVERITY_INFO);
    pb_put_bytes(to, OTLP_LOG_EVENT_NAME, SV("tulle.access"));
    pb_put_fixed32(to, OTLP_LOG_FLAGS, x->is_sampled);
    if (trace_id_is_set(c->trace_id))
        pb_put_bytes(to, OTLP_LOG_TRACE_ID, sv_of(c->trace_id.b, sizeof(c->trace_id.b)));
    if (span_id_is_set(c->span_id))
        pb_put_bytes(to, OTLP_LOG_SPAN_ID, sv_of(c->span_id.b, sizeof(c->span_id.b)));
    put_what(to, c);
    put_who(to, c);
    otlp_put_authz(to, OTLP_LOG_ATTRIBUTES, x->authz);
    pb_close(to, record);
}
