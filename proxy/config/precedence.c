/* SPDX-License-Identifier: Apache-2.0
 * precedence.c - the Gateway API's order of a host's rules: whatever route they stand in, the most
 * specific one is tried first.
 *
 * Exact paths, then the longest prefix, then patterns; then a condition on the method, the most
 * headers, the most query parameters; what is still equal stays in the order of the routes, which is
 * the oldest first. Source: HTTPRouteRule.matches in the Gateway API's reference. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

struct ranked {
    struct route_entry entry;
    size_t order;
};

static int path_rank(const struct match *m)
{
    switch (m ? m->uri.kind : TEXT_MATCH_NONE) {
    case TEXT_MATCH_EXACT: return 3;
    case TEXT_MATCH_ELEMENTS: return 2;
    case TEXT_MATCH_REGEX: return 1;
    case TEXT_MATCH_NONE:
    case TEXT_MATCH_PRESENT:
    case TEXT_MATCH_PREFIX: return 0;
    }
    return 0;
}

static size_t path_len(const struct match *m)
{
    return m && m->uri.kind == TEXT_MATCH_ELEMENTS ? m->uri.text.len : 0;
}

/* The larger first. */
static int larger(size_t a, size_t b)
{
    return (a < b) - (a > b);
}

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    const struct match *m = x->entry.match, *n = y->entry.match;
    const int orders[] = {
        larger((size_t)path_rank(m), (size_t)path_rank(n)),
        larger(path_len(m), path_len(n)),
        larger(m && m->method.kind, n && n->method.kind),
        larger(m ? m->headers_len : 0, n ? n->headers_len : 0),
        larger(m ? m->params_len : 0, n ? n->params_len : 0),
        larger(y->order, x->order),
    };
    for (size_t i = 0; i < NELEMS(orders); i++)
        if (orders[i])
            return orders[i];
    return 0;
}

static void sort(struct resolve *r, struct vhost *v)
{
    struct ranked *list = arena_array(r->catalog->scratch, v->entries_len, sizeof(*list));
    struct route_entry *sorted = arena_array(&r->mesh->mem, v->entries_len, sizeof(*sorted));
    if (!list || !sorted) {
        resolve_nomem(r);
        return;
    }
    for (size_t i = 0; i < v->entries_len; i++)
        list[i] = (struct ranked){ v->entries[i], i };
    qsort(list, v->entries_len, sizeof(*list), compare);
    for (size_t i = 0; i < v->entries_len; i++)
        sorted[i] = list[i].entry;
    v->entries = sorted;
}

void resolve_precedence(struct resolve *r, struct hosts *h)
{
    const struct map *maps[] = { &h->exact, &h->suffixes };
    void *value;
    for (size_t k = 0; k < NELEMS(maps); k++)
        for (size_t i = 0; map_next(maps[k], &i, NULL, &value);) {
            struct vhost *v = value;
            if (v->is_by_precedence && v->entries_len > 1)
                sort(r, v);
        }
    if (h->any && h->any->is_by_precedence && h->any->entries_len > 1)
        sort(r, h->any);
}
