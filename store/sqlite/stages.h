/* stages.h - the journal's newest rows, taken apart into segments in the making, so that sealing
 * need not read them back. Private to store/sqlite/.
 *
 * A stage holds the rows first_seq ... last_seq, all of them. Rows that are in no stage (those of
 * an earlier run; those for which there was no room) are read from the journal. The writing thread
 * calls the functions of the first part, the sealing thread those of the second. */
#ifndef SQLITE_STAGES_H
#define SQLITE_STAGES_H

#include "store/sqlite/segment.h"
#include <pthread.h>

struct stage {
    struct segment_w *w; /* NULL: no stage */
    uint64_t first_seq, last_seq;
};
/* Whole ones that wait. Sealing one takes a fraction of the time in which the next one fills, so
 * two are enough; the rest is for a busy machine. About 6 MiB each. */
enum { STAGES_READY_MAX = 4 };

struct stages {
    pthread_mutex_t lock; /* guards everything but what is in open.w */
    struct stage open;    /* the one that rows are added to */
    struct stage ready[STAGES_READY_MAX];
    size_t ready_len;
    size_t committed; /* so many of them may be sealed */
    struct segment_w *spare;
};

void stages_init(struct stages *s);
void stages_done(struct stages *s);

/* Where row seq is to be added. NULL when memory is out. */
struct segment_w *stages_open(struct stages *s, uint64_t seq) MUST_USE;
/* Row seq was added. From `records` spans or calls or from `rows` on the stage is whole. */
void stages_added(struct stages *s, uint64_t seq, uint64_t records, uint64_t rows);
void stages_commit(struct stages *s); /* what was added is committed; cannot fail */
void stages_drop(struct stages *s);   /* it is not, or is not wanted: forgets it */

/* The oldest that may be sealed; false when there is none. It stays until stages_pop(). */
bool stages_first(struct stages *s, struct stage *ret);
void stages_pop(struct stages *s);
/* The first row that is in any stage; UINT64_MAX when there is none. */
uint64_t stages_from_seq(struct stages *s);

#endif
