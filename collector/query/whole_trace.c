/* whole_trace.c - copies a trace out of the store.
 *
 * The store lends one span at a time. Some presenters cannot stream: whether a span's clock is off
 * is known when its parent has been seen, and parents may come later. */
#include "query/whole_trace.h"
#include "model/span_copy.h"

struct reading {
    struct whole_trace *t;
    struct copier copier;
};

void whole_trace_done(struct whole_trace *t)
{
    arena_done(&t->mem);
    *t = (struct whole_trace){ 0 };
}

/* Twice the room. What it leaves behind in the arena is less than what it makes. */
static int grow(struct whole_trace *t)
{
    size_t cap = t->cap ? t->cap * 2 : 16;
    struct span *spans = arena_array(&t->mem, cap, sizeof(*spans));
    struct span_notes *notes = arena_array(&t->mem, cap, sizeof(*notes));
    if (!spans || !notes)
        return -1;
    if (t->len)
        memcpy(spans, t->spans, t->len * sizeof(*spans));
    t->spans = spans;
    t->notes = notes; /* nothing is noted yet */
    t->cap = cap;
    return 0;
}

static int put_span(void *to, const struct span *s)
{
    struct reading *r = to;
    struct whole_trace *t = r->t;
    if (t->len == WHOLE_TRACE_SPANS_MAX) {
        t->is_cut = true;
        return 1;
    }
    if (t->len == t->cap && grow(t) < 0) {
        r->copier.failed = true;
        return 1;
    }
    copy_span(&r->copier, s, &t->spans[t->len++]);
    return r->copier.failed;
}

int whole_trace_read(struct store *s, struct trace_id id, struct whole_trace *ret_t,
                     struct err *err)
{
    *ret_t = (struct whole_trace){ .id = id };
    struct reading r = { .t = ret_t, .copier = { .mem = &ret_t->mem } };
    int rc = store_trace(s, id, put_span, &r, err);
    if (rc == 0 && r.copier.failed)
        rc = err_set(err, ERR_NOMEM, "a trace of more than %zu spans", ret_t->len);
    return rc;
}
