/* SPDX-License-Identifier: Apache-2.0
 * otlp_out.c - attributes and the resource.
 *
 * An attribute is two nested messages whose lengths are known beforehand, so it is written forward,
 * without the length patching that pb_open() does, and into memory reserved once; a request has some
 * sixty of them. */
#include "proxy/telemetry/otlp_out.h"
#include "base/varint.h"
#include "tulle_version.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

static size_t varint_len(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static uint8_t *put_raw(uint8_t *at, struct sv bytes)
{
    memcpy(at, bytes.p, bytes.len);
    return at + bytes.len;
}

#define HEAD_BYTES_MAX 48 /* tags and lengths around key and value: at most eight varints */

/* KeyValue and AnyValue around a value field of value_len bytes, which the caller
 * writes where this points to and then commits; NULL when memory is out. */
static uint8_t *put_head(struct buf *to, uint32_t field, struct sv key, size_t value_len)
{
    size_t pair_len = 1 + varint_len(key.len) + key.len + 1 + varint_len(value_len) + value_len;
    uint8_t *at = (uint8_t *)buf_reserve(to, HEAD_BYTES_MAX + pair_len);
    if (!at)
        return NULL;
    at += varint_write(at, (uint64_t)field << 3 | PB_BYTES);
    at += varint_write(at, pair_len);
    *at++ = OTLP_KEY_VALUE_KEY << 3 | PB_BYTES;
    at += varint_write(at, key.len);
    at = put_raw(at, key);
    *at++ = OTLP_KEY_VALUE_VALUE << 3 | PB_BYTES;
    return at + varint_write(at, value_len);
}

/* What was written since head's reservation began. */
static void commit(struct buf *to, const uint8_t *end)
{
    buf_commit(to, (size_t)((const char *)end - (to->mem + to->from + to->len)));
}

void otlp_put_text(struct buf *to, uint32_t field, struct sv key, struct sv value)
{
    if (!value.len || sv_eq(value, IDENTITY_UNKNOWN))
        return;
    uint8_t *at = put_head(to, field, key, 1 + varint_len(value.len) + value.len);
    if (!at)
        return;
    *at++ = OTLP_VALUE_STRING << 3 | PB_BYTES;
    at += varint_write(at, value.len);
    commit(to, put_raw(at, value));
}

void otlp_put_int(struct buf *to, uint32_t field, struct sv key, int64_t value)
{
    uint8_t *at = put_head(to, field, key, 1 + varint_len((uint64_t)value));
    if (!at)
        return;
    *at++ = OTLP_VALUE_INT << 3 | PB_VARINT;
    commit(to, at + varint_write(at, (uint64_t)value));
}

void otlp_put_resource(struct buf *to, const struct otlp_resource *r)
{
    const struct identity *self = &r->self;
    const struct {
        const char *key;
        struct sv value;
    } attrs[] = {
        { "service.name", self->service },
        { "service.namespace", self->namespace },
        { "service.version", self->version },
        { "k8s.cluster.name", self->cluster },
        { "k8s.namespace.name", self->namespace },
        { "k8s.deployment.name", self->workload },
        { "k8s.pod.name", r->pod },
        { "k8s.serviceaccount.name", r->service_account },
        { "telemetry.sdk.language", SV("c") },
        { "telemetry.sdk.name", SV("tulle") },
        { "telemetry.sdk.version", SV(TULLE_VERSION) },
    };
    for (size_t i = 0; i < NELEMS(attrs); i++)
        otlp_put_text(to, OTLP_RESOURCE_ATTRIBUTES, sv_z(attrs[i].key), attrs[i].value);
}
