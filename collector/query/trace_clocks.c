/* trace_clocks.c - clocks of different hosts disagree, and a call then seems to begin before its
 * cause or to end after it.
 *
 * A child on another host that does not fit into its parent is moved into the middle of it, as if
 * the way there took as long as the way back; what runs on the child's host below it moves along.
 * A child that lasts longer than its parent was not waited for, and is moved only when it would
 * begin before its parent. Messages are not moved at all: a consumer may begin hours after its
 * producer ended. Each span that moves says so and by how much; the store keeps the times as sent.
 *
 * Parents are reached by a walk from the roots with a list instead of recursion, because the depth
 * of a trace is the sender's choice. Spans in a circle of parents are never reached and stay. */
#include "base/clock.h"
#include "base/map.h"
#include "query/trace_adjust.h"
#include <stdio.h>

/* Clocks that anybody keeps are within milliseconds; beyond this it is work that waited. */
#define SKEW_MAX_NS (10 * NS_PER_S)

enum { NOBODY = -1 };

struct clocks {
    struct whole_trace *t;
    struct map by_id;      /* span id to index + 1 */
    int64_t *shift_ns;     /* what the span was moved by */
    int32_t *first, *next; /* children of each span, and their order */
    int32_t *todo;
    size_t todo_len;
    bool *is_doubled; /* its id is another span's too */
};

static struct sv host_of(const struct span *s)
{
    static const struct sv keys[] = { { "host.id", 7 }, { "host.ip", 7 }, { "host.name", 9 } };
    struct sv host = SV_NONE;
    for (size_t i = 0; i < NELEMS(keys) && !host.len; i++)
        host = attrs_str(&s->resource->attrs, keys[i]);
    return host;
}

/* Nothing said of the host: two spans of one service are taken to share it. */
static bool is_same_clock(const struct span *a, const struct span *b)
{
    struct sv host_a = host_of(a), host_b = host_of(b);
    if (host_a.len || host_b.len)
        return sv_eq(host_a, host_b);
    return sv_eq(attrs_str(&a->resource->attrs, SV("service.name")),
                 attrs_str(&b->resource->attrs, SV("service.name")));
}

static bool is_message(const struct span *parent, const struct span *child)
{
    return parent->kind == SPAN_KIND_PRODUCER || child->kind == SPAN_KIND_CONSUMER;
}

/* How far the child has to move; times are what the sender made up, so no sum may overflow. */
static int64_t shift_wanted(const struct span *parent, const struct span *child)
{
    int64_t parent_ns, child_ns, before_ns;
    if (__builtin_sub_overflow(parent->end_ns, parent->start_ns, &parent_ns) ||
        __builtin_sub_overflow(child->end_ns, child->start_ns, &child_ns) ||
        __builtin_sub_overflow(parent->start_ns, child->start_ns, &before_ns) || parent_ns < 0 ||
        child_ns < 0)
        return 0;
    if (child_ns > parent_ns)
        return MAX(before_ns, 0);
    if (child->start_ns >= parent->start_ns && child->end_ns <= parent->end_ns)
        return 0;
    int64_t shift_ns;
    return __builtin_add_overflow(before_ns, (parent_ns - child_ns) / 2, &shift_ns) ? 0 : shift_ns;
}

static void move(struct clocks *c, size_t at, int64_t shift_ns)
{
    struct span *s = &c->t->spans[at];
    char *text = arena_alloc(&c->t->mem, 64);
    int64_t start_ns, end_ns;
    if (!text || __builtin_add_overflow(s->start_ns, shift_ns, &start_ns) ||
        __builtin_add_overflow(s->end_ns, shift_ns, &end_ns))
        return;
    int n = snprintf(text, 64, "This span's timestamps were adjusted by %gms",
                     (double)shift_ns / 1e6);
    span_warn(&c->t->notes[at], sv_of(text, (size_t)MIN(n, 63)));
    struct span_event *events = (struct span_event *)(uintptr_t)s->events; /* our own copy */
    for (uint32_t i = 0; i < s->events_len; i++)
        if (__builtin_add_overflow(events[i].time_ns, shift_ns, &events[i].time_ns))
            events[i].time_ns -= shift_ns;
    s->start_ns = start_ns;
    s->end_ns = end_ns;
    c->shift_ns[at] = c->t->notes[at].moved_ns = shift_ns;
}

