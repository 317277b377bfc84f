/* jaeger_find.c - asks the store once for each combination of what the tags can mean.
 *
 * The answers are put together, each trace once, and cut at the limit, so what is found is exact:
 * the newest traces of all are among the newest of each part. One combination, the common case,
 * keeps the store's order (newest match first); several are ordered by the start of the trace.
 * More than SEARCHES_MAX are refused before anything is read. */
#include "query/jaeger_search.h"

void found_traces_done(struct found_traces *f)
{
    arena_done(&f->mem);
    *f = (struct found_traces){ 0 };
}

static int put_found(void *to, const struct trace_summary *t)
{
    struct found_traces *f = to;
    struct trace_summary *copy = &f->list[f->len];
    if (f->len == f->cap)
        return 1;
    *copy = *t;
    copy->root_service = arena_copy(&f->mem, t->root_service);
    copy->root_name = arena_copy(&f->mem, t->root_name);
    f->is_out_of_memory |= !copy->root_service.p || !copy->root_name.p;
    f->len += !f->is_out_of_memory;
    return f->is_out_of_memory;
}

static size_t combinations(const struct jaeger_search *s)
{
    size_t n = 1;
    for (size_t i = 0; i < s->tags_len && n <= SEARCHES_MAX; i++)
        n *= s->tags[i].len;
    return n;
}

/* The at-th combination: the digits of a number whose base changes from tag to tag. */
static void choose(const struct jaeger_search *s, size_t at, struct span_query *q,
                   struct attr_wish *attrs)
{
    for (size_t i = 0; i < s->tags_len; at /= s->tags[i].len, i++) {
        const struct tag_meaning *m = &s->tags[i].any[at % s->tags[i].len];
        if (m->is_error)
            q->statuses = 1u << STATUS_ERROR;
        else
            attrs[q->attrs_len++] = (struct attr_wish){ .attr = m->attr, .level = ATTR_ANYWHERE };
    }
    q->attrs = attrs;
}

static int by_id(const void *pa, const void *pb)
{
    const struct trace_summary *a = pa, *b = pb;
    return memcmp(a->trace_id.b, b->trace_id.b, sizeof(a->trace_id.b));
}

static int newest_first(const void *pa, const void *pb)
{
    const struct trace_summary *a = pa, *b = pb;
    if (a->start_ns != b->start_ns)
        return a->start_ns > b->start_ns ? -1 : 1;
    return by_id(pa, pb);
}

static void merge(struct found_traces *f, size_t limit)
{
    size_t kept = 0;
    qsort(f->list, f->len, sizeof(*f->list), by_id);
    for (size_t i = 0; i < f->len; i++)
        if (kept == 0 || by_id(&f->list[kept - 1], &f->list[i]) != 0)
            f->list[kept++] = f->list[i];
    qsort(f->list, kept, sizeof(*f->list), newest_first);
    f->len = MIN(kept, limit);
}

int jaeger_find(struct store *store, const struct jaeger_search *s, struct found_traces *ret_f,
                struct err *err)
{
    size_t n = combinations(s);
    *ret_f = (struct found_traces){ 0 };
    if (n > SEARCHES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d readings of the tags: fewer numbers, please",
                       SEARCHES_MAX);
    ret_f->cap = n * s->query.limit;
    ret_f->list = arena_array(&ret_f->mem, ret_f->cap, sizeof(*ret_f->list));
    if (!ret_f->list)
        return err_set(err, ERR_NOMEM, "traces of a search");
    for (size_t i = 0; i < n; i++) {
        struct span_query q = s->query;
        struct attr_wish attrs[JAEGER_TAGS_MAX];
        struct search_end end;
        choose(s, i, &q, attrs);
        int rc = store_search(store, &q, put_found, ret_f, &end, err);
        if (rc == 0 && ret_f->is_out_of_memory)
            rc = err_set(err, ERR_NOMEM, "traces of a search");
        if (rc < 0)
            return rc;
        ret_f->is_incomplete |= end.bound != SEARCH_NO_BOUND;
    }
    if (n > 1)
        merge(ret_f, s->query.limit);
    return 0;
}
