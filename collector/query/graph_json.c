/* graph_json.c - the graph's numbers as JSON.
 *
 * Rates keep four decimals and latencies microseconds: finer digits are noise that triples the
 * size of an answer of thousands of edges. */
#include "query/graph_json.h"
#include "aggregate/health.h"
#include "base/clock.h"
#include "base/mem.h"
#include "query/api.h"
#include <math.h>
#include <stdio.h>

enum { RATE_DECIMALS = 4, SHARE_DECIMALS = 6, MS_DECIMALS = 3 };

/* Digits of v after the point, without trailing zeros: 1.25, 0.003, 7. */
static size_t print_fixed(char *out, uint64_t scaled, unsigned decimals)
{
    char digits[24];
    size_t n = 0, at = 0;
    while (decimals > 0 && scaled % 10 == 0) {
        scaled /= 10;
        decimals--;
    }
    do {
        digits[n++] = (char)('0' + scaled % 10);
        scaled /= 10;
    } while (scaled > 0 || n <= decimals);
    while (n > 0) {
        out[at++] = digits[--n];
        if (n == decimals && n > 0)
            out[at++] = '.';
    }
    return at;
}

/* printf and the search for the shortest text took a quarter of the time of a large answer. */
void json_kv_rounded(struct json_out *j, const char *key, double v, unsigned decimals)
{
    static const double units[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };
    char text[32];
    INVARIANT(decimals < NELEMS(units));
    double scaled = fabs(v) * units[decimals];
    if (!(scaled < 1e15)) { /* beyond exact integers, or no number */
        json_kv_double(j, key, v);
        return;
    }
    uint64_t whole = (uint64_t)llround(scaled);
    size_t n = 0;
    if (v < 0 && whole > 0)
        text[n++] = '-';
    n += print_fixed(text + n, whole, decimals);
    json_key(j, sv_z(key));
    json_raw(j, sv_of(text, n));
}

void json_kv_time(struct json_out *j, const char *key, int64_t ns)
{
    char text[CLOCK_RFC3339_SIZE];
    if (ns) {
        json_kv_str(j, key, sv_z(clock_rfc3339(ns, text)));
        return;
    }
    json_key(j, sv_z(key));
    json_null(j);
}

void json_kv_ns(struct json_out *j, const char *key, int64_t ns)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)ns);
    json_kv_str(j, key, sv_of(text, n > 0 ? (size_t)n : 0));
}

void json_kv_ms(struct json_out *j, const char *key, int64_t ns)
{
    json_kv_rounded(j, key, (double)ns / 1e6, MS_DECIMALS);
}

void json_kv_span_ms(struct json_out *j, const char *key, int64_t start_ns, int64_t end_ns)
{
    int64_t ns;
    if (__builtin_sub_overflow(end_ns, start_ns, &ns)) /* times that a sender made up */
        ns = end_ns > start_ns ? INT64_MAX : INT64_MIN;
    json_kv_rounded(j, key, (double)ns / 1e6, 6);
}

void json_kv_text_or_null(struct json_out *j, const char *key, struct sv text)
{
    json_key(j, sv_z(key));
    if (text.len)
        json_str(j, text);
    else
        json_null(j);
}

void json_kv_hex(struct json_out *j, const char *key, const uint8_t *bytes, size_t len)
{
    char text[2 * 16];
    bool is_set = false;
    INVARIANT(2 * len <= sizeof(text));
    for (size_t i = 0; i < len; i++)
        is_set |= bytes[i] != 0;
    hex_encode(text, bytes, len);
    json_kv_text_or_null(j, key, is_set ? sv_of(text, 2 * len) : SV_NONE);
}

void json_kv_id(struct json_out *j, const char *key, uint64_t id)
{
    json_key(j, sv_z(key));
    json_hex_id(j, id);
}

void json_hex_id(struct json_out *j, uint64_t id)
{
    uint8_t bytes[sizeof(id)];
    char text[2 * sizeof(id)];
    for (size_t i = 0; i < sizeof(id); i++)
        bytes[i] = (uint8_t)(id >> (8 * (sizeof(id) - 1 - i)));
    hex_encode(text, bytes, sizeof(bytes));
    json_str(j, sv_of(text, sizeof(text)));
}

void json_identity(struct json_out *j, const struct identity *who)
{
    json_kv_str(j, "cluster", who->cluster);
    json_kv_str(j, "namespace", who->namespace);
    json_kv_str(j, "workload", who->workload);
    json_kv_str(j, "service", who->service);
    json_kv_str(j, "version", who->version);
    json_kv_str(j, "principal", who->principal);
}

