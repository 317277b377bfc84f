/* fold.c - the one place where batches become counts.
 *
 * The fold is a function of the committed batches in their order: every access record is a call
 * already, every span goes through the pairer and comes out as a call sooner or later, and each
 * call is added to two places: the pending bucket of its edge (what the store has not seen yet) and
 * the edge's totals (for /metrics). The pending buckets are committed together with how far the
 * fold has come, so that after kill -9 the same batches are folded again and nothing else.
 *
 * Refilling after a restart. A half that waited when the process died must wait again, but what it
 * was paired with must not count again. Batches up to the recorded progress are therefore replayed
 * uncounted. The replay reaches back two waiting times: a half of the last waiting time may have
 * been paired with one received a waiting time earlier, and would look lonely without it.
 *
 * Locks: see fold.h. The writer changes pending buckets only under `counts`; it reads them without
 * it (only the writer changes them), and takes `flush` alone while it commits. */
#include "aggregate/fold.h"
#include "aggregate/ahead.h"
#include "aggregate/known_edge.h"
#include "aggregate/recent.h"
#include "aggregate/sums_read.h"
#include "base/clock.h"
#include "base/mem.h"
#include "normalize/normalize.h"
#include "pair/marks.h"
#include <pthread.h>
#include <stdatomic.h>

#define PAST_FINE_NS      (3600 * NS_PER_S) /* of the past, a longer window is read in wider buckets */
#define FLUSH_PATIENCE_NS (20 * NS_PER_MS) /* for readers; a window of a minute reads in a few */

enum {
    HALVES_MAX = 200000,    /* a minute at 3,000 unpaired halves a second; 29 MB when full */
    EDGES_MAX = 20000,      /* four times the mesh of 1,000 services we aim at */
    IDENTITIES_MAX = 20000, /* 6 MB when full */
    TOLD_PLACES = 131072,   /* 1 MiB: a record sent again is known among some 40,000 others */
    SERIES_MAX = 200000,    /* 8,000 edges; a Prometheus takes some 4 KB for each */
};
#define IDLE_NS         (3600 * NS_PER_S)
#define EXPIRE_EVERY_NS (60 * NS_PER_S)
/* An edge that calls tell of takes no counters for so long: they would be the same requests. */
#define TOLD_BETTER_NS  (300 * NS_PER_S)
#define WAIT_NS         (60 * NS_PER_S) /* SDKs export every 5 s, with retries up to half a minute */

struct fold {
    pthread_rwlock_t flush; /* stored + pending is consistent while it is held */
    pthread_mutex_t counts; /* guards edges and stats */
    struct known_edges edges;
    struct edge_series series;
    struct series_budget budget;
    struct dialects dialects;
    unsigned extras; /* what totals keep for the dialects */
    int64_t expired_ns;
    struct recent recent;
    struct fold_stats stats;
    _Atomic uint64_t generation;
    pthread_mutex_t loading; /* one reader at a time fills `recent`; taken after flush */
    /* The writer's own: */
    struct pairer *pairer;
    struct marks told; /* records that were counted */
    struct store_progress progress;
    int64_t wait_ns;
    int64_t arrival_ns; /* of what is being folded */
};

struct fold_conf fold_conf_default(void)
{
    return (struct fold_conf){
        .halves_max = HALVES_MAX,
        .edges_max = EDGES_MAX,
        .identities_max = IDENTITIES_MAX,
        .wait_ns = WAIT_NS,
        .series = { .max = SERIES_MAX, .idle_ns = IDLE_NS },
    };
}

/* Both columns of counts, or none. */
static int count_call(struct fold *f, struct known_edge *e, const struct call *c,
                      const struct called_half *called)
{
    int64_t start_ns = window_align_down(c->start_ns, BUCKET_NS);
    struct edge_bucket *b = known_edge_bucket(&f->edges, e, start_ns);
    struct edge_cell *cell = b ? known_edge_cell(&f->edges, e, b, c->reporter) : NULL;
    if (!cell || (called ? edge_cell_add_pair(cell, c, called) : edge_cell_add(cell, c)) < 0)
        return -1;
    int64_t server_ns = called ? called->duration_ns : -1;
    if (totals_add(&e->totals, c, server_ns, f->arrival_ns, f->extras) < 0)
        return -1;
    dialects_call(&f->dialects, e, c, server_ns, f->arrival_ns);
    return 0;
}

