/* stream.h - one request and its response, from the first byte of its head to its record.
 *
 * A table of steps moves it on (stream.c); the connections on both sides only say what has happened
 * and run it. Everything it needs lies in one object that is used again. */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include "base/clock.h"
#include "proxy/authz/authz.h"
#include "proxy/downstream.h"
#include "proxy/fields.h"
#include "proxy/sink.h"
#include "proxy/tallies.h"
#include "proxy/telemetry/exchange.h"
#include "proxy/traffic.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/breaker.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/retry.h"
#include "wire/grpc.h"
#include "wire/trace_ctx.h"

#define HEADERS_MAX  100 /* fields of a head, as Envoy's default */
#define TRIED_MAX    5   /* endpoints that a retry avoids, as many as Istio's proxies draw again */
#define KEPT_MAX     65536 /* of a request's body, kept for a retry; a longer one is sent once */
#define DETAILS_SIZE 400   /* namespace and name of a policy are up to 316 bytes */

enum stream_state {
    ST_HEAD,
    ST_AUTHZ,
    ST_ROUTE,
    ST_DELAY,
    ST_CONNECT,
    ST_BACKOFF,
    ST_SEND,
    ST_RELAY,
    ST_TUNNEL,
    ST_REPLY,
    ST_DONE,
    STATES_LEN
};

enum step_result {
    STEP_AGAIN, /* the next state is set */
    STEP_WAIT,  /* an event will run it again */
    STEP_DONE,  /* over: it has been recorded and is gone */
};

struct stream {
    struct stream *next_spare;
    struct worker *worker;
    struct down *down;
    struct up *up;             /* NULL before ST_CONNECT and after it was given back */
    struct h2_stream *down_h2; /* our stream of the caller's connection; NULL: it speaks HTTP/1 */
    struct h2_stream *up_h2;   /* the same upstream; NULL before ST_SEND too */
    struct list down_node, up_node; /* among the streams of these connections, HTTP/2 only */
    struct http_head *req;          /* of the caller's codec */
    enum side side;
    enum stream_state state;

    /* What the connections said since the last run. */
    bool can_read_down, can_read_up;
    bool is_down_gone, is_down_idle, is_up_failed, is_timed_out;
    bool is_try_over;     /* perTryTimeout, or the wait before a retry */
    bool is_fresh_wanted; /* a reused connection was closed under us */
    bool is_unrecorded;   /* no head ever came: nothing to tell */
    bool is_cut;          /* the caller cannot be told: its connection just ends */
    bool wants_h2;        /* upstream; decided in ST_CONNECT */
    bool is_up_head_due;  /* HTTP/2: a head came that nobody has looked at */

    /* request */
    struct buf req_block; /* the head's bytes; views of the head look into it */
    struct sv req_rest;   /* body bytes that came with the head */
    /* from here to `seen` nothing is cleared for a new stream: written before it is read */
    struct http_header req_slots[HEADERS_MAX], resp_slots[HEADERS_MAX];
    uint8_t req_fields[HEADERS_MAX]; /* enum field of each */
    struct sv seen[FIELDS_LEN];      /* the first value of each known one */
    bool is_req_read, is_req_chunked;
    bool is_req_started; /* some of it was sent upstream */
    bool is_body_kept;   /* body bytes go into `kept` as they are sent */
    bool is_body_lost;   /* some are gone from our hands: no retry */
    bool is_idempotent;  /* by its method */
    bool is_grpc;        /* by its content-type */
    struct buf kept;     /* the body's bytes */
    bool is_head_request;
    struct sv upgrade; /* the protocol asked for, if we carry it */
    uint64_t req_bytes;

    /* response */
    struct buf resp_block;
    bool is_resp_started; /* a final head went to the caller */
    bool is_resp_read, is_resp_chunked;
    bool is_up_reusable, is_down_reusable;
    bool had_interim;              /* a 1xx head went to the caller */
    bool is_down_over, is_up_over; /* of a tunnel: that side's stream has ended */
    uint8_t interims;              /* 1xx heads that came */
    struct sv grpc_status;
    uint64_t resp_bytes;
    uint16_t status;

    /* messages of gRPC; those that metrics were told of */
    struct grpc_count req_messages, resp_messages;
    uint64_t req_messages_told, resp_messages_told;
    bool is_resp_grpc;
    struct timer messages_timer;

