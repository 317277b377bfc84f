/* seal.c - the thread that turns journal rows into segments, drops old ones (retain.c) and merges
 * small ones (merge.c).
 *
 * When the journal holds a segment's worth, or its oldest row has been there for five minutes, its
 * oldest rows become one segment, and in one
 * transaction the segment comes and the rows go. The rows have been taken apart when they were
 * committed (stages.c); what an earlier run has left is read back. Putting them in columns and
 * compressing happen beside the writing thread, which only waits for that transaction. The commit
 * is made under the lock of the list of chunks, so no reader sees a list and a file that disagree.
 *
 * A crash at any moment leaves either the rows or the segment. What cannot be sealed stays in the
 * journal, where it is found as well: after a failure the sealer waits for the next batch, and
 * after one that would only repeat itself (a row that cannot be read) it rests until the next
 * start. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/sqlite.h"

/* Rows in memory at a time, when they are large. */
#define SEGMENT_ROW_BYTES ((size_t)32 * 1024 * 1024)

struct sealer {
    struct sqlite_store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_due and is_over */
    pthread_cond_t changed;
    bool is_due, is_over;
    /* The thread's own. */
    struct buf segment, digest;
    struct segment_scratch scratch;
    bool is_resting;
};

/* What is being sealed: some rows from one on. */
struct job {
    uint64_t from_seq;
    size_t len;
    struct segment_w *w;
    bool is_staged; /* w is the first stage's, else the job's own */
};

static void job_done(struct job *j)
{
    if (!j->is_staged)
        segment_w_free(j->w);
}

static int read_rows(struct session *session, struct job *j, uint64_t to_seq, struct err *err)
{
    sqlite3_stmt *st = db_statement(&session->db, ST_JOURNAL_RANGE, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, (int64_t)j->from_seq);
    db_bind_i64(st, 2, (int64_t)to_seq);
    int rc = 0;
    size_t row_bytes = 0;
    while (rc == 0 && row_bytes < SEGMENT_ROW_BYTES &&
           (rc = db_step(&session->db, st, "read to seal", err)) > 0) {
        AUTO_FREE(batch) b = NULL;
        struct sv bytes = db_column(st, 2);
        rc = batch_of_bytes(bytes, CHUNK_JOURNAL, (struct trace_choice){ 0 }, &b, err);
        if (rc < 0)
            break;
        b->received_ns = sqlite3_column_int64(st, 1);
        rc = segment_add(j->w, b, NULL, err);
        j->len++;
        row_bytes += bytes.len;
    }
    sqlite3_reset(st);
    return rc;
}

/* Whether the journal still holds exactly the stage's rows, and they are its oldest: retention may
 * have dropped some. */
static bool is_whole(const struct chunks *c, const struct stage *stage)
{
    size_t first = c->len - c->rows, n = segment_size(stage->w).batches;
    return n <= c->rows && c->list[first].first_seq == stage->first_seq &&
           c->list[first + n - 1].last_seq == stage->last_seq;
}

/* Rows that were received before this are sealed, however few. */
static int64_t seal_before(struct sqlite_store *s)
{
    int64_t now_ns = atomic_load(&s->now_ns);
    return now_ns ? now_ns - SEAL_AGE_NS : INT64_MIN;
}

/* Rows that were received before this are not sealed any more: they are about to be dropped. */
static int64_t expired_before(struct sqlite_store *s)
{
    return s->keep.raw_ns ? atomic_load(&s->now_ns) - s->keep.raw_ns : INT64_MIN;
}

/* The rows to seal next: those of *ret_stage when that is set, else n (perhaps 0) from *ret_first
 * on, which no stage holds. Called with the lock of the list held. */
