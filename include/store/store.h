/* store.h - the seam between the collector and where it keeps things, in terms of batches, windows
 * and sinks. Backends: memory (the tests' oracle), sqlite; one contract test runs on all.
 *
 * What is acknowledged is what store_put() committed. Everything else (edges) is a fold over the
 * committed batches: store_put_edges() records in one transaction both the folded buckets and how
 * far the fold has come, so that after a crash the fold continues exactly there (store_progress,
 * store_replay).
 *
 * Threads: store_put, store_put_edges, store_progress and store_replay are called from one writer
 * thread; all reading functions may be called from any thread at the same time. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "model/batch.h"
#include "model/edge.h"
#include "model/window.h"

struct store;

enum store_durability {
    STORE_DURABILITY_PROCESS, /* a commit survives kill -9 of the process */
    STORE_DURABILITY_POWER,   /* and a power cut: fsync before store_put() returns */
    STORE_DURABILITY_NONE,    /* benchmarks */
};
/* How long things are kept; 0: for ever. */
struct store_keep {
    int64_t raw_ns;      /* spans and access records, by the time they were received */
    int64_t edges_ns;    /* the history of edges */
    uint64_t disk_bytes; /* in use; over it raw data goes early, see store_retain() */
};
struct store_conf {
    struct store_keep keep;
    struct sv url; /* "memory:", "sqlite:FILE" */
    enum store_durability durability;
    uint64_t memory_bytes; /* to hold of what finds spans fast; 0: the backend's own bound */
    bool is_read_only;     /* refuse every put; no lock taken */
};

/* Opens or creates. Gives; NULL with err set: ERR_USAGE (url), ERR_IO, ERR_CONFLICT (another
 * process holds it), ERR_UNSUPPORTED (a newer or a foreign file). */
struct store *store_open(const struct store_conf *conf, struct err *err) MUST_USE;
struct store *store_close(struct store *s); /* takes; NULL is fine; commits nothing new */

/* Commits n batches in one transaction, all or nothing, and sets each batch's seq. When it returns
 * 0 they are durable as configured. A batch whose non-empty idempotency_key was committed in the
 * last STORE_KEYS_KEPT keyed batches is skipped and keeps seq 0. Borrows the batches.
 * ERR_BUSY (disk full, locked): nothing was committed, try again. ERR_IO, ERR_NOMEM likewise. */
int store_put(struct store *s, struct batch *const *batches, size_t n, struct err *err) MUST_USE;
#define STORE_KEYS_KEPT 65536

/* How far the fold has come. */
struct store_progress {
    uint64_t seq;    /* every batch up to and including this one is folded into the edges */
    int64_t time_ns; /* wall clock up to which waiting halves were given up */
};
/* Adds each bucket to what is stored under its (edge, width_ns, start_ns), merging cells, and
 * records the progress, in one transaction. Borrows. Buckets are of BUCKET_NS, on a step of it
 * (else ERR_USAGE); the store keeps the wider ones itself. Facts of an edge that are known (service
 * names, principals, the host asked for) replace what was stored of them. */
int store_put_edges(struct store *s, const struct edge_bucket *buckets, size_t n,
                    const struct store_progress *progress, struct err *err) MUST_USE;
int store_get_progress(struct store *s, struct store_progress *ret_p, struct err *err) MUST_USE;

/* What store_retain() has dropped since the store was opened. */
struct store_dropped {
    uint64_t batches, spans, calls, edge_buckets; /* buckets of 10 s */
};
/* Tells the store what time it is, so that it drops what conf.keep does not cover any more, now or
 * soon in the background. Only batches that are folded (store_progress) are dropped. A backend that
 * stores batches together may keep an old one for as long as its neighbours. Over disk_bytes, of
 * the older half of these groups the oldest without errors goes first, then the oldest. *ret_dropped
 * is what is dropped so far. Writer thread. */
int store_retain(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                 struct err *err) MUST_USE;

/* A sink returns 0 to go on, anything else stops the reading (which still returns 0). What it is
 * given is borrowed until it returns. A sink must not call the same store. */
typedef int store_batch_sink(void *to, const struct batch *b);
typedef int store_span_sink(void *to, const struct span *s);
typedef int store_edge_sink(void *to, const struct edge_bucket *b);

/* Every batch with seq > after_seq or received_ns >= since_ns, in order of seq, whole; the order of
 * the spans inside a batch may have changed. */
int store_replay(struct store *s, uint64_t after_seq, int64_t since_ns, store_batch_sink *sink,
                 void *to, struct err *err) MUST_USE;

/* Buckets of width_ns whose start lies in w, in no particular order. Widths: 10 s, a minute, an
 * hour (else ERR_USAGE). */
int store_edges(struct store *s, const struct window *w, int64_t width_ns, store_edge_sink *sink,
                void *to, struct err *err) MUST_USE;

