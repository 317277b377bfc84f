/* merge.c - making full segments out of small ones.
 *
 * A store that gets little seals by age, so that its spans do not rest in the journal at four times
 * the bytes; what comes out are small segments, which compress less and cost a look each. So
 * neighbours are read back and written as one, at most a full segment's worth at a time: eight
 * of a size class become one, if that is four times the largest of them, and as many as fill a whole
 * one. So a span is rewritten seven times at most until it lies in a full segment.
 *
 * Neighbours are merged only when their batches follow each other without a gap, and when they were
 * received within a time that is short beside the retention, which drops whole segments. The old
 * rows go and the new one comes in one transaction, committed under the lock of the list, as in
 * sealing: a reader sees either. A crash leaves either. The sealing thread does it, one merge a
 * step, when there is nothing to seal. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

enum { MERGE_MIN = 8, SIZE_CLASSES = 3, GROWTH_MIN = 4 };
#define TOGETHER_NS    (24 * 3600 * NS_PER_S) /* when things are kept for ever */
#define TOGETHER_PARTS 8                      /* of the retention */

int64_t together_ns(const struct sqlite_store *s)
{
    return s->keep.raw_ns ? s->keep.raw_ns / TOGETHER_PARTS : TOGETHER_NS;
}

struct run {
    size_t first, n;
};

static uint64_t size_of(const struct chunk *c)
{
    return MAX(MAX(c->spans, c->calls), c->batches);
}

static bool follows(const struct chunk *a, const struct chunk *b, const struct chunk *first,
                    int64_t within_ns)
{
    return b->first_seq == a->last_seq + 1 && chunks_are_near(first, b, within_ns);
}

/* How many segments from `first` on are of at most `size`, follow each other, and fit into one;
 * *ret_is_full when another would not have fitted. 0 when the largest would hardly grow. */
static size_t run_from(const struct chunks *c, size_t first, uint64_t size, int64_t within_ns,
                       bool *ret_is_full)
{
    size_t segments = c->len - c->rows, n = 0;
    uint64_t spans = 0, calls = 0, batches = 0, sum = 0, largest = 0;
    *ret_is_full = false;
    for (size_t i = first; i < segments && size_of(&c->list[i]) <= size; i++, n++) {
        const struct chunk *at = &c->list[i];
        if (n && !follows(&c->list[i - 1], at, &c->list[first], within_ns))
            break;
        spans += at->spans;
        calls += at->calls;
        batches += at->batches;
        *ret_is_full = MAX(MAX(spans, calls), batches) > c->segment_records;
        if (*ret_is_full)
            return n;
        sum += size_of(at);
        largest = MAX(largest, size_of(at));
    }
    return sum >= GROWTH_MIN * largest ? n : 0;
}

/* The oldest run that is worth it. Small classes wait for eight; the largest for a full one. */
static struct run choose(const struct chunks *c, int64_t within_ns)
{
    size_t segments = c->len - c->rows;
    for (int k = 0; k <= SIZE_CLASSES; k++) {
        uint64_t size = c->segment_records / 2;
        for (int i = k; i < SIZE_CLASSES; i++)
            size /= MERGE_MIN;
        for (size_t first = 0; size && first < segments; first++) {
            bool is_full;
            size_t n = run_from(c, first, size, within_ns, &is_full);
            if ((k < SIZE_CLASSES && n >= MERGE_MIN) || (is_full && n > 1))
                return (struct run){ first, n };
        }
    }
    return (struct run){ 0 };
}

struct merge {
    struct segment_w *w;
    struct chunks lines; /* of the batches: what the new segment's line is made of */
    struct err err;
};

static int add_batch(void *to, const struct batch *b)
{
    struct merge *m = to;
    struct chunk line;
    if (segment_add(m->w, b, NULL, &m->err) < 0)
        return 1;
    if (chunks_reserve(&m->lines, 1) < 0 || chunk_of_batch(b, b->seq, &line) < 0) {
        (void)err_set(&m->err, ERR_NOMEM, "lines of batches");
        return 1;
    }
    line.received_to_ns = b->received_ns;
    chunks_add(&m->lines, &line);
    return 0;
}

