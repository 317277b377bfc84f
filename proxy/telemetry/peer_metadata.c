/* SPDX-License-Identifier: Apache-2.0
 * peer_metadata.c - Istio's peer metadata: written once at start, told and read once a connection.
 *
 * The value is base64 of a google.protobuf.Struct with a few well-known fields; readers take what
 * they know and skip the rest, so a proxy of Istio and ours understand each other. Everything a
 * peer sends is bounded by PEER_METADATA_MAX_BYTES, text must be UTF-8, and only two levels of
 * nesting are looked at (LABELS is a Struct in a Value), so depth cannot hurt. */
#include "proxy/telemetry/peer_metadata.h"
#include "base/base64.h"
#include "wire/pb.h"

/* google.protobuf.Struct, its map entries, and Value */
enum {
    STRUCT_FIELDS = 1, /* repeated entry */
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    VALUE_STRING = 3,
    VALUE_STRUCT = 5,
};

static void base64_encode(struct buf *to, struct sv bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        struct sv group = sv_sub(bytes, i, 3);
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < group.len ? (uint8_t)group.p[k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_putc(to, k <= group.len ? digits[v >> (18 - 6 * k) & 63] : '=');
    }
}

static bool is_told(struct sv text)
{
    return text.len && !sv_eq(text, IDENTITY_UNKNOWN);
}

static void put_text(struct buf *to, const char *key, struct sv value)
{
    if (!is_told(value))
        return;
    size_t entry = pb_open(to, STRUCT_FIELDS);
    pb_put_bytes(to, ENTRY_KEY, sv_z(key));
    size_t inner = pb_open(to, ENTRY_VALUE);
    pb_put_bytes(to, VALUE_STRING, value);
    pb_close(to, inner);
    pb_close(to, entry);
}

static void put_labels(struct buf *to, const struct peer_self *self)
{
    size_t entry = pb_open(to, STRUCT_FIELDS);
    pb_put_bytes(to, ENTRY_KEY, SV("LABELS"));
    size_t value = pb_open(to, ENTRY_VALUE);
    size_t labels = pb_open(to, VALUE_STRUCT);
    put_text(to, "app", self->app.len ? self->app : self->identity.service);
    put_text(to, "service.istio.io/canonical-name", self->identity.service);
    put_text(to, "service.istio.io/canonical-revision", self->identity.version);
    put_text(to, "version", self->identity.version);
    pb_close(to, labels);
    pb_close(to, value);
    pb_close(to, entry);
}

int peer_metadata_encode(const struct peer_self *self, struct arena *mem, struct sv *ret_metadata,
                         struct sv *ret_id, struct err *err)
{
    AUTO_DONE(buf) raw = { 0 };
    AUTO_DONE(buf) text = { 0 };
    AUTO_DONE(buf) name = { 0 };
    const struct identity *who = &self->identity;
    struct sv pod = self->pod.len ? self->pod : who->workload;
    put_text(&raw, "CLUSTER_ID", who->cluster);
    put_text(&raw, "INSTANCE_IPS", self->ip);
    put_labels(&raw, self);
    put_text(&raw, "NAME", pod);
    put_text(&raw, "NAMESPACE", who->namespace);
    put_text(&raw, "WORKLOAD_NAME", who->workload);
    base64_encode(&text, buf_sv(&raw));
    struct sv metadata = arena_copy(mem, buf_sv(&text));
    buf_printf(&name, "%s~%.*s~%.*s.%.*s~%.*s.svc.%.*s%.*s",
               self->is_gateway ? "router" : "sidecar", SV_ARG(self->ip), SV_ARG(pod),
               SV_ARG(who->namespace), SV_ARG(who->namespace),
               SV_ARG(self->trust_domain.len ? self->trust_domain : SV("cluster.local")),
               SV_ARG(PEER_METADATA_REMEMBERS));
    struct sv id = arena_copy(mem, buf_sv(&name));
    if (raw.failed || text.failed || name.failed || !metadata.p || !id.p)
        return err_set(err, ERR_NOMEM, "peer metadata");
    *ret_metadata = metadata;
    *ret_id = id;
    return 0;
}

/* What the fields say, before it is known which of them wins. */
struct told {
    struct sv cluster, namespace, workload;
    struct sv canonical, app, revision, version;
};

static struct sv *slot_of(struct told *t, struct sv key, bool is_label)
{
    const struct {
        const char *key;
        bool is_label;
        struct sv *slot;
    } known[] = {
        { "CLUSTER_ID", false, &t->cluster },
        { "NAMESPACE", false, &t->namespace },
        { "WORKLOAD_NAME", false, &t->workload },
        { "service.istio.io/canonical-name", true, &t->canonical },
        { "app", true, &t->app },
        { "service.istio.io/canonical-revision", true, &t->revision },
        { "version", true, &t->version },
    };
    for (size_t i = 0; i < NELEMS(known); i++)
        if (known[i].is_label == is_label && sv_eq(sv_z(known[i].key), key))
            return known[i].slot;
    return NULL;
}

