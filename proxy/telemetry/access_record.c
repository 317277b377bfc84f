/* SPDX-License-Identifier: Apache-2.0
 * access_record.c - an exchange as OTLP LogRecord: what edges are counted from.
 *
 * Keys come from access_attrs.def, which the collector reads with too. What is the same for the
 * requests of an edge is an attribute of the scope, see open_batch.c. */
#include "proxy/telemetry/otlp_attr.h"
#include "tulle_version.h"
#include <stddef.h>

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

/* Text that the scope says, the telling ones first. */
static const struct shared_text {
    enum access_attr attr;
    size_t offset;
} shared_texts[] = {
#define SHARED(id, member)                                                                         \
    {                                                                                              \
        ACCESS_##id, offsetof(struct call, member)                                                 \
    }
    SHARED(ROUTE_NAME, route_name),
    SHARED(DESTINATION_WORKLOAD, destination.workload),
    SHARED(DESTINATION_VERSION, destination.version),
    SHARED(SOURCE_WORKLOAD, source.workload),
    SHARED(SOURCE_VERSION, source.version),
    SHARED(AUTHORITY, authority),
    SHARED(RESPONSE_DETAILS, response_code_details),
    SHARED(TLS_VERSION, tls_version),
    SHARED(TLS_CIPHER, tls_cipher),
    SHARED(DESTINATION_SERVICE, destination_service),
    SHARED(SOURCE_CLUSTER, source.cluster),
    SHARED(SOURCE_NAMESPACE, source.namespace),
    SHARED(SOURCE_SERVICE, source.service),
    SHARED(SOURCE_PRINCIPAL, source_principal_seen),
    SHARED(DESTINATION_CLUSTER, destination.cluster),
    SHARED(DESTINATION_NAMESPACE, destination.namespace),
    SHARED(DESTINATION_CANONICAL_SERVICE, destination.service),
    SHARED(DESTINATION_PRINCIPAL, destination_principal_seen),
#undef SHARED
};

static struct sv *text_at(struct call *c, size_t offset)
{
    return (struct sv *)(void *)((char *)c + offset);
}

static struct sv text_of(const struct call *c, size_t offset)
{
    return *(const struct sv *)(const void *)((const char *)c + offset);
}

bool otlp_same_scope(const struct call *a, const struct call *b)
{
    if (a->reporter != b->reporter || a->protocol != b->protocol || a->tls != b->tls ||
        a->peer_cert_expiry_ns != b->peer_cert_expiry_ns)
        return false;
    for (size_t i = 0; i < NELEMS(shared_texts); i++)
        if (!sv_same(text_of(a, shared_texts[i].offset), text_of(b, shared_texts[i].offset)))
            return false;
    return true;
}

int otlp_copy_shared(struct arena *mem, const struct call *c, struct call *ret)
{
    *ret = (struct call){ .reporter = c->reporter,
                          .protocol = c->protocol,
                          .tls = c->tls,
                          .peer_cert_expiry_ns = c->peer_cert_expiry_ns };
    for (size_t i = 0; i < NELEMS(shared_texts); i++) {
        struct sv copy = arena_copy(mem, text_of(c, shared_texts[i].offset));
        if (!copy.p)
            return ERR_NOMEM;
        *text_at(ret, shared_texts[i].offset) = copy;
    }
    return 0;
}

