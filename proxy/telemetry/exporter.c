/* SPDX-License-Identifier: Apache-2.0
 * exporter.c - a small HTTP/1.1 client for one server and one kind of request.
 *
 * libcurl would cost this process more memory than everything else in it, and what is needed is one
 * POST at a time over one kept connection. A batch stays at the head of the queue until the
 * collector has answered: 2xx means kept and the batch goes; 408, 429, 502, 503, 504 and every kind
 * of broken connection mean again, with the same Idempotency-Key, so that an answer lost on the way
 * does not count a request twice; anything else means never, and the batch is dropped and told.
 *
 * Waiting doubles from 200 ms to 5 s, with jitter so that fifty sidecars do not come back together,
 * and is at least what Retry-After asks for. A kept connection that turns out to be dead is
 * replaced at once, without waiting. */
#include "proxy/telemetry/exporter.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "proxy/telemetry/lookup.h"
#include "wire/h1.h"
#include "wire/trace_ctx.h"
#include <stdio.h>

#define CONNECT_NS      (5 * NS_PER_S)
#define ANSWER_NS       (10 * NS_PER_S) /* a commit takes milliseconds; a stuck collector is left */
#define BACKOFF_MIN_NS  (200 * NS_PER_MS)
#define BACKOFF_MAX_NS  (5 * NS_PER_S)
#define HURRY_NS        (100 * NS_PER_MS)
#define RETRY_AFTER_MAX 60      /* seconds: more is not believed */
#define HEAD_BYTES_MAX  8192    /* of an answer */
#define BODY_BYTES_MAX  1048576 /* of an answer; more and the connection is dropped */
#define READ_BYTES      2048
#define HEADERS_MAX     32

enum exporter_state {
    EXPORTER_READY,
    EXPORTER_LOOKUP,
    EXPORTER_CONNECT,
    EXPORTER_ANSWER,
    EXPORTER_WAIT
};

struct exporter {
    struct loop *loop;
    const struct collector_url *url;
    exporter_fn *fn;
    void *to;
    enum exporter_state state;
    struct list queue; /* of batch_out; the first is being sent */
    size_t bytes;
    struct conn *conn; /* kept between requests */
    struct lookup *lookup;
    struct timer deadline; /* of an answer, or the end of a wait */
    unsigned attempts;     /* in a row that failed */
    bool is_reused, is_hurried;
    struct h1 answer;
    struct http_header slots[HEADERS_MAX];
    struct buf in;
    unsigned status;
    int64_t retry_after_ns;
    bool is_keep_alive;
};

static const char *const paths[OTLP_SIGNALS_LEN] = {
    [OTLP_LOGS] = "/v1/logs", [OTLP_SPANS] = "/v1/traces"
};

static void kick(struct exporter *e);

struct batch_out *batch_out_free(struct batch_out *b)
{
    if (b) {
        buf_done(&b->body);
        mem_free(b);
    }
    return NULL;
}

static struct batch_out *head_of(const struct exporter *e)
{
    return LIST_FIRST(&e->queue, struct batch_out, node);
}

static void drop_conn(struct exporter *e)
{
    conn_close(TAKE(e->conn));
    h1_done(&e->answer);
    buf_done(&e->in);
}

/* The head of the queue could not be brought over now. */
static void again_later(struct exporter *e, struct sv why)
{
    int64_t wait_ns = BACKOFF_MIN_NS << MIN(e->attempts, 10U);
    wait_ns = MIN(wait_ns, BACKOFF_MAX_NS);
    wait_ns = wait_ns / 2 + (int64_t)(random_u64() % (uint64_t)(wait_ns / 2));
    wait_ns = MAX(wait_ns, e->retry_after_ns);
    if (e->is_hurried)
        wait_ns = HURRY_NS;
    e->attempts++;
    e->retry_after_ns = 0;
    e->state = EXPORTER_WAIT;
    timer_after(&e->deadline, wait_ns);
    if (head_of(e))
        e->fn(e->to, head_of(e), BATCH_RETRIED);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "telemetry.retry", KV_SV("collector", e->url->authority),
              KV_SV("why", why), KV_UINT("waiting_bytes", e->bytes), KV_NSEC("again_in", wait_ns));
}

static void broken(struct exporter *e, struct sv why)
{
    bool is_stale = e->is_reused && e->in.len == 0 && e->answer.body_bytes == 0;
    drop_conn(e);
    if (is_stale && e->state == EXPORTER_ANSWER) { /* closed while it was idle */
        timer_stop(&e->deadline);
        e->state = EXPORTER_READY;
        kick(e);
    } else {
        again_later(e, why);
    }
}

