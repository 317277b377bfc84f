/* ztunnel_line.c - "connection complete src.workload=... dst.workload=... direction=...".
 *
 * ztunnel proxies a node's connections and knows both ends of each from Istio's own registry, so its
 * line names both workloads; they are pods, of which the workload is the name without the generated
 * parts. It prints the identities only when both ends have proven theirs in mutual TLS; a line without
 * them may be of a connection that stayed on the node, and says nothing of protection. A line is
 * written when the connection has ended, so it began by its duration earlier. Bytes are counted as the
 * workload on this node sees them: what the calling one sent is the request. */
#include "ingest/ztunnel_line.h"
#include "base/clock.h"
#include "base/json_in.h"
#include "ingest/access.h"
#include "normalize/identity.h"
#include "normalize/normalize.h"

enum { JSON_DEPTH_MAX = 16 };

static const struct sv names[ZTUNNEL_FIELDS_LEN] = {
    { "time", 4 },           { "message", 7 },
    { "direction", 9 },      { "src.addr", 8 },
    { "src.workload", 12 },  { "src.namespace", 13 },
    { "src.cluster", 11 },   { "src.identity", 12 },
    { "dst.addr", 8 },       { "dst.hbone_addr", 14 },
    { "dst.service", 11 },   { "dst.workload", 12 },
    { "dst.namespace", 13 }, { "dst.cluster", 11 },
    { "dst.identity", 12 },  { "bytes_sent", 10 },
    { "bytes_recv", 10 },    { "duration", 8 },
    { "error", 5 },
};

