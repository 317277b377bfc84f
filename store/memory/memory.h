/* memory.h - the parts of the memory backend. Private to store/memory/. */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "store/edge_book.h"
#include "store/keys.h"
#include "store/store_ops.h"
#include <pthread.h>

struct memory_store {
    struct store super;
    pthread_rwlock_t all; /* guards everything below; sinks run while it is held for reading */
    struct batch **batches;
    size_t batches_len, batches_cap;
    uint64_t spans_len, calls_len;
    struct keys keys;
    struct edge_book edges;
    struct map buckets; /* edge key, width, start -> struct edge_bucket, owned */
    struct store_progress progress;
    struct store_keep keep;
    struct store_dropped dropped;
    uint64_t last_seq;
};

int memory_retain(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                  struct err *err);
/* Buckets that ended before then; the number of those of 10 s. -1 when memory is out. */
int64_t memory_drop_buckets(struct memory_store *m, int64_t before_ns);
int memory_put_edges(struct store *s, const struct edge_bucket *buckets, size_t n,
                     const struct store_progress *progress, struct err *err);
int memory_edges(struct store *s, const struct window *w, int64_t width_ns, store_edge_sink *sink,
                 void *to, struct err *err);
int memory_trace(struct store *s, struct trace_id id, store_span_sink *sink, void *to,
                 struct err *err);
int memory_search(struct store *s, const struct span_query *q, store_trace_sink *sink, void *to,
                  struct search_end *ret_end, struct err *err);
int memory_operations(struct store *s, store_operation_sink *sink, void *to, struct err *err);
int memory_calls(struct store *s, const struct window *w, size_t limit, store_call_sink *sink,
                 void *to, struct err *err);
void memory_buckets_free(struct map *buckets); /* and what they hold */

#endif