static void send_head(struct exporter *e)
{
    AUTO_DONE(buf) head = { 0 };
    const struct batch_out *b = head_of(e);
    char target[512], length[24];
    int n = snprintf(target, sizeof(target), "%.*s%s", SV_ARG(sv_sub(e->url->prefix, 0, 480)),
                     paths[b->signal]);
    int digits = snprintf(length, sizeof(length), "%zu", b->body.len);
    h1_put_request_line(&head, SV("POST"), sv_of(target, (size_t)n));
    h1_put_field(&head, SV("Host"), e->url->authority);
    h1_put_field(&head, SV("Content-Type"), SV("application/x-protobuf"));
    h1_put_field(&head, SV("Content-Encoding"), SV("gzip"));
    h1_put_field(&head, SV("Content-Length"), sv_of(length, (size_t)digits));
    h1_put_field(&head, SV("Idempotency-Key"), sv_of(b->key, sizeof(b->key)));
    h1_put_field(&head, SV("User-Agent"), SV("tulle-proxy"));
    h1_put_end(&head);
    h1_begin(&e->answer, H1_RESPONSE, e->slots, NELEMS(e->slots), HEAD_BYTES_MAX);
    e->state = EXPORTER_ANSWER;
    e->status = 0;
    e->retry_after_ns = 0;
    timer_after(&e->deadline, ANSWER_NS);
    struct sv parts[] = { buf_sv(&head), buf_sv(&b->body) };
    if (head.failed)
        broken(e, SV("out of memory"));
    else if (conn_write(e->conn, parts, NELEMS(parts)) < 0)
        broken(e, sv_z(conn_error(e->conn)->why));
}

static bool is_worth_repeating(unsigned status)
{
    return status == 408 || status == 429 || status == 502 || status == 503 || status == 504;
}

static void finish_head(struct exporter *e, enum batch_fate fate)
{
    struct batch_out *b = head_of(e);
    list_remove(&b->node);
    e->bytes -= b->body.len;
    e->attempts = 0;
    e->fn(e->to, b, fate);
    batch_out_free(b);
}

static void on_answer(struct exporter *e)
{
    timer_stop(&e->deadline);
    buf_done(&e->in);
    e->is_reused = true;
    if (!e->is_keep_alive)
        drop_conn(e);
    if (is_worth_repeating(e->status)) {
        char why[32];
        int n = snprintf(why, sizeof(why), "HTTP %u", e->status);
        again_later(e, sv_of(why, (size_t)n));
        return;
    }
    bool is_kept = e->status / 100 == 2;
    if (!is_kept)
        LOG_EVERY(10 * NS_PER_S, LOG_WARN, "telemetry.refused", KV_UINT("status", e->status),
                  KV_SV("collector", e->url->authority), KV_UINT("records", head_of(e)->records));
    e->state = EXPORTER_READY;
    finish_head(e, is_kept ? BATCH_SENT : BATCH_REFUSED);
    kick(e);
}

static void on_head(struct exporter *e)
{
    uint64_t seconds;
    e->status = e->answer.head.status;
    e->is_keep_alive = e->answer.head.is_keep_alive;
    if (sv_to_u64(http_get(&e->answer.head, SV("retry-after")), &seconds))
        e->retry_after_ns = (int64_t)MIN(seconds, RETRY_AFTER_MAX) * NS_PER_S;
}

/* What came so far, event by event; false when the connection or the request is over. */
static bool parse(struct exporter *e)
{
    struct sv in = buf_sv(&e->in);
    size_t had = in.len;
    for (;;) {
        switch (h1_next(&e->answer, &in)) {
        case H1_HEAD: on_head(e); break;
        case H1_BODY:
            if (e->answer.body_bytes > BODY_BYTES_MAX) {
                broken(e, SV("endless answer"));
                return false;
            }
            break;
        case H1_END:
            buf_consume(&e->in, had - in.len);
            if (e->status >= 200) {
                on_answer(e);
                return false;
            }
            h1_begin(&e->answer, H1_RESPONSE, e->slots, NELEMS(e->slots), HEAD_BYTES_MAX);
            in = buf_sv(&e->in);
            had = in.len;
            break;
        case H1_BAD: broken(e, sv_z(e->answer.err.why)); return false;
        case H1_NEED_MORE: buf_consume(&e->in, had - in.len); return true;
        }
    }
}

