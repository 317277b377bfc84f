/* stream.c - a request's steps, as a table.
 *
 *   head -> authz -> route -> (delay) -> connect -> send -> relay -> (tunnel) -> done
 *                                           ^--- backoff <----'
 *
 * with `reply` (an answer of our own) reachable from each before done, backoff (again.c: a retry)
 * from connect and relay, and connect at once from relay when a reused connection was closed unread.
 * Connections report what happened as flags and run the stream; a step does one thing and sets the
 * next state. Only the driver ends a stream, as its last act, so no step ever touches one that is
 * gone. */
#include "proxy/stream.h"
#include "base/mem.h"
#include "proxy/down_h2.h"
#include "proxy/original.h"
#include "proxy/upgrade.h"
#include "proxy/upstream/up_h2.h"
#include "wire/grpc.h"
#include <stdarg.h>

static void on_idle(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, idle_timer);
    s->is_down_idle = true;
    stream_run(s);
}

void stream_set_idle(struct stream *s, int64_t idle_ns)
{
    s->idle_ns = idle_ns;
    if (!s->down_h2)
        conn_set_idle(s->down->conn, idle_ns);
    else if (idle_ns)
        timer_after(&s->idle_timer, idle_ns);
    else
        timer_stop(&s->idle_timer);
}

void stream_touch(struct stream *s)
{
    if (s->down_h2 && s->idle_ns)
        timer_after(&s->idle_timer, s->idle_ns);
}

static void on_timer(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, timer);
    s->is_timed_out = true;
    stream_run(s);
}

/* What both versions begin with. */
static struct stream *stream_alloc(struct down *d)
{
    struct worker *w = d->worker;
    struct stream *s = w->spare_streams;
    if (s) {
        w->spare_streams = s->next_spare;
        w->spare_streams_len--;
    } else {
        s = mem_alloc(sizeof(*s));
    }
    if (!s)
        return NULL;
    /* Slots are written before they are read; clearing them would cost more than all the rest. */
    memset(s, 0, offsetof(struct stream, req_slots));
    memset(&s->seen, 0, sizeof(*s) - offsetof(struct stream, seen));
    s->worker = w;
    s->down = d;
    s->side = d->port->side;
    s->mesh = mesh_ref(w->mesh);
    s->started_ns = clock_mono_ns();
    s->started_wall_ns = clock_wall_ns();
    timer_init(&s->timer, w->loop, on_timer);
    again_init(s);
    messages_init(s);
    w->streams_len++;
    tally(TALLY_STREAMS);
    return s;
}

struct stream *stream_new(struct down *d)
{
    struct stream *s = stream_alloc(d);
    if (!s)
        return NULL;
    s->req = &d->h1.head;
    timer_after(&s->timer, d->worker->opt->head_timeout_ns);
    h1_begin(&d->h1, H1_REQUEST, s->req_slots, HEADERS_MAX, d->worker->opt->max_head);
    conn_set_idle(d->conn, d->worker->opt->stream_idle_ns);
    return s;
}

void streams_trim(struct worker *w)
{
    while (w->spare_streams) {
        struct stream *s = w->spare_streams;
        w->spare_streams = s->next_spare;
        mem_free(s);
    }
    w->spare_streams_len = 0;
}

uint32_t *stream_load(const struct stream *s)
{
    uint32_t *loads = worker_loads(s->worker, s->mesh);
    bool is_counted = s->endpoint && loads && s->endpoint->id < s->worker->endpoints_len;
    return is_counted ? &loads[s->endpoint->id] : NULL;
}

void stream_drop_up(struct stream *s, bool may_wait)
{
    uint32_t *load = stream_load(s);
    if (load && s->up && *load)
        --*load;
    if (s->up) {
        const struct pool_limits *limits = s->cluster ? s->cluster->limits : NULL;
        uint64_t requests = s->up->requests + !s->up->h2; /* with this one */
        bool is_used_up = limits && requests >= limits->per_connection_max;
        s->up->idle_ns = limits && limits->idle_ns ? limits->idle_ns
                                                   : s->worker->opt->upstream_idle_ns;
        if (limits && limits->lifetime_ns) {
            int64_t left_ns = limits->lifetime_ns -
                              (loop_now_ns(s->worker->loop) - s->up->opened_ns);
            is_used_up = is_used_up || left_ns <= 0;
            s->up->idle_ns = MIN(s->up->idle_ns, MAX(left_ns, 1));
        }
        if (s->up->h2)
            up_h2_detach(s);
        bool is_kept = (may_wait || s->up->h2) && !is_used_up;
        pool_put(TAKE(s->up), is_kept);
    }
    breaker_disconnect(&s->seat, s->worker->loop, connect_turn);
    s->can_read_up = s->is_up_failed = s->is_up_head_due = false;
    s->grpc_status = SV_NONE; /* it lay in the response's head */
    worker_give_block(s->worker, &s->resp_block);
}