    /* route */
    struct mesh *mesh; /* a reference */
    const struct route *route;
    const struct cluster *cluster;
    const struct endpoint *endpoint;
    const struct endpoint *tried[TRIED_MAX]; /* failed before; a retry prefers others */
    size_t tried_len;                        /* ever; the last TRIED_MAX are remembered */
    const struct pool *pool;                 /* of the last attempt; outlives the connection */
    bool is_last_resort;                     /* this try is at an ejected endpoint */
    unsigned attempts;                       /* connections asked for */
    unsigned retries;                        /* of the route's policy */
    bool is_exhausted;                       /* the policy would have, but none was left */
    struct timer timer;                      /* head timeout, then the route's */
    struct timer try_timer;                  /* perTryTimeout; in ST_BACKOFF the wait */
    struct timer idle_timer; /* HTTP/2: of this stream; HTTP/1 has the connection's */
    int64_t idle_ns;

    struct traffic traffic;
    struct breaker_seat seat;
    bool is_counted;  /* the breaker was asked */
    struct arena mem; /* text made for this request: rewritten paths, fields of our own answer */

    struct authz_decision authz; /* views into the mesh; all-zero when nobody was asked */

    /* who and which trace */
    struct identity source, destination;     /* views into certificates and peer caches */
    struct trace_ctx trace;                  /* parent_id: the caller's span or zero */
    struct span_id server_span, client_span; /* a sidecar has one of them, a gateway both */
    struct sv trace_state;
    char request_id_text[UUID_SIZE];
    struct sv request_id;

    /* what is said of it */
    int64_t started_wall_ns, started_ns, sent_ns, answered_ns;
    const char *flag; /* Envoy's short code, or NULL */
    enum tally_id flag_tally;
    char details[DETAILS_SIZE];
    char failure[sizeof(((struct err *)0)->why)]; /* of the upstream transport */
    struct sv own_body; /* of our own answer, when it is not to be made of why */
    char why[256];      /* for the body of our own answer */
    bool
        is_why_inside; /* why names endpoints, clusters or policies: nothing for callers of a gateway */
};

/* Begins with the first byte of a head. NULL when memory is out. */
struct stream *stream_new(struct down *d) MUST_USE;
/* The same of a stream of HTTP/2 whose head is there; to be run next. st: its owner is set. */
struct stream *stream_new_h2(struct down *d, struct h2_stream *st) MUST_USE;
/* How long nothing may move; 0: for ever. */
void stream_set_idle(struct stream *s, int64_t idle_ns);
/* HTTP/2: something moved. */
void stream_touch(struct stream *s);
/* Runs steps until it waits or is over; the stream may be gone afterwards. */
void stream_run(struct stream *s);
/* The caller's connection ends now, whatever state this is in. The stream is gone afterwards. */
void stream_abort(struct stream *s);
/* Memory for spare streams goes back. */
void streams_trim(struct worker *w);

/* The requests in flight to its endpoint, this one among them; NULL for one that began under another
 * configuration: counts belong to a mesh. */
uint32_t *stream_load(const struct stream *s);
/* Gives the upstream connection back, to wait or to be closed. */
void stream_drop_up(struct stream *s, bool may_wait);

/* An answer of our own, with Envoy's flag and details; the next state is ST_REPLY (or ST_DONE when
 * a response has begun: it can only be cut). flag NULL: none. */
