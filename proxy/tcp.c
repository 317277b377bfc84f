/* SPDX-License-Identifier: Apache-2.0
 * tcp.c - bytes both ways between a caller and an endpoint.
 *
 * Both sides are read into the worker's one buffer and written on at once; what a socket does not take
 * waits with its connection, whose source is paused from CONN_HIGH_WATER on. So a connection costs
 * nothing while nothing moves, and at most two such queues while a reader is slow. Ends are passed on
 * one by one (a half-closed peer gets its last bytes), breaks as breaks. Nothing is read from the caller
 * before the endpoint has answered: then there is nothing to lose if another has to be asked. A sidecar answers for
 * its application (docs/adr/0036), because its own port is open even when nobody is behind it. */
#include "proxy/tcp.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/stream.h"

static const enum tally_id opened[SIDES_LEN] = {
    [SIDE_OUTBOUND] = TALLY_TCP_OUTBOUND,
    [SIDE_INBOUND] = TALLY_TCP_INBOUND,
    [SIDE_GATEWAY] = TALLY_TCP_GATEWAY,
};

static void drop_up(struct tcp *t, int64_t linger_ns)
{
    uint32_t *load = tcp_load(t);
    if (!t->up)
        return;
    if (load && *load)
        --*load;
    tally_less(TALLY_UP_OPEN);
    if (linger_ns)
        conn_close_gently(TAKE(t->up), linger_ns);
    else
        conn_close(TAKE(t->up));
}

/* Over: t is gone. */
static void end(struct tcp *t, int64_t linger_ns)
{
    struct down *d = t->down;
    struct worker *w = t->worker;
    timer_stop(&t->report);
    timer_stop(&t->life);
    tcp_record(t, CALL_END);
    drop_up(t, linger_ns);
    breaker_end(&t->seat, w->loop, connect_turn);
    mesh_unref(t->mesh);
    d->tcp = NULL;
    w->streams_len--;
    tally_less(TALLY_TCP_OPEN);
    mem_free(t);
    down_close(d, linger_ns);
    worker_check_drained(w);
}

static void fail(struct tcp *t, const char *flag, const char *details)
{
    t->flag = flag;
    if (!t->details[0])
        snprintf(t->details, sizeof(t->details), "%s", details);
    end(t, 0);
}

/* The other side shall see a break, too. */
static void caller_broke(struct tcp *t)
{
    if (t->up && t->is_up_open)
        conn_reset_at_close(t->up);
    fail(t, NULL, "downstream_remote_disconnect");
}

static void upstream_broke(struct tcp *t)
{
    const struct err *e = conn_error(t->up);
    if (e->code)
        snprintf(t->failure, sizeof(t->failure), "%s", e->why);
    conn_reset_at_close(t->down->conn);
    fail(t, "UC", "upstream_remote_disconnect");
}

/* One read and one write. <0: from is broken; >0: to is; 0: all is well. */
static int flow(struct tcp *t, struct conn *from, struct conn *to, bool *is_over, uint64_t *bytes)
{
    if (*is_over)
        return 0;
    if (conn_is_congested(to)) {
        conn_pause(from);
        return 0;
    }
    conn_resume(from);
    ssize_t n = conn_read(from, t->worker->body, BODY_BYTES);
    if (n == ERR_CLOSED) {
        *is_over = true;
        conn_finish(to);
        return 0;
    }
    if (n <= 0)
        return n < 0 ? -1 : 0;
    struct sv part = sv_of(t->worker->body, (size_t)n);
    *bytes += part.len;
    if (conn_write(to, &part, 1) < 0)
        return 1;
    if (conn_is_congested(to))
        conn_pause(from);
    return 0;
}

static void run(struct tcp *t, bool reads_down, bool reads_up)
{
    struct conn *down = t->down->conn;
    int back = reads_up ? flow(t, t->up, down, &t->is_up_over, &t->from_up) : 0;
    int out = reads_down && back == 0 ? flow(t, down, t->up, &t->is_down_over, &t->from_down) : 0;
    if (back < 0 || out > 0)
        upstream_broke(t);
    else if (back > 0 || out < 0)
        caller_broke(t);
    else if (t->is_down_over && t->is_up_over)
        end(t, DOWN_LINGER_NS);
}

static void on_up(void *owner, struct conn *c, enum conn_event ev);

static void try_next(struct tcp *t)
{
    drop_up(t, 0);
    if (!tcp_connect(t, on_up))
        fail(t, t->flag, "upstream_reset_before_response_started{remote_connection_failure}");
}

static void connect_failed(struct tcp *t, const char *why)
{
    struct outlier *o = &t->worker->outlier;
    tally(TALLY_UP_FAILED);
    snprintf(t->failure, sizeof(t->failure), "%s", why);
    t->flag = "UF";
    if (t->endpoint && outlier_report(o, t->cluster, t->endpoint, OUTLIER_NO_ANSWER,
                                      loop_now_ns(t->worker->loop), NULL) == OUTLIER_EJECTED)
        tally(TALLY_OUTLIER_EJECTED);
    try_next(t);
}

static void on_report(struct timer *timer)
{
    struct tcp *t = CONTAINER_OF(timer, struct tcp, report);
    tcp_record(t, CALL_BYTES);
    timer_after(&t->report, t->worker->opt->tcp_report_ns);
}

