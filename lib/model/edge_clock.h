/* edge_clock.h - what pairs of halves say of the clocks at an edge's two ends. Pure functions. */
#ifndef MODEL_EDGE_CLOCK_H
#define MODEL_EDGE_CLOCK_H

#include "model/edge.h"

void edge_clock_add(struct edge_clock *to, const struct call *c, const struct called_half *called);
void edge_clock_merge(struct edge_clock *into, const struct edge_clock *from);

#endif