static size_t which(struct sv name)
{
    size_t f = 0;
    while (f < ZTUNNEL_FIELDS_LEN && !sv_eq(names[f], name))
        f++;
    return f;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A value in quotes, with its escapes as they are, or up to the next blank. */
static struct sv take_value(struct sv *rest)
{
    size_t n = 0;
    bool is_quoted = rest->len && rest->p[0] == '"';
    if (is_quoted)
        *rest = sv_from(*rest, 1);
    while (n < rest->len && (is_quoted ? rest->p[n] != '"' : !is_blank(rest->p[n])))
        n += is_quoted && rest->p[n] == '\\' && n + 1 < rest->len ? 2 : 1;
    struct sv value = sv_sub(*rest, 0, n);
    *rest = sv_from(*rest, MIN(n + is_quoted, rest->len));
    return value;
}

/* "key=value key="value" ..."; words without '=' are passed over. */
static void take_pairs(struct sv rest, struct ztunnel_line *l)
{
    while (rest.len) {
        size_t n = 0;
        while (n < rest.len && !is_blank(rest.p[n]) && rest.p[n] != '=')
            n++;
        struct sv name = sv_sub(rest, 0, n);
        bool has_value = n < rest.len && rest.p[n] == '=';
        rest = sv_from(rest, MIN(n + 1, rest.len));
        if (!has_value)
            continue;
        struct sv value = take_value(&rest);
        size_t f = which(name);
        if (f != ZTUNNEL_FIELDS_LEN)
            l->field[f] = value;
    }
}

static bool read_text(struct sv text, struct ztunnel_line *l)
{
    static const struct sv messages[] = { { "connection complete", 19 },
                                          { "connection failed", 17 } };
    size_t end = 0;
    while (end < text.len && !is_blank(text.p[end]))
        end++;
    l->field[ZTUNNEL_TIME] = sv_sub(text, 0, end);
    for (size_t i = 0; i < NELEMS(messages); i++) {
        const char *at = memmem(text.p, text.len, messages[i].p, messages[i].len);
        struct sv before = at ? sv_trim(sv_of(text.p, (size_t)(at - text.p))) : SV_NONE;
        if (!sv_ends(before, SV("access")))
            continue;
        l->field[ZTUNNEL_MESSAGE] = messages[i];
        take_pairs(sv_from(text, (size_t)(at - text.p) + messages[i].len), l);
        return true;
    }
    return false;
}

static bool read_json(struct sv text, struct arena *mem, struct ztunnel_line *l, struct err *err)
{
    struct json_in j = json_in_of(text, mem, JSON_DEPTH_MAX);
    struct err broken = { 0 };
    if (jin_kind(&j) != JSON_OBJECT)
        return false;
    jin_object(&j);
    for (struct sv key; jin_key(&j, &key);) {
        size_t f = which(key);
        enum json_kind kind = jin_kind(&j);
        if (f == ZTUNNEL_FIELDS_LEN || (kind != JSON_STRING && kind != JSON_NUMBER))
            jin_skip(&j);
        else
            l->field[f] = kind == JSON_NUMBER ? jin_number(&j) : jin_str(&j);
    }
    if (jin_finish(&j, &broken) < 0) {
        if (broken.code == ERR_NOMEM)
            err_set(err, ERR_NOMEM, "%s", broken.why);
        return false;
    }
    return sv_starts(l->field[ZTUNNEL_MESSAGE], SV("connection "));
}

bool ztunnel_line_read(struct sv text, struct arena *mem, struct ztunnel_line *ret_line,
                       struct err *err)
{
    struct ztunnel_line l = { 0 };
    text = sv_trim(text);
    if (!text.len || !(text.p[0] == '{' ? read_json(text, mem, &l, err) : read_text(text, &l)))
        return false;
    if (!l.field[ZTUNNEL_DIRECTION].len || !l.field[ZTUNNEL_SRC_ADDR].len)
        return false;
    *ret_line = l;
    return true;
}

static void bad_value(struct gather *g, const struct log_record *rec, const struct ztunnel_line *l,
                      enum ztunnel_field f, const char *want)
{
    struct sv text = l->field[f];
    gather_bad(g, ERR_MALFORMED, rec->at, "line of ztunnel: %.*s is '%.*s', want %s",
               SV_ARG(names[f]), (int)MIN(text.len, (size_t)24), text.p ? text.p : "", want);
}

static uint64_t number_of(struct gather *g, const struct log_record *rec,
                          const struct ztunnel_line *l, enum ztunnel_field f)
{
    uint64_t v = 0;
    if (l->field[f].len && !sv_to_u64(l->field[f], &v))
        bad_value(g, rec, l, f, "a number");
    return v;
}

/* "12ms" is all that ztunnel writes. */
static int64_t duration_of(struct gather *g, const struct log_record *rec,
                           const struct ztunnel_line *l)
{
    uint64_t ms = 0;
    struct sv text = l->field[ZTUNNEL_DURATION];
    if (!text.len)
        return 0;
    if (!sv_ends(text, SV("ms")) || !sv_to_u64(sv_sub(text, 0, text.len - 2), &ms) ||
        ms > INT64_MAX / (uint64_t)NS_PER_MS) {
        bad_value(g, rec, l, ZTUNNEL_DURATION, "milliseconds as 12ms");
        return 0;
    }
    return (int64_t)ms * NS_PER_MS;
}

static struct identity end_of(const struct ztunnel_line *l, enum ztunnel_field workload,
                              enum ztunnel_field namespace, enum ztunnel_field cluster)
{
    struct identity who = {
        .workload = workload_from_pod(l->field[workload]),
        .namespace = l->field[namespace],
        .cluster = l->field[cluster],
    };
    identity_complete(&who);
    return who;
}

static void read_ends(const struct ztunnel_line *l, struct call *c)
{
    struct sv namespace, host = l->field[ZTUNNEL_DST_SERVICE];
    c->source = end_of(l, ZTUNNEL_SRC_WORKLOAD, ZTUNNEL_SRC_NAMESPACE, ZTUNNEL_SRC_CLUSTER);
    c->destination = end_of(l, ZTUNNEL_DST_WORKLOAD, ZTUNNEL_DST_NAMESPACE, ZTUNNEL_DST_CLUSTER);
    c->destination_service = host;
    c->upstream_host = l->field[ZTUNNEL_DST_HBONE_ADDR].len ? l->field[ZTUNNEL_DST_HBONE_ADDR]
                                                            : l->field[ZTUNNEL_DST_ADDR];
    if (host.len && l->field[ZTUNNEL_DST_WORKLOAD].len)
        c->destination.service = service_of_host(host, &namespace);
    else
        identity_of_host(&c->destination, host);
}

static void read_tls(const struct ztunnel_line *l, struct call *c)
{
    struct value source = { .type = VALUE_STR, .str = l->field[ZTUNNEL_SRC_IDENTITY] };
    struct value destination = { .type = VALUE_STR, .str = l->field[ZTUNNEL_DST_IDENTITY] };
    struct roles r = { .played = ROLE_BIT(ROLE_ZTUNNEL_SOURCE) };
    r.value[ROLE_ZTUNNEL_SOURCE] = &source;
    r.value[ROLE_ZTUNNEL_DESTINATION] = &destination;
    struct tls_evidence e = tls_evidence_of(&r, c->reporter == REPORTER_SOURCE);
    c->tls = e.state;
    c->tls_basis = e.basis;
    c->source_principal_seen = e.source_principal;
    c->destination_principal_seen = e.destination_principal;
}

void ztunnel_call(struct gather *g, const struct log_record *rec, const struct ztunnel_line *l,
                  struct call *c)
{
    int64_t end_ns = rec->time_ns;
    bool is_calling = sv_eq(l->field[ZTUNNEL_DIRECTION], SV("outbound"));
    if (!is_calling && !sv_eq(l->field[ZTUNNEL_DIRECTION], SV("inbound")))
        bad_value(g, rec, l, ZTUNNEL_DIRECTION, "inbound or outbound");
    if (end_ns <= 0 && !clock_from_rfc3339(l->field[ZTUNNEL_TIME], &end_ns))
        bad_value(g, rec, l, ZTUNNEL_TIME, "a time as 2026-01-02T03:04:05.678901Z");
    c->reporter = is_calling ? REPORTER_SOURCE : REPORTER_DESTINATION;
    c->protocol = PROTOCOL_TCP;
    c->grpc_status = -1;
    c->trace_id = rec->trace_id;
    c->span_id = rec->span_id;
    c->duration_ns = duration_of(g, rec, l);
    c->start_ns = end_ns > c->duration_ns ? end_ns - c->duration_ns : end_ns;
    uint64_t sent = number_of(g, rec, l, ZTUNNEL_SENT);
    uint64_t received = number_of(g, rec, l, ZTUNNEL_RECEIVED);
    c->bytes_received = is_calling ? sent : received;
    c->bytes_sent = is_calling ? received : sent;
    c->response_code_details = l->field[ZTUNNEL_ERROR];
    if (l->field[ZTUNNEL_ERROR].len)
        c->response_flags = SPAN_ERROR_FLAG;
    read_ends(l, c);
    read_tls(l, c);
    access_fill_unknown(c);
}