struct quantiles {
    int64_t p50_ns, p95_ns, p99_ns;
};

static struct quantiles quantiles_of(const struct hist *h)
{
    static const double q[] = { 0.5, 0.95, 0.99 };
    int64_t ns[NELEMS(q)];
    hist_quantiles(h, q, NELEMS(q), ns);
    return (struct quantiles){ ns[0], ns[1], ns[2] };
}

static void put_latency(struct json_out *j, const char *key, const struct hist *h,
                        const struct quantiles *q)
{
    json_key(j, sv_z(key));
    if (h->count == 0) {
        json_null(j);
        return;
    }
    json_open(j, '{');
    json_kv_ms(j, "p50Ms", q->p50_ns);
    json_kv_ms(j, "p95Ms", q->p95_ns);
    json_kv_ms(j, "p99Ms", q->p99_ns);
    json_kv_ms(j, "meanMs", h->sum_ns / (int64_t)h->count);
    json_close(j);
}

void json_latency(struct json_out *j, const char *key, const struct hist *h)
{
    struct quantiles q = quantiles_of(h);
    put_latency(j, key, h, &q);
}

static void json_share(struct json_out *j, const char *key, uint64_t part, uint64_t all)
{
    json_kv_rounded(j, key, all ? (double)part / (double)all : 0, SHARE_DECIMALS);
}

static void json_codes(struct json_out *j, const struct edge_cell *c)
{
    static const char *const names[CODES_LEN] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    char status[12];
    json_kv_open(j, "codes", '{');
    for (size_t i = 0; i < CODES_LEN; i++)
        json_kv_u64(j, names[i], c->codes[i]);
    json_close(j);
    json_kv_open(j, "grpcCodes", '{');
    for (unsigned i = 0; i < GRPC_STATUSES_LEN; i++) {
        if (!c->grpc[i])
            continue;
        snprintf(status, sizeof(status), "%u", i);
        json_kv_u64(j, status, c->grpc[i]);
    }
    json_close(j);
    json_kv_open(j, "flags", '{');
    for (uint32_t i = 0; i < c->flags_len; i++)
        json_kv_u64(j, c->flags[i].flag, c->flags[i].count);
    json_close(j);
}

static uint64_t parts_of(const struct edge_cell *c)
{
    uint64_t n = 0;
    for (int t = 0; t < TLS_STATES_LEN; t++)
        n += c->parts[t];
    return n;
}

/* Connections that only stayed open have a state, too. */
static const char *tls_summary(const struct edge_cell *c)
{
    uint64_t all = c->requests + parts_of(c);
    for (int t = 0; t < TLS_STATES_LEN; t++)
        if (c->tls[t] + c->parts[t] == all)
            return tls_state_name((enum tls_state)t);
    return "mixed";
}

static void json_moment(struct json_out *j, const char *key, const struct edge_moment *m)
{
    json_key(j, sv_z(key));
    if (!m->at_ns) {
        json_null(j);
        return;
    }
    json_open(j, '{');
    json_kv_time(j, "time", m->at_ns);
    json_kv_hex(j, "traceId", m->trace.b, sizeof(m->trace.b));
    json_close(j);
}

/* A chain is as strong as its weakest link: the weakest basis behind any call whose state is known. */
static const char *tls_confidence(const struct edge_cell *c)
{
    for (int b = TLS_BASIS_NONE + 1; b < TLS_BASES_LEN; b++)
        if (c->tls_bases[b])
            return tls_basis_name((enum tls_basis)b);
    return "";
}

void json_tls(struct json_out *j, const char *key, const struct edge_cell *c)
{
    json_kv_open(j, key, '{');
    json_kv_str(j, "state", sv_z(tls_summary(c)));
    json_kv_u64(j, "mutual", c->tls[TLS_MUTUAL]);
    json_kv_u64(j, "tls", c->tls[TLS_ONE_WAY]);
    json_kv_u64(j, "plaintext", c->tls[TLS_PLAINTEXT]);
    json_kv_u64(j, "unknown", c->tls[TLS_UNKNOWN]);
    json_kv_text_or_null(j, "version", sv_z(c->tls_version));
    json_kv_text_or_null(j, "cipher", sv_z(c->tls_cipher));
    json_kv_time(j, "certificateExpiry", c->cert_expiry_ns);
    json_kv_text_or_null(j, "confidence", sv_z(tls_confidence(c)));
    json_kv_open(j, "bases", '{');
    for (int b = TLS_BASIS_NONE + 1; b < TLS_BASES_LEN; b++)
        if (c->tls_bases[b])
            json_kv_u64(j, tls_basis_name((enum tls_basis)b), c->tls_bases[b]);
    json_close(j);
    json_moment(j, "firstPlaintext", &c->first_plaintext);
    json_moment(j, "lastPlaintext", &c->last_plaintext);
    json_close(j);
}

