/* timer.c - timers in a pairing heap whose nodes lie in their owners.
 *
 * A proxy sets a timer at every read and almost none fires. So a timer that is only moved further
 * away is not moved in the heap at all: its due time is stored, and when its old place comes up it
 * is put back. Setting is then a store, stopping O(log n) amortized, and nothing is allocated.
 *
 * Heap: a node's armed_ns is never later than its children's. `prev` is the parent for a first
 * child, else the sibling before. */
#include "loop_priv.h"

static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->armed_ns < a->armed_ns) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* The children of a removed node as one heap: pairs from left to right, then those together. */
static struct timer *meld_children(struct timer *first)
{
    struct timer *pairs = NULL, *root = NULL;
    while (first) {
        struct timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = meld(root, a);
    }
    if (root)
        root->prev = NULL;
    return root;
}

static void heap_add(struct loop *l, struct timer *t)
{
    t->armed_ns = t->due_ns;
    t->child = t->next = t->prev = NULL;
    l->first = meld(l->first, t);
}

static void heap_remove(struct loop *l, struct timer *t)
{
    struct timer *rest = meld_children(t->child);
    if (l->first == t) {
        l->first = rest;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        l->first = meld(l->first, rest);
    }
    t->child = t->next = t->prev = NULL;
    t->armed_ns = 0;
}

void timer_init(struct timer *t, struct loop *l, timer_fn *fire)
{
    *t = (struct timer){ .loop = l, .fire = fire };
}

void timer_set(struct timer *t, int64_t due_ns)
{
    t->due_ns = MAX(due_ns, 1);
    if (t->armed_ns && t->armed_ns <= t->due_ns)
        return;
    if (t->armed_ns)
        heap_remove(t->loop, t);
    heap_add(t->loop, t);
}

void timer_after(struct timer *t, int64_t delay_ns)
{
    int64_t now_ns = loop_now_ns(t->loop);
    timer_set(t, delay_ns < INT64_MAX - now_ns ? now_ns + delay_ns : INT64_MAX);
}

void timer_stop(struct timer *t)
{
    t->due_ns = 0;
    if (t->armed_ns)
        heap_remove(t->loop, t);
}

int64_t timers_next_ns(const struct loop *l)
{
    return l->first ? l->first->armed_ns : INT64_MAX;
}

void timers_run(struct loop *l, int64_t now_ns)
{
    while (l->first && l->first->armed_ns <= now_ns) {
        struct timer *t = l->first;
        bool was_moved = t->due_ns > t->armed_ns;
        heap_remove(l, t);
        if (was_moved) { /* also when it is due by now: others may be due before it */
            heap_add(l, t);
            continue;
        }
        t->due_ns = 0;
        t->fire(t);
    }
}
