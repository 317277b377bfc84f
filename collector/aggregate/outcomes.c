/* outcomes.c - a short list, searched from its start: an edge knows a handful of outcomes and most
 * requests have the first. */
#include "aggregate/outcomes.h"
#include "base/auto.h"
#include "base/mem.h"
#include <string.h>

enum { OUTCOMES_MIN = 4 };

void outcomes_done(struct outcomes *o)
{
    mem_free(o->list);
    *o = (struct outcomes){ 0 };
}

static int grow(struct outcomes *o)
{
    uint32_t cap = o->cap ? o->cap * 2 : OUTCOMES_MIN;
    struct outcome *list = mem_resize(o->list, cap * sizeof(*list));
    if (!list)
        return -1;
    o->list = list;
    o->cap = cap;
    return 0;
}

/* The kind of *like, made when missing; NULL when memory is out. */
static struct outcome *kind_of(struct outcomes *o, const struct outcome *like)
{
    struct outcome other = { .flags = "other", .grpc = -1 };
    for (uint32_t i = 0; i < o->len; i++) {
        struct outcome *at = &o->list[i];
        if (at->code == like->code && at->grpc == like->grpc && strcmp(at->flags, like->flags) == 0)
            return at;
    }
    if (o->len == OUTCOMES_MAX)
        return &o->list[OUTCOMES_MAX - 1];
    if (o->len == o->cap && grow(o) < 0)
        return NULL;
    struct outcome *at = &o->list[o->len];
    *at = o->len == OUTCOMES_MAX - 1 ? other : *like;
    at->n = at->told = 0;
    o->len++;
    return at;
}

int outcomes_count(struct outcomes *o, const struct call *c, uint64_t times)
{
    struct outcome like = { .code = c->response_code, .grpc = c->grpc_status };
    if (!sv_to_z(c->response_flags, like.flags, sizeof(like.flags)))
        (void)sv_to_z(SV("other"), like.flags, sizeof(like.flags));
    struct outcome *at = kind_of(o, &like);
    if (!at)
        return -1;
    at->n += times;
    return 0;
}

int outcomes_add(struct outcomes *into, const struct outcomes *from)
{
    for (uint32_t i = 0; i < from->len; i++) {
        struct outcome *at = kind_of(into, &from->list[i]);
        if (!at)
            return -1;
        at->n += from->list[i].n;
    }
    return 0;
}

int outcomes_raise(struct outcomes *into, const struct outcomes *from)
{
    for (uint32_t i = 0; i < from->len; i++) {
        struct outcome *at = kind_of(into, &from->list[i]);
        if (!at)
            return -1;
        at->n = MAX(at->n, from->list[i].n);
    }
    return 0;
}
