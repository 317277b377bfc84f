/* walk.h - every chunk of a store that may hold what is wanted, one after another. Private to
 * store/. For readers that pull; one thread, within one session. */
#ifndef SQLITE_WALK_H
#define SQLITE_WALK_H

#include "store/sqlite/sqlite.h"

struct walk {
    struct session *session;
    struct chunk_ref *refs; /* owned */
    size_t len, at;
    struct trace_choice choice;
    struct trace_id id;  /* what choice points to */
    struct batch *batch; /* the chunk walked to; owned */
};
/* Chunks with spans that start in w, newest first; with an id, those that may hold its spans. The
 * walk stays where it is in memory. ERR_NOMEM. */
int walk_begin(struct walk *walk, struct session *session, struct window w,
               const struct trace_id *id, struct err *err) MUST_USE;
/* Walks to the next chunk: 1, walk->batch holds its spans (with an id perhaps none); 0 at the end;
 * or an error. */
int walk_next(struct walk *walk, struct err *err) MUST_USE;
void walk_done(struct walk *walk);

#endif
