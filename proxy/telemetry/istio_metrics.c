/* SPDX-License-Identifier: Apache-2.0
 * istio_metrics.c - what Istio's sidecars count, under their names, labels and values.
 *
 * A request costs one look-up by the texts its labels come from; the labels themselves are written out
 * once, when a series begins. Values follow Istio's stats filter where its documentation differs from it:
 *   - connection_security_policy is known to the side that ends TLS only; a source says "unknown";
 *   - HTTP/2 is "http", and "grpc" what has gRPC's content type;
 *   - a request that nobody answered has response_code 0;
 *   - bytes of TCP are told from the server's side by both reporters;
 *   - messages of gRPC have only the labels of who calls whom, because they are told while the call goes on.
 * request_bytes and response_bytes are bodies, as the documentation has it (the filter counts heads too).
 * A gateway tells of the request it passes on as its source, as Istio's does, and so once. */
#include "proxy/telemetry/istio_metrics.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tulle_version.h"

#define SWEEP_NS NS_PER_S /* a full table is searched for expired series so often at most */

/* Envoy's default buckets, for milliseconds and bytes alike. */
static const double bounds[] = { 0.5,   1,      5,      10,      25,     50,    100,
                                 250,   500,    1000,   2500,    5000,   10000, 30000,
                                 60000, 300000, 600000, 1800000, 3600000 };
static const char *const bound_texts[] = { "0.5",    "1",      "5",       "10",      "25",
                                           "50",     "100",    "250",     "500",     "1000",
                                           "2500",   "5000",   "10000",   "30000",   "60000",
                                           "300000", "600000", "1800000", "3600000", "+Inf" };
#define BUCKETS (NELEMS(bounds) + 1)
_Static_assert(NELEMS(bound_texts) == BUCKETS, "the last one is +Inf");

struct histogram {
    uint64_t buckets[BUCKETS]; /* not cumulated */
    double sum;
};
enum { HTTP_DURATION, HTTP_REQUEST_BYTES, HTTP_RESPONSE_BYTES, HTTP_HISTOGRAMS };
enum { TCP_OPENED, TCP_CLOSED, TCP_SENT, TCP_RECEIVED, TCP_COUNTERS };
enum { MESSAGES_ASKED, MESSAGES_TOLD, MESSAGES_COUNTERS };
enum row_kind { ROW_HTTP, ROW_TCP, ROW_MESSAGES };

struct istio_row {
    struct list node;
    int64_t used_ns;
    struct buf labels; /* 'reporter="source",...', without braces */
    enum row_kind kind;
    union {
        struct {
            uint64_t requests;
            struct histogram histograms[HTTP_HISTOGRAMS];
        } http;
        uint64_t tcp[TCP_COUNTERS];
        uint64_t messages[MESSAGES_COUNTERS];
    } u;
};

static const struct {
    const char *name, *help;
} histogram_names[HTTP_HISTOGRAMS] = {
    [HTTP_DURATION] = { "istio_request_duration_milliseconds", "duration of requests" },
    [HTTP_REQUEST_BYTES] = { "istio_request_bytes", "bodies of requests" },
    [HTTP_RESPONSE_BYTES] = { "istio_response_bytes", "bodies of responses" },
}, tcp_names[TCP_COUNTERS] = {
    [TCP_OPENED] = { "istio_tcp_connections_opened_total", "connections, those that could not be opened among them" },
    [TCP_CLOSED] = { "istio_tcp_connections_closed_total", "connections that ended" },
    [TCP_SENT] = { "istio_tcp_sent_bytes_total", "bytes that the server sent" },
    [TCP_RECEIVED] = { "istio_tcp_received_bytes_total", "bytes that the server received" },
}, message_names[MESSAGES_COUNTERS] = {
    [MESSAGES_ASKED] = { "istio_request_messages_total", "messages of gRPC that clients sent" },
    [MESSAGES_TOLD] = { "istio_response_messages_total", "messages of gRPC that servers sent" },
};

void istio_metrics_init(struct istio_metrics *m, uint64_t max, int64_t expiry_ns)
{
    *m = (struct istio_metrics){ .max = max, .expiry_ns = expiry_ns };
    list_init(&m->list);
}

