/* briefs.c - what segments are in short (fingerprints and digests), read when it is wanted.
 *
 * A start reads neither: a file of 10 GB has 150 MB of them, spread over it. The sealing thread
 * fetches them afterwards, fingerprints before digests and the newest first, as long as there is room; a
 * question that comes before that, or that asks for segments beyond the room, reads what it needs itself.
 * Digests that the file has not got (segments of an older version) are made on the way. */
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

/* The bytes of one column for a segment; an empty view with p NULL when there is no such row. Valid
 * until *ret_st is reset, which is the caller's to do. */
static int get(struct db *db, enum db_statement id, int64_t segment, sqlite3_stmt **ret_st,
               struct sv *ret_bytes, struct err *err)
{
    *ret_bytes = SV_NONE;
    *ret_st = db_statement(db, id, err);
    if (!*ret_st)
        return ERR_IO;
    db_bind_i64(*ret_st, 1, segment);
    int rc = db_step(db, *ret_st, "read what a segment is in short", err);
    if (rc > 0)
        *ret_bytes = db_column(*ret_st, 0);
    return rc < 0 ? rc : 0;
}

/* Reads a segment's fingerprints; *ret_has: one of the traces may be among them. */
static int read_traces(struct session *session, int64_t segment, bool is_needed,
                       const struct trace_id *ids, size_t n, bool *ret_has, struct err *err)
{
    struct chunks *c = &session->store->chunks;
    sqlite3_stmt *st = NULL;
    struct sv bytes = SV_NONE;
    int rc = get(&session->db, ST_SEGMENT_TRACES, segment, &st, &bytes, err);
    if (rc < 0)
        return rc;
    size_t len = bytes.len / sizeof(uint32_t);
    uint32_t *list = mem_alloc(bytes.len);
    if (list && bytes.len)
        memcpy(list, bytes.p, len * sizeof(*list));
    if (list) {
        *ret_has = fingerprints_have(list, len, ids, n);
        pthread_mutex_lock(&c->lock);
        chunks_keep_traces(c, segment, sv_of(list, len * sizeof(*list)), is_needed);
        pthread_mutex_unlock(&c->lock);
    }
    sqlite3_reset(st);
    mem_free(list);
    return list ? 0 : err_set(err, ERR_NOMEM, "fingerprints");
}

int briefs_confirm(struct session *session, const struct trace_id *ids, size_t n,
                   struct chunk_ref *refs, size_t *len, struct err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < *len; i++) {
        bool has = true;
        int rc = refs[i].is_unsure ? read_traces(session, refs[i].id, false, ids, n, &has, err) : 0;
        if (rc < 0)
            return rc;
        if (has)
            refs[kept++] = refs[i];
    }
    *len = kept;
    return 0;
}

int briefs_read_all_traces(struct session *session, struct err *err)
{
    struct chunks *c = &session->store->chunks;
    for (size_t at = 0;; at++) {
        int64_t segment = 0;
        bool is_missing = false, ignored;
        pthread_mutex_lock(&c->lock);
        while (at < c->len && c->list[at].has_traces)
            at++;
        if (at < c->len) {
            is_missing = true;
            segment = c->list[at].id;
        }
        pthread_mutex_unlock(&c->lock);
        int rc = is_missing ? read_traces(session, segment, true, NULL, 0, &ignored, err) : 0;
        if (!is_missing || rc < 0)
            return rc;
    }
}

int brief_may_match(struct session *session, const struct chunk_ref *ref,
                    const struct digest_query *q, bool *ret_may, struct err *err)
{
    struct chunks *c = &session->store->chunks;
    sqlite3_stmt *st = NULL;
    struct sv bytes = SV_NONE;
    *ret_may = true;
    if (ref->has_asked || ref->lacks_digest)
        return 0;
    int rc = get(&session->db, ST_DIGEST_GET, ref->id, &st, &bytes, err);
    if (rc < 0)
        return rc;
    if (bytes.p && digest_check(bytes, NULL) == 0) { /* else it is no help: the segment is read */
        *ret_may = digest_may_match(bytes, q);
        pthread_mutex_lock(&c->lock);
        chunks_keep_digest(c, ref->id, bytes);
        pthread_mutex_unlock(&c->lock);
    }
    sqlite3_reset(st);
    return 0;
}

/* The newest segment whose traces are missing, as far as three quarters of the room go. Called with the
 * lock held. */