/* As Envoy's log says it: what went wrong, and that no retry was left. */
static const char *exhausted_flag(const char *flag)
{
    static const char *const pairs[] = { "UF,URX", "UC,URX", "UT,URX" };
    for (size_t i = 0; i < NELEMS(pairs); i++)
        if (strncmp(pairs[i], flag, strlen(flag)) == 0)
            return pairs[i];
    return flag;
}

enum step_result stream_fail(struct stream *s, unsigned status, enum tally_id tally_id,
                             const char *flag, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(s->details, sizeof(s->details), fmt, ap);
    va_end(ap);
    tally(tally_id);
    s->flag = flag && s->is_exhausted ? exhausted_flag(flag) : flag;
    s->is_up_reusable = s->is_down_reusable = false;
    s->is_cut = s->is_resp_started || status == 0;
    if (!s->is_resp_started)
        s->status = (uint16_t)status;
    s->state = s->is_cut ? ST_DONE : ST_REPLY;
    return STEP_AGAIN;
}

/* Notes what the head says, once, for every later step. */
static void look_at_fields(struct stream *s)
{
    const struct http_head *h = s->req;
    for (size_t i = 0; i < h->headers_len; i++) {
        enum field f = field_of(h->headers[i].name);
        s->req_fields[i] = (uint8_t)f;
        if (f != FIELD_OTHER && !s->seen[f].p)
            s->seen[f] = h->headers[i].value;
    }
    s->is_head_request = sv_eq(h->method, SV("HEAD"));
    s->is_idempotent = retry_is_idempotent(h->method);
    s->is_req_chunked = h->is_chunked;
    s->is_grpc = grpc_is_content_type(s->seen[FIELD_CONTENT_TYPE]);
    s->upgrade = upgrade_wanted(h);
}

static void begin_trace(struct stream *s)
{
    if (traceparent_parse(s->seen[FIELD_TRACEPARENT], &s->trace, NULL) == 0) {
        if (tracestate_is_valid(s->seen[FIELD_TRACESTATE]))
            s->trace_state = s->seen[FIELD_TRACESTATE];
    } else {
        const struct telemetry_rules *rules = mesh_telemetry(s->mesh, s->side == SIDE_INBOUND);
        double percent = rules->sampling >= 0 ? rules->sampling : s->worker->opt->trace_sampling;
        s->trace = (struct trace_ctx){ .trace_id = trace_id_new() };
        s->trace.is_sampled = percent >= 100 ||
                              (double)(random_u64() >> 11) * 0x1p-53 * 100 < percent;
    }
    if (s->side != SIDE_OUTBOUND)
        s->server_span = span_id_new();
    if (s->side != SIDE_INBOUND)
        s->client_span = span_id_new();
    s->request_id = s->seen[FIELD_REQUEST_ID];
    if (!s->request_id.len)
        s->request_id = uuid_new(s->request_id_text);
}

static void begin_request(struct stream *s)
{
    static const enum tally_id counts[SIDES_LEN] = {
        [SIDE_OUTBOUND] = TALLY_REQUESTS_OUTBOUND,
        [SIDE_INBOUND] = TALLY_REQUESTS_INBOUND,
        [SIDE_GATEWAY] = TALLY_REQUESTS_GATEWAY,
    };
    tally(counts[s->side]);
    look_at_fields(s);
    begin_trace(s);
    who_is_calling(s);
    s->state = ST_AUTHZ;
}

static void head_is_complete(struct stream *s, struct sv rest)
{
    struct down *d = s->down;
    const struct http_head *h = s->req;
    timer_stop(&s->timer);
    s->req_block = d->in;
    d->in = (struct buf){ 0 };
    s->req_rest = rest;
    begin_request(s);
    bool has_body = h->is_chunked || (h->has_length && h->content_length > 0);
    if (has_body) {
        conn_pause(d->conn); /* until somebody takes it */
        return;
    }
    s->is_req_read = h1_next(&d->h1, &s->req_rest) == H1_END;
    buf_append(&d->in, s->req_rest.p, s->req_rest.len);
    s->req_rest = SV_NONE;
}

static enum step_result bad_request(struct stream *s)
{
    const struct h1 *h = &s->down->h1;
    s->req_block = s->down->in;
    s->down->in = (struct buf){ 0 };
    look_at_fields(s);
    begin_trace(s);
    who_is_calling(s);
    snprintf(s->why, sizeof(s->why), "%.120s at byte %zu", h->err.why, h->err.at);
    return stream_fail(s, h->bad_status, TALLY_REPLIES_DPE, "DPE", "http1.codec_error");
}