/* c: both ends named, with a time; seek as known_edge_get() takes it. Under `counts`. */
static void add_named(struct fold *f, const struct call *c, const struct called_half *called,
                      const struct edge_seek *seek)
{
    bool is_other;
    struct known_edge *e = known_edge_get(&f->edges, c, seek, &is_other);
    if (!e || count_call(f, e, c, called) < 0) {
        f->stats.lost++;
        return;
    }
    e->told_ns = f->arrival_ns;
    f->stats.calls_counted += call_has_begin(c);
    f->stats.calls_overflow += is_other;
    atomic_fetch_add_explicit(&f->generation, 1, memory_order_relaxed);
}

static void add_one(struct fold *f, const struct call *said, const struct called_half *called,
                    const struct edge_seek *seek)
{
    if (said->start_ns > 0 && call_has_ends(said)) {
        add_named(f, said, called, seek);
        return;
    }
    struct call c = *said;
    call_name_ends(&c);
    if (c.start_ns <= 0)
        c.start_ns = f->arrival_ns; /* a reporter without a clock */
    add_named(f, &c, called, NULL);
}

/* A connection's end belongs to where it was counted as begun, its last bytes to where they flowed. */
static void add_call(struct fold *f, const struct call *said, const struct called_half *called,
                     const struct edge_seek *seek)
{
    if (said->part != CALL_END) {
        add_one(f, said, called, seek);
        return;
    }
    struct call end = *said, rest = *said;
    end.bytes_received = end.bytes_sent = 0;
    rest.part = CALL_BYTES;
    rest.start_ns += MAX(rest.duration_ns, 0);
    rest.response_flags = SV_NONE;
    add_one(f, &end, called, seek);
    if (rest.bytes_received || rest.bytes_sent)
        add_one(f, &rest, NULL, NULL);
}

/* Under `counts`. */
static int count_scraped(struct fold *f, struct known_edge *e, const struct alike *a,
                         int64_t now_ns)
{
    struct edge_bucket *b = known_edge_bucket(&f->edges, e, window_align_down(a->at_ns, BUCKET_NS));
    struct edge_cell *to = b ? known_edge_cell(&f->edges, e, b, REPORTER_SCRAPE) : NULL;
    if (!to || edge_cell_add_alike(to, a) < 0)
        return -1;
    atomic_fetch_add_explicit(&f->generation, 1, memory_order_relaxed);
    return totals_add_alike(&e->totals, a, now_ns, f->extras);
}

/* Under `counts`. */
static int add_scraped(struct fold *f, const struct call *who, const struct alike *a,
                       int64_t now_ns)
{
    bool is_other;
    struct known_edge *e = known_edge_get(&f->edges, who, NULL, &is_other);
    if (e && e->told_ns && e->told_ns + TOLD_BETTER_NS > now_ns)
        return FOLD_TOLD_BETTER;
    if (!e || (!a->is_beside && count_scraped(f, e, a, now_ns) < 0)) {
        f->stats.lost += a->times;
        return ERR_NOMEM;
    }
    dialects_alike(&f->dialects, e, who, a, now_ns);
    return 0;
}

int fold_scraped(struct fold *f, const struct call *who, const struct alike *a, int64_t now_ns)
{
    pthread_mutex_lock(&f->counts);
    int rc = add_scraped(f, who, a, now_ns);
    pthread_mutex_unlock(&f->counts);
    return rc;
}

/* A pair_emit_fn. */
static void add_pair(void *to, const struct call *c, const struct called_half *called)
{
    struct fold *f = to;
    add_call(f, c, called, NULL);
}