/* With the handshake the other sidecar has agreed to tell when its application is there, or we have. */
static bool is_answer_agreed(const struct conn *c)
{
    const struct tls_info *tls = conn_tls(c);
    return tls && sv_eq(tls->alpn, SV(TCP_ANSWERED_ALPN));
}

/* False: the caller is gone. */
static bool answer_caller(struct tcp *t)
{
    struct sv answer = TCP_ANSWER;
    return !is_answer_agreed(t->down->conn) || conn_write(t->down->conn, &answer, 1) == 0;
}

static void judge_well(struct tcp *t)
{
    struct outlier *o = &t->worker->outlier;
    int64_t now_ns = loop_now_ns(t->worker->loop);
    if (!t->endpoint)
        return;
    if (t->is_last_resort && outlier_pardon(o, t->endpoint, now_ns))
        tally(TALLY_OUTLIER_PARDONED);
    (void)outlier_report(o, t->cluster, t->endpoint, OUTLIER_OK, now_ns, NULL);
}

/* maxConnectionDuration is over. */
static void on_old_age(struct timer *timer)
{
    fail(CONTAINER_OF(timer, struct tcp, life), "DT", "max_connection_duration_reached");
}

static void opened_up(struct tcp *t)
{
    t->is_up_open = true;
    pool_count_handshake(t->up);
    t->flag = NULL;
    t->failure[0] = '\0';
    conn_set_idle(t->up, 0);
    judge_well(t);
    if (!answer_caller(t)) {
        caller_broke(t);
        return;
    }
    const struct pool_limits *l = t->cluster ? t->cluster->limits : NULL;
    conn_set_idle(t->down->conn, l && l->tcp_idle_ns ? l->tcp_idle_ns
                                 : l && l->idle_ns   ? l->idle_ns
                                                     : t->worker->opt->idle_ns);
    if (l && l->lifetime_ns)
        timer_after(&t->life, l->lifetime_ns);
    conn_resume(t->down->conn);
    tcp_record(t, CALL_BEGIN);
    if (t->worker->opt->tcp_report_ns)
        timer_after(&t->report, t->worker->opt->tcp_report_ns);
    run(t, true, true);
}

static void read_answer(struct tcp *t)
{
    char answer;
    ssize_t n = conn_read(t->up, &answer, 1);
    if (n == 0)
        return;
    if (n > 0 && sv_eq(sv_of(&answer, 1), TCP_ANSWER))
        opened_up(t);
    else
        connect_failed(t, "the sidecar could not reach its application");
}

static void on_up(void *owner, struct conn *c, enum conn_event ev)
{
    struct tcp *t = owner;
    switch (ev) {
    case CONN_OPEN:
        if (t->is_up_mesh && is_answer_agreed(c))
            conn_set_idle(c, tcp_connect_timeout_ns(t));
        else
            opened_up(t);
        break;
    case CONN_READABLE:
        if (t->is_up_open)
            run(t, false, true);
        else
            read_answer(t);
        break;
    case CONN_DRAINED: run(t, true, false); break;
    case CONN_IDLE:
        if (!t->is_up_open)
            connect_failed(t, "the sidecar did not say in time whether its application is there");
        break;
    case CONN_FAILED:
        if (t->is_up_open)
            upstream_broke(t);
        else
            connect_failed(t, conn_error(c)->why);
        break;
    }
}

void tcp_on_down(struct tcp *t, enum conn_event ev)
{
    switch (ev) {
    case CONN_OPEN: break;
    case CONN_READABLE:
        if (t->is_up_open)
            run(t, true, false);
        break;
    case CONN_DRAINED:
        if (t->is_up_open)
            run(t, false, true);
        break;
    case CONN_IDLE: fail(t, NULL, "tcp_session_idle_timeout"); break;
    case CONN_FAILED: caller_broke(t); break;
    }
}

void tcp_abort(struct tcp *t)
{
    fail(t, NULL, "connection_ended_by_proxy");
}

static struct tcp *tcp_new(struct down *d, bool is_tls, struct sv sni)
{
    struct worker *w = d->worker;
    struct tcp *t = mem_zalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->worker = w;
    t->down = d;
    t->side = d->port->side;
    t->mesh = mesh_ref(w->mesh);
    t->is_tls = is_tls;
    t->started_ns = clock_mono_ns();
    t->started_wall_ns = clock_wall_ns();
    t->source = t->destination = identity_unknown();
    (void)sv_to_z(sni, t->sni, sizeof(t->sni));
    timer_init(&t->report, w->loop, on_report);
    timer_init(&t->life, w->loop, on_old_age);
    d->tcp = t;
    w->streams_len++;
    tally(opened[t->side]);
    tally(TALLY_TCP_OPEN);
    return t;
}

void tcp_begin(struct down *d, bool is_tls, struct sv sni)
{
    struct tcp *t = tcp_new(d, is_tls, sni);
    if (!t) {
        down_close(d, 0);
        return;
    }
    conn_pause(d->conn);
    conn_set_idle(d->conn, 0); /* connecting has a time limit of its own */
    if (!tcp_find(t))
        fail(t, t->flag, "");
    else if (!tcp_is_allowed(t)) /* an answer, too: no other endpoint is to be asked */
        end(t, is_answer_agreed(d->conn) && answer_caller(t) ? DOWN_LINGER_NS : 0);
    else if (!tcp_connect(t, on_up))
        fail(t, t->flag, "");
}