static struct istio_row *row_free(struct istio_row *row)
{
    if (row)
        buf_done(&row->labels);
    return mem_free(row);
}

void istio_metrics_done(struct istio_metrics *m)
{
    void *value;
    for (size_t i = 0; map_next(&m->rows, &i, NULL, &value);)
        row_free(value);
    map_done(&m->rows);
    for (size_t r = 0; r < ISTIO_REPORTERS; r++)
        for (size_t p = 0; p < ISTIO_OTHERS; p++)
            m->other[r][p] = row_free(m->other[r][p]);
    buf_done(&m->key);
}

/* --- labels --- */

static void put_value(struct buf *to, struct sv value)
{
    size_t from = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.p[i];
        if (c != '"' && c != '\\' && c != '\n')
            continue;
        buf_put(to, sv_sub(value, from, i - from));
        buf_putc(to, '\\');
        buf_putc(to, c == '\n' ? 'n' : c);
        from = i + 1;
    }
    buf_put(to, sv_from(value, from));
}

static void put_label(struct buf *to, const char *name, struct sv value)
{
    if (to->len)
        buf_putc(to, ',');
    buf_put(to, sv_z(name));
    buf_put(to, SV("=\""));
    put_value(to, value);
    buf_putc(to, '"');
}

/* What labels are made of, for the proxy's own and for "other". */
struct told {
    struct sv reporter, protocol, flags, policy, code, grpc;
    const struct identity *from, *to;
    struct sv from_principal, to_principal;
    struct sv host, name, namespace; /* destination_service, its short name, its namespace */
};

static void put_labels(struct buf *to, const struct told *t, enum row_kind kind)
{
    const struct {
        const char *name;
        struct sv value;
    } rows[] = {
        { "reporter", t->reporter },
        { "source_workload", t->from->workload },
        { "source_canonical_service", t->from->service },
        { "source_canonical_revision", t->from->version },
        { "source_workload_namespace", t->from->namespace },
        { "source_principal", t->from_principal },
        { "source_app", t->from->service },
        { "source_version", t->from->version },
        { "source_cluster", t->from->cluster },
        { "destination_workload", t->to->workload },
        { "destination_workload_namespace", t->to->namespace },
        { "destination_principal", t->to_principal },
        { "destination_app", t->to->service },
        { "destination_version", t->to->version },
        { "destination_service", t->host },
        { "destination_canonical_service", t->to->service },
        { "destination_canonical_revision", t->to->version },
        { "destination_service_name", t->name },
        { "destination_service_namespace", t->namespace },
        { "destination_cluster", t->to->cluster },
    };
    for (size_t i = 0; i < NELEMS(rows); i++)
        put_label(to, rows[i].name, rows[i].value);
    if (kind == ROW_MESSAGES)
        return; /* told before the call is over, so nothing of how it ended */
    put_label(to, "request_protocol", t->protocol);
    put_label(to, "response_flags", t->flags);
    put_label(to, "connection_security_policy", t->policy);
    if (kind == ROW_TCP)
        return;
    put_label(to, "response_code", t->code);
    put_label(to, "grpc_response_status", t->grpc);
}

static struct sv or_unknown(struct sv text)
{
    return text.len ? text : IDENTITY_UNKNOWN;
}

static struct sv policy_of(const struct call *c)
{
    if (c->reporter == REPORTER_SOURCE)
        return IDENTITY_UNKNOWN;
    return c->tls == TLS_MUTUAL ? SV("mutual_tls") : SV("none");
}

/* "reviews.default.svc.cluster.local" to "reviews" and "default"; other hosts are their own name. */
static void name_service(struct told *t)
{
    size_t dot = sv_index(t->host, '.');
    struct sv rest = sv_from(t->host, dot + 1);
    size_t end = sv_index(rest, '.');
    bool is_service = dot < t->host.len && sv_starts(sv_from(rest, end), SV(".svc."));
    t->name = is_service ? sv_sub(t->host, 0, dot) : t->host;
    t->namespace = is_service ? sv_sub(rest, 0, end) : t->to->namespace;
}

