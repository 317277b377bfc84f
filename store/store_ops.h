/* store_ops.h - what a backend implements. Private to store/.
 *
 * store.c has checked the arguments: a put never reaches a read-only store, counts are not zero,
 * a search has a limit, a width is one of store_widths[]. Contracts are those of store/store.h. */
#ifndef STORE_OPS_H
#define STORE_OPS_H

#include "store/store.h"

struct store_ops;

/* First member of every backend's own struct; open() fills it before it starts any thread. */
struct store {
    const struct store_ops *ops;
    bool is_read_only;
};

struct store_ops {
    const char *scheme; /* of the URL, and what store_scheme() answers */
    /* where: the URL behind "scheme:". Gives. */
    struct store *(*open)(const struct store_conf *conf, struct sv where, struct err *err);
    struct store *(*close)(struct store *s); /* takes, returns NULL */
    int (*put)(struct store *s, struct batch *const *batches, size_t n, struct err *err);
    int (*put_edges)(struct store *s, const struct edge_bucket *buckets, size_t n,
                     const struct store_progress *progress, struct err *err);
    int (*get_progress)(struct store *s, struct store_progress *ret_p, struct err *err);
    int (*retain)(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                  struct err *err);
    int (*replay)(struct store *s, uint64_t after_seq, int64_t since_ns, store_batch_sink *sink,
                  void *to, struct err *err);
    int (*edges)(struct store *s, const struct window *w, int64_t width_ns, store_edge_sink *sink,
                 void *to, struct err *err);
    int (*trace)(struct store *s, struct trace_id id, store_span_sink *sink, void *to,
                 struct err *err);
    int (*search)(struct store *s, const struct span_query *q, store_trace_sink *sink, void *to,
                  struct search_end *ret_end, struct err *err);
    int (*operations)(struct store *s, store_operation_sink *sink, void *to, struct err *err);
    int (*calls)(struct store *s, const struct window *w, size_t limit, store_call_sink *sink,
                 void *to, struct err *err);
    int (*check)(struct store *s, store_finding_sink *sink, void *to,
                 struct store_checked *ret_checked, struct err *err);
    int (*snapshot)(struct store *s, const char *file, struct err *err); /* may be NULL */
    uint64_t (*held_bytes)(struct store *s);                             /* may be NULL */
    int (*stats)(struct store *s, struct store_stats *ret_stats, struct err *err);
};

extern const struct store_ops store_memory_ops, store_sqlite_ops;

/* The widths at which the history of edges can be read: 10 s, a minute, an hour. */
#define STORE_WIDTHS_LEN 3
extern const int64_t store_widths[STORE_WIDTHS_LEN];

#endif
