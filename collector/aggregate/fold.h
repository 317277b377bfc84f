/* fold.h - turns committed batches into edges: normalize, pair, count in 10 s buckets.
 *
 * Who may call what. One thread, the writer, calls fold_batch, fold_tick, fold_flush and
 * fold_resume. Any thread may at the same time call fold_read, fold_window, fold_totals,
 * fold_generation and fold_get_stats.
 *
 * Two locks, both inside. `counts` (a mutex) guards edges, pending buckets and totals; it is held
 * for one batch, one tick or one copy. `flush` (a readers-writer lock, taken first) makes "stored
 * plus pending" one consistent sum: fold_flush() holds it alone from taking the pending buckets
 * until they are committed, fold_read() shares it while it reads both. So nothing is seen twice
 * and nothing is missed. A long read never stops the writer: fold_flush() waits for readers a few
 * milliseconds only and then answers ERR_BUSY, which means "next second again". */
#ifndef COLLECTOR_AGGREGATE_FOLD_H
#define COLLECTOR_AGGREGATE_FOLD_H

#include "aggregate/dialects.h"
#include "aggregate/view.h"
#include "model/batch.h"
#include "pair/pair.h"
#include "store/store.h"

struct fold_conf {
    size_t halves_max;     /* waiting halves of pairs; the oldest leaves when it is reached */
    size_t edges_max;      /* distinct edges; calls on further ones count on the edge "other" */
    size_t identities_max; /* distinct identities that waiting halves and edges refer to */
    int64_t wait_ns;       /* how long a half waits for its other half */
    struct series_conf series;
    unsigned dialects; /* a set of enum dialect */
};
struct fold_conf fold_conf_default(void);

struct fold;
struct fold *fold_new(const struct fold_conf *c) MUST_USE; /* gives; NULL when memory is out */
struct fold *fold_free(struct fold *f);                    /* takes; unflushed counts are lost */

/* At start, before any batch: how far the fold had come when the last process ended. Afterwards
 * the writer replays store_replay(s, p->seq, fold_replay_since(f)): batches with seq <= p->seq
 * through fold_batch(f, b, false), later ones through fold_batch(f, b, true). */
void fold_resume(struct fold *f, const struct store_progress *p);
/* Received time from which replayed batches can still matter to a waiting half. */
int64_t fold_replay_since(const struct fold *f);

/* Folds one committed batch (b->seq set). is_counted false: only refills the waiting halves.
 * Borrows b. Never fails: what memory does not allow is counted in fold_stats.lost. */
void fold_batch(struct fold *f, const struct batch *b, bool is_counted);
/* Adds what counters of an edge have grown by to the bucket of a->at_ns and to /metrics; who: both ends
 * (complete), protocol and host. What is_beside is for dialects alone. Nobody is owed an answer for a counter, so this is not journalled: it is stored
 * with the next flush, or was never scraped. Writer thread; borrows both. 0; FOLD_TOLD_BETTER: nothing was
 * counted, because calls tell of this edge; ERR_NOMEM (in fold_stats.lost). */
enum { FOLD_TOLD_BETTER = 1 };
int fold_scraped(struct fold *f, const struct call *who, const struct alike *a, int64_t now_ns)
    MUST_USE;
/* Gives up halves that have waited long enough and settles old totals. Call once a second. */
void fold_tick(struct fold *f, int64_t now_ns);
/* Commits the pending buckets and the progress. On failure everything stays pending. ERR_BUSY:
 * readers or the store were in the way, call again a second later; others as store_put_edges(). */
int fold_flush(struct fold *f, struct store *s, struct err *err) MUST_USE;

/* Stored and pending buckets of BUCKET_NS whose start lies in w, each given to sink; one edge and
 * bucket may come in several parts that have to be added. The sink must not call the fold. */
int fold_read(struct fold *f, struct store *s, const struct window *w, store_edge_sink *sink,
              void *to, struct err *err) MUST_USE;
/* What each edge did in w, stored and pending, each request once; w lies on whole buckets. A window
 * that reaches to now is kept in memory from the first time on and costs little (recent.h); one
 * of the past is read from the store. Wide buckets may stand for fine ones where these are very
 * many (sums_read.h). ERR_UNSUPPORTED: memory does not allow it, or it is short; use fold_read(). */
int fold_window(struct fold *f, struct store *s, const struct window *w, edge_total_sink *sink,
                void *to, struct err *err) MUST_USE;
/* Every row of /metrics, under the `counts` lock: keep the sink short. Ends idle rows. */
void fold_totals(struct fold *f, bool with_latency, totals_sink *sink, void *to);
/* The series of every dialect that is on, under the same lock; those that count each request once
 * as of the last fold_totals(). Returns the set. */
typedef void meter_sink(void *to, const struct meter *m);
unsigned fold_meters(struct fold *f, meter_sink *sink, void *to);

/* What could not be paired since the start, under the `counts` lock: keep the sink short. Answers
 * how many more spans have no row. */
uint64_t fold_unpaired(struct fold *f, pair_unpaired_sink *sink, void *to);

struct fold_stats {
    uint64_t calls_counted;   /* access records and paired or lone spans that reached an edge */
    uint64_t calls_overflow;  /* of them, on the edge "other" because edges_max was reached */
    uint64_t calls_repeated;  /* access records that had come before and were not counted again */
    uint64_t lost;            /* records not counted because memory was out */
    uint64_t edges;           /* distinct edges */
    uint64_t identities;      /* distinct identities */
    uint64_t pending_buckets; /* not committed yet */
    uint64_t series;          /* time series of edges on /metrics, as budgeted */
    uint64_t series_refused_rows, series_ended_rows; /* as struct series_budget */
    struct pair_stats pair;
};
void fold_get_stats(struct fold *f, struct fold_stats *ret_stats);
/* Grows with every change of a count. Waits for nobody. */
uint64_t fold_generation(const struct fold *f);

DEFINE_AUTO_FREE(fold);

#endif