enum step_result stream_fail(struct stream *s, unsigned status, enum tally_id tally_id,
                             const char *flag, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* heads.c: writes the request head for upstream, and the response head for the caller, into to. */
void head_for_upstream(struct stream *s, struct buf *to);
void head_for_caller(struct stream *s, const struct http_head *from, struct buf *to);

/* caller.c: who called originally, where X-Forwarded-For can be believed; else the peer. The text lies in
 * the head or in out. A sidecar's text is always the peer. */
struct ip caller_ip(const struct stream *s);
struct sv caller_text(const struct stream *s, char out[ADDR_TEXT_SIZE]);

/* authorize.c: the path normalised, and may this be served? */
enum step_result authorize_run(struct stream *s); /* ST_AUTHZ */

/* traffic.c */
/* Arms the timer with the route's timeout and the caller's own (gRPC), whichever is shorter. */
void traffic_set_timeout(struct stream *s, int64_t route_ns);
/* ST_ROUTE's second half: s->route is found; answers, delays, or leaves ST_CONNECT behind. */
enum step_result traffic_begin(struct stream *s);
enum step_result traffic_wait(struct stream *s); /* ST_DELAY */
/* More of the body has come than the route takes. */
bool traffic_is_too_large(const struct stream *s);
enum step_result traffic_refuse_size(struct stream *s);
/* At the end of the stream. */
void traffic_done(struct stream *s);

/* heads.c asks: does this field of the caller's head stay behind? */
bool traffic_hides(const struct stream *s, struct sv name);
void traffic_put_request(struct stream *s, struct buf *to);
bool traffic_hides_response(const struct stream *s, struct sv name);
void traffic_put_response(struct stream *s, struct buf *to);

/* connect.c */
enum step_result connect_run(struct stream *s); /* ST_CONNECT */
/* What a request to e of c is wrapped in: t's tls (NULL: nothing), sni and who must answer. t->is_h2 is set. <0: it
 * cannot be spoken to. */
int connect_tls(struct stream *s, const struct cluster *c, const struct endpoint *e,
                struct target *t, struct err *err) MUST_USE;
/* Is HTTP/2 spoken to endpoints of c? NULL: to our own application. */
bool connect_wants_h2(const struct stream *s, const struct cluster *c);
void connect_turn(struct defer *d); /* a wait for a connection is over */

/* relay.c */
enum step_result relay_send(struct stream *s); /* ST_SEND */
enum step_result relay_run(struct stream *s);  /* ST_RELAY */

/* tunnel.c */
/* The upstream has answered 101; rest: bytes that came behind its head. The next state is ST_TUNNEL, or
 * the stream has failed. */
enum step_result tunnel_open(struct stream *s, struct sv rest);
enum step_result tunnel_run(struct stream *s); /* ST_TUNNEL */
/* The caller's connection is broken: if this is a tunnel, the upstream shall see a break too. */
void tunnel_caller_broke(struct stream *s);

/* again.c: retries, and what a try says about its endpoint. */
void again_init(struct stream *s);
void again_begin_try(struct stream *s);
void again_judge(struct stream *s, enum outlier_sign sign);
/* True: the state is ST_BACKOFF and the upstream connection is gone. False: the caller goes on as
 * if there were no retries; is_exhausted says whether there was one too few. */
bool again_after_failure(struct stream *s, enum retry_cause cause);
bool again_after_response(struct stream *s, unsigned status);
/* The response is whole: gRPC tells there how it went. */
void again_after_trailers(struct stream *s, const struct http_header *list, size_t len);
void again_on_try_timeout(struct stream *s);
enum step_result again_wait(struct stream *s); /* ST_BACKOFF */
/* Whether the body will be kept; before any of it is sent. */
void again_choose_keeping(struct stream *s);
/* HTTP/2: an endpoint may say of a whole request that it has not looked at it, so the body is kept
 * whatever the policy. */
void again_expect_refusal(struct stream *s);
void again_keep(struct stream *s, struct sv part);
/* What is sent from here on is sent once, and what was kept goes. */
void again_forbid(struct stream *s);

/* reply.c: the answer of our own. */
enum step_result reply_run(struct stream *s); /* ST_REPLY */
/* Of x-tulle-reason what callers of a gateway may read: flag and details, no words about the inside. */
struct sv reply_reason_outside(struct sv reason);

/* who.c: source and destination, as far as headers and certificates tell. */
void who_is_calling(struct stream *s);
/* A peer by its certificate and its address alone. Views into both. */
struct identity who_is_peer(const struct mesh *m, const struct conn *c);
/* Has the peer proven an identity of the mesh? A gateway's caller only where the mesh's own certificates are
 * asked for (ISTIO_MUTUAL). */
bool who_is_of_mesh(const struct conn *c);
/* The caller of q, as far as it has proven who it is. */
void who_has_proven(const struct tls_info *tls, struct authz_request *q);
void who_has_answered(struct stream *s, const struct http_head *response);

/* record.c */
struct exchange; /* proxy/telemetry/exchange.h */
/* What Telemetry objects say of this side: whether a line is written, and a span sent. */
void record_follow(const struct mesh *m, enum side side, struct exchange *x);
void stream_record(struct stream *s);
/* The messages since this was called before, of a call that goes on. */
void stream_record_messages(struct stream *s);

/* messages.c: a piece of a body passes. */
void messages_init(struct stream *s);
void messages_of_request(struct stream *s, struct sv part);
void messages_of_response(struct stream *s, struct sv part);

#endif
