/* segment_r.h - the parts of reading a segment. Private to store/sqlite/segment_*.c.
 *
 * Nothing is unpacked but what is asked for: opening a segment only notes where its parts stand.
 * Everything that is read lies in `mem` or in the segment's own bytes. Failures latch in
 * streams.rd. */
#ifndef SQLITE_SEGMENT_R_H
#define SQLITE_SEGMENT_R_H

#include "store/sqlite/rows.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/stream.h"

/* In the order they are written; see segment_format.h and docs/store-format.md. */
enum segment_part {
    PART_BATCHES,
    PART_BATCH_OF,
    PART_TRACE_IDS,
    PART_TRACE_LENS,
    PART_SPAN_IDS,
    PART_PARENTS,
    PART_STRANGERS,
    PART_STARTS,
    PART_DURATIONS,
    PART_NAMES,
    PART_RESOURCES,
    PART_RESOURCE_OF,
    PART_SCOPES,
    PART_KEYS,
    PART_SHAPES,
    PART_SHAPE_OF,
    PART_MESSAGES,
    PART_TRACE_STATES,
    PART_EVENTS,
    PART_LINKS,
    SEGMENT_PARTS_LEN
};

struct shape {
    struct span like; /* the fields that all spans of the shape share */
    uint32_t parts;
    const uint32_t *columns; /* one an attribute */
    uint64_t passed;         /* spans of it that the columns have not moved past yet */
};
struct column_r {
    struct sv key;
    enum value_type type;
    struct strings_r strings; /* STR, BYTES */
    struct texts_r values;    /* the other types */
    const uint8_t *stored_at; /* its first stream */
    bool is_open;
    uint64_t passed; /* values to move past before the next one */
};

struct segment_r {
    struct streams_r streams;
    struct arena *mem;
    uint64_t batches, spans, calls, traces;
    const uint8_t *part_at[SEGMENT_PARTS_LEN], *calls_at;
    struct column_r *columns;
    const struct resource **resources;
    const struct scope **scopes;
    struct shape *shapes;
    uint32_t resources_len, scopes_len, shapes_len, columns_len;
};

/* Checks head and checksum, notes where the parts and columns stand, reads the columns' keys. */
/* zstd is taken (NULL: made when needed); who wants to keep it takes it back from streams. */
void segment_r_open(struct segment_r *s, struct sv in, struct arena *mem, ZSTD_DCtx *zstd);
void segment_r_done(struct segment_r *s);
static inline bool segment_r_ok(const struct segment_r *s)
{
    return rd_ok(&s->streams.rd);
}
/* A failure inside a part is a failure of the segment. */
void segment_r_carry(struct segment_r *s, const struct rd *part, const char *what);
/* n zeroed elements in mem; latches ERR_NOMEM. */
void *segment_r_array(struct segment_r *s, size_t n, size_t size);
/* The next stream_get(), numbers_get() or strings_get() reads this part. */
struct streams_r *segment_r_part(struct segment_r *s, enum segment_part part);
struct rd segment_r_bytes(struct segment_r *s, enum segment_part part);
/* The tables: resources[], scopes[], shapes[] (which need scopes). */
void segment_r_resources(struct segment_r *s);
void segment_r_scopes(struct segment_r *s);
void segment_r_shapes(struct segment_r *s);
/* Unpacks a column that holds values. */
void segment_r_open_column(struct segment_r *s, struct column_r *c);
/* The numbers of a part, one a span, all at once. */
uint32_t *segment_r_numbers(struct segment_r *s, enum segment_part part, uint32_t limit);
/* The varints of a part, one a span, zigzag undone. */
int64_t *segment_r_zigzags(struct segment_r *s, enum segment_part part);
/* When each span starts. */
int64_t *segment_r_starts(struct segment_r *s);

#endif