static void on_readable(struct exporter *e)
{
    for (;;) {
        char *room = buf_reserve(&e->in, READ_BYTES);
        ssize_t n = room ? conn_read(e->conn, room, READ_BYTES) : (ssize_t)ERR_NOMEM;
        if (n == 0)
            return;
        if (n > 0 && e->state == EXPORTER_ANSWER) {
            buf_commit(&e->in, (size_t)n);
            if (!parse(e))
                return;
            continue;
        }
        if (e->state != EXPORTER_ANSWER)
            drop_conn(e); /* idle: the server closed it, or sent what nobody asked for */
        else if (n == ERR_CLOSED && e->status && h1_eof(&e->answer) == H1_END)
            e->is_keep_alive = false, on_answer(e);
        else
            broken(e, n == ERR_CLOSED ? SV("closed without an answer")
                                      : sv_z(conn_error(e->conn)->why));
        return;
    }
}

static void on_conn(void *owner, struct conn *c, enum conn_event ev)
{
    struct exporter *e = owner;
    switch (ev) {
    case CONN_OPEN:
        e->is_reused = false;
        send_head(e);
        break;
    case CONN_READABLE: on_readable(e); break;
    case CONN_FAILED:
        if (e->state == EXPORTER_READY || e->state == EXPORTER_WAIT)
            drop_conn(e);
        else
            broken(e, sv_z(conn_error(c)->why));
        break;
    case CONN_DRAINED:
    case CONN_IDLE: break;
    }
}

static void connect_to(struct exporter *e, const struct addr *addr)
{
    struct err err = { 0 };
    e->state = EXPORTER_CONNECT;
    e->is_reused = false;
    e->conn = conn_connect(e->loop, addr, CONNECT_NS, on_conn, e, &err);
    if (!e->conn)
        again_later(e, sv_z(err.why));
}

static void on_lookup(void *to, const struct addr *addr, const struct err *err)
{
    struct exporter *e = to;
    e->lookup = NULL;
    if (addr)
        connect_to(e, addr);
    else
        again_later(e, sv_z(err->why));
}

/* Starts on the head of the queue unless something is going on already. */
static void kick(struct exporter *e)
{
    struct addr addr;
    struct err err = { 0 };
    if (e->state != EXPORTER_READY || list_is_empty(&e->queue))
        return;
    if (e->conn) {
        send_head(e);
    } else if (addr_parse(e->url->host, e->url->port, &addr, NULL) == 0) {
        connect_to(e, &addr);
    } else {
        e->state = EXPORTER_LOOKUP;
        e->lookup = lookup_start(e->loop, e->url->host, e->url->port, on_lookup, e, &err);
        if (!e->lookup)
            again_later(e, sv_z(err.why));
    }
}

static void on_deadline(struct timer *t)
{
    struct exporter *e = CONTAINER_OF(t, struct exporter, deadline);
    if (e->state == EXPORTER_ANSWER) {
        e->is_reused = false; /* it was slow, not stale */
        broken(e, SV("no answer in time"));
    } else if (e->state == EXPORTER_WAIT) {
        e->state = EXPORTER_READY;
        kick(e);
    }
}

struct exporter *exporter_new(struct loop *loop, const struct collector_url *url, exporter_fn *fn,
                              void *to, struct err *err)
{
    struct exporter *e = mem_zalloc(sizeof(*e));
    if (!e) {
        err_set(err, ERR_NOMEM, "exporter");
        return NULL;
    }
    e->loop = loop;
    e->url = url;
    e->fn = fn;
    e->to = to;
    list_init(&e->queue);
    timer_init(&e->deadline, loop, on_deadline);
    return e;
}

struct exporter *exporter_free(struct exporter *e)
{
    if (!e)
        return NULL;
    timer_stop(&e->deadline);
    lookup_cancel(e->lookup);
    drop_conn(e);
    LIST_EACH (it, after, &e->queue)
        batch_out_free(CONTAINER_OF(it, struct batch_out, node));
    mem_free(e);
    return NULL;
}

void exporter_push(struct exporter *e, struct batch_out *b)
{
    list_add_tail(&e->queue, &b->node);
    e->bytes += b->body.len;
    kick(e);
}

bool exporter_is_empty(const struct exporter *e)
{
    return list_is_empty(&e->queue);
}

size_t exporter_bytes(const struct exporter *e)
{
    return e->bytes;
}

void exporter_hurry(struct exporter *e)
{
    e->is_hurried = true;
    if (e->state == EXPORTER_WAIT)
        timer_after(&e->deadline, HURRY_NS);
}
