/* chunks.h - what lies where: a line in memory for each stored piece. Private to store/sqlite/.
 *
 * A chunk is a journal row or a segment. The list is in order of seq. Callers hold `lock` for
 * every call but init and done. */
#ifndef SQLITE_CHUNKS_H
#define SQLITE_CHUNKS_H

#include "model/batch.h"
#include "model/window.h"
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
    uint32_t *traces; /* distinct fingerprints in order; owned */
    size_t traces_len;
};
struct chunks {
    pthread_mutex_t lock; /* guards the list, and orders snapshots against sealing */
    struct chunk *list;
    size_t len, cap;
};
/* What a reader needs to fetch a chunk after the lock was dropped. */
struct chunk_ref {
    enum chunk_kind kind;
    int64_t id;
    int64_t newest_ns;  /* the latest start of what was asked for */
    uint64_t first_seq; /* order of arrival */
};

void chunks_init(struct chunks *c);
void chunks_done(struct chunks *c);
/* Room for n more, so that chunks_add() cannot fail. */
int chunks_reserve(struct chunks *c, size_t n) MUST_USE;
void chunks_add(struct chunks *c, const struct chunk *chunk); /* takes chunk->traces */

uint32_t trace_fingerprint(struct trace_id id);
/* Sorts and removes repeats; the new length. */
size_t fingerprints_sort(uint32_t *list, size_t len);
/* A chunk that describes b alone, as journal row seq. -1 when memory is out. */
int chunk_of_batch(const struct batch *b, uint64_t seq, struct chunk *ret_c) MUST_USE;

/* Chunks that may hold one of the traces, in order of arrival. Gives *ret_refs (mem_free). */
int chunks_with_traces(struct chunks *c, const struct trace_id *ids, size_t n,
                       struct chunk_ref **ret_refs, size_t *ret_len) MUST_USE;
/* Chunks with spans (or calls) that start in w, the one with the newest first. Gives likewise. */
int chunks_in_window(struct chunks *c, struct window w, bool of_calls, struct chunk_ref **ret_refs,
                     size_t *ret_len) MUST_USE;

#endif
