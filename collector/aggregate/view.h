/* view.h - what edges did in a window, each request once, rolled up as asked.
 *
 * A builder takes buckets in any order and any number of parts (it is a store_edge_sink) and then
 * gives a view. One thread at a time owns either. */
#ifndef COLLECTOR_AGGREGATE_VIEW_H
#define COLLECTOR_AGGREGATE_VIEW_H

#include "aggregate/edge_sum.h"
#include "aggregate/node.h"
#include "base/arena.h"
#include "base/err.h"
#include "model/evidence.h"

struct edge_view {
    uint64_t id, source_id, destination_id; /* stable: hash of the rolled-up names */
    struct edge edge;
    struct edge_cell sum;            /* by best evidence */
    struct hist server_latency;      /* as the called side measured it; count 0: nobody did */
    uint64_t received;               /* requests that the called side's records tell of */
    uint64_t counted[REPORTERS_LEN]; /* the requests of sum by who told of them */
    enum reporter evidence;          /* the best one used; REPORTERS_LEN in an empty step */
    enum reporter server_evidence;   /* of server_latency; REPORTERS_LEN: nobody */
    size_t step;                     /* 0 unless the view has steps */
    enum health latency_health;      /* HEALTH_IDLE: not judged, see health.h */
};
struct node_view {
    uint64_t id;
    struct identity who;
    enum node_type type;
    struct node_load in, out;
    enum health latency_health; /* of the worst edge that leads here */
};
struct view {
    struct arena mem;
    struct window window; /* whole buckets */
    enum granularity granularity;
    int64_t step_ns;         /* 0: one sum over the window */
    struct edge_view *edges; /* most requests first; with steps, in order of step */
    size_t edges_len;
    struct node_view *nodes; /* every end of an edge, in order of name */
    size_t nodes_len;
};
void view_done(struct view *v);

struct view_wish {
    struct window window; /* widened to whole buckets */
    enum granularity granularity;
    int64_t step_ns;      /* 0, or a whole number of buckets: a sum for each step */
    uint64_t edge_id;     /* only this edge; 0: all */
    struct sv namespaces; /* "a,b": only edges with an end in one of them; empty: all */
    int64_t width_ns;     /* of the buckets that come; 0: BUCKET_NS. In a wider one the best column
                             counts whatever stands beside it. */
};

struct view_builder;
struct view_builder *view_builder_new(const struct view_wish *w) MUST_USE; /* borrows the texts */
struct view_builder *view_builder_free(struct view_builder *b);
/* The buckets it wants to see: the wish's window and, of BUCKET_NS, one more on both sides. */
struct window view_builder_window(const struct view_builder *b);
/* A store_edge_sink; to is the builder. Failure is told by view_builder_finish(). */
int view_builder_add(void *to, const struct edge_bucket *b);
/* Gets what an edge did in all of the window, its evidence chosen; borrowed. 0 to go on. */
typedef int edge_total_sink(void *to, const struct edge *e, const struct edge_total *t);
/* An edge_total_sink beside view_builder_add(), not with steps; to is the builder. */
int view_builder_add_total(void *to, const struct edge *e, const struct edge_total *t);
/* Instead of a view: what each edge did, as view_builder_add_total() of another builder takes it.
 * Wants granularity workload and no steps. ERR_NOMEM. */
int view_builder_totals(struct view_builder *b, edge_total_sink *sink, void *to, struct err *err)
    MUST_USE;
/* Fills *ret_view, which is done with view_done(). ERR_NOMEM. The builder is spent. */
int view_builder_finish(struct view_builder *b, struct view *ret_view, struct err *err) MUST_USE;

DEFINE_AUTO_DONE(view);
DEFINE_AUTO_FREE(view_builder);

#endif
