/* pipeline.c - the writer thread and the way back to the loop.
 *
 * Group commit needs no waiting: while one transaction runs, the next group gathers in the ring. At
 * low rates each batch gets a transaction of its own at once; under load a transaction carries
 * many, and its cost is shared.
 *
 * A failed transaction is told to all its senders, who keep their data and come again; nothing is
 * retried here, because a queue that cannot be written would only grow.
 *
 * At start the fold goes on where the last process left it, which after a heavy load means seconds
 * of reading back. Opening does that for a moment; what is left is done by the writer beside its
 * work: a pass over the store, then what waits is committed (and not folded: a later pass comes to
 * it, in its turn), until a pass finds no more. Passes get two thirds of the time, so they catch up
 * whatever comes in. */
#include "pipeline.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "tallies.h"
#include <malloc.h>
#include <pthread.h>

#define GROUP_PARCELS    64                 /* most batches of one transaction */
#define GROUP_BYTES      ((size_t)16 << 20) /* and about their size, so that a commit stays short */
#define TICK_NS          NS_PER_S           /* how often edges are committed */
#define FAILING_NS       (5 * NS_PER_S)     /* how long a failed commit keeps us unready */
#define LAST_FLUSH_TRIES 100 /* of 50 ms: readers may still be in the way at the end */
#define RETAIN_TICKS     5   /* seconds between looks at what is too old */
#define TRIM_AFTER_TICKS 3   /* quiet seconds before free memory goes back to the system */
/* A pass goes on for so long though exports wait; a segment's half that was read in vain is little
 * beside it. */
#define RESUME_PASS_NS   (30 * NS_PER_MS)

/* How far the fold has been brought since the start. */
struct resume {
    uint64_t folded_seq; /* what the last process had folded */
    uint64_t after_seq;  /* the next pass begins behind it */
    int64_t since_ns;    /* or here */
    uint64_t batches;
    int64_t began_ns;
    bool has_failed; /* at the newest pass */
};

struct pipeline {
    struct pipeline_conf conf;
    struct ring *ring;
    struct wake *wake;
    pthread_t writer;
    bool has_writer;
    _Atomic uint64_t inflight;
    _Atomic int64_t failed_ns; /* monotonic time of the newest failure, 0 after a success */
    pthread_mutex_t lock;      /* guards the two below */
    struct parcel *done, **done_end;
    _Atomic bool is_resuming;
    /* writer thread only */
    struct resume resume;
    bool is_dirty; /* folded since the last flush */
    unsigned quiet_ticks, ticks;
};

bool pipeline_charge(struct pipeline *p, size_t bytes)
{
    uint64_t now = atomic_fetch_add(&p->inflight, bytes) + bytes;
    if (now > p->conf.inflight_max) {
        atomic_fetch_sub(&p->inflight, bytes);
        return false;
    }
    tally_set(TALLY_INFLIGHT_BYTES, now);
    return true;
}

void pipeline_uncharge(struct pipeline *p, size_t bytes)
{
    uint64_t was = atomic_fetch_sub(&p->inflight, bytes);
    INVARIANT(was >= bytes);
    tally_set(TALLY_INFLIGHT_BYTES, was - bytes);
}

bool pipeline_is_failing(const struct pipeline *p)
{
    int64_t failed_ns = atomic_load(&p->failed_ns);
    return failed_ns != 0 && clock_mono_ns() - failed_ns < FAILING_NS;
}

bool pipeline_is_resuming(const struct pipeline *p)
{
    return atomic_load(&p->is_resuming);
}

bool pipeline_submit(struct pipeline *p, struct parcel *parcel)
{
    if (!ring_push(p->ring, parcel))
        return false;
    tally_set(TALLY_QUEUE_BATCHES, ring_len(p->ring));
    return true;
}

/* The parcels from here on are the loop thread's. */
static void give_back(struct pipeline *p, struct parcel *const *parcels, size_t n)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < n; i++) {
        parcels[i]->next = NULL;
        *p->done_end = parcels[i];
        p->done_end = &parcels[i]->next;
    }
    pthread_mutex_unlock(&p->lock);
    wake_send(p->wake);
}