struct end_slot {
    uint64_t id;                  /* 0: free */
    struct sv service, principal; /* facts about a node that its id does not say */
    size_t at, len;               /* in text */
};

void json_ends_done(struct json_ends *x)
{
    buf_done(&x->text);
    x->slots = mem_free(x->slots);
    x->len = 0;
}

/* Where id is or would be; NULL: no room. */
static struct end_slot *end_slot_of(struct json_ends *x, uint64_t id)
{
    if (!x->slots)
        x->slots = mem_zalloc(JSON_ENDS_CAP * sizeof(*x->slots));
    if (!x->slots || id == 0)
        return NULL;
    size_t at = id & (JSON_ENDS_CAP - 1);
    while (x->slots[at].id && x->slots[at].id != id)
        at = (at + 1) & (JSON_ENDS_CAP - 1);
    return x->slots[at].id || x->len < JSON_ENDS_CAP * 3 / 4 ? &x->slots[at] : NULL;
}

static void put_end(struct json_out *j, uint64_t id, const struct identity *who)
{
    json_open(j, '{');
    json_kv_id(j, "id", id);
    json_identity(j, who);
    json_close(j);
}

/* All edges of a node say the same of it, unless they know other facts. */
static void json_end(struct json_out *j, const char *key, uint64_t id, const struct identity *who,
                     struct json_ends *ends)
{
    struct end_slot *slot = ends ? end_slot_of(ends, id) : NULL;
    json_key(j, sv_z(key));
    if (slot && slot->id && sv_eq(slot->service, who->service) &&
        sv_eq(slot->principal, who->principal)) {
        json_raw(j, sv_sub(buf_sv(&ends->text), slot->at, slot->len));
        return;
    }
    size_t at = j->to->len;
    put_end(j, id, who);
    if (!slot || slot->id)
        return;
    *slot = (struct end_slot){ id, who->service, who->principal, ends->text.len, j->to->len - at };
    ends->len++;
    buf_put(&ends->text, sv_from(buf_sv(j->to), at));
    if (ends->text.failed)
        json_ends_done(ends);
}

/* How many of the requests each reporter told of. */
static void json_evidence(struct json_out *j, const struct edge_view *e)
{
    json_kv_str(j, "evidence", sv_z(reporter_name(e->evidence)));
    json_kv_open(j, "evidenceCounts", '{');
    for (int r = 0; r < REPORTERS_LEN; r++)
        if (e->counted[r])
            json_kv_u64(j, reporter_name((enum reporter)r), e->counted[r]);
    json_close(j);
}

/* What the caller waited longer than the callee took: the wire, both proxies, and queues between.
 * There is none when both latencies are one measurement. */
static void json_network(struct json_out *j, const struct edge_view *e,
                         const struct quantiles *caller, const struct quantiles *callee)
{
    const struct hist *calling = &e->sum.latency, *called = &e->server_latency;
    json_key(j, SV("networkLatency"));
    if (!called->count || !calling->count || e->evidence == REPORTER_DESTINATION ||
        e->evidence >= REPORTER_SPAN) {
        json_null(j);
        return;
    }
    int64_t mean_ns = calling->sum_ns / (int64_t)calling->count -
                      called->sum_ns / (int64_t)called->count;
    json_open(j, '{');
    json_kv_ms(j, "meanMs", mean_ns);
    json_kv_ms(j, "p50Ms", caller->p50_ns - callee->p50_ns);
    json_close(j);
}

static void json_clock(struct json_out *j, const struct edge_clock *c)
{
    int64_t offset_ns;
    enum clock_verdict verdict = edge_clock_judge(c, &offset_ns);
    json_key(j, SV("clock"));
    if (verdict == CLOCK_UNKNOWN) {
        json_null(j);
        return;
    }
    json_open(j, '{');
    json_kv_str(j, "verdict", sv_z(clock_verdict_name(verdict)));
    json_kv_ms(j, "offsetMs", offset_ns);
    json_kv_ms(j, "lowMs", c->low_ns);
    json_kv_ms(j, "highMs", c->high_ns);
    json_kv_u64(j, "pairs", c->pairs);
    json_close(j);
}

