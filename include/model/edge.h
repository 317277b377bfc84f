/* edge.h - what one edge did in one bucket of time, a column for each reporter.
 *
 * edge_cell owns its histogram and exemplars are plain data; edge_bucket owns its cells. The edge
 * itself (two identities and a protocol) is shared and outlives its buckets. Not thread-safe. */
#ifndef MODEL_EDGE_H
#define MODEL_EDGE_H

#include "base/buf.h"
#include "base/rd.h"
#include "model/alike.h"
#include "model/window.h"

enum code_class { /* requests by HTTP code class; CODE_NONE: no response */
                  CODE_NONE,
                  CODE_1XX,
                  CODE_2XX,
                  CODE_3XX,
                  CODE_4XX,
                  CODE_5XX,
                  CODES_LEN
};
enum { GRPC_STATUSES_LEN = 17, EDGE_FLAGS_MAX = 8, TLS_NAME_SIZE = 24, CIPHER_NAME_SIZE = 40 };

struct flag_count {
    char flag[16]; /* one Envoy flag, "UF"; the last slot may be "other" */
    uint64_t count;
};

/* A request worth looking at again. */
struct edge_moment {
    int64_t at_ns; /* its start; 0: there was none */
    struct trace_id trace;
};

/* How far the called side's clock is ahead of the caller's, from pairs whose called half took no
 * longer than the calling one. Since no call begins before it was sent nor ends after its answer has
 * come, each pair puts the offset between two bounds. */
struct edge_clock {
    uint64_t pairs;
    int64_t sum_ns;          /* of the middles between the bounds, capped */
    int64_t low_ns, high_ns; /* the highest lower bound, the lowest upper bound */
};

/* What every call touches stands first: of many edges' cells each call meets another one. */
struct edge_cell {
    uint64_t requests, errors; /* errors as call_is_error() */
    uint64_t codes[CODES_LEN];
    uint64_t tls[TLS_STATES_LEN];
    uint64_t tls_bases[TLS_BASES_LEN]; /* how those states are known */
    uint64_t resends;                  /* how often requests were sent again, where spans say it */
    uint64_t bytes_received, bytes_sent;
    struct hist latency;
    int64_t first_ns, last_ns;      /* start of the first and last request */
    int64_t cert_expiry_ns;         /* earliest seen, 0 when none */
    struct trace_id exemplar_trace; /* newest request with a trace */
    char tls_version[TLS_NAME_SIZE], tls_cipher[CIPHER_NAME_SIZE]; /* last seen */
    uint64_t grpc[GRPC_STATUSES_LEN]; /* by status, out-of-range ones counted as 2 (UNKNOWN) */
    struct flag_count flags[EDGE_FLAGS_MAX];
    uint32_t flags_len;
    struct hist server_latency;  /* REPORTER_PAIR only: the server half's own duration */
    struct trace_id error_trace; /* newest failed request with a trace; a 4xx of
                                    HTTP where nothing else failed */
    struct edge_moment first_plaintext, last_plaintext;
    struct edge_clock clock; /* REPORTER_PAIR only */
    uint64_t
        parts[TLS_STATES_LEN]; /* later parts of connections that stayed open (CALL_BYTES), by the
                                       TLS of those; none is a request */
};

struct edge {
    struct identity source, destination; /* workload and version granularity */
    enum protocol protocol;
    struct sv destination_service; /* host last asked for; "unknown" when none was named */
};

struct edge_bucket {
    const struct edge *edge;                /* borrowed */
    int64_t start_ns;                       /* aligned to width_ns */
    int64_t width_ns;                       /* BUCKET_NS, later also a minute and an hour */
    struct edge_cell *cells[REPORTERS_LEN]; /* NULL where the reporter saw nothing; owned */
};

void edge_cell_done(struct edge_cell *c);
void edge_cell_clear(struct edge_cell *c); /* as new, but keeps the memory */
/* It tells of something. Bytes alone are of a connection that began in an earlier bucket, latency alone
 * is of one that was longer than this bucket was open. */
static inline bool edge_cell_is_used(const struct edge_cell *c)
{
    return c->requests || c->bytes_received || c->bytes_sent || c->latency.count;
}
/* Counts c, of a part (enum call_part) what it is for; -1 when memory is out (nothing was counted). */
int edge_cell_add(struct edge_cell *cell, const struct call *c) MUST_USE;
/* Counts all of a; -1 when memory is out (nothing was counted). */
int edge_cell_add_alike(struct edge_cell *cell, const struct alike *a) MUST_USE;
/* The same for a pair: its called half's latency and clock too. */
int edge_cell_add_pair(struct edge_cell *cell, const struct call *c,
                       const struct called_half *called) MUST_USE;
int edge_cell_merge(struct edge_cell *into, const struct edge_cell *from) MUST_USE;
/* Stored form of one cell; see docs/store-format.md. */
void edge_cell_encode(const struct edge_cell *c, struct buf *out);
int edge_cell_decode(struct sv in, struct edge_cell *ret_c, struct err *err) MUST_USE;

/* What the pairs say of the two clocks: the called side's minus the caller's. */
enum clock_verdict {
    CLOCK_UNKNOWN, /* no pair that tells */
    CLOCK_AGREES,  /* 0 lies between the bounds */
    CLOCK_SKEWED,  /* it does not: *ret_offset_ns apart, the middle between the bounds */
    CLOCK_VARIES,  /* no one offset fits all pairs: many hosts, or a clock that was set */
};
const char *clock_verdict_name(enum clock_verdict v); /* "unknown", "agrees", "skewed", "varies" */
enum clock_verdict edge_clock_judge(const struct edge_clock *c, int64_t *ret_offset_ns);

void edge_bucket_done(struct edge_bucket *b);
/* The reporter's cell, made when missing; NULL when memory is out. */
struct edge_cell *edge_bucket_cell(struct edge_bucket *b, enum reporter r) MUST_USE;
int edge_bucket_merge(struct edge_bucket *into, const struct edge_bucket *from) MUST_USE;
bool edge_same(const struct edge *a, const struct edge *b); /* same nodes and protocol */
/* Stable key bytes of (source node, destination node, protocol), appended to out: the map and
 * database key. Parts are length-prefixed, so no two edges share a key. */
void edge_key_put(const struct edge *e, struct buf *out);

#endif