struct stream *stream_new_h2(struct down *d, struct h2_stream *st)
{
    struct stream *s = stream_alloc(d);
    if (!s)
        return NULL;
    s->down_h2 = st;
    s->req = &st->head;
    timer_init(&s->idle_timer, d->worker->loop, on_idle);
    stream_set_idle(s, d->worker->opt->stream_idle_ns);
    begin_request(s);
    s->is_req_read = st->is_ended;
    if (!st->bad_status)
        return s;
    snprintf(s->why, sizeof(s->why), "%.120s", st->err.why);
    (void)stream_fail(s, st->bad_status, TALLY_REPLIES_DPE, "DPE", "http2.invalid_header_field");
    return s;
}

static enum step_result nothing_came(struct stream *s)
{
    s->is_unrecorded = s->is_cut = true;
    s->state = ST_DONE;
    return STEP_AGAIN;
}

/* More bytes of the head: 0 when there are none now, <0 when the caller is gone. */
static ssize_t read_head(struct stream *s)
{
    struct down *d = s->down;
    if (!d->in.mem)
        worker_take_block(s->worker, &d->in);
    char *to = buf_reserve(&d->in, BLOCK_BYTES / 4);
    if (!to)
        return ERR_NOMEM;
    ssize_t n = conn_read(d->conn, to, d->in.cap - d->in.from - d->in.len);
    s->can_read_down = false;
    if (n > 0)
        buf_commit(&d->in, (size_t)n);
    return n;
}

/* As far as has come, what a caller begins with who knows that we speak HTTP/2. */
static bool is_preface(const struct down *d)
{
    struct sv in = buf_sv(&d->in), preface = SV(H2_PREFACE);
    return d->requests == 0 && sv_starts(preface, sv_sub(in, 0, preface.len));
}

static enum step_result other_version(struct stream *s)
{
    struct down *d = s->down;
    if (d->in.len < sizeof(H2_PREFACE) - 1)
        return STEP_WAIT;
    d->is_h2_due = true;
    return nothing_came(s);
}

static enum step_result on_head(struct stream *s)
{
    struct down *d = s->down;
    if (s->is_timed_out) {
        tally(TALLY_DOWN_HEAD_TIMEOUT);
        return nothing_came(s);
    }
    if (s->can_read_down && read_head(s) < 0)
        return nothing_came(s);
    struct sv in = buf_sv(&d->in);
    switch (h1_next(&d->h1, &in)) {
    case H1_HEAD: head_is_complete(s, in); return STEP_AGAIN;
    case H1_BAD: return is_preface(d) ? other_version(s) : bad_request(s);
    default: return STEP_WAIT;
    }
}

/* The Service port the caller named, 0 when none. */
static uint16_t port_of(struct sv authority)
{
    uint64_t port = 0;
    size_t colon = sv_rindex(authority, ':');
    if (colon == authority.len || sv_ends(authority, SV("]")) ||
        !sv_to_u64(sv_from(authority, colon + 1), &port) || port > UINT16_MAX)
        return 0;
    return (uint16_t)port;
}

static const struct route *find_route(const struct stream *s)
{
    const struct http_head *h = s->req;
    if (s->side == SIDE_OUTBOUND)
        return original_route(s->down, s->mesh, h, port_of(h->authority));
    struct route_ask ask = { .req = h,
                             .is_tls = conn_tls(s->down->conn) != NULL,
                             .listen = s->down->port->number };
    return mesh_gateway_route(s->mesh, &ask);
}

/* Where some hosts ask callers for a certificate and others do not, the handshake for one of the
 * others must not open them. */
static bool is_misdirected(const struct stream *s)
{
    const struct tls_info *tls = conn_tls(s->down->conn);
    struct tls_ctx *door = s->side == SIDE_GATEWAY && tls
                               ? gateway_tls_port(s->worker->gateway_tls, s->down->port->number)
                               : NULL;
    struct sv host = s->req->authority;
    size_t colon = sv_rindex(host, ':');
    return door && !tls_ctx_serves(door, tls->sni, sv_sub(host, 0, colon));
}

static enum step_result on_route(struct stream *s)
{
    const struct http_head *h = s->req;
    s->state = ST_CONNECT;
    if (s->side == SIDE_INBOUND) {
        traffic_set_timeout(s, 0);
        return STEP_AGAIN;
    }
    if (is_misdirected(s)) {
        snprintf(s->why, sizeof(s->why), "the handshake was for another host");
        return stream_fail(s, 421, TALLY_REPLIES_NR, "NR", "misdirected_request");
    }
    s->route = find_route(s);
    if (!s->route) {
        snprintf(s->why, sizeof(s->why), "no route for host '%.*s'",
                 (int)MIN(h->authority.len, (size_t)100), h->authority.p ? h->authority.p : "");
        return stream_fail(s, 404, TALLY_REPLIES_NR, "NR", "route_not_found");
    }
    return traffic_begin(s);
}

