/* sqlite.h - the parts of the SQLite backend. Private to store/sqlite/. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "store/edge_book.h"
#include "store/keys.h"
#include "store/sqlite/chunks.h"
#include "store/sqlite/db.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/stages.h"
#include "store/store_ops.h"
#include <stdatomic.h>

#define READERS_IDLE_MAX 8 /* connections kept open between questions */

/* Operations known to be in the table, by hash; the writer's alone. */
struct operations_seen {
    uint64_t *slots; /* 0 is free */
    size_t cap, len;
};
#define OPERATIONS_MAX 100000 /* span names with ids in them would grow the table for ever */

struct sqlite_store {
    struct store super;
    char *file;
    int owner_fd;
    enum store_durability durability;

    pthread_mutex_t writing; /* guards writer: a transaction of puts or of sealing */
    struct db writer;

    /* The writing thread's own. */
    struct buf rows; /* scratch */
    struct keys keys;
    int64_t last_key;
    struct operations_seen operations;
    uint64_t last_seq;

    pthread_mutex_t edges_lock; /* guards edges, which only the writer changes */
    struct edge_book edges;
    struct chunks chunks; /* has its own lock */
    struct stages stages; /* likewise, taken after that of the chunks */

    struct sealer *sealer; /* NULL when read-only */
    struct store_keep keep;
    _Atomic int64_t now_ns;       /* as store_retain() was told last; 0: never */
    struct store_dropped dropped; /* guarded by chunks.lock */

    int64_t newest[4]; /* read-only: what ST_NEWEST said when the lists were read */

    pthread_mutex_t readers_lock; /* guards idle and idle_len */
    struct db idle[READERS_IDLE_MAX];
    size_t idle_len;
};

/* Tests: seal after so many spans or calls already. */
void sqlite_set_segment_records(struct sqlite_store *s, uint64_t records);

/* One question: a connection with a snapshot that agrees with the list of chunks. */
struct session {
    struct sqlite_store *store;
    struct db db;
};
/* Begins with chunks.lock held, so that the caller can look at the list; then session_looked_up()
 * lets go of it. session_end() in any case. */
int session_begin(struct sqlite_store *s, struct session *ret_session, struct err *err) MUST_USE;
void session_looked_up(struct session *session);
void session_end(struct session *session);
/* Which traces a reader wants; ids NULL: everything, calls too. */
struct trace_choice {
    const struct trace_id *ids;
    size_t len;
    bool is_outline; /* see segment_decode_traces(); journal rows come whole all the same */
};
/* The spans of a chunk that are wanted, and perhaps others. Gives. */
int chunk_load(struct session *session, const struct chunk_ref *ref, struct trace_choice choice,
               struct batch **ret_b, struct err *err) MUST_USE;

/* The same without copying the chunk's bytes: b is borrowed until visit returns, whose result is given
 * back. */
typedef int chunk_visit_fn(void *to, const struct batch *b, struct err *err);
int chunk_visit(struct session *session, const struct chunk_ref *ref, struct trace_choice choice,
                chunk_visit_fn *visit, void *to, struct err *err) MUST_USE;

/* The traces of a chunk with a span that matches q, see segment_scan(). */
int chunk_scan(struct session *session, const struct chunk_ref *ref, const struct span_query *q,
               struct segment_scratch *scratch, segment_hit_sink *sink, void *to, struct err *err)
    MUST_USE;

/* The records in a chunk's bytes, which are copied. Gives. */
int batch_of_bytes(struct sv bytes, enum chunk_kind kind, struct trace_choice choice,
                   struct batch **ret_b, struct err *err) MUST_USE;
/* session.c, a read-only store: takes up what its owner has written since. */
int reload_if_changed(struct sqlite_store *s, struct db *db, struct err *err) MUST_USE;

/* seal.c */
struct sealer *sealer_start(struct sqlite_store *s) MUST_USE; /* NULL when memory is out */
struct sealer *sealer_stop(struct sealer *sealer);            /* takes; waits for its thread */
void sealer_wake(struct sealer *sealer); /* a segment's worth is in the journal */

/* retain.c */
int sqlite_retain(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                  struct err *err);
/* One small step of dropping what should go, in a transaction of its own; false when there is
 * nothing more, or it failed. The sealing thread's. */
bool retain_step(struct sqlite_store *s) MUST_USE;

