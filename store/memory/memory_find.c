/* memory_find.c - reading by walking everything there is.
 *
 * Each question is one pass over all batches (a search: one for the hits and one for the
 * summaries), collected, sorted by the shared orders of store/match.h, and handed out. */
#include "base/mem.h"
#include "store/match.h"
#include "store/memory/memory.h"

/* A growing array of elements of one size; -1 when memory is out. */
struct list_of {
    char *items;
    size_t len, cap, size;
};

static void *list_push(struct list_of *l)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        char *items = mem_resize(l->items, cap * l->size);
        if (!items)
            return NULL;
        l->items = items;
        l->cap = cap;
    }
    return l->items + l->len++ * l->size;
}

static void list_sort(struct list_of *l, int (*cmp)(const void *, const void *))
{
    if (l->len)
        qsort(l->items, l->len, l->size, cmp);
}

static int collect_trace(const struct memory_store *m, struct trace_id id, struct list_of *found)
{
    for (size_t b = 0; b < m->batches_len; b++) {
        for (size_t i = 0; i < m->batches[b]->spans_len; i++) {
            const struct span *span = &m->batches[b]->spans[i];
            if (!trace_id_eq(span->trace_id, id))
                continue;
            size_t arrived = found->len;
            struct span_at *at = list_push(found);
            if (!at)
                return -1;
            *at = (struct span_at){ span, arrived };
        }
    }
    list_sort(found, span_at_cmp);
    return 0;
}

int memory_trace(struct store *s, struct trace_id id, store_span_sink *sink, void *to,
                 struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    struct list_of found = { .size = sizeof(struct span_at) };
    pthread_rwlock_rdlock(&m->all);
    int rc = collect_trace(m, id, &found);
    const struct span_at *list = (const struct span_at *)(void *)found.items;
    for (size_t i = 0; rc == 0 && i < found.len; i++)
        if (sink(to, list[i].span) != 0)
            break;
    pthread_rwlock_unlock(&m->all);
    size_t len = found.len;
    mem_free(found.items);
    if (rc < 0)
        return err_set(err, ERR_NOMEM, "spans of a trace");
    return len ? 0 : err_set(err, ERR_NOT_FOUND, "no such trace");
}

/* One hit a trace, with its newest match. */
static int collect_hits(const struct memory_store *m, const struct span_query *q,
                        struct list_of *hits)
{
    for (size_t b = 0; b < m->batches_len; b++) {
        for (size_t i = 0; i < m->batches[b]->spans_len; i++) {
            const struct span *span = &m->batches[b]->spans[i];
            if (!query_matches(q, span))
                continue;
            struct trace_hit *list = (struct trace_hit *)(void *)hits->items, *hit = NULL;
            for (size_t h = 0; h < hits->len && !hit; h++)
                if (trace_id_eq(list[h].id, span->trace_id))
                    hit = &list[h];
            if (hit) {
                hit->match_ns = MAX(hit->match_ns, span->start_ns);
                continue;
            }
            hit = list_push(hits);
            if (!hit)
                return -1;
            *hit = (struct trace_hit){ span->trace_id, span->start_ns };
        }
    }
    list_sort(hits, trace_hit_cmp);
    return 0;
}

static int summarize(const struct memory_store *m, struct trace_id id, struct summary *sum,
                     struct arena *mem)
{
    for (size_t b = 0; b < m->batches_len; b++)
        for (size_t i = 0; i < m->batches[b]->spans_len; i++)
            if (trace_id_eq(m->batches[b]->spans[i].trace_id, id) &&
                summary_add(sum, &m->batches[b]->spans[i], mem) < 0)
                return -1;
    return 0;
}

int memory_search(struct store *s, const struct span_query *q, store_trace_sink *sink, void *to,
                  struct search_end *ret_end, struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    struct list_of hits = { .size = sizeof(struct trace_hit) };
    AUTO_DONE(arena) mem = { 0 };
    pthread_rwlock_rdlock(&m->all);
    int rc = collect_hits(m, q, &hits);
    const struct trace_hit *list = (const struct trace_hit *)(const void *)hits.items;
    size_t first = 0;
    while (first < hits.len && !is_behind(&list[first], q->after))
        first++;
    size_t len = MIN(hits.len - first, q->limit);
    for (size_t h = first; rc == 0 && h < first + len; h++) {
        struct summary sum = { 0 };
        rc = summarize(m, list[h].id, &sum, &mem);
        if (rc == 0 && sink(to, &sum.t) != 0)
            break;
    }
    if (first + len < hits.len)
        *ret_end = (struct search_end){
            .has_more = true,
            .next = { list[first + len - 1].match_ns, list[first + len - 1].id },
        };
    pthread_rwlock_unlock(&m->all);
    mem_free(hits.items);
    if (rc < 0)
        return err_set(err, ERR_NOMEM, "search");
    return 0;
}

int memory_operations(struct store *s, store_operation_sink *sink, void *to, struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    struct list_of all = { .size = sizeof(struct operation) };
    int rc = 0;
    pthread_rwlock_rdlock(&m->all);
    for (size_t b = 0; b < m->batches_len && rc == 0; b++) {
        for (size_t i = 0; i < m->batches[b]->spans_len && rc == 0; i++) {
            const struct span *span = &m->batches[b]->spans[i];
            struct operation *op = list_push(&all);
            rc = op ? 0 : -1;
            if (op)
                *op = (struct operation){ span_service(span), span->name, span->kind };
        }
    }
    list_sort(&all, operation_cmp);
    const struct operation *list = (const struct operation *)(void *)all.items;
    for (size_t i = 0; i < all.len && rc == 0; i++)
        if (i == 0 || operation_cmp(&list[i - 1], &list[i]) != 0)
            if (sink(to, list[i].service, list[i].name, list[i].kind) != 0)
                break;
    pthread_rwlock_unlock(&m->all);
    mem_free(all.items);
    return rc < 0 ? err_set(err, ERR_NOMEM, "operations") : 0;
}

int memory_calls(struct store *s, const struct window *w, size_t limit, store_call_sink *sink,
                 void *to, struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    struct list_of found = { .size = sizeof(struct call_at) };
    int rc = 0;
    pthread_rwlock_rdlock(&m->all);
    for (size_t b = 0; b < m->batches_len && rc == 0; b++) {
        for (size_t i = 0; i < m->batches[b]->calls_len && rc == 0; i++) {
            if (!window_contains(*w, m->batches[b]->calls[i].start_ns))
                continue;
            size_t arrived = found.len;
            struct call_at *at = list_push(&found);
            rc = at ? 0 : -1;
            if (at)
                *at = (struct call_at){ &m->batches[b]->calls[i], arrived };
        }
    }
    list_sort(&found, call_at_cmp);
    const struct call_at *list = (const struct call_at *)(void *)found.items;
    for (size_t i = 0; i < MIN(found.len, limit) && rc == 0; i++)
        if (sink(to, list[i].call) != 0)
            break;
    pthread_rwlock_unlock(&m->all);
    mem_free(found.items);
    return rc < 0 ? err_set(err, ERR_NOMEM, "calls") : 0;
}
