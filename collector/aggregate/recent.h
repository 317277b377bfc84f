/* recent.h - what every edge did lately, in memory, so that a picture of now reads no store.
 *
 * Holds the buckets of the last minutes of each edge, every reporter's column, and for a few
 * windows that reach further back one sum of all before. It begins when somebody asks, follows what
 * is committed, and goes when nobody has asked for two minutes: an idle collector holds nothing.
 *
 * Used under the fold's lock `counts`, but recent_load(), which makes a private one. */
#ifndef COLLECTOR_AGGREGATE_RECENT_H
#define COLLECTOR_AGGREGATE_RECENT_H

#include "aggregate/edge_sum.h"
#include "aggregate/known_edge.h"
#include "aggregate/view.h"
#include "base/map.h"
#include "store/store.h"

enum { STANDING_LEN = 4 }; /* windows of the page, of the live stream, and two more */

/* The sum of [from, to) of every edge, its evidence chosen. */
struct standing {
    int64_t from_ns, to_ns; /* to_ns 0: not used */
    int64_t asked_ns;
};
struct recent_edge;
struct recent {
    struct map by_key; /* edge key to struct recent_edge */
    struct recent_edge *all;
    struct arena mem;
    struct buf key;          /* scratch */
    struct edge_sum *sum;    /* scratch; NULL: not active */
    struct edge_sum *called; /* scratch, the one behind sum */
    int64_t begin_ns;        /* buckets that start here or later are held ... */
    bool has_rows;           /* ... unless only a standing sum was loaded */
    int64_t asked_ns;
    struct standing standings[STANDING_LEN];
    size_t bytes;
};

/* All-zero is valid and not active. */
void recent_done(struct recent *r);
static inline bool recent_is_active(const struct recent *r)
{
    return r->sum != NULL;
}

/* Whether recent_totals() can answer w as of now_ns: it reaches to now and what it needs is held. */
bool recent_has(const struct recent *r, const struct window *w, int64_t now_ns);
/* Whether recent_load() can make it so. */
bool recent_may_load(const struct window *w, int64_t now_ns);
/* Reads what w needs out of the store into *ret (all-zero; to be done by the caller, whatever
 * happens), for recent_join(). is_first: the last minutes too, as for one that is not active.
 * edges: about how many there are. Nothing may be committed until it is joined. */
int recent_load(struct store *s, const struct window *w, int64_t now_ns, size_t edges,
                bool is_first, struct recent *ret, struct err *err) MUST_USE;
/* Takes over what from holds and r does not. -1: out of memory, r is not active any more. */
int recent_join(struct recent *r, struct recent *from) MUST_USE;

/* A bucket that has just been committed. Out of memory or of RECENT_BYTES_MAX: not active any more. */
void recent_add(struct recent *r, const struct edge_bucket *b);
/* Forgets what is too old to be asked for. Once a second. */
void recent_tick(struct recent *r, int64_t now_ns);
/* What each edge did in w, stored and pending (of the dirty list of k). -1: out of memory. */
int recent_totals(struct recent *r, const struct known_edges *k, const struct window *w,
                  int64_t now_ns, edge_total_sink *sink, void *to) MUST_USE;

DEFINE_AUTO_DONE(recent);

#endif
