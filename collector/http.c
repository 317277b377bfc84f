/* http.c - the query door on libmicrohttpd, behind the listener of front.c.
 *
 * libmicrohttpd does sockets, HTTP and threads (four workers, each with its poll; a slow store
 * query holds up one of them). What to answer is decided in query/api.c, which knows no sockets;
 * this file carries requests there and answers back. A live stream is a response whose reader
 * suspends the connection while there is nothing to send; live.c wakes it.
 *
 * Limits: 512 connections, 32 KiB of memory (so, of headers) for each, 30 s of silence; a request's body
 * is read only where a route takes one, eight at a time. At the end streams are told first, or libmicrohttpd would wait for them for ever. */
#include "http.h"
#include "base/clock.h"
#include "base/mem.h"
#include "front.h"
#include "query/kept.h"
#include "query/live.h"
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>

enum {
    WORKERS = 4,               /* reading the store is the long part, and two cores is common */
    CONNECTIONS_MAX = 512,     /* a page holds six at most */
    CONNECTION_BYTES = 32768,  /* request line and headers; browsers send two to four KiB */
    IDLE_TIMEOUT_S = 30,       /* suspended streams do not count as idle */
    STACK_BYTES = 1024 * 1024, /* handlers use some tens of KiB, sqlite as much */
    STREAM_BLOCK = 16384,      /* read from a stream at a time */
    BODIES_MAX = 8,            /* held at a time, of at most API_BODY_MAX each: 32 MiB */
};

struct http {
    struct api api;
    struct live *live;
    _Atomic unsigned bodies; /* that are being read or held */
    struct MHD_Daemon *daemon;
    struct front *front;
};

/* One request, from its first line to its end. */
struct exchange_state {
    char *target; /* path and query, as sent */
    struct buf body;
    bool is_begun;
    bool has_body; /* is counted in bodies */
    bool is_refused;
};

static void *on_uri(void *to, const char *uri, struct MHD_Connection *connection)
{
    (void)to;
    (void)connection;
    struct exchange_state *x = mem_zalloc(sizeof(*x));
    if (x)
        x->target = mem_dup_z(uri, sv_z(uri).len);
    return x;
}

static void on_completed(void *to, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)connection;
    (void)why;
    struct exchange_state *x = *state;
    if (!x)
        return;
    if (x->has_body)
        atomic_fetch_sub(&((struct http *)to)->bodies, 1);
    buf_done(&x->body);
    mem_free(x->target);
    *state = mem_free(x);
}

static struct sv header_of(struct MHD_Connection *connection, const char *name)
{
    return sv_z(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name));
}

/* "gzip" in Accept-Encoding, unless its weight is 0. */
static bool accepts_gzip(struct sv list)
{
    for (struct sv one; sv_cut(&list, ',', &one);) {
        struct sv coding;
        (void)sv_cut(&one, ';', &coding);
        coding = sv_trim(coding);
        if (!sv_eq_nocase(coding, SV("gzip")) && !sv_eq(coding, SV("*")))
            continue;
        struct sv weight = sv_trim(one);
        double q = 1;
        if (sv_starts(weight, SV("q=")))
            (void)sv_to_double(sv_from(weight, 2), &q);
        return q > 0;
    }
    return false;
}

static void free_body(void *body)
{
    mem_free(body);
}

static struct MHD_Response *response_of(struct answer *a)
{
    size_t bytes = 0;
    if (a->fixed.len)
        return MHD_create_response_from_buffer(a->fixed.len, (void *)(uintptr_t)a->fixed.p,
                                               MHD_RESPMEM_PERSISTENT);
    char *body = buf_take(&a->body, &bytes);
    struct MHD_Response *r = MHD_create_response_from_buffer_with_free_callback(
        bytes, body ? (void *)body : (void *)(uintptr_t) "", body ? free_body : NULL);
    if (!r)
        mem_free(body);
    return r;
}

static void add_headers(struct MHD_Response *r, const struct answer *a)
{
    char seconds[12];
    snprintf(seconds, sizeof(seconds), "%u", a->retry_after_s);
    const struct {
        const char *name, *value;
    } headers[] = {
        { "Content-Type", a->status == 304 ? NULL : a->content_type },
        { "Cache-Control", a->cache },
        { "Content-Security-Policy", a->csp },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
        { "Vary", "Accept-Encoding" },
        { "ETag", a->etag[0] ? a->etag : NULL },
        { "Content-Encoding", a->is_gzip ? "gzip" : NULL },
        { "Allow", a->allow },
        { "Retry-After", a->retry_after_s ? seconds : NULL },
    };
    for (size_t i = 0; i < NELEMS(headers); i++)
        if (headers[i].value)
            (void)MHD_add_response_header(r, headers[i].name, headers[i].value);
}

static enum MHD_Result queue(struct MHD_Connection *connection, struct MHD_Response *r,
                             unsigned status)
{
    if (!r)
        return MHD_NO; /* out of memory: the connection is closed */
    enum MHD_Result rc = MHD_queue_response(connection, status, r);
    MHD_destroy_response(r);
    return rc;
}

/* A live stream's side of the door. */
struct stream {
    struct MHD_Connection *connection;
    struct live_client *client;
};

