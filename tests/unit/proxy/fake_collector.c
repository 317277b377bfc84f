/* fake_collector.c - one connection at a time, one request at a time, everything kept. */
#include "fake_collector.h"
#include "base/gzip.h"
#include "base/mem.h"
#include "ingest/decode.h"
#include "net/conn.h"
#include "net/listener.h"
#include "wire/h1.h"
#include <stdio.h>

struct fake_collector {
    struct loop *loop;
    struct listener *listener;
    struct conn *conn;
    struct h1 h1;
    struct http_header slots[32];
    struct buf in, body;
    const unsigned *answers;
    size_t answers_len, requests_len;
    struct fake_request requests[FAKE_REQUESTS_MAX];
    struct batch *batch; /* of everything acknowledged */
    char url[64];
};

static void drop(struct fake_collector *f)
{
    if (f->conn) {
        conn_close(TAKE(f->conn));
        listener_conn_gone(f->listener);
    }
    h1_done(&f->h1);
    buf_clear(&f->in);
    buf_clear(&f->body);
}

static void begin(struct fake_collector *f)
{
    buf_clear(&f->body);
    h1_begin(&f->h1, H1_REQUEST, f->slots, NELEMS(f->slots), 8192);
}

static void keep(struct fake_collector *f, bool is_logs)
{
    AUTO_DONE(buf) plain = { 0 };
    struct err err = { 0 };
    struct limits lim = limits_for(1 << 24);
    INVARIANT(gzip_inflate(buf_sv(&f->body), GZIP_FORMAT_GZIP, 1 << 24, &plain, &err) == 0);
    struct sv body = arena_copy(&f->batch->mem, buf_sv(&plain));
    decode_fn *decode = is_logs ? otlp_proto_logs_decode : otlp_proto_traces_decode;
    int rc = decode(body, f->batch, &lim, &err);
    if (rc < 0 || f->batch->rejected)
        fprintf(stderr, "%s / %s\n", err.why, f->batch->first_rejection.why);
    INVARIANT(rc == 0 && f->batch->rejected == 0);
}

static void on_end(struct fake_collector *f)
{
    struct fake_request *r = &f->requests[f->requests_len];
    unsigned status = f->requests_len < f->answers_len ? f->answers[f->requests_len] : 200;
    INVARIANT(f->requests_len++ < FAKE_REQUESTS_MAX);
    r->answer = status;
    if (status / 100 == 2)
        keep(f, r->is_logs);
    char head[128];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\nContent-Length: 0\r\n%s\r\n", status,
                     status == 429 ? "Retry-After: 0\r\n" : "");
    struct sv part = sv_of(head, (size_t)n);
    if (status == 0 || conn_write(f->conn, &part, 1) < 0)
        drop(f);
    else
        begin(f);
}

static void on_head(struct fake_collector *f)
{
    struct fake_request *r = &f->requests[f->requests_len];
    r->is_logs = sv_eq(f->h1.head.path, SV("/v1/logs"));
    INVARIANT(r->is_logs || sv_eq(f->h1.head.path, SV("/v1/traces")));
    INVARIANT(sv_to_z(http_get(&f->h1.head, SV("idempotency-key")), r->key, sizeof(r->key)));
    INVARIANT(sv_eq(http_get(&f->h1.head, SV("content-encoding")), SV("gzip")));
    INVARIANT(sv_eq(http_get(&f->h1.head, SV("content-type")), SV("application/x-protobuf")));
}

static void parse(struct fake_collector *f)
{
    while (f->conn) {
        struct sv in = buf_sv(&f->in);
        size_t had = in.len;
        enum h1_event e = h1_next(&f->h1, &in);
        INVARIANT(e != H1_BAD);
        if (e == H1_HEAD)
            on_head(f);
        if (e == H1_BODY)
            buf_put(&f->body, f->h1.body);
        buf_consume(&f->in, had - in.len);
        if (e == H1_END)
            on_end(f);
        if (e == H1_NEED_MORE)
            return;
    }
}

static void on_conn(void *owner, struct conn *c, enum conn_event ev)
{
    struct fake_collector *f = owner;
    (void)c;
    while (ev == CONN_READABLE && f->conn) {
        char *room = buf_reserve(&f->in, 65536);
        ssize_t n = conn_read(f->conn, room, 65536);
        if (n == 0)
            return;
        if (n < 0) {
            drop(f);
            return;
        }
        buf_commit(&f->in, (size_t)n);
        parse(f);
    }
    if (ev == CONN_FAILED)
        drop(f);
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    struct fake_collector *f = owner;
    (void)l;
    drop(f);
    f->conn = conn_accept(f->loop, fd, peer, on_conn, f, NULL);
    INVARIANT(f->conn);
    begin(f);
}

struct fake_collector *fake_collector_new(struct loop *l, uint16_t port, const unsigned *answers,
                                          size_t len)
{
    struct fake_collector *f = mem_zalloc(sizeof(*f));
    struct listener_conf conf = { .host = SV("127.0.0.1"), .port = port };
    struct err err = { 0 };
    INVARIANT(f);
    f->loop = l;
    f->answers = answers;
    f->answers_len = len;
    f->batch = batch_new();
    f->listener = listener_open(l, &conf, on_accept, f, &err);
    if (!f->listener)
        fprintf(stderr, "%s\n", err.why);
    INVARIANT(f->listener && f->batch);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", listener_port(f->listener));
    return f;
}

struct fake_collector *fake_collector_free(struct fake_collector *f)
{
    drop(f);
    listener_close(f->listener);
    batch_free(f->batch);
    buf_done(&f->in);
    buf_done(&f->body);
    mem_free(f);
    return NULL;
}

const char *fake_collector_url(struct fake_collector *f)
{
    return f->url;
}

size_t fake_collector_requests(struct fake_collector *f, const struct fake_request **ret_list)
{
    *ret_list = f->requests;
    return f->requests_len;
}

size_t fake_collector_calls(struct fake_collector *f, const struct call **ret_list)
{
    *ret_list = f->batch->calls;
    return f->batch->calls_len;
}

size_t fake_collector_spans(struct fake_collector *f, const struct span **ret_list)
{
    *ret_list = f->batch->spans;
    return f->batch->spans_len;
}
