/* segment_w.h - the parts of writing a segment. Private to store/sqlite/segment_*.c, rows_w.c. */
#ifndef SQLITE_SEGMENT_W_H
#define SQLITE_SEGMENT_W_H

#include "store/sqlite/dict.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/stream.h"
#include "store/sqlite/texts.h"

/* A span that was added. Its attributes' values are `cells` from first_cell on, one each. */
struct added_span {
    struct trace_id trace_id;
    struct span_id span_id, parent_id;
    int64_t start_ns, end_ns;
    uint32_t trace, batch, resource, shape, name; /* numbers */
    uint32_t extra;                               /* number plus one; 0: none */
    uint64_t first_cell;
};
/* What few spans have. */
struct added_extra {
    uint32_t message, trace_state; /* numbers, where the shape says that they are there */
    uint32_t events_len, links_len;
    const struct span_event *events; /* copies, in mem */
    const struct span_link *links;
};
struct added_batch {
    int64_t received_ns;
    uint64_t calls;
};
enum { CALL_TEXTS_LEN = 26 };
struct added_call {
    struct trace_id trace_id;
    struct span_id span_id;
    int64_t start_ns, duration_ns, peer_cert_expiry_ns;
    uint64_t bytes_received, bytes_sent;
    uint16_t response_code;
    int16_t grpc_status;
    uint8_t reporter, protocol, tls, tls_basis, part;
    uint32_t texts[CALL_TEXTS_LEN]; /* numbers */
};

/* An attribute's value: strings and bytes by number; integers, booleans and the bits of doubles as
 * they are; arrays and lists by the address of a copy in mem. */
typedef uint64_t cell;

/* Values of one key and one type. */
struct column {
    struct sv key; /* in mem */
    enum value_type type;
    struct dict dict;     /* of strings and bytes */
    uint32_t len;         /* values; of texts known when the segment is finished */
    uint32_t row, number; /* the journal's row the key was written to last, its number there */
};

/* Which attributes of which types in which order. */
struct key_ref {
    struct sv key;
    enum value_type type;
    uint32_t column;
};
struct key_list {
    uint32_t len;
    const struct key_ref *list; /* in mem */
};
/* Everything about a span that does not vary freely. Hashed as raw bytes. */
struct shape {
    uint32_t kind, status, flags, scope, parts, dropped, dropped_events, dropped_links, keys;
};
_Static_assert(sizeof(struct shape) == 9 * sizeof(uint32_t), "hashed as raw bytes, so no padding");

/* What a span of that name had last time. */
enum { LIKELY_LEN = 64 }; /* a power of two */
struct likely {
    uint32_t keys, shape; /* numbers plus one; 0: nothing yet */
};

/* Operations that were asked about, by hash. */
enum { OPERATIONS_KNOWN_LEN = 512 }; /* a power of two */
struct operation_known {
    uint32_t resource, name, kind; /* resource plus one; 0: nothing here */
};

/* The number of a resource, a scope or a shape in the row of that round. */
struct owner_row {
    uint32_t round, number;
};

/* Resources or scopes: numbers by content, remembered by address for one batch. */
enum { OWNER_CACHE_LEN = 64 }; /* a power of two */
struct owners {
    struct interner table;
    struct {
        const void *p;
        uint32_t batch, number;
    } cache[OWNER_CACHE_LEN];
    struct owner_row *rows; /* of the journal's row being written, by number */
    size_t rows_cap;
    uint32_t round, rows_len;
};

struct segment_w {
    struct arena mem;     /* of one segment: what was added */
    struct arena scratch; /* of one segment_add() or segment_finish() */
    struct streams_w streams;
    struct texts_w texts;     /* of a stream or a table's row */
    struct texts_w row_texts; /* of the journal's row being written */
    struct buf row;           /* scratch for one shape, resource or key */
    uint32_t rows;            /* written since segment_start(), the present one included */
    struct trace_id row_trace;
    int64_t row_start_ns;
    uint32_t row_shapes;          /* numbers given in it */
    struct owner_row *shape_rows; /* by shape; the round is that of `rows` */
    size_t shape_rows_cap;

    struct interner keys, key_lists_table, shapes;
    struct owners resources, scopes;
    struct dict names, messages, trace_states, call_texts[CALL_TEXTS_LEN];
    struct likely likely[LIKELY_LEN];
    uint32_t *order_keys; /* of the batch being added: by order of keys the number plus one of the
                             list of keys that was last found to have it; 0: none. In scratch */
    struct operation_known operations[OPERATIONS_KNOWN_LEN];
    struct column *columns; /* columns_ready of them have a dict with memory to be used again */
    size_t columns_len, columns_ready, columns_cap;
    struct key_list *key_lists;
    size_t key_lists_cap;

    struct trace_id *traces; /* by number, in order of arrival */
    size_t traces_len, traces_cap;
    uint64_t *trace_slots; /* upper half of the hash, number + 1; at most half full */
    size_t trace_slots_cap;

    struct added_batch *batches;
    size_t batches_len, batches_cap;
    struct added_span *spans;
    size_t spans_len, spans_cap;
    cell *cells;
    size_t cells_len, cells_cap;
    struct added_extra *extras;
    size_t extras_len, extras_cap;
    struct added_call *calls;
    size_t calls_len, calls_cap;
    uint64_t errors; /* spans whose status is ERROR */

    cell **column_ends; /* behind each column's values, which stand in order; in scratch */
    /* segment_order() */
    const struct added_span **order; /* side by side by trace; in scratch */
    uint32_t *trace_len;             /* by trace; in scratch */

    bool failed;      /* memory ran out */
    bool is_too_deep; /* a value nests deeper than VALUE_DEPTH_MAX */
};

/* Takes over what went wrong in w->texts, whose next start forgets it. */
void segment_check_texts(struct segment_w *w);
/* Makes room for n elements of size bytes; NULL and w->failed when memory is out. */
void *segment_grow(struct segment_w *w, void *list, size_t *cap, size_t n, size_t size);
/* n elements in scratch, not zeroed; latches w->failed. */
void *segment_scratch(struct segment_w *w, size_t n, size_t size);
/* The number of a trace; UINT32_MAX when no span of it was added. */
uint32_t segment_trace(const struct segment_w *w, struct trace_id id);

/* segment_calls.c */
/* NULL and w->failed when memory is out. */
const struct added_call *segment_add_call(struct segment_w *w, const struct call *c);
void segment_put_calls(struct segment_w *w);
/* rows_w.c: the journal's row of what was added since row_begin(). */
void row_begin(struct segment_w *w, const struct batch *b, struct buf *out);
void row_put_span(struct segment_w *w, const struct span *s, const struct added_span *a);
void row_put_call(struct segment_w *w, const struct added_call *c, int64_t before_ns);
/* segment_order.c: fills order and trace_len. */
void segment_order(struct segment_w *w);
/* Trace ids, span ids, parents, times. */
void segment_put_ids(struct segment_w *w);
/* segment_attrs_w.c: names, resources, shapes, messages, attribute columns. */
void segment_put_attrs(struct segment_w *w);
/* A column of texts: their numbers in d, row by row. */
void segment_put_texts(struct segment_w *w, const struct dict *d, const uint32_t *numbers,
                       size_t n);

#endif