static void stream_wake(void *to)
{
    MHD_resume_connection(((struct stream *)to)->connection);
}

static void stream_sleep(void *to)
{
    MHD_suspend_connection(((struct stream *)to)->connection);
}

static ssize_t stream_read(void *to, uint64_t at, char *out, size_t max)
{
    struct stream *s = to;
    (void)at;
    long n = live_read(s->client, out, max, stream_sleep);
    return n == LIVE_END ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void stream_free(void *to)
{
    struct stream *s = to;
    live_leave(s->client);
    mem_free(s);
}

static enum MHD_Result answer_stream(struct http *h, struct MHD_Connection *connection,
                                     struct answer *a)
{
    struct stream *s = mem_zalloc(sizeof(*s));
    struct MHD_Response *r = NULL;
    if (s) {
        s->connection = connection;
        s->client = live_join(h->live, a->live_query, stream_wake, s);
    }
    if (s && s->client)
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, s,
                                              stream_free);
    if (!r) {
        if (s)
            live_leave(s->client);
        mem_free(s);
        a->retry_after_s = 5;
        answer_error(a, 503, SV_NONE, "%d live streams are open, or memory is short",
                     LIVE_CLIENTS_MAX);
        r = response_of(a);
    }
    if (r)
        add_headers(r, a);
    return queue(connection, r, a->status);
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *connection,
                              const struct request *rq)
{
    AUTO_DONE(answer) a = { 0 };
    api_answer(&h->api, rq, &a);
    if (a.is_live && sv_eq(rq->method, SV("GET")))
        return answer_stream(h, connection, &a);
    struct MHD_Response *r = response_of(&a);
    if (r)
        add_headers(r, &a);
    return queue(connection, r, a.status);
}

/* Keeps what a route will read, one byte more than it takes at most.
 * Beyond BODIES_MAX bodies the next one is refused. */
static void take_body(struct http *h, struct exchange_state *x, const char *bytes, size_t n)
{
    if (!x->has_body && !x->is_refused) {
        if (atomic_fetch_add(&h->bodies, 1) >= BODIES_MAX) {
            atomic_fetch_sub(&h->bodies, 1);
            x->is_refused = true;
        }
        x->has_body = !x->is_refused;
    }
    if (x->has_body)
        buf_append(&x->body, bytes, MIN(n, (size_t)API_BODY_MAX + 1 - x->body.len));
}

static enum MHD_Result on_request(void *to, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    struct http *h = to;
    struct exchange_state *x = *state;
    (void)url;
    (void)version;
    if (!x || !x->target)
        return MHD_NO;
    struct request rq = {
        .method = sv_z(method),
        .target = sv_z(x->target),
        .if_none_match = header_of(connection, "If-None-Match"),
        .accept = header_of(connection, "Accept"),
        .accepts_gzip = accepts_gzip(header_of(connection, "Accept-Encoding")),
    };
    bool is_read = sv_eq(rq.method, SV("GET")) || sv_eq(rq.method, SV("HEAD"));
    bool is_posted = sv_eq(rq.method, SV("POST")) && api_takes_post(rq.target);
    if (!x->is_begun && (is_read || is_posted)) { /* or the connection could not be kept */
        x->is_begun = true;
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        if (is_posted)
            take_body(h, x, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    rq.body = buf_sv(&x->body);
    rq.is_body_refused = x->is_refused || x->body.failed;
    return answer(h, connection, &rq);
}

static void on_connection(void *to, int fd, const void *address, unsigned address_bytes)
{
    struct http *h = to;
    /* It closes fd when it does not want it. */
    (void)MHD_add_connection(h->daemon, fd, address, address_bytes);
}

static int start(struct http *h, const struct http_conf *c, struct err *err)
{
    /* not epoll: an end of stream that comes before MHD_add_connection() would go unnoticed */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET;
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)WORKERS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_END);
    if (!h->daemon)
        return err_set(err, ERR_IO, "cannot start the threads of the query door: %s",
                       strerror(errno));
    h->front = front_open(c->listen, c->port, on_connection, h, err);
    return h->front ? 0 : -1;
}

struct http *http_open(const struct http_conf *c, struct err *err)
{
    struct http *h = mem_zalloc(sizeof(*h));
    if (!h) {
        err_set(err, ERR_NOMEM, "query door");
        return NULL;
    }
    h->api = (struct api){
        .store = c->store,
        .fold = c->fold,
        .tallies = c->tallies,
        .is_ready = c->is_ready,
        .is_ready_to = c->is_ready_to,
        .started_ns = clock_wall_ns(),
        .health = c->health,
        .events = c->events,
    };
    h->live = live_new(&h->api);
    h->api.kept = kept_new(&h->api);
    if (!h->live || !h->api.kept)
        err_set(err, ERR_IO, "cannot start the threads of the query door");
    if (!h->live || !h->api.kept || start(h, c, err) < 0)
        return http_close(h);
    return h;
}

uint16_t http_port(const struct http *h)
{
    return front_port(h->front);
}

struct http *http_close(struct http *h)
{
    if (!h)
        return NULL;
    if (h->live)
        live_stop(h->live);
    front_close(h->front);
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    live_free(h->live);
    h->api.kept = kept_free(h->api.kept);
    return mem_free(h);
}
