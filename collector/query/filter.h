/* filter.h - the language that says which nodes and edges a graph hides or keeps.
 *
 * The grammar stands in docs/api.md. It is the language of Kiali's find and hide boxes, with
 * parentheses, with "and" binding tighter than "or", and with the ends of an edge as source.NAME
 * and dest.NAME. A parsed filter is read-only and may be used by any thread. */
#ifndef COLLECTOR_QUERY_FILTER_H
#define COLLECTOR_QUERY_FILTER_H

#include "aggregate/view_net.h"

enum {
    FILTER_TEXT_MAX = 2048, /* bytes; the longest that people write are below 200 */
    FILTER_DEPTH_MAX = 32,  /* parentheses and negations around one another */
    FILTER_TERMS_MAX = 64,  /* each is looked at for every node or edge */
};
enum { FILTER_NODES = 1, FILTER_EDGES = 2 };

struct filter;
/* Everything in mem; text must live as long. ERR_MALFORMED or ERR_LIMIT with err->at, the byte
 * where it stopped making sense; ERR_NOMEM. */
int filter_parse(struct sv text, struct arena *mem, const struct filter **ret_f, struct err *err)
    MUST_USE;
/* What it can be true of: FILTER_NODES, FILTER_EDGES or both. */
unsigned filter_about(const struct filter *f);
/* Whether it is true of the node or edge with that index; false of what it is not about. seconds:
 * how long the view's window is, for rates. */
bool filter_node(const struct filter *f, const struct view_net *net, size_t at, double seconds);
bool filter_edge(const struct filter *f, const struct view_net *net, size_t at, double seconds);

#endif
