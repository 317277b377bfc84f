/* texts.h - text written once and referred to afterwards; values and attributes on top of it.
 *
 * Both sides number the short texts in order of first appearance. Private to store/sqlite/. The
 * writer's texts and the reader's bytes must outlive it. Not thread-safe. */
#ifndef SQLITE_TEXTS_H
#define SQLITE_TEXTS_H

#include "base/arena.h"
#include "base/varint.h"
#include "model/span.h"
#include "store/sqlite/interner.h"

/* How a text begins: a new one follows and gets a number, one follows that gets none, or its number
 * plus this. */
enum { TEXT_NEW = 0, TEXT_PLAIN = 1, TEXT_FIRST_REF = 2 };
/* Longer texts are written each time: hashing them costs more than the rare repeat saves. */
#define TEXT_INTERNED_MAX 256
/* Values nest at most this deep; the decoders stop at 32. */
#define VALUE_DEPTH_MAX   64

/* The numbers that a list's texts got last time. */
#define TEXTS_LIKELY 64
struct texts_w {
    struct buf *out;
    struct interner table; /* of the texts that text_put() has written */
    uint32_t *numbers;     /* by place in the table: what they are called in out */
    size_t numbers_cap;
    uint32_t next; /* the number of the next new text */
    uint32_t likely_key[TEXTS_LIKELY], likely_value[TEXTS_LIKELY]; /* places in the table */
    bool failed;                                                   /* memory ran out */
    bool is_too_deep; /* a value nests deeper than VALUE_DEPTH_MAX */
};
void texts_w_done(struct texts_w *w);
/* Forgets all texts, keeps the memory; writes to out from now on. */
void texts_w_start(struct texts_w *w, struct buf *out);
void text_put(struct texts_w *w, struct sv s);
/* For a caller that finds repeats itself: a new text and its number (it should not be longer than
 * TEXT_INTERNED_MAX), a number again, a text without one. */
uint32_t text_new_put(struct texts_w *w, struct sv s);
static inline void text_ref_put(struct texts_w *w, uint32_t number)
{
    buf_put_varint(w->out, (uint64_t)number + TEXT_FIRST_REF);
}
void text_plain_put(struct texts_w *w, struct sv s);
void attrs_put(struct texts_w *w, const struct attrs *a);
void value_put(struct texts_w *w, const struct value *v);
/* The value's bytes behind its type, for a writer that keeps types elsewhere. */
void value_body_put(struct texts_w *w, const struct value *v);

struct texts_r {
    struct rd rd;
    struct arena *mem; /* what is read lies in here, texts in rd's bytes */
    struct sv *list;
    size_t len, cap;
};
void texts_r_done(struct texts_r *r);
struct texts_r texts_r_of(struct sv in, struct arena *mem);
struct sv text_get(struct texts_r *r);
struct attrs attrs_get_all(struct texts_r *r);
struct value value_get(struct texts_r *r);
struct value value_body_get(struct texts_r *r, enum value_type type);
/* A count of things that take at least one byte each: no more than there are bytes left. */
uint32_t count_get(struct texts_r *r);
/* n zeroed elements in mem; latches ERR_NOMEM. */
void *list_get(struct texts_r *r, size_t n, size_t size);

DEFINE_AUTO_DONE(texts_w);
DEFINE_AUTO_DONE(texts_r);

#endif