/* Writers win over readers that come later, or a stream of readers would starve the flush. */
static int locks_init(struct fold *f)
{
    pthread_rwlockattr_t attr;
    if (pthread_rwlockattr_init(&attr) != 0)
        return -1;
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int rc = pthread_rwlock_init(&f->flush, &attr);
    pthread_rwlockattr_destroy(&attr);
    if (rc != 0)
        return -1;
    if (pthread_mutex_init(&f->counts, NULL) == 0) {
        if (pthread_mutex_init(&f->loading, NULL) == 0)
            return 0;
        pthread_mutex_destroy(&f->counts);
    }
    pthread_rwlock_destroy(&f->flush);
    return -1;
}

struct fold *fold_new(const struct fold_conf *c)
{
    struct fold *f = mem_zalloc(sizeof(*f));
    if (!f)
        return NULL;
    struct pair_conf pair = { c->halves_max, c->identities_max, c->wait_ns };
    f->wait_ns = c->wait_ns;
    f->budget.conf = c->series;
    f->extras = dialects_extras(c->dialects);
    dialects_init(&f->dialects, c->dialects, &f->budget);
    known_edges_init(&f->edges, c->edges_max);
    marks_init(&f->told, TOLD_PLACES);
    f->pairer = pairer_new(&pair, add_pair, f);
    if (!f->pairer || locks_init(f) < 0) {
        pairer_free(f->pairer);
        return mem_free(f);
    }
    return f;
}

struct fold *fold_free(struct fold *f)
{
    if (!f)
        return NULL;
    pairer_free(f->pairer);
    marks_done(&f->told);
    known_edges_done(&f->edges);
    edge_series_done(&f->series);
    dialects_done(&f->dialects);
    recent_done(&f->recent);
    pthread_mutex_destroy(&f->loading);
    pthread_mutex_destroy(&f->counts);
    pthread_rwlock_destroy(&f->flush);
    return mem_free(f);
}

void fold_resume(struct fold *f, const struct store_progress *p)
{
    f->progress = *p;
}

int64_t fold_replay_since(const struct fold *f)
{
    return f->progress.time_ns - 2 * f->wait_ns;
}

/* An exporter without an idempotency key that got no answer sends its records once more. */
static bool was_told(struct fold *f, const struct call *c)
{
    bool is_source = c->reporter == REPORTER_SOURCE, was_there = false;
    if (!span_id_is_set(c->span_id))
        return false;
    if (marks_note(&f->told, &c->trace_id, &c->span_id, is_source, &was_there) < 0)
        f->stats.lost++; /* counted, but not known again */
    return was_there;
}

/* With a key the store has made sure that nothing comes twice. */
static void add_record(struct fold *f, const struct call *c, const struct edge_seek *seek,
                       bool has_key, bool is_counted)
{
    bool is_repeated = !has_key && was_told(f, c);
    if (!is_repeated)
        pairer_beside_record(f->pairer, c, is_counted);
    if (!is_counted)
        return;
    if (is_repeated)
        f->stats.calls_repeated++;
    else
        add_call(f, c, NULL, seek);
}

static void add_records(struct fold *f, const struct batch *b, bool is_counted)
{
    bool has_key = b->idempotency_key.len > 0;
    struct ahead ahead;
    ahead_start(&ahead, is_counted ? &f->edges : NULL, has_key ? NULL : &f->told, b->calls,
                b->calls_len);
    for (size_t i = 0; i < b->calls_len; i++)
        add_record(f, &b->calls[i], ahead_next(&ahead, i), has_key, is_counted);
}

/* Under `counts`. */
static void publish_pair_stats(struct fold *f)
{
    f->stats.pair = pairer_stats(f->pairer);
    f->stats.identities = pairer_identities(f->pairer);
}

void fold_batch(struct fold *f, const struct batch *b, bool is_counted)
{
    pthread_mutex_lock(&f->counts);
    f->arrival_ns = b->received_ns;
    if (!is_counted) /* what the last process gave up stays given up */
        pairer_expire(f->pairer, MIN(b->received_ns, f->progress.time_ns), false);
    add_records(f, b, is_counted);
    pairer_add(f->pairer, b->spans, b->spans_len, b->received_ns, is_counted);
    if (is_counted)
        dialects_spans(&f->dialects, b);
    if (is_counted)
        f->progress.seq = MAX(f->progress.seq, b->seq);
    publish_pair_stats(f);
    pthread_mutex_unlock(&f->counts);
}