static void tell_doors(void *to)
{
    struct pipeline *p = to;
    pthread_mutex_lock(&p->lock);
    struct parcel *list = p->done;
    p->done = NULL;
    p->done_end = &p->done;
    pthread_mutex_unlock(&p->lock);
    while (list) {
        struct parcel *next = list->next;
        list->done(list);
        list = next;
    }
}

static void note_commit(struct pipeline *p, int rc, const struct err *err)
{
    if (rc == 0) {
        tally(TALLY_COMMITS, 1);
        atomic_store(&p->failed_ns, 0);
        return;
    }
    tally(TALLY_COMMIT_FAILURES, 1);
    atomic_store(&p->failed_ns, clock_mono_ns());
    LOG_EVERY(5 * NS_PER_S, LOG_ERROR, "store.put_failed", KV_STR("code", err_code_name(rc)),
              KV_STR("why", err->why));
}

static void count_batch(const struct batch *b)
{
    tally(TALLY_SPANS_IN, b->spans_len);
    tally(TALLY_CALLS_IN, b->calls_len);
}

static void fold_in_turn(struct pipeline *p, const struct batch *b)
{
    if (atomic_load(&p->is_resuming))
        return; /* a pass will come to it */
    fold_batch(p->conf.fold, b, true);
    p->is_dirty = true;
}

/* One transaction: commit, answer, fold, free. Nothing is folded before what was committed earlier. */
static void commit(struct pipeline *p, struct parcel *const *parcels, size_t n)
{
    struct batch *batches[GROUP_PARCELS];
    size_t charged = 0;
    struct err err = { 0 };
    for (size_t i = 0; i < n; i++) {
        batches[i] = TAKE(parcels[i]->batch);
        charged += parcels[i]->charged;
    }
    int rc = store_put(p->conf.store, batches, n, &err);
    note_commit(p, rc, &err);
    for (size_t i = 0; i < n; i++) {
        parcels[i]->rc = rc;
        parcels[i]->is_duplicate = rc == 0 && batches[i]->seq == 0;
    }
    give_back(p, parcels, n);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0 && batches[i]->seq) {
            count_batch(batches[i]);
            fold_in_turn(p, batches[i]);
        }
        batch_free(batches[i]);
    }
    pipeline_uncharge(p, charged);
}

/* Cuts what was waiting into transactions of bearable size. */
static void commit_all(struct pipeline *p, struct parcel *const *parcels, size_t n)
{
    size_t from = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > from && bytes + parcels[i]->charged > GROUP_BYTES) {
            commit(p, parcels + from, i - from);
            from = i;
            bytes = 0;
        }
        bytes += parcels[i]->charged;
    }
    if (from < n)
        commit(p, parcels + from, n - from);
}

static bool has_something_to_flush(struct pipeline *p)
{
    struct fold_stats stats;
    fold_get_stats(p->conf.fold, &stats);
    return p->is_dirty || stats.pending_buckets || stats.pair.waiting;
}

static int flush(struct pipeline *p)
{
    struct err err = { 0 };
    int rc = fold_flush(p->conf.fold, p->conf.store, &err);
    if (rc == 0) {
        p->is_dirty = false;
        return 0;
    }
    tally(TALLY_FLUSH_FAILURES, 1);
    if (rc != ERR_BUSY)
        LOG_EVERY(5 * NS_PER_S, LOG_ERROR, "edges.flush_failed", KV_STR("code", err_code_name(rc)),
                  KV_STR("why", err.why));
    return rc;
}

static void retain(struct pipeline *p)
{
    struct store_dropped dropped = { 0 };
    struct err err = { 0 };
    if (store_retain(p->conf.store, clock_wall_ns(), &dropped, &err) < 0) {
        LOG_EVERY(60 * NS_PER_S, LOG_WARN, "store.retain_failed", KV_STR("why", err.why));
        return;
    }
    tally_set(TALLY_DROPPED_SPANS, dropped.spans);
    tally_set(TALLY_DROPPED_CALLS, dropped.calls);
    tally_set(TALLY_DROPPED_BUCKETS, dropped.edge_buckets);
    tally_set(TALLY_STORE_HELD_BYTES, store_held_bytes(p->conf.store));
}