static size_t choose(struct sqlite_store *s, struct stage *ret_stage, size_t *ret_first)
{
    bool is_due = chunks_is_seal_due(&s->chunks);
    int64_t before_ns = seal_before(s);
    for (;;) {
        *ret_stage = (struct stage){ 0 };
        bool has_stage = stages_first(&s->stages, ret_stage);
        uint64_t before_seq = stages_from_seq(&s->stages);
        size_t n = chunks_to_seal(&s->chunks, before_seq, is_due, ret_first);
        if (n == 0 && !chunks_is_aged(&s->chunks, expired_before(s)))
            n = chunks_aged(&s->chunks, before_seq, before_ns, together_ns(s));
        if (n)
            *ret_stage = (struct stage){ 0 };
        if (n || !has_stage || is_whole(&s->chunks, ret_stage))
            return n;
        stages_pop(&s->stages); /* what is left of its rows is read */
    }
}

/* Chooses the rows and takes them apart, unless that was done when they came. j->len is 0 when
 * nothing is due. */
static int read_job(struct sqlite_store *s, struct job *j, struct err *err)
{
    struct session session;
    struct stage stage;
    int rc = session_begin(s, &session, err);
    if (rc < 0)
        return rc;
    uint64_t to_seq = 0;
    size_t first = 0, n = choose(s, &stage, &first);
    if (n) {
        j->from_seq = s->chunks.list[first].first_seq;
        to_seq = s->chunks.list[first + n - 1].last_seq;
    }
    session_looked_up(&session);
    if (stage.w) {
        *j = (struct job){ stage.first_seq, segment_size(stage.w).batches, stage.w, true };
    } else if (n) {
        j->w = segment_w_new();
        rc = j->w ? read_rows(&session, j, to_seq, err) : err_set(err, ERR_NOMEM, "rows to seal");
    }
    session_end(&session);
    return rc;
}

static int trim_journal(struct sqlite_store *s, uint64_t to_seq, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_JOURNAL_TRIM, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, (int64_t)to_seq);
    return db_run(&s->writer, st, "trim journal", err);
}

/* The line of the segment, made from the lines of its rows; *ret_first is where they stand. Only
 * sealing removes lines and there is one sealer, so the place stays right. */
static int describe(struct sqlite_store *s, const struct job *j, size_t *ret_first,
                    struct chunk *ret_c, struct err *err)
{
    size_t first = 0;
    pthread_mutex_lock(&s->chunks.lock);
    while (s->chunks.list[first].first_seq != j->from_seq)
        first++;
    /* The segment's id is its first seq: unique, and in order. */
    int rc = chunk_of_chunks(&s->chunks, first, j->len, (int64_t)j->from_seq, ret_c);
    pthread_mutex_unlock(&s->chunks.lock);
    *ret_first = first;
    return rc < 0 ? err_set(err, ERR_NOMEM, "fingerprints of a segment") : 0;
}

static int commit_segment(struct sqlite_store *s, const struct job *j,
                          const struct segment_bytes *bytes, struct err *err)
{
    struct chunk c;
    size_t first;
    int rc = describe(s, j, &first, &c, err);
    if (rc < 0)
        return rc;
    c.has_errors = bytes->errors > 0;
    chunk_take_digest(&c, bytes->digest);
    pthread_mutex_lock(&s->writing);
    rc = db_begin(&s->writer, err);
    if (rc == 0)
        rc = segment_rows_add(s, &c, bytes, err);
    if (rc == 0)
        rc = trim_journal(s, c.last_seq, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->chunks.lock);
        rc = db_commit(&s->writer, err);
        if (rc == 0)
            chunks_replace(&s->chunks, first, j->len, &c);
        pthread_mutex_unlock(&s->chunks.lock);
    }
    if (rc < 0) {
        db_rollback(&s->writer);
        mem_free(c.traces);
        mem_free((char *)c.digest.p);
    }
    pthread_mutex_unlock(&s->writing);
    return rc;
}

