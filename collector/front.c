/* front.c - the query door's listener: reads nothing, looks at everything.
 *
 * The bytes stay in the socket (MSG_PEEK), so that libmicrohttpd finds the connection untouched. A
 * head that is not complete yet is looked at again a little later, for the same time as
 * libmicrohttpd would wait; one that is wrong is answered here, in the API's own form of an error. */
#include "front.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/listener.h"
#include "query/answer.h"
#include "tallies.h"
#include "wire/h1.h"
#include <pthread.h>

#define HEAD_BYTES_MAX ((size_t)32768) /* what libmicrohttpd has for a head, see http.c */
#define HEADERS_MAX    128             /* browsers send twenty */
#define HEAD_NS        (30 * NS_PER_S)
#define LOOK_AGAIN_NS                                                                              \
    (10 * NS_PER_MS)             /* a head in two segments is rare, and mostly one turn late */
#define LINGER_NS (2 * NS_PER_S) /* for the answer to arrive before a reset could kill it */

struct front {
    front_fn *pass;
    void *to;
    struct loop *loop;
    struct wake *stop;
    struct listener *listener;
    pthread_t thread;
    bool has_thread;
    struct list callers;
    struct http_header slots[HEADERS_MAX];
    char head[HEAD_BYTES_MAX];
};

/* A connection whose first head is not complete. */
struct caller {
    struct list node;
    struct front *front;
    struct conn *conn;
    struct timer again;
    int64_t deadline_ns;
};

/* The connection is somebody else's by now, or closed. */
static void caller_free(struct caller *c)
{
    timer_stop(&c->again);
    list_remove(&c->node);
    listener_conn_gone(c->front->listener);
    mem_free(c);
}

static void refuse(struct caller *c, unsigned status, const char *why, size_t at)
{
    AUTO_DONE(answer) a = { 0 };
    AUTO_DONE(buf) head = { 0 };
    char length[24];
    answer_error(&a, status, SV_NONE, "HTTP: byte %zu: %s", at, why);
    int n = snprintf(length, sizeof(length), "%zu", a.body.len);
    h1_put_status_line(&head, status, SV_NONE);
    h1_put_field(&head, SV("Content-Type"), sv_z(a.content_type));
    h1_put_field(&head, SV("Content-Length"), sv_of(length, (size_t)n));
    h1_put_field(&head, SV("Connection"), SV("close"));
    h1_put_end(&head);
    struct sv parts[] = { buf_sv(&head), buf_sv(&a.body) };
    tally(TALLY_QUERY_MALFORMED, 1);
    if (head.failed || conn_write(c->conn, parts, NELEMS(parts)) < 0)
        conn_close(c->conn);
    else
        conn_close_gently(c->conn, LINGER_NS);
    caller_free(c);
}

static void hand_over(struct caller *c)
{
    struct front *f = c->front;
    struct addr peer = *conn_peer(c->conn);
    int fd = conn_detach(c->conn);
    caller_free(c);
    f->pass(f->to, fd, &peer.sa, addr_len(&peer));
}

static void wait_for_more(struct caller *c, size_t had)
{
    if (conn_is_half_closed(c->conn)) {
        refuse(c, 400, "the request's head ends here", had);
    } else if (loop_now_ns(c->front->loop) >= c->deadline_ns) {
        refuse(c, 408, "the request's head did not go on", had);
    } else {
        conn_pause(c->conn); /* what was looked at is still there and would be told again */
        timer_after(&c->again, LOOK_AGAIN_NS);
    }
}

static void look(struct caller *c)
{
    struct front *f = c->front;
    ssize_t n = conn_peek(c->conn, f->head, sizeof(f->head));
    if (n == 0)
        return;
    if (n < 0) { /* gone before it said anything whole */
        conn_close(c->conn);
        caller_free(c);
        return;
    }
    struct h1 h = { 0 };
    struct sv in = sv_of(f->head, (size_t)n);
    h1_begin(&h, H1_REQUEST, f->slots, NELEMS(f->slots), HEAD_BYTES_MAX);
    switch (h1_next(&h, &in)) {
    case H1_NEED_MORE: wait_for_more(c, (size_t)n); break;
    case H1_BAD: refuse(c, h.bad_status ? h.bad_status : 400, h.err.why, h.err.at); break;
    default: hand_over(c);
    }
    h1_done(&h);
}

static void on_again(struct timer *t)
{
    struct caller *c = CONTAINER_OF(t, struct caller, again);
    conn_resume(c->conn);
    look(c);
}

static void on_conn(void *owner, struct conn *conn, enum conn_event ev)
{
    struct caller *c = owner;
    switch (ev) {
    case CONN_READABLE: look(c); break;
    case CONN_FAILED:
    case CONN_IDLE:
        conn_close(conn);
        caller_free(c);
        break;
    case CONN_OPEN:
    case CONN_DRAINED: break;
    }
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    struct front *f = owner;
    struct caller *c = mem_zalloc(sizeof(*c));
    struct conn *conn = conn_accept(f->loop, fd, peer, on_conn, c,
                                    NULL); /* closes fd if it fails */
    if (!c || !conn) {
        conn_close(conn);
        mem_free(c);
        listener_conn_gone(l);
        return;
    }
    c->front = f;
    c->conn = conn;
    c->deadline_ns = loop_now_ns(f->loop) + HEAD_NS;
    timer_init(&c->again, f->loop, on_again);
    list_add_tail(&f->callers, &c->node);
    conn_set_idle(c->conn, HEAD_NS);
}

static void on_stop(void *to)
{
    loop_stop(((struct front *)to)->loop);
}

static void *run(void *to)
{
    loop_run(((struct front *)to)->loop);
    return NULL;
}

struct front *front_open(const char *host, uint16_t port, front_fn *pass, void *to, struct err *err)
{
    struct front *f = mem_zalloc(sizeof(*f));
    if (!f) {
        err_set(err, ERR_NOMEM, "listener of the query door");
        return NULL;
    }
    struct listener_conf conf = { .host = sv_z(host), .port = port };
    f->pass = pass;
    f->to = to;
    list_init(&f->callers);
    f->loop = loop_new(err);
    f->stop = f->loop ? wake_new(f->loop, on_stop, f, err) : NULL;
    f->listener = f->stop ? listener_open(f->loop, &conf, on_accept, f, err) : NULL;
    if (!f->listener)
        return front_close(f);
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        err_set(err, ERR_NOMEM, "thread of the query door's listener");
        return front_close(f);
    }
    f->has_thread = true;
    return f;
}

uint16_t front_port(const struct front *f)
{
    return listener_port(f->listener);
}

struct front *front_close(struct front *f)
{
    if (!f)
        return NULL;
    if (f->has_thread) {
        wake_send(f->stop);
        pthread_join(f->thread, NULL);
    }
    LIST_EACH (it, after, &f->callers) {
        struct caller *c = CONTAINER_OF(it, struct caller, node);
        conn_close(c->conn);
        caller_free(c);
    }
    listener_close(f->listener);
    wake_free(f->stop);
    loop_free(f->loop);
    return mem_free(f);
}
