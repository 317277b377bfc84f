/* sieve.h - what a request wants left out of a view: filters, thresholds, all but a neighbourhood. */
#ifndef COLLECTOR_QUERY_SIEVE_H
#define COLLECTOR_QUERY_SIEVE_H

#include "query/filter.h"
#include "query/params.h"

enum { SIEVE_DEPTH_MAX = 16 };
struct sieve {
    const struct filter *hide, *keep; /* NULL: none; they live in the params' memory */
    uint64_t min_requests;
    double min_rate;
    bool is_inside_only; /* no virtual, external or unknown nodes */
    bool has_node;       /* only what lies around this node */
    uint64_t node_id;
    uint32_t depth;
    enum net_direction direction;
};
/* The parameters that sieve_read() knows, as rows of a route. */
#define SIEVE_PARAMS                                                                               \
    { "hide", false }, { "keep", false }, { "minRequests", false }, { "minRate", false },          \
        { "external", false }, { "node", false }, { "depth", false },                              \
    {                                                                                              \
        "direction", false                                                                         \
    }

/* -1 with the fault in p. */
int sieve_read(struct params *p, struct sieve *ret_s) MUST_USE;
/* Takes edges out of the view, and the nodes that are left without any; what nodes and edges that
 * stay say does not change. ERR_NOMEM, or ERR_NOT_FOUND: the view has no such node. */
int sieve_apply(const struct sieve *s, struct view *v, double seconds, struct err *err) MUST_USE;
/* Keeps the edges from .. from + len - 1 and their nodes. ERR_NOMEM. */
int sieve_page(struct view *v, size_t from, size_t len, struct err *err) MUST_USE;

#endif
