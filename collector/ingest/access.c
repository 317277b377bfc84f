/* access.c - from an access record's attributes to a call.
 *
 * access_attrs.def says which names exist, fields[] below where each one goes. A sender writes them
 * in the order of that list, so the search for the next name begins behind the last one found and
 * nearly always ends near there. Attributes of the scope are about every record in it (OTLP's rule),
 * and are read once; a record's own come on top of them. Senders that write every value as text (Envoy does) are understood:
 * an INT may be a string of digits. */
#include "ingest/access.h"
#include "ingest/envoy_access.h"
#include "tallies.h"
#include <stddef.h>

#define EVENT_ACCESS SV("tulle.access")
#define EVENT_PART   SV("tulle.access.part")
#define EVENT_NAME   SV("event.name")

enum access_attr {
/* clang-format off */
#define ACCESS(id, key, type) ACCESS_##id,
#include "wire/access_attrs.def"
#undef ACCESS
    ACCESS_ATTRS_LEN
    /* clang-format on */
};

enum field_type { FIELD_STR, FIELD_INT };

static const struct access_key {
    struct sv name;
    enum field_type type;
} keys[] = {
/* clang-format off */
#define ACCESS(id, key, type) { { key, sizeof(key) - 1 }, FIELD_##type },
#include "wire/access_attrs.def"
#undef ACCESS
    /* clang-format on */
};

enum target { TO_SV, TO_I64, TO_U64, TO_U16, TO_I16, TO_REPORTER, TO_PROTOCOL, TO_TLS, TO_PART };

static const struct access_field {
    enum target to;
    size_t offset;
} fields[] = {
#define FIELD(id, to, member) [ACCESS_##id] = { to, offsetof(struct call, member) }
    FIELD(REPORTER, TO_REPORTER, reporter),
    FIELD(PROTOCOL, TO_PROTOCOL, protocol),
    FIELD(TLS_STATE, TO_TLS, tls),
    FIELD(TLS_VERSION, TO_SV, tls_version),
    FIELD(TLS_CIPHER, TO_SV, tls_cipher),
    FIELD(PEER_CERT_EXPIRY, TO_I64, peer_cert_expiry_ns),
    FIELD(METHOD, TO_SV, method),
    FIELD(PATH, TO_SV, path),
    FIELD(AUTHORITY, TO_SV, authority),
    FIELD(ROUTE_NAME, TO_SV, route_name),
    FIELD(REQUEST_ID, TO_SV, request_id),
    FIELD(USER_AGENT, TO_SV, user_agent),
    FIELD(RESPONSE_CODE, TO_U16, response_code),
    FIELD(GRPC_STATUS, TO_I16, grpc_status),
    FIELD(RESPONSE_FLAGS, TO_SV, response_flags),
    FIELD(RESPONSE_DETAILS, TO_SV, response_code_details),
    FIELD(DURATION, TO_I64, duration_ns),
    FIELD(BYTES_RECEIVED, TO_U64, bytes_received),
    FIELD(BYTES_SENT, TO_U64, bytes_sent),
    FIELD(UPSTREAM_HOST, TO_SV, upstream_host),
    FIELD(DESTINATION_SERVICE, TO_SV, destination_service),
    FIELD(SOURCE_CLUSTER, TO_SV, source.cluster),
    FIELD(SOURCE_NAMESPACE, TO_SV, source.namespace),
    FIELD(SOURCE_WORKLOAD, TO_SV, source.workload),
    FIELD(SOURCE_SERVICE, TO_SV, source.service),
    FIELD(SOURCE_VERSION, TO_SV, source.version),
    FIELD(SOURCE_PRINCIPAL, TO_SV, source_principal_seen),
    FIELD(DESTINATION_CLUSTER, TO_SV, destination.cluster),
    FIELD(DESTINATION_NAMESPACE, TO_SV, destination.namespace),
    FIELD(DESTINATION_WORKLOAD, TO_SV, destination.workload),
    FIELD(DESTINATION_CANONICAL_SERVICE, TO_SV, destination.service),
    FIELD(DESTINATION_VERSION, TO_SV, destination.version),
    FIELD(DESTINATION_PRINCIPAL, TO_SV, destination_principal_seen),
    FIELD(PART, TO_PART, part),
    FIELD(RECEIVED_BEFORE, TO_U64, bytes_received_before),
    FIELD(SENT_BEFORE, TO_U64, bytes_sent_before),
#undef FIELD
};
_Static_assert(NELEMS(fields) == ACCESS_ATTRS_LEN,
               "each attribute of access_attrs.def has a field");