static void tick(struct pipeline *p, bool was_active)
{
    if (p->ticks++ % RETAIN_TICKS == 0)
        retain(p);
    fold_tick(p->conf.fold, clock_wall_ns());
    if (p->conf.on_tick)
        p->conf.on_tick(p->conf.on_tick_to);
    if (has_something_to_flush(p))
        (void)flush(p);
    p->quiet_ticks = was_active ? 0 : p->quiet_ticks + 1;
    if (p->quiet_ticks == TRIM_AFTER_TICKS)
        malloc_trim(0);
}

static void last_flush(struct pipeline *p)
{
    for (int i = 0; i < LAST_FLUSH_TRIES && has_something_to_flush(p); i++) {
        int rc = flush(p);
        if (rc == 0)
            return;
        if (rc != ERR_BUSY)
            break; /* what is missing is replayed at the next start */
        struct timespec pause = { .tv_nsec = 50 * NS_PER_MS };
        nanosleep(&pause, NULL);
    }
}

/* Commits what waits, or comes within wait_ns; how much it was. */
static size_t take_in(struct pipeline *p, int64_t wait_ns)
{
    void *items[GROUP_PARCELS];
    struct parcel *parcels[GROUP_PARCELS];
    size_t n = ring_pop(p->ring, items, NELEMS(items), wait_ns);
    for (size_t i = 0; i < n; i++)
        parcels[i] = items[i];
    tally_set(TALLY_QUEUE_BATCHES, ring_len(p->ring));
    commit_all(p, parcels, n);
    return n;
}

static bool is_over(struct pipeline *p)
{
    return ring_is_closed(p->ring) && ring_len(p->ring) == 0;
}

/* One pass over what is not folded yet. */
struct pass {
    struct pipeline *pipe;
    int64_t until_ns;
    bool is_beside; /* after until_ns it goes on as long as nothing waits */
    bool is_cut;
};

static int replay_batch(void *to, const struct batch *b)
{
    struct pass *pass = to;
    struct pipeline *p = pass->pipe;
    struct resume *r = &p->resume;
    bool is_counted = b->seq > r->folded_seq;
    fold_batch(p->conf.fold, b, is_counted);
    p->is_dirty |= is_counted;
    r->after_seq = b->seq;
    r->since_ns = INT64_MAX; /* in order of seq, so the next pass wants all behind this one */
    r->batches++;
    tally(TALLY_REPLAYED, 1);
    pass->is_cut = clock_mono_ns() >= pass->until_ns &&
                   (!pass->is_beside || ring_len(p->ring) || ring_is_closed(p->ring));
    return pass->is_cut;
}

static int resume_pass(struct pipeline *p, int64_t for_ns, bool is_beside, struct err *err)
{
    struct resume *r = &p->resume;
    struct pass pass = { .pipe = p, .is_beside = is_beside };
    if (__builtin_add_overflow(clock_mono_ns(), for_ns, &pass.until_ns))
        pass.until_ns = INT64_MAX;
    int rc = store_replay(p->conf.store, r->after_seq, r->since_ns, replay_batch, &pass, err);
    if (rc < 0)
        return rc;
    if (r->has_failed)
        atomic_store(&p->failed_ns, 0);
    r->has_failed = false;
    if (pass.is_cut)
        return 0;
    atomic_store(&p->is_resuming, false);
    if (r->batches)
        LOG_INFO("pipeline.resumed", KV_UINT("batches", r->batches),
                 KV_UINT("folded_seq", r->folded_seq),
                 KV_NSEC("took", clock_mono_ns() - r->began_ns));
    return 0;
}

