/* worker.h - one loop and everything a request needs on it: configuration, certificates, ports,
 * connections, pools, telemetry and spare memory.
 *
 * Share-nothing: more workers would be more of these, each on its thread. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "net/listener.h"
#include "net/loop.h"
#include "proxy/companion.h"
#include "proxy/config/mesh.h"
#include "proxy/gateway_tls.h"
#include "proxy/handover.h"
#include "proxy/identity/certs.h"
#include "proxy/limit.h"
#include "proxy/options.h"
#include "proxy/probes.h"
#include "proxy/reload.h"
#include "proxy/telemetry/telemetry.h"
#include "proxy/upstream/breaker.h"
#include "proxy/upstream/client_tls.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/names.h"
#include "proxy/upstream/outlier.h"

enum side {
    SIDE_OUTBOUND, /* our application calls out */
    SIDE_INBOUND,  /* somebody calls our application */
    SIDE_GATEWAY,  /* somebody calls into the mesh */
    SIDES_LEN
};

#define BLOCK_BYTES       16384 /* a head nearly always fits; larger ones grow */
#define BODY_BYTES        65536 /* one read of a body, shared by all streams of the worker */
#define SPARE_BLOCKS_MAX  32    /* kept for the next heads; the rest goes back to libc */
#define SPARE_STREAMS_MAX 32
#define WORKER_PORTS_MAX  64 /* a gateway's ports; a sidecar has two, and those of --tcp-listen */
#define SERVICE_DOORS     4  /* admin, readiness, prometheus, status */

struct worker;
struct stream;

/* A port where requests come in. */
struct port {
    struct worker *worker;
    struct listener *listener; /* NULL: closed; requests in flight go on */
    size_t downs_len;
    enum side side;
    uint16_t number;
    uint16_t app_port;  /* inbound: what PeerAuthentication's ports mean */
    struct sv tcp_host; /* of --tcp-listen: whom it is for; else empty */
    uint16_t tcp_port;
};

struct worker {
    struct loop *loop;
    const struct options *opt;
    struct mesh *mesh;
    struct certs *certs;             /* NULL: plaintext only */
    struct gateway_tls *gateway_tls; /* of a gateway's ports; NULL in a sidecar */
    struct limiter limiter;
    struct breakers breakers;
    struct client_tls_cache client_tls, client_tls_tcp;
    struct telemetry *telemetry;
    struct identity self;
    struct sv inbound_cluster;       /* "inbound|8080||" */
    struct sv metadata, metadata_id; /* values of x-envoy-peer-metadata(-id) */
    struct arena mem;                /* text of self and the like, for the worker's life */

    struct port ports[WORKER_PORTS_MAX];
    size_t ports_len;
    struct web *doors[SERVICE_DOORS];

    struct list downs;  /* every caller's connection */
    struct list ups;    /* every upstream connection */
    struct list copies; /* mirrored requests under way */
    size_t copies_len;
    size_t downs_len, ups_len;
    struct map pools; /* key of pool.c to struct pool */
    uint32_t *active; /* requests in flight by endpoint id; see worker_loads() */
    uint32_t endpoints_len;
    size_t streams_len;     /* in flight: requests, and connections passed on as they are */
    struct names names;     /* host names of ServiceEntries */
    struct outlier outlier; /* endpoints that failed lately */
    struct health health;   /* endpoints that are asked how they are */

    struct buf spare_blocks[SPARE_BLOCKS_MAX];
    size_t spare_blocks_len;
    struct stream *spare_streams;
    size_t spare_streams_len;
    struct buf head;   /* where heads are written, reused */
    struct buf h2_out; /* where frames of HTTP/2 are gathered, reused */
    char *body;        /* BODY_BYTES: where bodies are read */

    int64_t started_ns;
    bool is_draining, is_flushing;
    bool is_unready;  /* somebody has said so */
    bool is_yielding; /* draining because a successor serves */
    struct handover handover;
    struct companion companion;
    struct probes probes; /* the application's own */
    struct timer drain_timer;
    struct reload reload;
    int access_log_fd;
};

/* Opens everything; on failure the worker is half-built and worker_done() is due. */
int worker_init(struct worker *w, const struct options *opt, struct err *err) MUST_USE;
void worker_run(struct worker *w); /* until worker_drain() has finished */
/* Nobody new comes in, requests in flight end (bounded), telemetry is flushed, the loop stops. Callers
 * that are connected may ask once more and are told that it was the last time. The application may
 * call out to the end: its own requests in flight can need it. A second call stops at once. */
void worker_drain(struct worker *w);
/* worker_drain(), and why in the log: told to end by something other than a signal. */
void worker_end(struct worker *w, const char *why);
/* A successor accepts from now on: the sockets stay open but nobody here accepts, and the worker drains,
 * with much more time. */
void worker_yield(struct worker *w);
void worker_resume(struct worker *w); /* the successor is gone: takes worker_yield() back */
/* How long a caller's connection may rest between requests now. */
int64_t worker_idle_ns(const struct worker *w);
void worker_done(struct worker *w);
/* Asks others to send nobody here (or again), while requests go on being served: readiness fails, and
 * connections of callers that rest are closed. */
void worker_unready(struct worker *w, bool is_unready);
/* An answer to a caller of this side is the last on its connection: others shall be asked from now on. */
static inline bool worker_sends_away(const struct worker *w, enum side side)
{
    return w->is_draining || (w->is_unready && side != SIDE_OUTBOUND);
}
/* All ports listen and nothing drains. */
bool worker_is_ready(const struct worker *w);

/* An empty buffer with room for a head: from the spares, else from libc. */
void worker_take_block(struct worker *w, struct buf *to);
void worker_give_block(struct worker *w, struct buf *from); /* takes its memory; empty is fine */
/* Requests in flight by endpoint id of m; NULL when m is no longer the mesh in force: counts belong to
 * one mesh. */
static inline uint32_t *worker_loads(struct worker *w, const struct mesh *m)
{
    return m == w->mesh ? w->active : NULL;
}
/* While draining: called when a stream or a caller's connection has ended. */
void worker_check_drained(struct worker *w);

#endif