/* Every span of the trace, in order of start time, then span id, then arrival. ERR_NOT_FOUND when there is none. */
int store_trace(struct store *s, struct trace_id id, store_span_sink *sink, void *to,
                struct err *err) MUST_USE;

/* Where an attribute is looked for. */
enum attr_level {
    ATTR_OF_SPAN_OR_RESOURCE,
    ATTR_OF_SPAN,
    ATTR_OF_RESOURCE,
    ATTR_OF_SCOPE,
    ATTR_OF_EVENT, /* one of the span's */
    ATTR_OF_LINK,  /* one of the span's */
    ATTR_ANYWHERE, /* at one of the five */
    ATTR_LEVELS_LEN
};
struct attr_wish {
    struct attr attr; /* equal in key and typed value; duplicates of a key all count */
    enum attr_level level;
};
/* A place in the order of a search's results: the traces behind it are those whose newest matching
 * span starts earlier, or at the same time with a greater id. */
struct search_position {
    int64_t match_ns;
    struct trace_id id;
};
/* All set predicates must hold on one and the same span. Empty views and zeros mean "any". */
struct span_query {
    struct window window; /* on the span's start; both ends 0: any */
    struct sv service;    /* resource service.name */
    struct sv operation;  /* span name */
    uint32_t statuses;    /* a bit 1 << enum span_status for each status wanted; 0: any */
    uint32_t kinds;       /* likewise of enum span_kind */
    int64_t min_duration_ns, max_duration_ns;
    const struct attr_wish *attrs;
    size_t attrs_len;
    size_t limit;                        /* traces wanted, newest match first; > 0 */
    const struct search_position *after; /* only traces behind it; NULL: from the newest on */
    uint64_t max_spans;                  /* to look at before giving up; 0: the store's own bound */
};
struct trace_summary {
    struct trace_id trace_id;
    int64_t start_ns, end_ns; /* of all its spans */
    uint64_t spans_len, errors_len;
    struct sv root_service, root_name; /* of the root, else of the earliest span */
};
typedef int store_trace_sink(void *to, const struct trace_summary *t);
/* Why a search ended before everything was looked at. */
enum search_bound { SEARCH_NO_BOUND, SEARCH_BOUND_SPANS, SEARCH_BOUND_TIME, SEARCH_BOUNDS_LEN };
const char *search_bound_name(enum search_bound b); /* "none", "spans", "time"; static */
struct search_end {
    bool has_more;               /* there may be traces behind what was given */
    struct search_position next; /* goes on there, as span_query.after; when has_more */
    enum search_bound bound;     /* hit before q->limit traces were found */
};
/* Newest first by the start of each trace's newest matching span, then by id. What is given is
 * exact in any case: no trace in front of `next` is missing. Going on at `next` gives no trace
 * twice, however much comes in between; a trace that got a newer match meanwhile has moved in front
 * of it and is left out. */
int store_search(struct store *s, const struct span_query *q, store_trace_sink *sink, void *to,
                 struct search_end *ret_end, struct err *err) MUST_USE;

/* Distinct (service.name, span name, kind), in order. */
typedef int store_operation_sink(void *to, struct sv service, struct sv name, enum span_kind kind);
int store_operations(struct store *s, store_operation_sink *sink, void *to, struct err *err)
    MUST_USE;

/* Access records that start in w, newest first, at most limit. */
typedef int store_call_sink(void *to, const struct call *c);
int store_calls(struct store *s, const struct window *w, size_t limit, store_call_sink *sink,
                void *to, struct err *err) MUST_USE;

/* One thing that is not as it should be: "segment 17", "its checksum is wrong". */
typedef int store_finding_sink(void *to, struct sv where, struct sv what);
struct store_checked {
    uint64_t segments, journal_rows, spans, calls, edge_buckets; /* looked at */
    uint64_t findings;
};
/* Reads everything there is, decodes it and compares it with what is said of it elsewhere. Changes
 * nothing. Damage is a finding, not an error: errors are that checking itself failed (ERR_IO,
 * ERR_NOMEM). Any thread; takes as long as reading the whole store does. */
int store_check(struct store *s, store_finding_sink *sink, void *to,
                struct store_checked *ret_checked, struct err *err) MUST_USE;

/* Copies everything that is committed now into a new file of one moment, which a read-only store
 * opens. In steps: puts go on meanwhile. Any thread, read-only stores too. ERR_CONFLICT: file is
 * there already; ERR_UNSUPPORTED: the backend has no files; ERR_BUSY (disk full), ERR_IO,
 * ERR_NOMEM. On failure nothing is left of the copy. */
int store_snapshot(struct store *s, const char *file, struct err *err) MUST_USE;

struct store_stats {
    uint64_t batches, spans, calls, edge_buckets, disk_bytes;
};
int store_get_stats(struct store *s, struct store_stats *ret_stats, struct err *err) MUST_USE;
/* What is held of that now. Any thread. */
uint64_t store_held_bytes(struct store *s);
const char *store_scheme(const struct store *s); /* "sqlite"; static */

#endif