static void json_received(struct json_out *j, const struct edge_view *e)
{
    json_key(j, SV("received"));
    if (e->received)
        json_u64(j, e->received);
    else
        json_null(j);
    json_kv_u64(j, "resends", e->sum.resends);
}

void json_edge(struct json_out *j, const struct edge_view *e, double seconds,
               struct json_ends *ends)
{
    const struct edge_cell *c = &e->sum;
    uint64_t failures = edge_view_failures(e);
    struct quantiles caller = quantiles_of(&c->latency), callee = quantiles_of(&e->server_latency);
    json_open(j, '{');
    json_kv_id(j, "id", e->id);
    json_end(j, "source", e->source_id, &e->edge.source, ends);
    json_end(j, "destination", e->destination_id, &e->edge.destination, ends);
    json_kv_str(j, "destinationService", e->edge.destination_service);
    json_kv_str(j, "protocol", sv_z(protocol_name(e->edge.protocol)));
    json_kv_u64(j, "requests", c->requests);
    json_kv_rounded(j, "rate", (double)c->requests / seconds, RATE_DECIMALS);
    json_kv_u64(j, "errors", c->errors);
    json_share(j, "errorRate", c->errors, c->requests);
    json_kv_u64(j, "failures", failures);
    json_share(j, "failureRate", failures, c->requests);
    json_codes(j, c);
    put_latency(j, "latency", &c->latency, &caller);
    put_latency(j, "serverLatency", &e->server_latency, &callee);
    json_kv_text_or_null(
        j, "serverLatencyEvidence",
        e->server_evidence < REPORTERS_LEN ? sv_z(reporter_name(e->server_evidence)) : SV_NONE);
    json_network(j, e, &caller, &callee);
    json_clock(j, &e->sum.clock);
    json_tls(j, "tls", c);
    json_kv_u64(j, "bytesReceived", c->bytes_received);
    json_kv_u64(j, "bytesSent", c->bytes_sent);
    json_kv_u64(j, "openReports", parts_of(c));
    json_received(j, e);
    json_evidence(j, e);
    json_kv_time(j, "firstSeen", c->first_ns);
    json_kv_time(j, "lastSeen", c->last_ns);
    json_kv_hex(j, "exemplarTraceId", c->exemplar_trace.b, sizeof(c->exemplar_trace.b));
    json_kv_hex(j, "errorTraceId", c->error_trace.b, sizeof(c->error_trace.b));
    json_kv_str(j, "health", sv_z(health_name(edge_view_health(e))));
    json_close(j);
}

void json_node(struct json_out *j, const struct node_view *n, double seconds)
{
    uint64_t in = node_load_requests(&n->in), out = node_load_requests(&n->out);
    uint64_t in_errors = node_load_errors(&n->in), out_errors = node_load_errors(&n->out);
    uint64_t in_failures = node_load_failures(&n->in), out_failures = node_load_failures(&n->out);
    json_open(j, '{');
    json_kv_id(j, "id", n->id);
    json_kv_str(j, "type", sv_z(node_type_name(n->type)));
    json_identity(j, &n->who);
    json_kv_u64(j, "inRequests", in);
    json_kv_rounded(j, "inRate", (double)in / seconds, RATE_DECIMALS);
    json_kv_u64(j, "inErrors", in_errors);
    json_share(j, "inErrorRate", in_errors, in);
    json_kv_u64(j, "inFailures", in_failures);
    json_share(j, "inFailureRate", in_failures, in);
    json_kv_u64(j, "outRequests", out);
    json_kv_rounded(j, "outRate", (double)out / seconds, RATE_DECIMALS);
    json_kv_u64(j, "outErrors", out_errors);
    json_share(j, "outErrorRate", out_errors, out);
    json_kv_u64(j, "outFailures", out_failures);
    json_share(j, "outFailureRate", out_failures, out);
    json_kv_str(j, "health", sv_z(health_name(node_view_health(n))));
    json_close(j);
}

void json_view_head(struct json_out *j, const struct view *v, int64_t now_ns)
{
    int64_t to_ns = MAX(MIN(v->window.to_ns, now_ns), v->window.from_ns);
    json_kv_time(j, "from", v->window.from_ns);
    json_kv_time(j, "to", to_ns);
    json_kv_rounded(j, "seconds", view_seconds(v, now_ns), 3);
    json_kv_str(j, "granularity", sv_z(granularity_name(v->granularity)));
}
