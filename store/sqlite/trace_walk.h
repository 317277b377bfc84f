/* trace_walk.h - whole traces one after another, whichever chunks their spans lie in. Private to
 * store/. For readers that pull; one thread, within one session. */
#ifndef SQLITE_TRACE_WALK_H
#define SQLITE_TRACE_WALK_H

#include "base/map.h"
#include "store/match.h"
#include "store/sqlite/sqlite.h"

struct service_name {
    struct sv name;
    struct service_name *next;
};
/* A trace of which every span there is was seen. */
struct walked_trace {
    struct summary sum;
    struct service_name *services; /* distinct, in order of appearance */
    struct arena mem;              /* of the texts */
    size_t print;                  /* its fingerprint's place */
    struct walked_trace *next;
};

struct trace_walk {
    struct session *session;
    struct chunk_ref *refs;
    size_t refs_len, at;
    struct trace_choice choice;
    struct trace_id id;
    uint32_t *prints; /* fingerprints of the traces wanted, in order */
    uint32_t *left;   /* chunks that hold it and were not read yet */
    size_t prints_len;
    struct map unfinished;      /* trace id -> struct walked_trace, owned */
    struct walked_trace *ready; /* owned, next to give first */
    struct walked_trace *given; /* owned */
};
/* The traces with a span that starts in w, or only the one of id, and perhaps others. ERR_NOMEM. */
int trace_walk_begin(struct trace_walk *walk, struct session *session, struct window w,
                     const struct trace_id *id, struct err *err) MUST_USE;
/* The next trace, valid until the next call, or NULL at the end. */
int trace_walk_next(struct trace_walk *walk, const struct walked_trace **ret_trace, struct err *err)
    MUST_USE;
void trace_walk_done(struct trace_walk *walk);

#endif