void fold_tick(struct fold *f, int64_t now_ns)
{
    struct known_edge *e;
    pthread_mutex_lock(&f->counts);
    f->arrival_ns = now_ns;
    /* After a refill: halves that the last process had given up already. */
    pairer_expire(f->pairer, f->progress.time_ns, false);
    pairer_expire(f->pairer, now_ns, true);
    f->progress.time_ns = MAX(f->progress.time_ns, now_ns);
    for (size_t i = 0; (e = known_edges_next(&f->edges, &i));)
        totals_settle(&e->totals, now_ns);
    if (f->expired_ns + EXPIRE_EVERY_NS <= now_ns) {
        f->expired_ns = now_ns;
        dialects_expire(&f->dialects, now_ns);
        known_edges_trim(&f->edges, now_ns - EXPIRE_EVERY_NS);
    }
    recent_tick(&f->recent, now_ns);
    if (f->edges.pending_len == 0)
        known_edges_trim(&f->edges, INT64_MAX);
    publish_pair_stats(f);
    pthread_mutex_unlock(&f->counts);
}

/* The pending buckets side by side, as store_put_edges() wants them; cells stay where they are. */
static struct edge_bucket *gather(const struct fold *f)
{
    struct edge_bucket *list = mem_alloc(MAX(f->edges.pending_len, 1) * sizeof(*list));
    size_t n = 0;
    for (const struct known_edge *e = f->edges.dirty; list && e; e = e->next_dirty)
        for (const struct pending *p = e->pending; p; p = p->next)
            list[n++] = p->bucket;
    INVARIANT(!list || n == f->edges.pending_len);
    return list;
}

static int lock_flush(struct fold *f)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + FLUSH_PATIENCE_NS;
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = ns % NS_PER_S;
    return pthread_rwlock_timedwrlock(&f->flush, &until);
}

int fold_flush(struct fold *f, struct store *s, struct err *err)
{
    struct edge_bucket *list = gather(f);
    if (!list)
        return err_set(err, ERR_NOMEM, "edge buckets to commit");
    if (lock_flush(f) != 0) {
        mem_free(list);
        return err_set(err, ERR_BUSY, "edges are being read");
    }
    int rc = store_put_edges(s, list, f->edges.pending_len, &f->progress, err);
    if (rc == 0) {
        pthread_mutex_lock(&f->counts);
        for (size_t i = 0; i < f->edges.pending_len; i++)
            recent_add(&f->recent, &list[i]);
        known_edges_clear_pending(&f->edges);
        pthread_mutex_unlock(&f->counts);
    }
    pthread_rwlock_unlock(&f->flush);
    mem_free(list);
    return rc;
}

static void read_pending(struct fold *f, const struct window *w, store_edge_sink *sink, void *to)
{
    for (const struct known_edge *e = f->edges.dirty; e; e = e->next_dirty)
        for (const struct pending *p = e->pending; p; p = p->next)
            if (window_contains(*w, p->bucket.start_ns) && sink(to, &p->bucket) != 0)
                return;
}

int fold_read(struct fold *f, struct store *s, const struct window *w, store_edge_sink *sink,
              void *to, struct err *err)
{
    pthread_rwlock_rdlock(&f->flush);
    int rc = store_edges(s, w, BUCKET_NS, sink, to, err);
    if (rc == 0) {
        pthread_mutex_lock(&f->counts);
        read_pending(f, w, sink, to);
        pthread_mutex_unlock(&f->counts);
    }
    pthread_rwlock_unlock(&f->flush);
    return rc;
}

