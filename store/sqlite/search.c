/* search.c - the newest traces that have a matching span, page by page.
 *
 * First pass: chunks from the newest backwards; every span that matches makes or renews a hit. It
 * stops when one hit more than wanted is newer than anything the remaining chunks can hold. Second
 * pass: the chunks that may hold a span of one of the hits, each read once, for the summaries.
 *
 * A page that begins behind a place reads only what starts at or before it. A trace whose newest
 * match lies in front of the place was on an earlier page, but its older matches make it a hit
 * again: the second pass looks at all its spans, and such hits are dropped. When that leaves too
 * few, another round begins behind the last of them.
 *
 * The bounds: after so many spans or so much time the search ends with what is certain, which is
 * what is newer than the chunks that were not read, and says where to go on. It never stops before
 * a chunk that reaches as far as the place it began at, so going on always gets somewhere. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/hits.h"
#include "store/sqlite/sqlite.h"

#define SEARCH_SPANS_MAX UINT64_C(100000000)
#define SEARCH_TIME_NS   (5 * NS_PER_S) /* a person waits; going on is a click */

struct search {
    struct sqlite_store *store;
    const struct span_query *q;
    struct digest_query digest_query;
    struct segment_scratch scratch;
    struct search_position after; /* of the round */
    bool has_after;
    int64_t deadline_ns; /* monotonic */
    uint64_t looked_at;
    enum search_bound bound;
    int64_t certain_ns; /* when bound: everything newer than this was seen */
    struct hits hits;   /* of the round */
    /* What was found in all rounds: at most q->limit + 1. */
    struct arena mem;
    struct summary *found;
    struct trace_hit *found_at;
    size_t found_len;
};

/* One more is looked for than is given, to know whether there is one. */
static size_t wanted(const struct search *s)
{
    return s->q->limit + 1;
}

static int note_hit(void *to, struct trace_id id, int64_t match_ns)
{
    struct search *s = to;
    struct trace_hit hit = { id, match_ns };
    if (s->has_after && !is_behind(&hit, &s->after))
        return 0;
    return hits_add(&s->hits, id, match_ns);
}

static bool hit_bound(struct search *s, const struct chunk_ref *first, const struct chunk_ref *next)
{
    uint64_t max_spans = s->q->max_spans ? s->q->max_spans : SEARCH_SPANS_MAX;
    if (next->newest_ns >= first->newest_ns)
        return false;
    if (s->looked_at > max_spans)
        s->bound = SEARCH_BOUND_SPANS;
    else if (clock_mono_ns() > s->deadline_ns)
        s->bound = SEARCH_BOUND_TIME;
    s->certain_ns = next->newest_ns;
    return s->bound != SEARCH_NO_BOUND;
}

/* A trace dropped by a trim cannot come back in front: its newest match would have to be newer
 * than the last one kept, and then that hit is made anew with exactly this match. */
static int collect_hits(struct search *s, struct session *session, const struct span_query *q,
                        const struct chunk_ref *refs, size_t refs_len, struct err *err)
{
    size_t want = wanted(s);
    for (size_t c = 0; c < refs_len; c++) {
        if (s->hits.len >= want) {
            if (hits_trim(&s->hits, want) < 0)
                return err_set(err, ERR_NOMEM, "hits");
            if (s->hits.list[want - 1].match_ns > refs[c].newest_ns)
                return 0;
        }
        if (hit_bound(s, &refs[0], &refs[c]))
            return 0;
        bool may_match = true;
        int rc = brief_may_match(session, &refs[c], &s->digest_query, &may_match, err);
        if (rc == 0 && may_match)
            rc = chunk_scan(session, &refs[c], q, &s->scratch, note_hit, s, err);
        if (rc < 0)
            return rc;
        s->looked_at += may_match ? refs[c].spans : 0;
    }
    return 0;
}

/* First pass, in a session of its own. */
static int find_hits(struct search *s, struct err *err)
{
    struct session session;
    struct span_query q = *s->q;
    struct chunk_ref *refs = NULL;
    size_t refs_len = 0;
    q.window = query_window(&q);
    if (s->has_after && s->after.match_ns < INT64_MAX)
        q.window.to_ns = MIN(q.window.to_ns, s->after.match_ns + 1);
    int rc = session_begin(s->store, &session, err);
    if (rc < 0)
        return rc;
    rc = chunks_in_window(&s->store->chunks, q.window, false, &s->digest_query, &refs, &refs_len);
    session_looked_up(&session);
    if (rc < 0)
        rc = err_set(err, ERR_NOMEM, "chunks of a search");
    if (rc == 0)
        rc = collect_hits(s, &session, &q, refs, refs_len, err);
    if (rc == 0 && hits_trim(&s->hits, wanted(s)) < 0)
        rc = err_set(err, ERR_NOMEM, "hits");
    session_end(&session);
    mem_free(refs);
    while (s->bound && s->hits.len && s->hits.list[s->hits.len - 1].match_ns <= s->certain_ns)
        s->hits.len--; /* others may lie between them */
    return rc;
}

/* The hits' spans: what they sum up to, and which hits belong to an earlier page. */
struct round {
    struct search *search;
    struct summary *sums;
    bool *is_earlier;
};