/* The fold goes on where the last process left it. */
static int resume_begin(struct pipeline *p, struct err *err)
{
    struct store_progress progress = { 0 };
    int rc = store_get_progress(p->conf.store, &progress, err);
    if (rc < 0)
        return rc;
    fold_resume(p->conf.fold, &progress);
    p->resume = (struct resume){ .folded_seq = progress.seq,
                                 .after_seq = progress.seq,
                                 .since_ns = fold_replay_since(p->conf.fold),
                                 .began_ns = clock_mono_ns() };
    atomic_store(&p->is_resuming, true);
    rc = resume_pass(p, p->conf.resume_ns, false, err);
    if (rc == 0 && pipeline_is_resuming(p))
        LOG_INFO("pipeline.resuming", KV_UINT("batches", p->resume.batches),
                 KV_STR("rest", "beside exports"));
    return rc;
}

/* What the store cannot give now is asked for again; nothing is folded before it. */
static void note_resume_failure(struct pipeline *p, const struct err *err)
{
    LOG_EVERY(5 * NS_PER_S, LOG_ERROR, "pipeline.resume_failed", KV_STR("why", err->why));
    (void)take_in(p, NS_PER_S);
    p->resume.has_failed = true;
    atomic_store(&p->failed_ns, clock_mono_ns());
}

static void resume_beside(struct pipeline *p)
{
    int64_t for_ns = RESUME_PASS_NS, next_tick_ns = clock_mono_ns() + TICK_NS;
    while (pipeline_is_resuming(p) && !is_over(p)) {
        struct err err = { 0 };
        if (resume_pass(p, for_ns, true, &err) < 0)
            note_resume_failure(p, &err);
        int64_t began_ns = clock_mono_ns();
        (void)take_in(p, 0);
        for_ns = MAX(RESUME_PASS_NS, 2 * (clock_mono_ns() - began_ns));
        if (clock_mono_ns() >= next_tick_ns) { /* what is folded is not folded again after a kill */
            if (p->is_dirty)
                (void)flush(p);
            next_tick_ns = clock_mono_ns() + TICK_NS;
        }
    }
}

static void *writer_main(void *arg)
{
    struct pipeline *p = arg;
    bool was_active = true;
    resume_beside(p);
    int64_t next_tick_ns = clock_mono_ns() + TICK_NS;
    for (;;) {
        int64_t wait_ns = next_tick_ns - clock_mono_ns();
        size_t n = take_in(p, MAX(wait_ns, INT64_C(0)));
        was_active |= n > 0;
        if (n == 0 && is_over(p))
            break;
        if (clock_mono_ns() >= next_tick_ns) {
            tick(p, was_active);
            was_active = false;
            next_tick_ns = clock_mono_ns() + TICK_NS;
        }
    }
    last_flush(p);
    return NULL;
}

struct pipeline *pipeline_open(const struct pipeline_conf *c, struct err *err)
{
    struct pipeline *p = mem_zalloc(sizeof(*p));
    if (!p) {
        err_set(err, ERR_NOMEM, "pipeline");
        return NULL;
    }
    p->conf = *c;
    p->done_end = &p->done;
    pthread_mutex_init(&p->lock, NULL);
    p->ring = ring_new(c->queue_len);
    if (!p->ring)
        err_set(err, ERR_NOMEM, "queue of %zu batches", c->queue_len);
    else if (resume_begin(p, err) == 0 &&
             (p->wake = wake_new(c->loop, tell_doors, p, err)) != NULL) {
        int rc = pthread_create(&p->writer, NULL, writer_main, p);
        p->has_writer = rc == 0;
        if (rc == 0)
            return p;
        err_set(err, ERR_IO, "thread: %s", strerror(rc));
    }
    return pipeline_close(p);
}

struct pipeline *pipeline_close(struct pipeline *p)
{
    if (!p)
        return NULL;
    if (p->has_writer) {
        ring_close(p->ring);
        pthread_join(p->writer, NULL);
        tell_doors(p);
    }
    if (p->wake)
        wake_free(p->wake);
    ring_free(p->ring);
    pthread_mutex_destroy(&p->lock);
    return mem_free(p);
}