static void align(struct clocks *c, size_t parent, size_t child)
{
    const struct span *p = &c->t->spans[parent], *s = &c->t->spans[child];
    int64_t shift_ns = c->shift_ns[parent];
    if (!is_same_clock(p, s))
        shift_ns = is_message(p, s) ? 0 : shift_wanted(p, s);
    if (shift_ns > SKEW_MAX_NS || shift_ns < -SKEW_MAX_NS)
        span_warn(&c->t->notes[child],
                  SV("max clock skew adjustment delta of 10s exceeded; not adjusted"));
    else if (shift_ns)
        move(c, child, shift_ns);
}

static int make_room(struct clocks *c)
{
    size_t n = c->t->len;
    c->shift_ns = arena_array(&c->t->mem, n, sizeof(*c->shift_ns));
    c->first = arena_array(&c->t->mem, n, sizeof(*c->first));
    c->next = arena_array(&c->t->mem, n, sizeof(*c->next));
    c->todo = arena_array(&c->t->mem, n, sizeof(*c->todo));
    c->is_doubled = arena_array(&c->t->mem, n, sizeof(*c->is_doubled));
    if (!c->shift_ns || !c->first || !c->next || !c->todo || !c->is_doubled)
        return -1;
    for (size_t i = 0; i < n; i++)
        c->first[i] = c->next[i] = NOBODY;
    return 0;
}

static int index_ids(struct clocks *c)
{
    for (size_t i = 0; i < c->t->len; i++) {
        struct sv id = sv_of(c->t->spans[i].span_id.b, sizeof(struct span_id));
        uintptr_t other = (uintptr_t)map_get(&c->by_id, id);
        if (other) {
            c->is_doubled[i] = c->is_doubled[other - 1] = true;
            continue;
        }
        if (map_put(&c->by_id, id, (void *)(uintptr_t)(i + 1), NULL) < 0)
            return -1;
    }
    return 0;
}

/* Hangs each span below its parent; those without one in the trace are where the walk begins. */
static void hang(struct clocks *c)
{
    for (size_t i = c->t->len; i-- > 0;) {
        const struct span *s = &c->t->spans[i];
        struct sv id = sv_of(s->parent_id.b, sizeof(struct span_id));
        uintptr_t parent = span_id_is_set(s->parent_id) ? (uintptr_t)map_get(&c->by_id, id) : 0;
        if (parent) {
            c->next[i] = c->first[parent - 1];
            c->first[parent - 1] = (int32_t)i;
            continue;
        }
        c->todo[c->todo_len++] = (int32_t)i;
        if (span_id_is_set(s->parent_id))
            span_warn(&c->t->notes[i], SV("parent span is not in the trace"));
    }
}

static void walk(struct clocks *c)
{
    while (c->todo_len) {
        int32_t parent = c->todo[--c->todo_len];
        for (int32_t child = c->first[parent]; child != NOBODY; child = c->next[child]) {
            if (c->is_doubled[child])
                span_warn(&c->t->notes[child],
                          SV("duplicate span IDs; skipping clock skew adjustment"));
            else
                align(c, (size_t)parent, (size_t)child);
            c->todo[c->todo_len++] = child;
        }
    }
}

int trace_align_clocks(struct whole_trace *t)
{
    struct clocks c = { .t = t };
    int rc = t->len ? make_room(&c) : 0;
    if (rc == 0)
        rc = index_ids(&c);
    if (rc == 0) {
        hang(&c);
        walk(&c);
    }
    map_done(&c.by_id);
    return rc;
}
