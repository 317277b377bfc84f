/* pipeline.h - from a decoded batch to a committed and counted one, in a thread of its own.
 *
 * Doors run on one loop thread. They hand in parcels; the writer thread commits what is waiting as
 * one transaction, tells each parcel's door on the loop thread, then folds the batches into edges
 * and once a second commits those. So a sender's answer never comes before the commit, a slow disk
 * never blocks the doors, and the edges are a fold over exactly what is committed.
 *
 * Memory is bounded by charges: a door charges the bytes it holds for a request before it holds
 * them, and the charge is given back when the batch is freed. */
#ifndef COLLECTOR_PIPELINE_H
#define COLLECTOR_PIPELINE_H

#include "aggregate/fold.h"
#include "model/batch.h"
#include "net/loop.h"
#include "store/store.h"

struct parcel;
/* On the loop thread, once for every parcel submitted; takes p, whose batch is NULL by then. */
typedef void parcel_fn(struct parcel *p);
struct parcel {
    struct batch *batch; /* the pipeline's from pipeline_submit() on */
    size_t charged;      /* bytes, given back with the batch */
    parcel_fn *done;
    void *owner; /* the door's */
    /* the answer */
    int rc; /* 0: committed; ERR_BUSY, ERR_IO, ERR_NOMEM: not, the sender may try again */
    bool is_duplicate;   /* its idempotency key was committed before; nothing was added */
    struct parcel *next; /* private */
};

struct pipeline_conf {
    struct store *store; /* borrowed until pipeline_close() */
    struct fold *fold;   /* likewise */
    struct loop *loop;   /* of the doors */
    size_t queue_len;    /* parcels that may wait for the writer */
    size_t inflight_max; /* bytes charged at the same time */
    void (*on_tick)(
        void *to); /* once a second, by the writer: what else there is to fold; may be NULL */
    void *on_tick_to;
    int64_t resume_ns; /* how long opening may read back; the writer does the rest */
};

struct pipeline;
/* Continues the fold where the last process ended (reads back committed batches, for resume_ns), then
 * starts the writer. Gives; NULL with err from the store, or ERR_NOMEM. */
struct pipeline *pipeline_open(const struct pipeline_conf *c, struct err *err) MUST_USE;
/* Takes the parcel and its batch when it answers true; false: the queue is full. Loop thread. */
bool pipeline_submit(struct pipeline *p, struct parcel *parcel) MUST_USE;
/* Any thread. False when inflight_max would be passed: nothing was charged. */
bool pipeline_charge(struct pipeline *p, size_t bytes) MUST_USE;
void pipeline_uncharge(struct pipeline *p, size_t bytes);
/* Whether the fold is still behind what was committed before the start, so that edges lack it. Any
 * thread. */
bool pipeline_is_resuming(const struct pipeline *p);
/* Whether the newest commit failed within the last seconds; any thread. */
bool pipeline_is_failing(const struct pipeline *p);
/* Commits and folds everything submitted, commits the edges, ends the writer, tells the parcels
 * not told yet. Loop thread, after loop_run(). Takes; NULL is fine; returns NULL. */
struct pipeline *pipeline_close(struct pipeline *p);

#endif