/* The row of that name, looked for from *at on; NULL when there is none. */
static const struct access_key *key_find(struct sv name, size_t *at)
{
    for (size_t i = 0; i < NELEMS(keys); i++) {
        const struct access_key *k = &keys[(*at + i) % NELEMS(keys)];
        if (sv_eq(k->name, name)) {
            *at = (size_t)(k - keys) + 1;
            return k;
        }
    }
    return NULL;
}

static bool to_integer(const struct value *v, int64_t *ret)
{
    if (v->type == VALUE_STR)
        return sv_to_i64(v->str, ret);
    *ret = v->integer;
    return v->type == VALUE_INT;
}

static bool set_integer(void *to, enum target target, const struct value *v)
{
    int64_t n;
    if (!to_integer(v, &n))
        return false;
    switch (target) {
    case TO_I64: *(int64_t *)to = n; return n >= 0; /* durations and times */
    case TO_U64: *(uint64_t *)to = (uint64_t)n; return n >= 0;
    case TO_U16: *(uint16_t *)to = (uint16_t)n; return n >= 0 && n <= 999; /* HTTP's own bound */
    default: *(int16_t *)to = (int16_t)n; return n >= INT16_MIN && n <= INT16_MAX;
    }
}

static bool set_text(void *to, enum target target, const struct value *v)
{
    if (v->type != VALUE_STR)
        return false;
    switch (target) {
    case TO_REPORTER: return reporter_from_sv(v->str, to);
    case TO_PROTOCOL: return protocol_from_sv(v->str, to);
    case TO_TLS: return tls_state_from_sv(v->str, to);
    case TO_PART: return call_part_from_sv(v->str, to);
    default: *(struct sv *)to = v->str; return true;
    }
}

/* The values of that list; bad: the first that is none. at: of the record, in the body. */
static void fill(struct call *c, const struct attr *list, size_t n, size_t at, struct err *bad)
{
    size_t next = 0;
    for (size_t i = 0; i < n; i++) {
        const struct access_key *k = key_find(list[i].key, &next);
        if (!k)
            continue;
        const struct access_field *f = &fields[k - keys];
        void *to = (char *)c + f->offset;
        bool is_set = k->type == FIELD_INT ? set_integer(to, f->to, &list[i].value)
                                           : set_text(to, f->to, &list[i].value);
        if (!is_set && !bad->code)
            err_at(bad, ERR_MALFORMED, at, "access record: no valid value in %.*s",
                   SV_ARG(k->name));
    }
}

static void fill_from_scope(struct gather *g, const struct log_record *rec, struct call *c,
                            struct err *bad)
{
    struct call_scope *s = &g->call_scope;
    if (s->of != g->scope) {
        *s = (struct call_scope){ .of = g->scope };
        s->call.reporter = REPORTERS_LEN;
        s->call.grpc_status = -1;
        fill(&s->call, g->scope->attrs.list, g->scope->attrs.len, rec->at, &s->bad);
    }
    *c = s->call;
    *bad = s->bad;
    bad->at = rec->at;
}

static void or_unknown(struct identity *id, struct sv principal_seen)
{
    struct sv *const parts[] = { &id->cluster, &id->namespace, &id->workload, &id->service,
                                 &id->version };
    for (size_t i = 0; i < NELEMS(parts); i++)
        if (parts[i]->len == 0)
            *parts[i] = IDENTITY_UNKNOWN;
    id->principal = principal_seen.len ? principal_seen : IDENTITY_UNKNOWN;
}