void otlp_put_scope(struct buf *to, const struct call *shared)
{
    size_t scope = pb_open(to, OTLP_SCOPE_LOGS_SCOPE);
    pb_put_bytes(to, OTLP_SCOPE_NAME, SV("tulle-proxy"));
    pb_put_bytes(to, OTLP_SCOPE_VERSION, SV(TULLE_VERSION));
    if (shared) {
        const struct sv names[] = { sv_z(reporter_name(shared->reporter)),
                                    sv_z(protocol_name(shared->protocol)),
                                    sv_z(tls_state_name(shared->tls)) };
        static const enum access_attr attrs[] = { ACCESS_REPORTER, ACCESS_PROTOCOL,
                                                  ACCESS_TLS_STATE };
        for (size_t i = 0; i < NELEMS(names); i++)
            otlp_put_text(to, OTLP_SCOPE_ATTRIBUTES, keys[attrs[i]], names[i]);
        if (shared->peer_cert_expiry_ns)
            otlp_put_int(to, OTLP_SCOPE_ATTRIBUTES, keys[ACCESS_PEER_CERT_EXPIRY],
                         shared->peer_cert_expiry_ns);
        for (size_t i = 0; i < NELEMS(shared_texts); i++)
            otlp_put_text(to, OTLP_SCOPE_ATTRIBUTES, keys[shared_texts[i].attr],
                          text_of(shared, shared_texts[i].offset));
    }
    pb_close(to, scope);
}

OTLP_INLINE void text(struct buf *to, enum access_attr attr, struct sv value)
{
    otlp_attr_text(to, OTLP_LOG_ATTRIBUTES, keys[attr], value);
}

OTLP_INLINE void number(struct buf *to, enum access_attr attr, int64_t value)
{
    otlp_attr_int(to, OTLP_LOG_ATTRIBUTES, keys[attr], value);
}

static void put_own(struct buf *to, const struct call *c)
{
    text(to, ACCESS_METHOD, c->method);
    text(to, ACCESS_PATH, c->path);
    text(to, ACCESS_REQUEST_ID, c->request_id);
    text(to, ACCESS_USER_AGENT, c->user_agent);
    number(to, ACCESS_RESPONSE_CODE, c->response_code);
    if (c->grpc_status >= 0 && c->protocol == PROTOCOL_GRPC)
        number(to, ACCESS_GRPC_STATUS, c->grpc_status);
    text(to, ACCESS_RESPONSE_FLAGS, c->response_flags);
    number(to, ACCESS_DURATION, c->duration_ns);
    number(to, ACCESS_BYTES_RECEIVED, (int64_t)c->bytes_received);
    number(to, ACCESS_BYTES_SENT, (int64_t)c->bytes_sent);
    text(to, ACCESS_UPSTREAM_HOST, c->upstream_host);
    if (c->part == CALL_WHOLE)
        return;
    text(to, ACCESS_PART, sv_z(call_part_name(c->part)));
    if (c->part == CALL_END) {
        number(to, ACCESS_RECEIVED_BEFORE, (int64_t)c->bytes_received_before);
        number(to, ACCESS_SENT_BEFORE, (int64_t)c->bytes_sent_before);
    }
}

void otlp_put_access_record(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    size_t record = pb_open(to, OTLP_SCOPE_LOGS_LOG_RECORDS);
    pb_put_fixed64(to, OTLP_LOG_TIME, (uint64_t)c->start_ns);
    pb_put_fixed64(to, OTLP_LOG_OBSERVED_TIME, (uint64_t)(c->start_ns + c->duration_ns));
    pb_put_varint(to, OTLP_LOG_SEVERITY_NUMBER, call_is_error(c) ? SEVERITY_ERROR : SEVERITY_INFO);
    pb_put_bytes(to, OTLP_LOG_EVENT_NAME,
                 call_has_end(c) ? SV("tulle.access") : SV("tulle.access.part"));
    pb_put_fixed32(to, OTLP_LOG_FLAGS, x->is_sampled);
    if (trace_id_is_set(c->trace_id))
        pb_put_bytes(to, OTLP_LOG_TRACE_ID, sv_of(c->trace_id.b, sizeof(c->trace_id.b)));
    if (span_id_is_set(c->span_id))
        pb_put_bytes(to, OTLP_LOG_SPAN_ID, sv_of(c->span_id.b, sizeof(c->span_id.b)));
    put_own(to, c);
    otlp_put_authz(to, OTLP_LOG_ATTRIBUTES, x->authz);
    otlp_put_reason(to, x);
    pb_close(to, record);
}