static enum step_result on_done(struct stream *s)
{
    (void)s;
    return STEP_DONE;
}

static const struct step {
    const char *name;
    enum step_result (*run)(struct stream *s);
} steps[STATES_LEN] = {
    [ST_HEAD] = { "head", on_head },           /* -> authz | reply | done */
    [ST_AUTHZ] = { "authz", authorize_run },   /* -> route | reply */
    [ST_ROUTE] = { "route", on_route },        /* -> delay | connect | reply */
    [ST_DELAY] = { "delay", traffic_wait },    /* -> connect | reply */
    [ST_CONNECT] = { "connect", connect_run }, /* -> send | backoff | reply */
    [ST_BACKOFF] = { "backoff", again_wait },  /* -> connect */
    [ST_SEND] = { "send", relay_send },        /* -> relay | backoff | connect | reply | done */
    [ST_RELAY] = { "relay", relay_run },       /* -> tunnel | done | backoff | connect | reply */
    [ST_TUNNEL] = { "tunnel", tunnel_run },    /* -> done */
    [ST_REPLY] = { "reply", reply_run },       /* -> done */
    [ST_DONE] = { "done", on_done },
};

/* While the response is awaited the caller may send its next request, or leave. */
static void watch_caller(struct stream *s)
{
    struct down *d = s->down;
    s->can_read_down = false;
    if (s->down_h2)
        return;
    if (d->in.len >= BLOCK_BYTES) {
        conn_pause(d->conn);
        return;
    }
    char probe[1024];
    ssize_t n = conn_read(d->conn, probe, sizeof(probe));
    if (n > 0)
        buf_append(&d->in, probe, (size_t)n);
    else if (n < 0)
        s->is_down_gone = true;
}

/* What may happen in any state between head and done. */
static void look_around(struct stream *s)
{
    if (s->state == ST_HEAD || s->state == ST_DONE)
        return;
    if (s->is_req_read && s->can_read_down && s->state != ST_REPLY && s->state != ST_TUNNEL)
        watch_caller(s);
    if (s->is_down_gone) {
        (void)stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
    } else if (s->is_timed_out) {
        if (s->up && !s->is_resp_started)
            again_judge(s, OUTLIER_NO_ANSWER);
        s->is_exhausted = false; /* there may be tries left, but there is no time */
        snprintf(s->why, sizeof(s->why), "no complete response within the route's timeout");
        (void)stream_fail(s, 504, TALLY_REPLIES_UT, "UT", "response_timeout");
    } else if (s->is_down_idle) {
        snprintf(s->why, sizeof(s->why), "nothing moved for the idle time");
        (void)stream_fail(s, 504, TALLY_REPLIES_SI, "SI", "stream_idle_timeout");
    } else if (s->is_try_over && s->state != ST_BACKOFF && s->state != ST_DELAY &&
               s->state != ST_REPLY) {
        again_on_try_timeout(s);
    }
}

static void stream_end(struct stream *s)
{
    struct worker *w = s->worker;
    struct down *d = s->down;
    bool may_go_on = s->is_down_reusable && !s->is_cut;
    bool is_cut = s->is_cut;
    struct h2_stream *st = s->down_h2;
    list_remove(&s->down_node);
    if (!s->is_unrecorded)
        stream_record(s);
    stream_drop_up(s, s->is_up_reusable);
    timer_stop(&s->timer);
    timer_stop(&s->try_timer);
    timer_stop(&s->idle_timer);
    timer_stop(&s->messages_timer);
    breaker_end(&s->seat, w->loop, connect_turn);
    buf_done(&s->kept);
    traffic_done(s);
    worker_give_block(w, &s->req_block);
    mesh_unref(s->mesh);
    w->streams_len--;
    tally_less(TALLY_STREAMS);
    if (w->spare_streams_len < SPARE_STREAMS_MAX) {
        s->next_spare = w->spare_streams;
        w->spare_streams = s;
        w->spare_streams_len++;
    } else {
        mem_free(s);
    }
    if (st)
        down_h2_stream_done(d, st, is_cut);
    else
        down_stream_done(d, may_go_on, is_cut);
    worker_check_drained(w);
}

/* What was written to a connection that is shared leaves at the end of the turn. */
static void flush_later(struct stream *s)
{
    if (s->down_h2)
        down_h2_later(s->down);
    if (s->up_h2)
        up_h2_later(s->up);
}

void stream_run(struct stream *s)
{
    enum step_result r;
    look_around(s);
    do {
        INVARIANT(s->state < STATES_LEN);
        r = steps[s->state].run(s);
    } while (r == STEP_AGAIN);
    if (r == STEP_DONE)
        stream_end(s);
    else
        flush_later(s);
}

void stream_abort(struct stream *s)
{
    if (s->state == ST_HEAD)
        (void)nothing_came(s);
    else
        (void)stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
    stream_run(s);
}