/* --- rows --- */

/* A gateway that answered by itself had no destination; it tells as a source. */
struct seen {
    const struct call *call;
    enum reporter reporter;
    struct identity from, to;
    struct sv host;
};

static void look(const struct exchange *x, struct seen *s)
{
    const struct call *c = &x->call;
    *s = (struct seen){ .call = c,
                        .reporter = c->reporter,
                        .from = c->source,
                        .to = c->destination,
                        .host = c->destination_service };
    if (!x->is_front)
        return;
    s->reporter = REPORTER_SOURCE;
    s->from = c->destination;
    s->to = identity_unknown();
    s->host = SV_NONE; /* of an address that anybody may invent */
}

/* Everything the labels come from but what is always this proxy itself: short, because it is made for
 * each request. */
static void make_key(struct buf *key, const struct seen *s, enum row_kind kind)
{
    const struct call *c = s->call;
    const struct identity *peer = s->reporter == REPORTER_SOURCE ? &s->to : &s->from;
    uint16_t numbers[] = { (uint16_t)s->reporter, c->tls == TLS_MUTUAL, (uint16_t)c->protocol,
                           c->response_code, (uint16_t)c->grpc_status };
    if (kind == ROW_MESSAGES) {
        memset(numbers, 0, sizeof(numbers));
        numbers[0] = (uint16_t)s->reporter;
        numbers[2] = PROTOCOLS_LEN;
    }
    const struct sv parts[] = {
        peer->workload,
        peer->namespace,
        peer->service,
        peer->version,
        peer->cluster,
        s->host,
        c->source_principal_seen,
        c->destination_principal_seen,
        kind == ROW_MESSAGES ? SV_NONE : c->response_flags,
    };
    size_t bytes = sizeof(numbers) + NELEMS(parts);
    for (size_t i = 0; i < NELEMS(parts); i++)
        bytes += parts[i].len;
    buf_clear(key);
    char *to = buf_reserve(key, bytes);
    if (!to)
        return;
    memcpy(to, numbers, sizeof(numbers));
    to += sizeof(numbers);
    for (size_t i = 0; i < NELEMS(parts); i++) {
        if (parts[i].len)
            memcpy(to, parts[i].p, parts[i].len);
        to += parts[i].len;
        *to++ = '\0';
    }
    buf_commit(key, bytes);
}

static struct istio_row *row_new(const struct told *t, enum row_kind kind)
{
    struct istio_row *row = mem_zalloc(sizeof(*row));
    if (!row)
        return NULL;
    row->kind = kind;
    put_labels(&row->labels, t, kind);
    return row->labels.failed ? row_free(row) : row;
}

static void drop_expired(struct istio_metrics *m, int64_t now_ns)
{
    void *value;
    m->swept_ns = now_ns;
    for (size_t i = 0; m->expiry_ns && map_next(&m->rows, &i, NULL, &value);) {
        struct istio_row *row = value;
        if (now_ns - row->used_ns < m->expiry_ns)
            continue;
        map_remove_given(&m->rows, &i);
        list_remove(&row->node);
        row_free(row);
        m->expired++;
    }
}

static struct istio_row *make_row(struct istio_metrics *m, const struct seen *s, enum row_kind kind)
{
    const struct call *c = s->call;
    char code[8], grpc[8] = "";
    snprintf(code, sizeof(code), "%u", c->response_code);
    if (c->grpc_status >= 0)
        snprintf(grpc, sizeof(grpc), "%d", c->grpc_status);
    struct told t = { .reporter = sv_z(reporter_name(s->reporter)),
                      .protocol = sv_z(protocol_name(c->protocol)),
                      .flags = c->response_flags.len ? c->response_flags : SV("-"),
                      .policy = s->reporter == REPORTER_SOURCE ? IDENTITY_UNKNOWN : policy_of(c),
                      .code = sv_z(code),
                      .grpc = sv_z(grpc),
                      .from = &s->from,
                      .to = &s->to,
                      .from_principal = or_unknown(c->source_principal_seen),
                      .to_principal = or_unknown(c->destination_principal_seen),
                      .host = or_unknown(s->host) };
    name_service(&t);
    struct istio_row *row = row_new(&t, kind);
    if (row && map_put(&m->rows, buf_sv(&m->key), row, NULL) < 0)
        row = row_free(row);
    if (row)
        list_add_tail(&m->list, &row->node);
    return row;
}

