/* segment_rows.c - a segment's rows in the file come and go together: the segment, its digest, and
 * how many failed spans it has. Within a transaction of the writer. */
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

int digest_add(struct sqlite_store *s, int64_t segment, struct sv digest, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_DIGEST_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, segment);
    db_bind_blob(st, 2, digest);
    return db_run(&s->writer, st, "add digest", err);
}

static int add_segment(struct sqlite_store *s, const struct chunk *c, struct sv data,
                       struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_SEGMENT_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, c->id);
    db_bind_i64(st, 2, (int64_t)c->first_seq);
    db_bind_i64(st, 3, (int64_t)c->last_seq);
    db_bind_i64(st, 4, c->received_to_ns);
    db_bind_i64(st, 5, (int64_t)c->spans);
    db_bind_i64(st, 6, (int64_t)c->calls);
    db_bind_i64(st, 7, c->span_range.from_ns);
    db_bind_i64(st, 8, c->span_range.to_ns);
    db_bind_i64(st, 9, c->call_range.from_ns);
    db_bind_i64(st, 10, c->call_range.to_ns);
    db_bind_blob(st, 11, sv_of(c->traces, c->traces_len * sizeof(*c->traces)));
    db_bind_blob(st, 12, data);
    return db_run(&s->writer, st, "add segment", err);
}

/* Retention spares segments with failed spans a little, see retain.c. */
static int add_errors(struct sqlite_store *s, int64_t segment, uint64_t spans, struct err *err)
{
    sqlite3_stmt *st = spans ? db_statement(&s->writer, ST_SEGMENT_ERRORS_ADD, err) : NULL;
    if (!st)
        return spans ? ERR_IO : 0;
    db_bind_i64(st, 1, segment);
    db_bind_i64(st, 2, (int64_t)spans);
    return db_run(&s->writer, st, "note errors of a segment", err);
}

int segment_rows_add(struct sqlite_store *s, const struct chunk *c,
                     const struct segment_bytes *bytes, struct err *err)
{
    int rc = add_segment(s, c, bytes->data, err);
    if (rc == 0)
        rc = digest_add(s, c->id, bytes->digest, err);
    return rc == 0 ? add_errors(s, c->id, bytes->errors, err) : rc;
}

int segment_rows_drop(struct sqlite_store *s, int64_t segment, struct err *err)
{
    static const enum db_statement drops[] = { ST_SEGMENT_DROP, ST_SEGMENT_ERRORS_DROP,
                                               ST_DIGEST_DROP };
    int rc = 0;
    for (size_t i = 0; i < NELEMS(drops) && rc == 0; i++) {
        sqlite3_stmt *st = db_statement(&s->writer, drops[i], err);
        if (!st)
            return ERR_IO;
        db_bind_i64(st, 1, segment);
        rc = db_run(&s->writer, st, "drop segment", err);
    }
    return rc;
}

void chunk_take_digest(struct chunk *c, struct sv digest)
{
    const char *kept = mem_dup_z(digest.p, digest.len);
    c->digest = kept ? sv_of(kept, digest.len) : SV_NONE; /* else it is read later */
}
