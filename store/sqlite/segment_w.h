/* segment_w.h - the parts of writing a segment. Private to store/sqlite/segment_*.c. */
#ifndef SQLITE_SEGMENT_W_H
#define SQLITE_SEGMENT_W_H

#include "store/match.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/stream.h"
#include "store/sqlite/texts.h"

/* Values of one key and one type, in the order of the spans that have them. */
struct column {
    struct sv key;
    enum value_type type;
    char *rows; /* elements of row_bytes each */
    size_t len, cap, row_bytes;
};

enum { KEY_CACHE_LEN = 512 }; /* a power of two */
struct key_cache {
    const char *p;
    size_t len;
    uint32_t type, column;
};

/* Numbers of resources and scopes by their address in the batches. */
enum { OWNER_CACHE_LEN = 256 }; /* a power of two */
struct owner_cache {
    const void *p;
    uint32_t number;
};

struct segment_w {
    struct arena mem; /* of one segment */
    struct streams_w streams;
    struct texts_w texts;
    struct buf row; /* scratch for one shape, resource or key */
    struct interner traces, span_ids, resources, scopes, shapes, keys;
    struct column *columns;
    size_t columns_len, columns_cap;
    struct key_cache key_cache[KEY_CACHE_LEN];
    struct owner_cache resource_cache[OWNER_CACHE_LEN], scope_cache[OWNER_CACHE_LEN];

    /* The spans side by side by trace, and what is known of each (all in mem). */
    size_t spans_len, calls_len;
    struct span_at *spans;            /* arrived: position over all batches */
    uint32_t *batch_of;               /* by arrival */
    uint32_t *trace_len;              /* by trace */
    uint32_t *shape_of, *resource_of; /* by place */
    bool failed;                      /* memory ran out */
    bool is_too_deep;                 /* a value nests deeper than VALUE_DEPTH_MAX */
};

/* Takes over what went wrong in w->texts, whose next start forgets it. */
void segment_check_texts(struct segment_w *w);
/* The number of s in t; a new one is copied into w->mem. Latches w->failed. */
uint32_t intern_copy(struct segment_w *w, struct interner *t, struct sv s);

/* segment_order.c: fills spans, batch_of, trace_len and the interner of traces. */
void segment_order(struct segment_w *w, struct batch *const *batches, size_t n);
/* Trace ids, span ids, parents, times. */
void segment_put_ids(struct segment_w *w);
/* segment_attrs_w.c: names, resources, shapes, messages, attribute columns. */
void segment_put_attrs(struct segment_w *w);
void segment_columns_done(struct segment_w *w);
/* segment_calls.c */
void segment_put_calls(struct segment_w *w, struct batch *const *batches, size_t n);

#endif