static struct istio_row *other_row(struct istio_metrics *m, const struct seen *s,
                                   enum row_kind kind)
{
    static const struct sv other = { "other", 5 };
    const struct identity who = { other, other, other, other, other, other };
    enum protocol protocol = s->call->protocol;
    size_t side = s->reporter == REPORTER_SOURCE ? 0 : 1;
    struct istio_row **at =
        &m->other[side][kind == ROW_MESSAGES ? PROTOCOLS_LEN : (size_t)protocol];
    struct told t = { .reporter = sv_z(reporter_name(s->reporter)),
                      .protocol = sv_z(protocol_name(protocol)),
                      .flags = other,
                      .policy = IDENTITY_UNKNOWN,
                      .code = other,
                      .grpc = other,
                      .from = &who,
                      .to = &who,
                      .from_principal = other,
                      .to_principal = other,
                      .host = other,
                      .name = other,
                      .namespace = other };
    m->overflowed += kind != ROW_MESSAGES; /* their call is counted */
    if (!*at)
        *at = row_new(&t, kind);
    return *at;
}

static struct istio_row *find_row(struct istio_metrics *m, const struct seen *s, enum row_kind kind,
                                  int64_t now_ns)
{
    make_key(&m->key, s, kind);
    if (m->key.failed)
        return NULL;
    struct istio_row *row = map_get(&m->rows, buf_sv(&m->key));
    if (row)
        return row;
    if (m->rows.len >= m->max && now_ns - m->swept_ns >= SWEEP_NS)
        drop_expired(m, now_ns);
    return m->rows.len < m->max ? make_row(m, s, kind) : other_row(m, s, kind);
}

static void observe(struct histogram *h, double value)
{
    size_t i = 0;
    while (i < NELEMS(bounds) && value > bounds[i])
        i++;
    h->buckets[i]++;
    h->sum += value;
}

/* What is told by another exchange, of the same request's way on. */
static bool is_told_elsewhere(const struct istio_metrics *m, const struct exchange *x)
{
    return !m->max || (x->is_front && x->has_back);
}

void istio_metrics_add_messages(struct istio_metrics *m, const struct exchange *x, int64_t now_ns)
{
    struct seen s;
    if (is_told_elsewhere(m, x) || !(x->request_messages || x->response_messages))
        return;
    look(x, &s);
    struct istio_row *row = find_row(m, &s, ROW_MESSAGES, now_ns);
    if (!row)
        return; /* its call is lost too, and counted */
    row->used_ns = now_ns;
    row->u.messages[MESSAGES_ASKED] += x->request_messages;
    row->u.messages[MESSAGES_TOLD] += x->response_messages;
}

void istio_metrics_add(struct istio_metrics *m, const struct exchange *x, int64_t now_ns)
{
    struct seen s;
    const struct call *c = &x->call;
    enum row_kind kind = c->protocol == PROTOCOL_TCP ? ROW_TCP : ROW_HTTP;
    if (is_told_elsewhere(m, x))
        return;
    look(x, &s);
    struct istio_row *row = find_row(m, &s, kind, now_ns);
    if (!row) {
        m->lost++;
        return;
    }
    istio_metrics_add_messages(m, x, now_ns);
    row->used_ns = now_ns;
    if (kind == ROW_TCP) {
        row->u.tcp[TCP_OPENED] += call_has_begin(c);
        row->u.tcp[TCP_CLOSED] += call_has_end(c);
        row->u.tcp[TCP_SENT] += c->bytes_sent - c->bytes_sent_before;
        row->u.tcp[TCP_RECEIVED] += c->bytes_received - c->bytes_received_before;
        return;
    }
    struct histogram *h = row->u.http.histograms;
    row->u.http.requests++;
    observe(&h[HTTP_DURATION], (double)c->duration_ns / (double)NS_PER_MS);
    observe(&h[HTTP_REQUEST_BYTES], (double)c->bytes_received);
    observe(&h[HTTP_RESPONSE_BYTES], (double)c->bytes_sent);
}

