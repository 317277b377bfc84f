/* batch.c - spans and calls of one export in growing arrays.
 *
 * The arrays double, so they may move while a batch is being filled; what they point to lies in
 * the batch's arena and never moves. */
#include "model/batch.h"
#include "base/mem.h"

#define FIRST_CAP 16

struct batch *batch_new(void)
{
    return mem_zalloc(sizeof(struct batch));
}

struct batch *batch_free(struct batch *b)
{
    if (!b)
        return NULL;
    arena_done(&b->mem);
    mem_free(b->spans);
    mem_free(b->calls);
    mem_free(b);
    return NULL;
}

/* Room for one more element of size bytes in list; the list, perhaps moved, or NULL. */
static void *grown(void *list, size_t len, size_t *cap, size_t size)
{
    if (len < *cap)
        return list;
    size_t more = *cap ? *cap * 2 : FIRST_CAP, bytes;
    if (__builtin_mul_overflow(more, size, &bytes))
        return NULL;
    void *moved = mem_resize(list, bytes);
    if (moved)
        *cap = more;
    return moved;
}

struct span *batch_add_span(struct batch *b)
{
    struct span *list = grown(b->spans, b->spans_len, &b->spans_cap, sizeof(*list));
    if (!list)
        return NULL;
    b->spans = list;
    struct span *s = &list[b->spans_len++];
    memset(s, 0, sizeof(*s));
    return s;
}

struct call *batch_add_call(struct batch *b)
{
    struct call *list = grown(b->calls, b->calls_len, &b->calls_cap, sizeof(*list));
    if (!list)
        return NULL;
    b->calls = list;
    struct call *c = &list[b->calls_len++];
    memset(c, 0, sizeof(*c));
    return c;
}
