/* search.c - the newest traces that have a matching span.
 *
 * First pass: chunks from the newest backwards; every span that matches makes or renews a hit. It
 * stops when `limit` hits are newer than anything the remaining chunks can hold. Second pass: the
 * chunks that may hold a span of one of the hits, each read once, for the summaries.
 *
 * The bound: at SEARCH_SPANS_MAX spans looked at the search ends with what it has and says that it
 * is incomplete. That is some seconds of work, and only searches that match next to nothing in
 * a very long history come there. */
#include "base/mem.h"
#include "store/match.h"
#include "store/sqlite/sqlite.h"

#define SEARCH_SPANS_MAX UINT64_C(20000000)

struct hits {
    struct map by_trace; /* trace id -> index + 1 into list */
    struct trace_hit *list;
    size_t len, cap;
};

static void hits_done(struct hits *h)
{
    map_done(&h->by_trace);
    mem_free(h->list);
}

static struct sv id_key(const struct trace_id *id)
{
    return sv_of(id->b, sizeof(id->b));
}

static int hits_add(struct hits *h, struct trace_id id, int64_t match_ns)
{
    uintptr_t at = (uintptr_t)map_get(&h->by_trace, id_key(&id));
    if (at) {
        h->list[at - 1].match_ns = MAX(h->list[at - 1].match_ns, match_ns);
        return 0;
    }
    if (h->len == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 64;
        struct trace_hit *list = mem_resize(h->list, cap * sizeof(*list));
        if (!list)
            return -1;
        h->list = list;
        h->cap = cap;
    }
    if (map_put(&h->by_trace, id_key(&id), (void *)(uintptr_t)(h->len + 1), NULL) < 0)
        return -1;
    h->list[h->len++] = (struct trace_hit){ id, match_ns };
    return 0;
}

/* Sorts the hits, forgets all but the first `limit`, and brings the map in line. */
static int hits_trim(struct hits *h, size_t limit)
{
    if (h->len)
        qsort(h->list, h->len, sizeof(*h->list), trace_hit_cmp);
    h->len = MIN(h->len, limit);
    map_done(&h->by_trace);
    for (size_t i = 0; i < h->len; i++)
        if (map_put(&h->by_trace, id_key(&h->list[i].id), (void *)(uintptr_t)(i + 1), NULL) < 0)
            return -1;
    return 0;
}

/* A trace dropped by a trim cannot come back in front: its newest match would have to be newer
 * than the last one kept, and then that hit is made anew with exactly this match. */
static int collect_hits(struct session *session, const struct span_query *q,
                        const struct chunk_ref *refs, size_t refs_len, struct hits *hits,
                        bool *ret_incomplete, struct err *err)
{
    uint64_t looked_at = 0;
    for (size_t c = 0; c < refs_len; c++) {
        if (hits->len >= q->limit) {
            if (hits_trim(hits, q->limit) < 0)
                return err_set(err, ERR_NOMEM, "hits");
            if (hits->list[q->limit - 1].match_ns > refs[c].newest_ns)
                return 0;
        }
        if (looked_at > SEARCH_SPANS_MAX) {
            *ret_incomplete = true;
            return 0;
        }
        AUTO_FREE(batch) b = NULL;
        int rc = chunk_load(session, &refs[c], (struct trace_choice){ 0 }, &b, err);
        if (rc < 0)
            return rc;
        looked_at += b->spans_len;
        for (size_t i = 0; i < b->spans_len; i++)
            if (query_matches(q, &b->spans[i]) &&
                hits_add(hits, b->spans[i].trace_id, b->spans[i].start_ns) < 0)
                return err_set(err, ERR_NOMEM, "hits");
    }
    return 0;
}

static int summarize_chunk(struct session *session, const struct chunk_ref *ref,
                           const struct hits *hits, struct trace_choice choice,
                           struct summary *sums, struct arena *mem, struct err *err)
{
    AUTO_FREE(batch) b = NULL;
    int rc = chunk_load(session, ref, choice, &b, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < b->spans_len; i++) {
        uintptr_t at = (uintptr_t)map_get(&hits->by_trace, id_key(&b->spans[i].trace_id));
        if (at && summary_add(&sums[at - 1], &b->spans[i], mem) < 0)
            return err_set(err, ERR_NOMEM, "trace summary");
    }
    return 0;
}

static int give_summaries(struct session *session, const struct hits *hits,
                          struct trace_choice choice, const struct chunk_ref *refs, size_t refs_len,
                          store_trace_sink *sink, void *to, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct summary *sums = arena_array(&mem, hits->len, sizeof(*sums));
    if (!sums)
        return err_set(err, ERR_NOMEM, "trace summaries");
    for (size_t c = 0; c < refs_len; c++) {
        int rc = summarize_chunk(session, &refs[c], hits, choice, sums, &mem, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < hits->len; i++)
        if (sink(to, &sums[i].t) != 0)
            break;
    return 0;
}

/* First pass, in a session of its own. */
static int find_hits(struct sqlite_store *s, const struct span_query *q, struct hits *hits,
                     bool *ret_incomplete, struct err *err)
{
    struct session session;
    struct chunk_ref *refs = NULL;
    size_t refs_len = 0;
    int rc = session_begin(s, &session, err);
    if (rc < 0)
        return rc;
    rc = chunks_in_window(&s->chunks, query_window(q), false, &refs, &refs_len);
    session_looked_up(&session);
    if (rc < 0)
        rc = err_set(err, ERR_NOMEM, "chunks of a search");
    if (rc == 0)
        rc = collect_hits(&session, q, refs, refs_len, hits, ret_incomplete, err);
    if (rc == 0 && hits_trim(hits, q->limit) < 0)
        rc = err_set(err, ERR_NOMEM, "hits");
    session_end(&session);
    mem_free(refs);
    return rc;
}

/* Second pass. Its snapshot is a little newer than the first one's: a trace may have grown. */
static int summarize_hits(struct sqlite_store *s, const struct hits *hits, store_trace_sink *sink,
                          void *to, struct err *err)
{
    struct session session;
    struct chunk_ref *refs = NULL;
    size_t refs_len = 0;
    struct trace_id *ids = mem_alloc(hits->len * sizeof(*ids));
    if (!ids)
        return err_set(err, ERR_NOMEM, "hits");
    for (size_t i = 0; i < hits->len; i++)
        ids[i] = hits->list[i].id;
    int rc = session_begin(s, &session, err);
    if (rc == 0) {
        rc = chunks_with_traces(&s->chunks, ids, hits->len, &refs, &refs_len);
        session_looked_up(&session);
        if (rc < 0)
            rc = err_set(err, ERR_NOMEM, "chunks of the hits");
        if (rc == 0)
            rc = give_summaries(&session, hits, (struct trace_choice){ ids, hits->len }, refs,
                                refs_len, sink, to, err);
        session_end(&session);
    }
    mem_free(refs);
    mem_free(ids);
    return rc;
}

int sqlite_search(struct store *store, const struct span_query *q, store_trace_sink *sink, void *to,
                  bool *ret_incomplete, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct hits hits = { 0 };
    bool is_incomplete = false;
    int rc = find_hits(s, q, &hits, &is_incomplete, err);
    if (rc == 0 && hits.len)
        rc = summarize_hits(s, &hits, sink, to, err);
    if (rc == 0)
        *ret_incomplete = is_incomplete;
    hits_done(&hits);
    return rc;
}
