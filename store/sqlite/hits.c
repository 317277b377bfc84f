/* hits.c - one line a trace, found by its id, sorted when somebody needs the newest. */
#include "store/sqlite/hits.h"
#include "base/mem.h"

void hits_done(struct hits *h)
{
    map_done(&h->by_trace);
    mem_free(h->list);
    *h = (struct hits){ 0 };
}

static struct sv id_key(const struct trace_id *id)
{
    return sv_of(id->b, sizeof(id->b));
}

size_t hits_find(const struct hits *h, struct trace_id id)
{
    uintptr_t at = (uintptr_t)map_get(&h->by_trace, id_key(&id));
    return at ? at - 1 : HIT_NONE;
}

int hits_add(struct hits *h, struct trace_id id, int64_t match_ns)
{
    size_t at = hits_find(h, id);
    if (at != HIT_NONE) {
        h->list[at].match_ns = MAX(h->list[at].match_ns, match_ns);
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

int hits_trim(struct hits *h, size_t limit)
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
