/* h2_pair.h - two HTTP/2 engines that speak with each other, for tests. */
#ifndef TESTS_H2_PAIR_H
#define TESTS_H2_PAIR_H

#include "base/buf.h"
#include "wire/h2.h"

struct end {
    struct h2 *h2;
    struct h2_stream *streams[8]; /* as they came */
    size_t len;
    struct buf body;
    unsigned heads, ends, resets, refused, drained, goaways;
    bool takes_nothing;
    struct h2_stream *keeps; /* not let go when it is reset */
    struct sv reply;         /* server: what every request gets, at once */
};

static inline void on_event(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct end *e = owner;
    switch (ev) {
    case H2_HEAD:
        e->heads++;
        if (!st->owner && e->len < NELEMS(e->streams))
            e->streams[e->len++] = st;
        st->owner = e;
        if (e->reply.p)
            (void)!h2_respond(st, e->reply, false);
        break;
    case H2_BODY:
        if (e->takes_nothing)
            break;
        buf_put(&e->body, h2_body(st));
        h2_consume(st, h2_body(st).len);
        break;
    case H2_END: e->ends++; break;
    case H2_RESET:
        e->resets++;
        e->refused += st->is_refused;
        if (st != e->keeps)
            h2_let_go(st);
        break;
    case H2_DRAINED: e->drained++; break;
    case H2_GOAWAY: e->goaways++; break;
    }
}

struct pair {
    struct end client, server;
};

static inline bool carry(struct end *from, struct end *to)
{
    AUTO_DONE(buf) out = { 0 };
    if (!h2_pull(from->h2, &out, 16384) || out.failed)
        return false;
    return h2_feed(to->h2, buf_sv(&out), 1, NULL) == 0;
}

static inline void speak(struct pair *p)
{
    bool is_going = true;
    while (is_going) {
        bool there = carry(&p->client, &p->server), back = carry(&p->server, &p->client);
        is_going = there || back;
    }
}

static inline bool pair_init(struct pair *p, uint32_t streams_max)
{
    struct h2_conf conf = { H2_SERVER,           100, 60000, streams_max, H2_STREAM_WINDOW,
                            H2_CONNECTION_WINDOW };
    *p = (struct pair){ 0 };
    p->server.h2 = h2_new(&conf, on_event, &p->server, NULL);
    conf.side = H2_CLIENT;
    p->client.h2 = h2_new(&conf, on_event, &p->client, NULL);
    return p->server.h2 && p->client.h2;
}

static inline void pair_done(struct pair *p)
{
    h2_free(p->client.h2);
    h2_free(p->server.h2);
    buf_done(&p->client.body);
    buf_done(&p->server.body);
}

#define REQUEST                                                                                    \
    SV("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Y: "   \
       "Z\r\n\r\n")
#define RESPONSE SV("HTTP/1.1 200 OK\r\nServer: s\r\nConnection: keep-alive\r\n\r\n")

#endif