static bool choose_for_traces(const struct chunks *c, int64_t *ret_id)
{
    uint64_t bytes = 0;
    for (size_t i = c->len - c->rows; i > 0 && bytes < c->held_max / 4 * 3; i--) {
        const struct chunk *at = &c->list[i - 1];
        *ret_id = at->id;
        if (!at->has_traces)
            return true;
        bytes += at->traces_len * sizeof(*at->traces);
    }
    return false;
}

static bool choose_for_digest(const struct chunks *c, int64_t *ret_id)
{
    for (size_t i = c->len - c->rows; i > 0; i--) {
        const struct chunk *at = &c->list[i - 1];
        *ret_id = at->id;
        if (!at->digest.p && !at->lacks_digest)
            return true;
    }
    return false;
}

/* Traces go first: they are a fifth of what digests are, and without them a look-up by id has to ask every
 * segment. */
static bool choose(struct chunks *c, int64_t *ret_id, bool *ret_is_for_traces)
{
    pthread_mutex_lock(&c->lock);
    bool found = c->held_bytes < c->held_max / 16 * 15;
    *ret_is_for_traces = found && choose_for_traces(c, ret_id);
    found = *ret_is_for_traces || (found && choose_for_digest(c, ret_id));
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* Makes the digest of a segment and puts it into the file; out is what it is. */
static int make_digest(struct session *session, int64_t segment, struct segment_scratch *scratch,
                       struct buf *out, struct err *err)
{
    struct sqlite_store *s = session->store;
    sqlite3_stmt *st = NULL;
    struct sv bytes = SV_NONE;
    int rc = get(&session->db, ST_SEGMENT_DATA, segment, &st, &bytes, err);
    if (rc < 0)
        return rc;
    rc = digest_encode(scratch, bytes, false, out, err);
    sqlite3_reset(st);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&s->writing);
    rc = db_begin(&s->writer, err);
    if (rc == 0)
        rc = digest_add(s, segment, buf_sv(out), err);
    if (rc == 0)
        rc = db_commit(&s->writer, err);
    if (rc < 0)
        db_rollback(&s->writer);
    pthread_mutex_unlock(&s->writing);
    return rc;
}

static int read_digest(struct session *session, int64_t segment, struct segment_scratch *scratch,
                       struct err *err)
{
    struct chunks *c = &session->store->chunks;
    AUTO_DONE(buf) digest = { 0 };
    sqlite3_stmt *st = NULL;
    struct sv bytes = SV_NONE;
    int rc = get(&session->db, ST_DIGEST_GET, segment, &st, &bytes, err);
    if (rc < 0)
        return rc;
    bool is_sound = bytes.p && digest_check(bytes, NULL) == 0;
    if (is_sound)
        buf_put(&digest, bytes);
    sqlite3_reset(st);
    if (!is_sound)
        rc = make_digest(session, segment, scratch, &digest, err);
    if (rc < 0 || digest.failed)
        return rc < 0 ? rc : err_set(err, ERR_NOMEM, "digest of a segment");
    pthread_mutex_lock(&c->lock);
    chunks_keep_digest(c, segment, buf_sv(&digest));
    pthread_mutex_unlock(&c->lock);
    return 0;
}

/* Whether it got what it lacked. A digest that cannot be made is not tried again: such a segment is
 * damaged, or memory is out, and searches read it. */
static bool settle(struct chunks *c, int64_t segment, bool was_for_traces, int rc)
{
    pthread_mutex_lock(&c->lock);
    struct chunk *chunk = chunks_find(c, segment);
    if (chunk && rc < 0 && !was_for_traces)
        chunk->lacks_digest = true;
    bool is_done = !chunk ||
                   (was_for_traces ? chunk->has_traces : chunk->digest.p || chunk->lacks_digest);
    pthread_mutex_unlock(&c->lock);
    return is_done;
}

bool briefs_step(struct sqlite_store *s, struct segment_scratch *scratch)
{
    struct session session;
    int64_t segment;
    bool is_for_traces, ignored;
    if (!choose(&s->chunks, &segment, &is_for_traces) || session_begin(s, &session, NULL) < 0)
        return false;
    session_looked_up(&session);
    int rc = is_for_traces ? read_traces(&session, segment, false, NULL, 0, &ignored, NULL)
                           : read_digest(&session, segment, scratch, NULL);
    session_end(&session);
    return settle(&s->chunks, segment, is_for_traces, rc);
}
