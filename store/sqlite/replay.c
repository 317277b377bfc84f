/* replay.c - giving committed batches back in order.
 *
 * Segments come first, they are older. A segment remembers which batch each of its spans came with,
 * so its batches are put together again one after another; the order of the spans inside a batch is
 * then that of the segment. */
#include "base/mem.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/sqlite.h"

struct replay {
    uint64_t after_seq;
    int64_t since_ns;
    store_batch_sink *sink;
    void *to;
    bool is_over;
};

static void give(struct replay *r, const struct batch *b)
{
    if (b->seq > r->after_seq || b->received_ns >= r->since_ns)
        r->is_over = r->sink(r->to, b) != 0;
}

static int replay_row(struct replay *r, sqlite3_stmt *st, struct err *err)
{
    AUTO_FREE(batch) b = NULL;
    int rc = batch_of_bytes(db_column(st, 2), CHUNK_JOURNAL, (struct trace_choice){ 0 }, &b, err);
    if (rc < 0)
        return rc;
    b->seq = (uint64_t)sqlite3_column_int64(st, 0);
    b->received_ns = sqlite3_column_int64(st, 1);
    give(r, b);
    return 0;
}

/* The spans in order of their batches, and where each batch begins (one more than there are). */
static int group_spans(struct batch *all, const struct segment_origins *o, struct span **ret_spans,
                       size_t **ret_begin)
{
    struct span *spans = arena_array(&all->mem, all->spans_len, sizeof(*spans));
    size_t *begin = arena_array(&all->mem, o->batches_len + 2, sizeof(*begin));
    if (!spans || !begin)
        return -1;
    for (size_t i = 0; i < all->spans_len; i++)
        begin[o->batch_of_span[i] + 2]++;
    for (size_t i = 2; i < o->batches_len + 2; i++)
        begin[i] += begin[i - 1];
    for (size_t i = 0; i < all->spans_len; i++)
        spans[begin[o->batch_of_span[i] + 1]++] = all->spans[i];
    *ret_spans = spans;
    *ret_begin = begin;
    return 0;
}

int segment_each_batch(struct sv bytes, uint64_t first_seq, store_batch_sink *sink, void *to,
                       struct err *err)
{
    AUTO_FREE(batch) all = batch_new();
    struct segment_origins o;
    struct span *spans = NULL;
    size_t *begin = NULL, calls_at = 0;
    struct sv copy = all ? arena_copy(&all->mem, bytes) : SV_NONE;
    if (!copy.p)
        return err_set(err, ERR_NOMEM, "segment");
    int rc = segment_decode(copy, all, &o, err);
    if (rc == 0 && group_spans(all, &o, &spans, &begin) < 0)
        rc = err_set(err, ERR_NOMEM, "batches of a segment");
    bool is_over = false;
    for (size_t i = 0; rc == 0 && !is_over && i < o.batches_len; i++) {
        struct batch part = { .spans = spans + begin[i],
                              .spans_len = begin[i + 1] - begin[i],
                              .calls = o.calls_len[i] ? all->calls + calls_at : NULL,
                              .calls_len = o.calls_len[i],
                              .seq = first_seq + i,
                              .received_ns = o.received_ns[i] };
        calls_at += o.calls_len[i];
        is_over = sink(to, &part) != 0;
    }
    return rc;
}

static int give_part(void *to, const struct batch *b)
{
    struct replay *r = to;
    give(r, b);
    return r->is_over;
}

static int replay_segment(struct replay *r, sqlite3_stmt *st, struct err *err)
{
    uint64_t first_seq = (uint64_t)sqlite3_column_int64(st, 0);
    return segment_each_batch(db_column(st, 1), first_seq, give_part, r, err);
}

static int each_row(struct replay *r, struct db *db, enum db_statement id,
                    int (*f)(struct replay *, sqlite3_stmt *, struct err *), struct err *err)
{
    sqlite3_stmt *st = db_statement(db, id, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, (int64_t)MIN(r->after_seq, (uint64_t)INT64_MAX));
    db_bind_i64(st, 2, r->since_ns);
    int rc = 0;
    while (rc == 0 && !r->is_over && (rc = db_step(db, st, "replay", err)) > 0)
        rc = f(r, st, err);
    sqlite3_reset(st);
    return rc;
}

int sqlite_replay(struct store *store, uint64_t after_seq, int64_t since_ns, store_batch_sink *sink,
                  void *to, struct err *err)
{
    struct replay r = { after_seq, since_ns, sink, to, false };
    struct session session;
    int rc = session_begin((struct sqlite_store *)store, &session, err);
    if (rc < 0)
        return rc;
    session_looked_up(&session);
    rc = each_row(&r, &session.db, ST_SEGMENTS_FROM, replay_segment, err);
    if (rc == 0)
        rc = each_row(&r, &session.db, ST_JOURNAL_FROM, replay_row, err);
    session_end(&session);
    return rc;
}
