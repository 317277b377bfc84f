/* gather.h - what every decoder of one request carries along: the batch being filled, lists whose
 * length is not known yet, and the verdict on the record being read.
 *
 * Lists are gathered on piles and moved to the batch's arena when they are complete. Nested lists
 * share one pile: an inner list starts at a mark above the outer one's elements and is gone again
 * before the outer one goes on. */
#ifndef INGEST_GATHER_H
#define INGEST_GATHER_H

#include "ingest/key_orders.h"
#include "model/batch.h"
#include "model/limits.h"
#include "normalize/semconv.h"

struct pile {
    char *mem;
    size_t len, cap; /* bytes */
};
/* The pile of attributes lies in the batch's arena: a list at its bottom stays where it is. */
/* What the scope's attributes say of every access record in it, read at the first of them. */
struct call_scope {
    const struct scope *of; /* NULL: nothing is read */
    struct call call;
    struct err bad;
};
struct gather {
    struct batch *b;
    const struct limits *lim;
    struct pile attrs, values, events, links;
    struct key_orders key_orders;
    struct err bad;            /* why the record being read is refused; code 0 while it is good */
    struct resource *resource; /* of the group being read, in the batch */
    struct scope *scope;
    struct call_scope call_scope;
    struct semconv names; /* of attributes, once has_names */
    bool has_names;
};

void gather_init(struct gather *g, struct batch *b, const struct limits *lim);
void gather_done(struct gather *g);

/* Starts a group; 0 or ERR_NOMEM. */
int gather_resource(struct gather *g) MUST_USE;
int gather_scope(struct gather *g) MUST_USE;

/* Refuses the record being read; the first reason counts. at: byte offset in the body. */
void gather_bad(struct gather *g, enum err_code code, size_t at, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Whether the record just read is kept; when not, counts it as rejected. Ready for the next one. */
bool gather_record_ends(struct gather *g);

void pile_is_full(struct gather *g, size_t at); /* the rare ways of pile_add() */
int pile_grow(struct gather *g, struct pile *p) MUST_USE;
/* Adds a copy of an element of size bytes. Beyond limits.list it is left out and the record is
 * bad. 0, ERR_NOMEM. */
static inline MUST_USE int pile_add(struct gather *g, struct pile *p, const void *element,
                                    size_t size, size_t at)
{
    if (p->len >= g->lim->list * size) {
        pile_is_full(g, at);
        return 0;
    }
    if (p->cap - p->len < size && pile_grow(g, p) < 0)
        return ERR_NOMEM;
    memcpy(p->mem + p->len, element, size);
    p->len += size;
    return 0;
}
/* How many more elements of that size fit at mem + len without pile_add(). */
static inline size_t pile_room(const struct gather *g, const struct pile *p, size_t size)
{
    size_t most = g->lim->list * size, end = MIN(p->cap, most);
    return p->len < end ? (end - p->len) / size : 0;
}
/* Takes what lies above mark off the pile, into the batch's arena: *ret_list (NULL when there
 * is nothing) and *ret_len elements. 0, ERR_NOMEM, ERR_LIMIT (limits.decoded_bytes). */
int pile_take(struct gather *g, struct pile *p, size_t mark, size_t size, const void **ret_list,
              uint32_t *ret_len) MUST_USE;
/* The attributes above mark, as pile_take(). */
int gather_attrs(struct gather *g, size_t mark, struct attrs *ret_attrs) MUST_USE;
/* One more span or call: 0, ERR_LIMIT (limits.records, limits.decoded_bytes), ERR_NOMEM. */
int gather_span(struct gather *g, struct span **ret_s) MUST_USE;
int gather_call(struct gather *g, struct call **ret_c) MUST_USE;

/* A span's lists begin here on the piles; span_ends() takes them off, checks what a span must have
 * (trace and span id) and keeps or refuses it. at: byte offset of the span. 0, ERR_LIMIT,
 * ERR_NOMEM. */
struct span_marks {
    size_t attrs, events, links;
};
struct span_marks span_marks_now(const struct gather *g);
int span_ends(struct gather *g, const struct span_marks *m, struct span *s, size_t at) MUST_USE;
/* The wire's numbers; unknown ones mean unspecified and unset. */
enum span_kind span_kind_from_wire(uint64_t wire);
enum span_status span_status_from_wire(uint64_t wire);

/* What to say about such a failure; static. */
const char *gather_why(int rc);

DEFINE_AUTO_DONE(gather);

#endif
