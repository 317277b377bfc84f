/* door_conn.c - one connection of the door: bytes, requests one after another, time limits.
 *
 * Requests may be pipelined: while a batch is being committed reading pauses, what was read already
 * waits in `in`, and answers leave in the order the requests came. An idle connection holds its
 * struct and nothing else. */
#include "base/mem.h"
#include "door_priv.h"
#include "tallies.h"
#include <unistd.h>

static void caller_free(struct defer *def)
{
    struct caller *c = CONTAINER_OF(def, struct caller, last);
    h1_done(&c->h1);
    buf_done(&c->in);
    mem_free(c);
}

void caller_close(struct caller *c, int64_t linger_ns)
{
    if (c->state == CALLER_GONE)
        return;
    if (c->parcel)
        export_orphan(TAKE(c->parcel));
    export_done(c);
    c->state = CALLER_GONE;
    timer_stop(&c->deadline);
    list_remove(&c->node);
    if (linger_ns)
        conn_close_gently(c->conn, linger_ns);
    else
        conn_close(c->conn);
    door_caller_gone(c->door);
    loop_defer(c->door->conf.loop, &c->last, caller_free);
}

static void begin_request(struct caller *c)
{
    c->state = CALLER_HEAD;
    h1_begin(&c->h1, H1_REQUEST, c->slots, NELEMS(c->slots), DOOR_HEAD_BYTES_MAX);
}

void caller_reply(struct caller *c, unsigned status, struct sv content_type, struct sv extra,
                  struct sv body)
{
    AUTO_DONE(buf) head = { 0 };
    char length[24];
    int n = snprintf(length, sizeof(length), "%zu", body.len);
    h1_put_status_line(&head, status, SV_NONE);
    h1_put_field(&head, SV("Content-Type"), content_type);
    h1_put_field(&head, SV("Content-Length"), sv_of(length, (size_t)n));
    buf_put(&head, extra);
    bool is_last = !c->req.is_keep_alive || c->door->is_stopping;
    if (is_last)
        h1_put_field(&head, SV("Connection"), SV("close"));
    h1_put_end(&head);
    struct sv parts[] = { buf_sv(&head), c->req.is_head_method ? SV_NONE : body };
    if (head.failed || conn_write(c->conn, parts, NELEMS(parts)) < 0)
        caller_close(c, 0);
    else if (is_last)
        caller_close(c, DOOR_LINGER_NS);
}

/* The message ended badly by HTTP's own rules. */
static void refuse_http(struct caller *c)
{
    struct err err = c->h1.err;
    unsigned status = c->h1.bad_status ? c->h1.bad_status : 400;
    c->req.refusal.status = 0;
    c->req.is_keep_alive = false;
    export_refuse(c, status, RPC_INVALID_ARGUMENT, "HTTP: byte %zu: %s", err.at, err.why);
    tally(TALLY_HTTP_REFUSED, 1);
    export_send_refusal(c);
}

static void on_head(struct caller *c)
{
    export_begin(c);
    timer_after(&c->deadline, DOOR_BODY_NS);
    if (c->req.refusal.status == 0) {
        c->state = CALLER_BODY;
        if (sv_eq_nocase(http_get(&c->h1.head, SV("expect")), SV("100-continue"))) {
            struct sv go_on = SV("HTTP/1.1 100 Continue\r\n\r\n");
            if (conn_write(c->conn, &go_on, 1) < 0)
                caller_close(c, 0);
        }
        return;
    }
    c->state = CALLER_DROP;
    const struct http_head *h = &c->h1.head;
    bool is_waiting = http_get(h, SV("expect")).len != 0;
    bool is_long = h->has_length && h->content_length > DOOR_DROP_BYTES_MAX;
    if (is_waiting || is_long) {
        c->req.is_keep_alive = false;
        export_send_refusal(c);
    }
}

static void on_body(struct caller *c)
{
    if (c->state == CALLER_BODY)
        export_body(c, c->h1.body);
    if (c->state == CALLER_BODY && c->req.refusal.status)
        c->state = CALLER_DROP;
    if (c->state == CALLER_DROP && c->h1.body_bytes > DOOR_DROP_BYTES_MAX) {
        c->req.is_keep_alive = false;
        export_send_refusal(c);
    }
}

static void on_end(struct caller *c)
{
    timer_stop(&c->deadline);
    if (c->state == CALLER_BODY)
        export_end(c);
    else
        export_send_refusal(c);
}

