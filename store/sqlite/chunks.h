/* chunks.h - what lies where: a line in memory for each stored piece. Private to store/sqlite/.
 *
 * A chunk is a journal row or a segment. The list is in order of seq. Callers hold `lock` for
 * every call but init and done. */
#ifndef SQLITE_CHUNKS_H
#define SQLITE_CHUNKS_H

#include "model/batch.h"
#include "model/window.h"
#include "store/sqlite/digest.h"
#include <pthread.h>

enum chunk_kind { CHUNK_JOURNAL, CHUNK_SEGMENT };

/* Earliest and latest start, both inside; from > to when there is nothing. */
struct chunk_range {
    int64_t from_ns, to_ns;
};
struct chunk {
    enum chunk_kind kind;
    int64_t id; /* journal: seq; segment: its id */
    uint64_t first_seq, last_seq;
    uint64_t batches, spans, calls;
    int64_t received_to_ns;
    struct chunk_range span_range, call_range;
    bool has_errors; /* a segment with a span that failed */
    /* What is read when it is wanted, and kept while there is room; owned. A journal row always has
     * its traces and never a digest. */
    bool has_traces;
    uint32_t *traces; /* distinct fingerprints in order */
    size_t traces_len;
    struct sv digest;  /* p NULL: not in memory */
    bool lacks_digest; /* the file has none */
};
/* A segment's worth. Larger ones compress a little better and take longer to read. */
#define SEGMENT_RECORDS UINT64_C(16384)             /* spans, or calls */
#define SEAL_AGE_NS     (300 * INT64_C(1000000000)) /* what is less is sealed after so long */
#define SEGMENT_ROWS    ((size_t)16384)             /* journal rows */

struct chunks {
    pthread_mutex_t lock; /* guards the list, and orders snapshots against sealing */
    struct chunk *list;   /* segments, then journal rows */
    size_t len, cap;
    uint64_t segment_records;      /* SEGMENT_RECORDS, less in tests */
    size_t rows;                   /* journal rows */
    uint64_t row_spans, row_calls; /* in them */
    uint64_t held_bytes, held_max; /* traces and digests in memory */
};
/* As much as 20 million spans of the usual kind have. */
#define CHUNKS_HELD_MAX ((uint64_t)64 * 1024 * 1024)

/* What a reader needs to fetch a chunk after the lock was dropped. */
struct chunk_ref {
    enum chunk_kind kind;
    int64_t id;
    int64_t newest_ns;  /* the latest start of what was asked for */
    uint64_t first_seq; /* order of arrival */
    uint64_t spans;
    bool is_unsure; /* its traces are not in memory: it may hold none of those asked for */
    bool lacks_digest, has_asked; /* its digest was asked, and said perhaps */
};

void chunks_init(struct chunks *c);
void chunks_done(struct chunks *c);
/* Room for n more, so that chunks_add() cannot fail. */
int chunks_reserve(struct chunks *c, size_t n) MUST_USE;
void chunks_add(struct chunks *c, const struct chunk *chunk); /* takes its traces and digest */
/* A segment by its id, or NULL. */
struct chunk *chunks_find(struct chunks *c, int64_t id);
/* Keeps what was read of a segment, when it is still there and there is room; traces that are
 * needed in memory in any case. Copies. */
void chunks_keep_traces(struct chunks *c, int64_t id, struct sv traces, bool is_needed);
void chunks_keep_digest(struct chunks *c, int64_t id, struct sv digest);
/* Forgets digests, then traces, of the oldest segments until what is held is at most held_max. */
void chunks_fit(struct chunks *c);
void chunks_clear(struct chunks *c);

bool chunks_is_seal_due(const struct chunks *c);
/* The oldest journal row was received before then. */
bool chunks_is_aged(const struct chunks *c, int64_t before_ns);
/* How many of the oldest rows, in front of row before_seq, were received before then and within a
 * time of each other; a segment's worth at most. */
size_t chunks_aged(const struct chunks *c, uint64_t before_seq, int64_t before_ns,
                   int64_t within_ns);
/* Whether b was received at most within_ns before or after a. */
bool chunks_are_near(const struct chunk *a, const struct chunk *b, int64_t within_ns);
/* The journal rows that make the next segment: of those in front of row before_seq the oldest that
 * are a segment's worth, or all when is_all and they are less; how many and where they begin. 0
 * when there are none. */
size_t chunks_to_seal(const struct chunks *c, uint64_t before_seq, bool is_all, size_t *ret_first);
/* One line for the n from `first` on, as segment id. -1 when memory is out. */
int chunk_of_chunks(const struct chunks *c, size_t first, size_t n, int64_t id, struct chunk *ret_c)
    MUST_USE;
/* Puts `one` (whose traces and digest it takes), a segment, in the place of the n from `first` on:
 * the oldest journal rows, or segments. */
void chunks_replace(struct chunks *c, size_t first, size_t n, const struct chunk *one);

/* Takes the n from `first` on out; they are of one kind. */
void chunks_remove(struct chunks *c, size_t first, size_t n);

uint32_t trace_fingerprint(struct trace_id id);
/* Sorts and removes repeats; the new length. */
size_t fingerprints_sort(uint32_t *list, size_t len);
/* A chunk that describes b alone, as journal row seq. -1 when memory is out. */
int chunk_of_batch(const struct batch *b, uint64_t seq, struct chunk *ret_c) MUST_USE;

/* Whether one of the traces may be among the fingerprints. */
bool fingerprints_have(const uint32_t *list, size_t len, const struct trace_id *ids, size_t n);
/* Chunks that may hold one of the traces, in order of arrival. Gives *ret_refs (mem_free). */
int chunks_with_traces(struct chunks *c, const struct trace_id *ids, size_t n,
                       struct chunk_ref **ret_refs, size_t *ret_len) MUST_USE;
/* Chunks with spans (or calls) that start in w, the one with the newest first, without those whose
 * digest says no to q (may be NULL). Gives likewise. */
int chunks_in_window(struct chunks *c, struct window w, bool of_calls, const struct digest_query *q,
                     struct chunk_ref **ret_refs, size_t *ret_len) MUST_USE;

#endif