/* Seals one segment; *ret_again says whether there may be another. */
static int seal_one(struct sealer *sealer, bool *ret_again, struct err *err)
{
    struct job j = { 0 };
    struct sqlite_store *s = sealer->store;
    int rc = read_job(s, &j, err);
    if (rc == 0 && j.len) {
        buf_clear(&sealer->segment);
        buf_clear(&sealer->digest);
        rc = segment_finish(j.w, &sealer->segment, &sealer->digest, err);
        struct segment_bytes bytes = { buf_sv(&sealer->segment), buf_sv(&sealer->digest),
                                       segment_size(j.w).errors };
        if (rc == 0)
            rc = commit_segment(s, &j, &bytes, err);
    }
    if (rc == 0 && j.is_staged)
        stages_pop(&s->stages);
    *ret_again = rc == 0 && j.len;
    job_done(&j);
    return rc;
}

static bool wait_until_due(struct sealer *sealer)
{
    pthread_mutex_lock(&sealer->lock);
    while (!sealer->is_due && !sealer->is_over)
        pthread_cond_wait(&sealer->changed, &sealer->lock);
    sealer->is_due = false;
    bool is_over = sealer->is_over;
    pthread_mutex_unlock(&sealer->lock);
    return !is_over;
}

static bool is_over(struct sealer *sealer)
{
    pthread_mutex_lock(&sealer->lock);
    bool over = sealer->is_over;
    pthread_mutex_unlock(&sealer->lock);
    return over;
}

/* Something more urgent is to be done. */
static bool is_wanted(struct sealer *sealer)
{
    pthread_mutex_lock(&sealer->lock);
    bool is = sealer->is_over || sealer->is_due;
    pthread_mutex_unlock(&sealer->lock);
    return is;
}

/* A mutex is not fair: without a pause the writing thread might not get it between two steps. */
static void pause_between_steps(void)
{
    struct timespec pause = { .tv_nsec = NS_PER_MS };
    nanosleep(&pause, NULL);
}

static void *seal_on(void *arg)
{
    struct sealer *sealer = arg;
    while (wait_until_due(sealer)) {
        bool again = !sealer->is_resting;
        while (again && !is_over(sealer)) {
            struct err err = { 0 };
            int rc = seal_one(sealer, &again, &err);
            sealer->is_resting = rc == ERR_MALFORMED || rc == ERR_TRUNCATED || rc == ERR_LIMIT ||
                                 rc == ERR_UNSUPPORTED;
        }
        while (!is_over(sealer) && retain_step(sealer->store))
            pause_between_steps();
        while (!is_wanted(sealer) && merge_step(sealer->store))
            pause_between_steps();
        while (!is_wanted(sealer) && briefs_step(sealer->store, &sealer->scratch)) {
        }
    }
    return NULL;
}

struct sealer *sealer_start(struct sqlite_store *s)
{
    struct sealer *sealer = mem_zalloc(sizeof(*sealer));
    if (!sealer)
        return NULL;
    sealer->store = s;
    sealer->is_due = true; /* what an earlier run left */
    pthread_mutex_init(&sealer->lock, NULL);
    pthread_cond_init(&sealer->changed, NULL);
    if (pthread_create(&sealer->thread, NULL, seal_on, sealer) != 0)
        return mem_free(sealer);
    return sealer;
}

void sealer_wake(struct sealer *sealer)
{
    if (!sealer)
        return;
    pthread_mutex_lock(&sealer->lock);
    sealer->is_due = true;
    pthread_cond_signal(&sealer->changed);
    pthread_mutex_unlock(&sealer->lock);
}

struct sealer *sealer_stop(struct sealer *sealer)
{
    if (!sealer)
        return NULL;
    pthread_mutex_lock(&sealer->lock);
    sealer->is_over = true;
    pthread_cond_signal(&sealer->changed);
    pthread_mutex_unlock(&sealer->lock);
    pthread_join(sealer->thread, NULL);
    buf_done(&sealer->segment);
    buf_done(&sealer->digest);
    segment_scratch_done(&sealer->scratch);
    pthread_mutex_destroy(&sealer->lock);
    pthread_cond_destroy(&sealer->changed);
    return mem_free(sealer);
}