static int add_spans(void *to, const struct batch *b, struct err *err)
{
    struct round *r = to;
    struct search *s = r->search;
    for (size_t i = 0; i < b->spans_len; i++) {
        const struct span *span = &b->spans[i];
        size_t at = hits_find(&s->hits, span->trace_id);
        if (at == HIT_NONE || at >= s->hits.len)
            continue;
        if (summary_add(&r->sums[at], span, &s->mem) < 0)
            return err_set(err, ERR_NOMEM, "trace summary");
        if (s->has_after && span->start_ns > s->hits.list[at].match_ns)
            r->is_earlier[at] |= query_matches(s->q, span);
    }
    return 0;
}

static int summarize(struct search *s, struct session *session, struct trace_choice choice,
                     const struct chunk_ref *refs, size_t refs_len, struct round *r,
                     struct err *err)
{
    r->sums = arena_array(&s->mem, s->hits.len, sizeof(*r->sums));
    r->is_earlier = arena_array(&s->mem, s->hits.len, sizeof(*r->is_earlier));
    if (!r->sums || !r->is_earlier)
        return err_set(err, ERR_NOMEM, "trace summaries");
    for (size_t c = 0; c < refs_len; c++) {
        int rc = chunk_visit(session, &refs[c], choice, add_spans, r, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void keep_round(struct search *s, const struct round *r)
{
    for (size_t i = 0; i < s->hits.len && s->found_len < wanted(s); i++) {
        if (r->is_earlier[i] || r->sums[i].t.spans_len == 0) /* retention was faster */
            continue;
        s->found[s->found_len] = r->sums[i];
        s->found_at[s->found_len++] = s->hits.list[i];
    }
}

/* Second pass. Its snapshot is a little newer than the first one's: a trace may have grown. */
static int read_hits(struct search *s, struct err *err)
{
    struct session session;
    struct chunk_ref *refs = NULL;
    size_t refs_len = 0;
    struct round r = { .search = s };
    struct trace_id *ids = arena_array(&s->mem, s->hits.len, sizeof(*ids));
    if (!ids)
        return err_set(err, ERR_NOMEM, "hits");
    for (size_t i = 0; i < s->hits.len; i++)
        ids[i] = s->hits.list[i].id;
    int rc = session_begin(s->store, &session, err);
    if (rc < 0)
        return rc;
    struct trace_choice choice = { ids, s->hits.len, !s->has_after };
    rc = chunks_with_traces(&s->store->chunks, ids, s->hits.len, &refs, &refs_len);
    session_looked_up(&session);
    if (rc < 0)
        rc = err_set(err, ERR_NOMEM, "chunks of the hits");
    else
        rc = briefs_confirm(&session, ids, s->hits.len, refs, &refs_len, err);
    if (rc == 0)
        rc = summarize(s, &session, choice, refs, refs_len, &r, err);
    session_end(&session);
    mem_free(refs);
    if (rc == 0)
        keep_round(s, &r);
    return rc;
}

/* One round; *ret_is_over when another would find nothing more. */
static int run_round(struct search *s, bool *ret_is_over, struct err *err)
{
    hits_done(&s->hits);
    int rc = find_hits(s, err);
    size_t len = s->hits.len;
    if (rc == 0 && len)
        rc = read_hits(s, err);
    *ret_is_over = s->bound || len < wanted(s) || s->found_len == wanted(s);
    if (rc == 0 && !*ret_is_over) {
        s->after = (struct search_position){ s->hits.list[len - 1].match_ns,
                                             s->hits.list[len - 1].id };
        s->has_after = true;
    }
    return rc;
}

static void give_found(struct search *s, store_trace_sink *sink, void *to,
                       struct search_end *ret_end)
{
    size_t len = MIN(s->found_len, s->q->limit);
    for (size_t i = 0; i < len; i++)
        if (sink(to, &s->found[i].t) != 0)
            break;
    if (s->found_len > len) {
        ret_end->has_more = true;
        ret_end->next = (struct search_position){ s->found_at[len - 1].match_ns,
                                                  s->found_at[len - 1].id };
    } else if (s->bound) {
        ret_end->has_more = true;
        ret_end->bound = s->bound;
        ret_end->next.match_ns = s->certain_ns + 1; /* there is a newer chunk */
        memset(ret_end->next.id.b, 0xff, sizeof(ret_end->next.id.b));
    }
}

int sqlite_search(struct store *store, const struct span_query *q, store_trace_sink *sink, void *to,
                  struct search_end *ret_end, struct err *err)
{
    struct search s = { .store = (struct sqlite_store *)store, .q = q };
    bool is_over = false;
    int rc = 0;
    s.digest_query = digest_query_of(q);
    s.deadline_ns = clock_mono_ns() + SEARCH_TIME_NS;
    if (q->after) {
        s.after = *q->after;
        s.has_after = true;
    }
    s.found = arena_array(&s.mem, wanted(&s), sizeof(*s.found));
    s.found_at = arena_array(&s.mem, wanted(&s), sizeof(*s.found_at));
    if (!s.found || !s.found_at)
        rc = err_set(err, ERR_NOMEM, "trace summaries");
    while (rc == 0 && !is_over)
        rc = run_round(&s, &is_over, err);
    if (rc == 0)
        give_found(&s, sink, to, ret_end);
    hits_done(&s.hits);
    segment_scratch_done(&s.scratch);
    arena_done(&s.mem);
    return rc;
}