/* One entry of a Struct: its key, and its value as text or as a nested Struct's bytes. */
static void read_entry(struct rd *r, struct sv *ret_key, struct sv *ret_text, struct sv *ret_struct)
{
    for (struct pb_tag t; pb_next(r, &t);) {
        if (t.field == ENTRY_KEY) {
            *ret_key = pb_bytes(r, t);
        } else if (t.field == ENTRY_VALUE) {
            const uint8_t *outer = pb_enter(r, t);
            for (struct pb_tag v; pb_next(r, &v);) {
                if (v.field == VALUE_STRING)
                    *ret_text = pb_bytes(r, v);
                else if (v.field == VALUE_STRUCT)
                    *ret_struct = pb_bytes(r, v);
                else
                    pb_skip(r, v);
            }
            pb_leave(r, outer);
        } else {
            pb_skip(r, t);
        }
    }
}

static int read_struct(struct sv bytes, bool is_labels, struct told *told, struct err *err)
{
    struct rd r = rd_of(bytes);
    int rc = 0;
    for (struct pb_tag t; rc == 0 && pb_next(&r, &t);) {
        struct sv key = SV_NONE, text = SV_NONE, nested = SV_NONE;
        if (t.field != STRUCT_FIELDS) {
            pb_skip(&r, t);
            continue;
        }
        const uint8_t *outer = pb_enter(&r, t);
        read_entry(&r, &key, &text, &nested);
        pb_leave(&r, outer);
        struct sv *slot = slot_of(told, key, is_labels);
        if (slot && !sv_is_utf8(text))
            return err_set(err, ERR_MALFORMED, "%.*s is not UTF-8", SV_ARG(sv_sub(key, 0, 40)));
        if (slot)
            *slot = text;
        if (!is_labels && sv_eq(key, SV("LABELS")))
            rc = read_struct(nested, true, told, err);
    }
    return rc < 0 ? rc : rd_finish(&r, err);
}

static struct sv first_of(struct sv a, struct sv b, struct sv c)
{
    return a.len ? a : b.len ? b : c.len ? c : IDENTITY_UNKNOWN;
}

int peer_metadata_decode(struct sv metadata, struct arena *mem, struct identity *ret_identity,
                         struct err *err)
{
    struct told t = { 0 };
    struct sv bytes;
    if (metadata.len > PEER_METADATA_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "peer metadata of %zu bytes", metadata.len);
    if (!base64_decode(mem, metadata, &bytes))
        return base64_is_valid(metadata) ? err_set(err, ERR_NOMEM, "peer metadata")
                                         : err_set(err, ERR_MALFORMED, "not base64");
    int rc = read_struct(bytes, false, &t, err);
    if (rc < 0)
        return rc;
    struct sv latest = t.workload.len ? SV("latest") : SV_NONE;
    *ret_identity = (struct identity){
        .cluster = first_of(t.cluster, SV_NONE, SV_NONE),
        .namespace = first_of(t.namespace, SV_NONE, SV_NONE),
        .workload = first_of(t.workload, SV_NONE, SV_NONE),
        .service = first_of(t.canonical, t.app, t.workload),
        .version = first_of(t.revision, t.version, latest),
        .principal = IDENTITY_UNKNOWN,
    };
    return 0;
}

void peer_cache_done(struct peer_cache *c)
{
    arena_done(&c->mem);
    *c = (struct peer_cache){ 0 };
}

const struct identity *peer_cache_get(struct peer_cache *c, struct sv metadata)
{
    if (!metadata.len || metadata.len > PEER_METADATA_MAX_BYTES)
        return NULL;
    if (!sv_eq(c->metadata, metadata)) {
        arena_reset(&c->mem);
        c->metadata = arena_copy(&c->mem, metadata);
        c->is_known = c->metadata.p &&
                      peer_metadata_decode(c->metadata, &c->mem, &c->identity, NULL) == 0;
        if (!c->metadata.p)
            c->metadata = SV_NONE;
    }
    return c->is_known ? &c->identity : NULL;
}

const struct identity *peer_cache_hear(struct peer_cache *c, struct sv metadata, struct sv id)
{
    if (!metadata.len)
        return c->remembers ? &c->identity : NULL;
    const struct identity *who = peer_cache_get(c, metadata);
    c->remembers = who && sv_ends(id, PEER_METADATA_REMEMBERS);
    return who;
}

struct sv peer_cache_own_id(const struct peer_cache *c, struct sv id)
{
    return c->remembers ? id : sv_sub(id, 0, id.len - PEER_METADATA_REMEMBERS.len);
}
