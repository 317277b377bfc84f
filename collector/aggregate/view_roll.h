/* view_roll.h - the second half of a view's building: chosen columns add up to rolled-up edges and
 * nodes. Used by view.c; edge_roll_up_id() by whoever has an edge. */
#ifndef COLLECTOR_AGGREGATE_VIEW_ROLL_H
#define COLLECTOR_AGGREGATE_VIEW_ROLL_H

#include "aggregate/view.h"
#include "base/map.h"

struct rolled_edge;
struct roll {
    struct arena *mem; /* the view's */
    enum granularity granularity;
    struct map edges;          /* id to struct rolled_edge */
    struct map nodes;          /* id to struct rolled_node */
    struct rolled_edge *first; /* all edges */
    size_t sums_len;
};

void roll_done(struct roll *r);
/* The id that e has at granularity g. */
uint64_t edge_roll_up_id(const struct edge *e, enum granularity g);
/* The rolled-up edge that e (which lives as long as the roll) belongs to; NULL: memory is out. */
struct rolled_edge *roll_edge(struct roll *r, const struct edge *e) MUST_USE;
/* Adds a column that counts. */
int roll_add(struct roll *r, struct rolled_edge *e, size_t step, enum reporter reporter,
             const struct edge_cell *cell) MUST_USE;
/* Adds what the called side's column tells besides: its latency and TLS states. */
int roll_add_called(struct roll *r, struct rolled_edge *e, size_t step,
                    const struct edge_cell *cell) MUST_USE;
/* Adds both at once, chosen before. */
int roll_add_total(struct roll *r, struct rolled_edge *e, const struct edge_total *t) MUST_USE;
/* Gives every edge's sum to sink, called latency and TLS states still apart. */
void roll_totals(struct roll *r, edge_total_sink *sink, void *to);
/* Fills v->edges and v->nodes. */
int roll_finish(struct roll *r, struct view *v) MUST_USE;

#endif
