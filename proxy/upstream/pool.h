/* pool.h - upstream connections: one pool an endpoint and way to speak to it, connections reused.
 *
 * A connection of HTTP/1 carries one request at a time, one of HTTP/2 (up_h2.h) many. Between requests it waits in its pool, is watched for
 * closing, and the most recently used one is taken first, so that the others can grow old. */
#ifndef PROXY_UPSTREAM_POOL_H
#define PROXY_UPSTREAM_POOL_H

#include "net/conn.h"
#include "proxy/telemetry/peer_metadata.h"
#include "proxy/upstream/rest.h"
#include "proxy/worker.h"
#include "wire/h1.h"
#include "wire/h2.h"

#define POOL_STREAMS_WAIT                                                                          \
    100 /* may wait for one connection to open; the usual SETTINGS_MAX_CONCURRENT_STREAMS */

struct pool {
    struct list idle;   /* newest first */
    struct list shared; /* HTTP/2: all of them, newest first */
    uint32_t
        streams_most; /* the same: requests for a connection that has not told how many it takes */
    bool is_h2, is_tcp;
    struct addr addr;
    char addr_text_mem[ADDR_TEXT_SIZE];
    struct sv addr_text;
    bool is_mtls;
    struct tls_ctx *tls;          /* a reference; NULL: plaintext */
    struct sv sni, spiffe, names; /* in mem */
    struct arena mem;
    struct tls_session session;
    size_t conns, idle_len; /* all, and those waiting */
    struct rest rest;       /* how long the server lets one wait */
};

struct up {
    struct list all;  /* worker->ups */
    struct addr from; /* calls from there, when the pool's connections have an address; else zero */
    struct list node; /* pool->idle, while waiting */
    struct worker *worker;
    struct pool *pool;
    struct conn *conn;
    struct stream *stream; /* NULL while waiting */
    struct h1 h1;
    struct h2 *h2;       /* it speaks HTTP/2: `stream` and `h1` are not used */
    struct list streams; /* of h2: up_node; those that wait for it to open, too */
    size_t streams_len;
    struct defer flush;
    struct peer_cache peer;
    struct defer later;
    char local_text_mem[ADDR_TEXT_SIZE];
    struct sv local_text;
    int64_t idle_ns;   /* how long it may wait */
    int64_t opened_ns; /* when it was asked for */
    int64_t since_ns;  /* waits since; while it carries a request: how long it waited before */
    uint64_t requests; /* served before the current one */
    bool is_open;      /* connected, handshake done */
    bool is_closed;
    bool is_lingering; /* what is queued is sent before it closes */
    bool is_broken;    /* HTTP/2: nothing comes of it any more */
    bool is_retired;   /* closes when the request it carries is over */
};

/* What to connect to. */
struct target {
    struct sv address; /* "127.1.0.7"; ignored when addr is set */
    uint16_t port;
    const struct addr *addr;
    bool is_h2;
    bool is_tcp;           /* no HTTP: only its session is asked for */
    uint32_t streams_max;  /* HTTP/2: at once on a connection; 0: what the endpoint takes */
    uint64_t requests_max; /* HTTP/2: in a connection's life; 0: no bound */
    int64_t lifetime_ns;   /* HTTP/2: an older connection takes no more requests; 0: any */
    const struct keepalive *keepalive; /* of a new connection; NULL: none */
    bool has_from;
    struct conn_from from; /* has_from: where to call from; only shared by callers from there */
    bool is_mtls;          /* with the mesh's certificates: peer metadata is exchanged */
    struct tls_ctx *tls;   /* borrowed; NULL: plaintext */
    struct sv sni, spiffe; /* expected id; may be empty */
    struct sv names;       /* expected DNS names, "a,b"; may be empty */
    int64_t connect_timeout_ns;
};

enum pool_use {
    POOL_ANY,     /* the request can be repeated if the connection turns out to be closed */
    POOL_CHECKED, /* it cannot: ask the kernel first, and none that its server is about to close */
    POOL_FRESH,   /* only a new connection */
};
/* A connection for s: a waiting one (is_open at once) or a new one that will run s when it is open
 * or has failed. ERR_LIMIT: the pool is full; ERR_IO, ERR_NOMEM. */
int pool_get(struct worker *w, const struct target *t, enum pool_use use, struct stream *s,
             struct up **ret_up, struct err *err) MUST_USE;
/* Where the session of TLS with t is kept, for connections that are no pool's; it lives as long as the worker. NULL:
 * memory. */
struct tls_session *pool_session(struct worker *w, const struct target *t);
/* A connection to an endpoint is open: counts how TLS began, if it did. */
void pool_count_handshake(const struct conn *c);
/* HTTP/2: no request is left on it: it waits, or is closed. */
void pool_rest(struct up *up);
/* The request is over. may_wait: the connection can carry another. Takes up. */
void pool_put(struct up *up, bool may_wait);
/* The server closed a reused connection unread: what it waited before was too long. */
void pool_note_stale(struct up *up);
/* Our certificates changed: connections that wait are closed, those in use carry no further request,
 * and no session of before is resumed. */
void pools_retire(struct worker *w);
/* Closes waiting connections, all pools. */
void pools_close_idle(struct worker *w);
/* At the end of the worker: every connection must be gone. */
void pools_done(struct worker *w);

#endif