/* briefs.c */
/* Takes those out of the refs that were unsure and have none of the traces. */
int briefs_confirm(struct session *session, const struct trace_id *ids, size_t n,
                   struct chunk_ref *refs, size_t *len, struct err *err) MUST_USE;
/* Every segment's fingerprints are in memory then, whatever room they take. For those who read a
 * store that nobody writes to. */
int briefs_read_all_traces(struct session *session, struct err *err) MUST_USE;
/* *ret_may false: the chunk's digest, read now if it was not asked yet, says no. */
int brief_may_match(struct session *session, const struct chunk_ref *ref,
                    const struct digest_query *q, bool *ret_may, struct err *err) MUST_USE;
/* Reads what a segment has in short into memory, the newest that lacks it first, and makes digests
 * that the file has not got yet; false when there is nothing left to do, or it failed. The sealing
 * thread's. */
bool briefs_step(struct sqlite_store *s, struct segment_scratch *scratch) MUST_USE;
/* merge.c: how far apart batches of one segment may be received, when it is not made at once: as
 * much longer than asked for the oldest of them is kept, at most. */
int64_t together_ns(const struct sqlite_store *s);
/* Makes one segment out of small neighbours; false when there is nothing to merge, or it
 * failed. The sealing thread's. */
bool merge_step(struct sqlite_store *s) MUST_USE;

/* segment_rows.c: within the writer's transaction. */
struct segment_bytes {
    struct sv data, digest;
    uint64_t errors; /* failed spans in it */
};
int segment_rows_add(struct sqlite_store *s, const struct chunk *c,
                     const struct segment_bytes *bytes, struct err *err) MUST_USE;
int segment_rows_drop(struct sqlite_store *s, int64_t segment, struct err *err) MUST_USE;
void chunk_take_digest(struct chunk *c, struct sv digest); /* copies; memory out: without */
int digest_add(struct sqlite_store *s, int64_t segment, struct sv digest, struct err *err) MUST_USE;

/* replay.c */
int sqlite_replay(struct store *s, uint64_t after_seq, int64_t since_ns, store_batch_sink *sink,
                  void *to, struct err *err);
/* The batches of a segment whose first one is first_seq, one after another, until the sink has
 * enough. They live until it returns. */
int segment_each_batch(struct sv bytes, uint64_t first_seq, store_batch_sink *sink, void *to,
                       struct err *err) MUST_USE;
/* load.c */
int chunks_load(struct sqlite_store *s, struct db *db, struct err *err) MUST_USE;
int keys_load(struct sqlite_store *s, struct db *db, struct err *err) MUST_USE;
/* journal.c */
int sqlite_put(struct store *s, struct batch *const *batches, size_t n, struct err *err);
/* operations.c */
int operations_load(struct sqlite_store *s, struct db *db, struct err *err) MUST_USE;
/* Lists what is new in b, the batch that was added to w last. */
int operations_note(struct sqlite_store *s, const struct batch *b, struct segment_w *w,
                    struct err *err) MUST_USE;
void operations_forget(struct sqlite_store *s);
int sqlite_operations(struct store *s, store_operation_sink *sink, void *to, struct err *err);
/* history.c */
int history_load(struct sqlite_store *s, struct db *db, struct err *err) MUST_USE;
int sqlite_put_edges(struct store *s, const struct edge_bucket *buckets, size_t n,
                     const struct store_progress *progress, struct err *err);
int sqlite_get_progress(struct store *s, struct store_progress *ret_p, struct err *err);
int sqlite_edges(struct store *s, const struct window *w, int64_t width_ns, store_edge_sink *sink,
                 void *to, struct err *err);
/* find.c */
int sqlite_trace(struct store *s, struct trace_id id, store_span_sink *sink, void *to,
                 struct err *err);
int sqlite_calls(struct store *s, const struct window *w, size_t limit, store_call_sink *sink,
                 void *to, struct err *err);
/* check.c */
int sqlite_check(struct store *s, store_finding_sink *sink, void *to,
                 struct store_checked *ret_checked, struct err *err);
/* snapshot.c */
int sqlite_snapshot(struct store *s, const char *file, struct err *err);
/* search.c */
int sqlite_search(struct store *s, const struct span_query *q, store_trace_sink *sink, void *to,
                  struct search_end *ret_end, struct err *err);

#endif