/* Fills `recent` for w where it has to; holding `flush` shared. */
static int prepare(struct fold *f, struct store *s, const struct window *w, int64_t now_ns,
                   struct err *err)
{
    pthread_mutex_lock(&f->loading);
    pthread_mutex_lock(&f->counts);
    bool is_ready = recent_has(&f->recent, w, now_ns);
    bool is_first = !recent_is_active(&f->recent);
    size_t edges = known_edges_len(&f->edges);
    f->recent.asked_ns = now_ns;
    pthread_mutex_unlock(&f->counts);
    int rc = 0;
    if (!is_ready) {
        AUTO_DONE(recent) loaded = { 0 };
        rc = recent_load(s, w, now_ns, edges, is_first, &loaded, err);
        pthread_mutex_lock(&f->counts);
        if (rc == 0 && recent_join(&f->recent, &loaded) < 0)
            rc = ERR_UNSUPPORTED;
        pthread_mutex_unlock(&f->counts);
    }
    pthread_mutex_unlock(&f->loading);
    return rc;
}

static int recent_window(struct fold *f, struct store *s, const struct window *w, int64_t now_ns,
                         edge_total_sink *sink, void *to, struct err *err)
{
    int rc = prepare(f, s, w, now_ns, err);
    if (rc < 0)
        return rc == ERR_NOMEM ? ERR_UNSUPPORTED : rc;
    pthread_mutex_lock(&f->counts);
    if (!recent_has(&f->recent, w, now_ns) ||
        recent_totals(&f->recent, &f->edges, w, now_ns, sink, to) < 0)
        rc = ERR_UNSUPPORTED;
    pthread_mutex_unlock(&f->counts);
    return rc;
}

int fold_window(struct fold *f, struct store *s, const struct window *w, edge_total_sink *sink,
                void *to, struct err *err)
{
    int64_t now_ns = clock_wall_ns();
    int rc = ERR_UNSUPPORTED;
    pthread_rwlock_rdlock(&f->flush);
    if (recent_may_load(w, now_ns))
        rc = recent_window(f, s, w, now_ns, sink, to, err);
    else if (w->to_ns - w->from_ns > PAST_FINE_NS && w->to_ns + PAST_FINE_NS < now_ns)
        rc = sums_read(s, w, known_edges_len(&f->edges), sink, to, err);
    pthread_rwlock_unlock(&f->flush);
    return rc;
}

void fold_totals(struct fold *f, bool with_latency, totals_sink *sink, void *to)
{
    int64_t now_ns = clock_wall_ns();
    pthread_mutex_lock(&f->counts);
    struct series_walk walk = { now_ns, with_latency, &f->dialects, sink, to };
    edge_series_walk(&f->series, &f->edges, &f->budget, &walk);
    pthread_mutex_unlock(&f->counts);
}

unsigned fold_meters(struct fold *f, meter_sink *sink, void *to)
{
    pthread_mutex_lock(&f->counts);
    for (size_t i = 0; f->dialects.set && i < METERS_LEN; i++)
        sink(to, &f->dialects.meters[i]);
    unsigned set = f->dialects.set;
    pthread_mutex_unlock(&f->counts);
    return set;
}

uint64_t fold_unpaired(struct fold *f, pair_unpaired_sink *sink, void *to)
{
    pthread_mutex_lock(&f->counts);
    uint64_t overflow = pairer_unpaired(f->pairer, sink, to);
    pthread_mutex_unlock(&f->counts);
    return overflow;
}

uint64_t fold_generation(const struct fold *f)
{
    return atomic_load_explicit(&f->generation, memory_order_relaxed);
}

void fold_get_stats(struct fold *f, struct fold_stats *ret_stats)
{
    pthread_mutex_lock(&f->counts);
    *ret_stats = f->stats;
    ret_stats->edges = known_edges_len(&f->edges);
    ret_stats->pending_buckets = f->edges.pending_len;
    ret_stats->lost += f->dialects.lost;
    ret_stats->series = f->budget.used;
    ret_stats->series_refused_rows = f->budget.refused_rows;
    ret_stats->series_ended_rows = f->budget.ended_rows;
    pthread_mutex_unlock(&f->counts);
}