/* Not while a batch is being committed, nor while the peer does not take its answers. */
static bool is_reading(const struct caller *c)
{
    return c->state != CALLER_GONE && c->state != CALLER_COMMITTING && !conn_is_congested(c->conn);
}

/* Goes through in, as far as it is complete; what is left of it. */
static struct sv parse_bytes(struct caller *c, struct sv in)
{
    /* Behind the head it may go on without bytes: a request without a body ends there. */
    while (is_reading(c) && (in.len || c->state != CALLER_HEAD)) {
        if (c->state == CALLER_HEAD && !timer_is_set(&c->deadline))
            timer_after(&c->deadline, DOOR_HEAD_NS);
        enum h1_event e = h1_next(&c->h1, &in);
        if (e == H1_NEED_MORE)
            break;
        switch (e) {
        case H1_HEAD: on_head(c); break;
        case H1_BODY: on_body(c); break;
        case H1_END: on_end(c); break;
        default: refuse_http(c);
        }
    }
    return in;
}

/* Goes through what waits in c->in. */
static void parse(struct caller *c)
{
    struct sv left = parse_bytes(c, buf_sv(&c->in));
    buf_consume(&c->in, c->in.len - left.len);
}

/* After a pause: what was read already, then what waits in the socket. */
static void go_on(struct caller *c)
{
    parse(c);
    if (is_reading(c))
        conn_resume(c->conn);
}

void caller_next(struct caller *c)
{
    export_done(c);
    if (c->state == CALLER_GONE)
        return;
    bool was_committing = c->state == CALLER_COMMITTING;
    begin_request(c);
    if (was_committing) /* otherwise inside parse(), which goes on */
        go_on(c);
}

/* Reads once and goes through it. A body whose length is known is read where it stays; then nothing of
 * a next request is read with it. As conn_read(). */
static ssize_t read_once(struct caller *c)
{
    size_t bytes = DOOR_READ_BYTES;
    char *in_place = c->state == CALLER_BODY && c->in.len == 0 ? export_room(c, &bytes) : NULL;
    char *room = in_place ? in_place : buf_reserve(&c->in, bytes);
    ssize_t n = room ? conn_read(c->conn, room, bytes) : ERR_NOMEM;
    if (n > 0 && in_place) {
        (void)parse_bytes(c, sv_of(room, (size_t)n)); /* all of it is body */
    } else if (n > 0) {
        buf_commit(&c->in, (size_t)n);
        parse(c);
    }
    return n;
}

static void read_all(struct caller *c)
{
    while (is_reading(c)) {
        ssize_t n = read_once(c);
        if (n < 0) {
            caller_close(c, 0);
            return;
        }
        if (n == 0)
            break;
    }
    if (c->state == CALLER_GONE)
        return;
    if (!is_reading(c))
        conn_pause(c->conn);
    if (c->in.len == 0)
        buf_done(&c->in);
}

static void on_deadline(struct timer *t)
{
    struct caller *c = CONTAINER_OF(t, struct caller, deadline);
    c->req.is_keep_alive = false;
    c->req.refusal.status = 0;
    tally(TALLY_HTTP_REFUSED, 1);
    export_refuse(c, 408, RPC_INVALID_ARGUMENT, "the request took too long to arrive");
    export_send_refusal(c);
}

static void on_event(void *owner, struct conn *conn, enum conn_event ev)
{
    struct caller *c = owner;
    (void)conn;
    switch (ev) {
    case CONN_READABLE: read_all(c); return;
    case CONN_IDLE:
        if (c->state == CALLER_HEAD)
            caller_close(c, 0);
        return;
    case CONN_FAILED: caller_close(c, 0); return;
    case CONN_DRAINED: go_on(c); return;
    case CONN_OPEN: return;
    }
}

struct caller *caller_new(struct door *d, int fd, const struct addr *peer)
{
    struct caller *c = mem_zalloc(sizeof(*c));
    if (!c) {
        close(fd);
        return NULL;
    }
    struct conn *conn = conn_accept(d->conf.loop, fd, peer, on_event, c, NULL);
    if (!conn)
        return mem_free(c);
    c->door = d;
    c->conn = conn;
    timer_init(&c->deadline, d->conf.loop, on_deadline);
    conn_set_idle(conn, DOOR_IDLE_NS);
    list_add_tail(&d->callers, &c->node);
    begin_request(c);
    return c;
}
