/* filter_term.h - the names that filters ask for, and what they mean. Used by filter.c only. */
#ifndef COLLECTOR_QUERY_FILTER_TERM_H
#define COLLECTOR_QUERY_FILTER_TERM_H

#include "query/filter.h"

/* A node or an edge of a view, and all that is needed to judge it. */
struct filter_thing {
    const struct view_net *net;
    size_t at;
    bool is_edge;
    double seconds;
};
enum { FILTER_TEXTS_MAX = 4 };
/* One of the three, by the kind of operand. Texts: how many were put into out; an operand with
 * several holds when one does. A number that does not exist is NAN. */
typedef size_t filter_texts_fn(const struct filter_thing *t, struct sv out[FILTER_TEXTS_MAX]);
typedef double filter_number_fn(const struct filter_thing *t);
typedef bool filter_flag_fn(const struct filter_thing *t);
struct filter_operand {
    const char *name;
    unsigned about; /* FILTER_NODES, FILTER_EDGES or both */
    filter_texts_fn *texts;
    filter_number_fn *number;
    filter_flag_fn *flag;
};
/* By name, letters of either case; with_operator false: those that stand alone. NULL: none. */
const struct filter_operand *filter_operand(struct sv name, bool with_operator);
/* The node at the edge's source or destination. */
struct filter_thing filter_end(const struct filter_thing *edge, bool is_source);

#endif