void access_fill_unknown(struct call *c)
{
    or_unknown(&c->source, c->source_principal_seen);
    or_unknown(&c->destination, c->destination_principal_seen);
}

void access_name_both_ends(struct call *c, const struct attr *list, size_t n)
{
    size_t next = 0;
    for (size_t i = 0; i < n; i++) {
        const struct access_key *k = key_find(list[i].key, &next);
        const struct access_field *f = k ? &fields[k - keys] : NULL;
        const struct value *v = &list[i].value;
        bool is_name = f && f->to == TO_SV &&
                       (f->offset - offsetof(struct call, source) < sizeof(c->source) ||
                        f->offset - offsetof(struct call, destination) < sizeof(c->destination));
        if (is_name && v->type == VALUE_STR && v->str.len && !sv_eq(v->str, SV("-")))
            *(struct sv *)(void *)((char *)c + f->offset) = v->str;
        else if (f && f->to == TO_I16 && v->type != VALUE_EMPTY &&
                 set_integer(&c->grpc_status, TO_I16, v))
            c->protocol = PROTOCOL_GRPC;
    }
}

/* The end of a connection says the bytes of all of it, for readers that know no parts. */
static void take_off_before(struct gather *g, const struct log_record *rec, struct call *c)
{
    if (c->part == CALL_WHOLE && sv_eq(rec->event_name, EVENT_PART))
        gather_bad(g, ERR_MALFORMED, rec->at, "access record: a part without connection_part");
    if (c->part != CALL_END)
        return;
    if (c->bytes_received < c->bytes_received_before || c->bytes_sent < c->bytes_sent_before) {
        gather_bad(g, ERR_MALFORMED, rec->at,
                   "access record: more bytes in parts before than in the whole");
        return;
    }
    c->bytes_received -= c->bytes_received_before;
    c->bytes_sent -= c->bytes_sent_before;
}

static int keep(struct gather *g, const struct log_record *rec, const struct attr *list, size_t n)
{
    struct call *c;
    int rc = gather_call(g, &c);
    if (rc < 0)
        return rc;
    struct err bad;
    fill_from_scope(g, rec, c, &bad);
    c->start_ns = rec->time_ns ? rec->time_ns : rec->observed_ns;
    c->trace_id = rec->trace_id;
    c->span_id = rec->span_id;
    fill(c, list, n, rec->at, &bad);
    if (bad.code)
        gather_bad(g, bad.code, rec->at, "%s", bad.why);
    if (c->reporter != REPORTER_SOURCE && c->reporter != REPORTER_DESTINATION)
        gather_bad(g, ERR_MALFORMED, rec->at,
                   "access record: reporter is neither source nor destination");
    take_off_before(g, rec, c);
    access_fill_unknown(c);
    if (c->start_ns <= 0)
        gather_bad(g, ERR_MALFORMED, rec->at, "access record: the time is missing");
    if (!gather_record_ends(g))
        g->b->calls_len--;
    return 0;
}

int access_record_ends(struct gather *g, struct log_record *rec)
{
    const struct attr *list = (const struct attr *)(const void *)g->attrs.mem;
    size_t n = (g->attrs.len - rec->attrs_mark) / sizeof(*list);
    if (n)
        list += rec->attrs_mark / sizeof(*list);
    for (size_t i = 0; i < n && rec->event_name.len == 0; i++)
        if (sv_eq(list[i].key, EVENT_NAME) && list[i].value.type == VALUE_STR)
            rec->event_name = list[i].value.str;
    int rc = 0;
    bool is_access = sv_eq(rec->event_name, EVENT_ACCESS) || sv_eq(rec->event_name, EVENT_PART);
    if (is_access)
        rc = keep(g, rec, list, n);
    else
        rc = envoy_record(g, rec, list, n, &is_access);
    if (rc == 0 && !is_access && gather_record_ends(g))
        tally(TALLY_LOGS_IGNORED, 1);
    g->attrs.len = rec->attrs_mark;
    return rc;
}
