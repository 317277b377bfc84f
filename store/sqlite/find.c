/* find.c - a trace by its id, and the newest access records.
 *
 * Both read whole chunks and keep what fits. A trace's chunks are known by fingerprint. Records are
 * read from the chunk with the newest backwards, until `limit` of them are newer than anything the
 * rest can hold. Decoded chunks stay until the answer is given: what is handed out points into
 * them. */
#include "base/mem.h"
#include "store/match.h"
#include "store/sqlite/sqlite.h"

/* Decoded chunks and the records picked from them. */
struct picked {
    struct batch **batches;
    size_t batches_len;
    char *items; /* struct span_at or struct call_at */
    size_t len, cap, size;
};

static int picked_init(struct picked *p, size_t chunks, size_t size)
{
    *p = (struct picked){ .size = size };
    p->batches = mem_alloc(chunks * sizeof(struct batch *));
    return p->batches ? 0 : -1;
}

static void picked_done(struct picked *p)
{
    for (size_t i = 0; i < p->batches_len; i++)
        batch_free(p->batches[i]);
    mem_free(p->batches);
    mem_free(p->items);
}

static void *pick(struct picked *p)
{
    if (p->len == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        char *items = mem_resize(p->items, cap * p->size);
        if (!items)
            return NULL;
        p->items = items;
        p->cap = cap;
    }
    return p->items + p->len++ * p->size;
}

/* Loads a chunk and keeps it only when something was picked from it. */
static int load_into(struct session *session, const struct chunk_ref *ref,
                     struct trace_choice choice, struct picked *p, struct err *err)
{
    int rc = chunk_load(session, ref, choice, &p->batches[p->batches_len], err);
    if (rc == 0)
        p->batches_len++;
    return rc;
}

static void drop_if_unused(struct picked *p, size_t len_before)
{
    if (p->len == len_before)
        batch_free(p->batches[--p->batches_len]);
}

static int pick_trace(struct session *session, const struct chunk_ref *refs, size_t refs_len,
                      struct trace_id id, struct picked *p, struct err *err)
{
    for (size_t c = 0; c < refs_len; c++) {
        int rc = load_into(session, &refs[c], (struct trace_choice){ .ids = &id, .len = 1 }, p,
                           err);
        if (rc < 0)
            return rc;
        const struct batch *b = p->batches[p->batches_len - 1];
        size_t before = p->len;
        for (size_t i = 0; i < b->spans_len; i++) {
            if (!trace_id_eq(b->spans[i].trace_id, id))
                continue;
            size_t arrived = p->len;
            struct span_at *at = pick(p);
            if (!at)
                return err_set(err, ERR_NOMEM, "spans of a trace");
            *at = (struct span_at){ &b->spans[i], arrived };
        }
        drop_if_unused(p, before);
    }
    if (p->len)
        qsort(p->items, p->len, p->size, span_at_cmp);
    return 0;
}

int sqlite_trace(struct store *store, struct trace_id id, store_span_sink *sink, void *to,
                 struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct session session;
    struct chunk_ref *refs = NULL;
    size_t refs_len = 0;
    int rc = session_begin(s, &session, err);
    if (rc < 0)
        return rc;
    rc = chunks_with_traces(&s->chunks, &id, 1, &refs, &refs_len);
    session_looked_up(&session);
    struct picked p = { 0 };
    if (rc < 0)
        rc = err_set(err, ERR_NOMEM, "chunks of a trace");
    else
        rc = briefs_confirm(&session, &id, 1, refs, &refs_len, err);
    if (rc == 0 && picked_init(&p, refs_len, sizeof(struct span_at)) < 0)
        rc = err_set(err, ERR_NOMEM, "chunks of a trace");
    if (rc == 0)
        rc = pick_trace(&session, refs, refs_len, id, &p, err);
    session_end(&session);
    const struct span_at *list = (const struct span_at *)(void *)p.items;
    for (size_t i = 0; rc == 0 && i < p.len; i++)
        if (sink(to, list[i].span) != 0)
            break;
    if (rc == 0 && p.len == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no such trace");
    picked_done(&p);
    mem_free(refs);
    return rc;
}

/* Sorts what was picked and says whether nothing older than newest_ns is wanted any more. */
static bool has_enough(struct picked *p, size_t limit, int64_t newest_ns)
{
    if (p->len < limit)
        return false;
    qsort(p->items, p->len, p->size, call_at_cmp);
    p->len = limit;
    return ((const struct call_at *)(void *)p->items)[limit - 1].call->start_ns > newest_ns;
}

static int pick_calls(struct session *session, const struct chunk_ref *refs, size_t refs_len,
                      struct window w, size_t limit, struct picked *p, struct err *err)
{
    for (size_t c = 0; c < refs_len && !has_enough(p, limit, refs[c].newest_ns); c++) {
        int rc = load_into(session, &refs[c], (struct trace_choice){ 0 }, p, err);
        if (rc < 0)
            return rc;
        const struct batch *b = p->batches[p->batches_len - 1];
        size_t before = p->len;
        for (size_t i = 0; i < b->calls_len; i++) {
            if (!window_contains(w, b->calls[i].start_ns))
                continue;
            struct call_at *at = pick(p);
            if (!at)
                return err_set(err, ERR_NOMEM, "access records");
            *at = (struct call_at){ &b->calls[i], (size_t)(refs[c].first_seq << 24) + i };
        }
        drop_if_unused(p, before);
    }
    if (p->len)
        qsort(p->items, p->len, p->size, call_at_cmp);
    return 0;
}

int sqlite_calls(struct store *store, const struct window *w, size_t limit, store_call_sink *sink,
                 void *to, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct session session;
    struct chunk_ref *refs = NULL;
    size_t refs_len = 0;
    int rc = session_begin(s, &session, err);
    if (rc < 0)
        return rc;
    rc = chunks_in_window(&s->chunks, *w, true, NULL, &refs, &refs_len);
    session_looked_up(&session);
    struct picked p = { 0 };
    if (rc < 0 || picked_init(&p, refs_len, sizeof(struct call_at)) < 0)
        rc = err_set(err, ERR_NOMEM, "chunks of access records");
    if (rc == 0)
        rc = pick_calls(&session, refs, refs_len, *w, limit, &p, err);
    session_end(&session);
    const struct call_at *list = (const struct call_at *)(void *)p.items;
    for (size_t i = 0; rc == 0 && i < MIN(p.len, limit); i++)
        if (sink(to, list[i].call) != 0)
            break;
    picked_done(&p);
    mem_free(refs);
    return rc;
}