/* --- text --- */

/* Calls put for each row, those of "other" last. */
typedef void row_fn(const struct istio_row *row, size_t which, struct buf *to);

static void each_row(const struct istio_metrics *m, enum row_kind kind, row_fn *put, size_t which,
                     struct buf *to)
{
    for (const struct list *it = m->list.next; it != &m->list; it = it->next) {
        const struct istio_row *row = CONTAINER_OF(it, const struct istio_row, node);
        if (row->kind == kind)
            put(row, which, to);
    }
    for (size_t r = 0; r < ISTIO_REPORTERS; r++)
        for (size_t p = 0; p < ISTIO_OTHERS; p++)
            if (m->other[r][p] && m->other[r][p]->kind == kind)
                put(m->other[r][p], which, to);
}

static void put_sample(struct buf *to, const char *name, const char *suffix,
                       const struct istio_row *row, const char *le)
{
    buf_put(to, sv_z(name));
    buf_put(to, sv_z(suffix));
    buf_putc(to, '{');
    buf_put(to, buf_sv(&row->labels));
    if (le) {
        buf_put(to, SV(",le=\""));
        buf_put(to, sv_z(le));
        buf_putc(to, '"');
    }
    buf_put(to, SV("} "));
}

static void put_requests(const struct istio_row *row, size_t which, struct buf *to)
{
    (void)which;
    put_sample(to, "istio_requests_total", "", row, NULL);
    buf_put_u64(to, row->u.http.requests);
    buf_putc(to, '\n');
}

static void put_histogram(const struct istio_row *row, size_t which, struct buf *to)
{
    const struct histogram *h = &row->u.http.histograms[which];
    const char *name = histogram_names[which].name;
    uint64_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        count += h->buckets[i];
        put_sample(to, name, "_bucket", row, bound_texts[i]);
        buf_put_u64(to, count);
        buf_putc(to, '\n');
    }
    put_sample(to, name, "_sum", row, NULL);
    buf_put_double(to, h->sum);
    buf_putc(to, '\n');
    put_sample(to, name, "_count", row, NULL);
    buf_put_u64(to, count);
    buf_putc(to, '\n');
}

static void put_tcp(const struct istio_row *row, size_t which, struct buf *to)
{
    put_sample(to, tcp_names[which].name, "", row, NULL);
    buf_put_u64(to, row->u.tcp[which]);
    buf_putc(to, '\n');
}

static void put_messages(const struct istio_row *row, size_t which, struct buf *to)
{
    put_sample(to, message_names[which].name, "", row, NULL);
    buf_put_u64(to, row->u.messages[which]);
    buf_putc(to, '\n');
}

static void put_type(struct buf *to, const char *name, const char *type, const char *help)
{
    buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void istio_metrics_write(struct istio_metrics *m, int64_t now_ns, struct buf *to)
{
    if (!m->max)
        return;
    drop_expired(m, now_ns);
    put_type(to, "istio_build", "gauge", "the program that counts");
    buf_put(to, SV("istio_build{component=\"proxy\",tag=\"" TULLE_VERSION "\"} 1\n"));
    put_type(to, "istio_requests_total", "counter", "requests");
    each_row(m, ROW_HTTP, put_requests, 0, to);
    for (size_t i = 0; i < HTTP_HISTOGRAMS; i++) {
        put_type(to, histogram_names[i].name, "histogram", histogram_names[i].help);
        each_row(m, ROW_HTTP, put_histogram, i, to);
    }
    for (size_t i = 0; i < MESSAGES_COUNTERS; i++) {
        put_type(to, message_names[i].name, "counter", message_names[i].help);
        each_row(m, ROW_MESSAGES, put_messages, i, to);
    }
    for (size_t i = 0; i < TCP_COUNTERS; i++) {
        put_type(to, tcp_names[i].name, "counter", tcp_names[i].help);
        each_row(m, ROW_TCP, put_tcp, i, to);
    }
}