static int read_segments(struct session *session, const int64_t *ids, size_t n, struct merge *m,
                         struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        sqlite3_stmt *st = db_statement(&session->db, ST_SEGMENT_DATA, err);
        if (!st)
            return ERR_IO;
        db_bind_i64(st, 1, ids[i]);
        rc = db_step(&session->db, st, "read to merge", err);
        if (rc == 0)
            return err_set(err, ERR_IO, "segment %lld is gone", (long long)ids[i]);
        if (rc > 0) /* a segment's id is its first batch's number */
            rc = segment_each_batch(db_column(st, 0), (uint64_t)ids[i], add_batch, m, err);
        sqlite3_reset(st);
        if (rc == 0 && m->err.code)
            rc = err_set(err, m->err.code, "%s", m->err.why);
    }
    return rc;
}

static int drop_old(struct sqlite_store *s, const int64_t *ids, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = segment_rows_drop(s, ids[i], err);
    /* Those who only read see by this count that their list is old. */
    sqlite3_stmt *st = rc == 0 ? db_statement(&s->writer, ST_DROPPED_ADD, err) : NULL;
    if (!st)
        return rc < 0 ? rc : ERR_IO;
    db_bind_i64(st, 1, (int64_t)n);
    for (int i = 2; i <= 5; i++)
        db_bind_i64(st, i, 0);
    return db_run(&s->writer, st, "note what was merged", err);
}

static int commit(struct sqlite_store *s, struct run run, const int64_t *ids, const struct chunk *c,
                  const struct segment_bytes *bytes, struct err *err)
{
    pthread_mutex_lock(&s->writing);
    int rc = db_begin(&s->writer, err);
    if (rc == 0)
        rc = drop_old(s, ids, run.n, err);
    if (rc == 0)
        rc = segment_rows_add(s, c, bytes, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->chunks.lock);
        rc = db_commit(&s->writer, err);
        if (rc == 0)
            chunks_replace(&s->chunks, run.first, run.n, c);
        pthread_mutex_unlock(&s->chunks.lock);
    }
    if (rc < 0)
        db_rollback(&s->writer);
    pthread_mutex_unlock(&s->writing);
    return rc;
}

/* The line of the segment takes what it holds; on failure nothing is left of it. */
static int write_merged(struct sqlite_store *s, struct run run, const int64_t *ids, struct merge *m,
                        struct err *err)
{
    AUTO_DONE(buf) data = { 0 };
    AUTO_DONE(buf) digest = { 0 };
    struct chunk c = { 0 };
    int rc = segment_finish(m->w, &data, &digest, err);
    if (rc == 0 && chunk_of_chunks(&m->lines, 0, m->lines.len, ids[0], &c) < 0)
        rc = err_set(err, ERR_NOMEM, "fingerprints of a segment");
    if (rc < 0)
        return rc;
    struct segment_bytes bytes = { buf_sv(&data), buf_sv(&digest), segment_size(m->w).errors };
    c.has_errors = bytes.errors > 0;
    chunk_take_digest(&c, bytes.digest);
    rc = commit(s, run, ids, &c, &bytes, err);
    if (rc < 0) {
        mem_free(c.traces);
        mem_free((char *)c.digest.p);
    }
    return rc;
}

/* The run to merge and the ids of its segments (mem_free); n 0 when there is none. Nobody but this
 * thread changes the segments of the list, so the place stays right. */
static struct run next_run(struct sqlite_store *s, int64_t **ret_ids)
{
    pthread_mutex_lock(&s->chunks.lock);
    struct run run = choose(&s->chunks, together_ns(s));
    *ret_ids = run.n ? mem_alloc(run.n * sizeof(**ret_ids)) : NULL;
    if (!*ret_ids)
        run.n = 0;
    for (size_t i = 0; i < run.n; i++)
        (*ret_ids)[i] = s->chunks.list[run.first + i].id;
    pthread_mutex_unlock(&s->chunks.lock);
    return run;
}

bool merge_step(struct sqlite_store *s)
{
    int64_t *ids = NULL;
    struct run run = next_run(s, &ids);
    if (run.n == 0)
        return false;
    struct merge m = { .w = segment_w_new() };
    struct session session;
    chunks_init(&m.lines);
    int rc = m.w ? session_begin(s, &session, NULL) : ERR_NOMEM;
    if (rc == 0) {
        session_looked_up(&session);
        segment_start(m.w);
        rc = read_segments(&session, ids, run.n, &m, NULL);
        session_end(&session);
    }
    if (rc == 0)
        rc = write_merged(s, run, ids, &m, NULL);
    chunks_done(&m.lines);
    segment_w_free(m.w);
    mem_free(ids);
    return rc == 0;
}
