/* compare.h - two views side by side: what is new, what is gone, what has changed, and whether the
 * change could be chance. Pure. */
#ifndef COLLECTOR_QUERY_COMPARE_H
#define COLLECTOR_QUERY_COMPARE_H

#include "aggregate/view.h"

#define COMPARE_ALPHA 0.05          /* a change is told as one when its adjusted p lies below */
enum { COMPARE_REQUESTS_MIN = 30 }; /* on both sides; with fewer there is too little data */

enum compare_verdict { COMPARE_TOO_LITTLE, COMPARE_SAME, COMPARE_BETTER, COMPARE_WORSE };
const char *compare_verdict_name(enum compare_verdict v); /* "too little data", "same", ... */

struct compare_finding {
    const char *test; /* its name; NULL: none was made */
    double p, p_adjusted;
    double change; /* rate: ratio; errors: difference of shares; latency: chance of being slower */
    enum compare_verdict verdict;
};
/* An edge, or everything between one service and a peer. At least one of the two sums is there. */
struct compare_pair {
    uint64_t id; /* of the edge; 0 when versions are compared */
    struct identity source, destination;
    enum protocol protocol;
    struct edge_cell base, candidate; /* requests 0: not there; owned */
    struct compare_finding rate, errors, latency;
    enum compare_verdict verdict; /* of errors and latency */
};
struct comparison {
    struct arena mem;
    struct compare_pair *pairs; /* worst first, then most requests */
    size_t len;
    double base_s, candidate_s;
    size_t tests;                 /* that the adjustment of p is for */
    enum compare_verdict verdict; /* of all pairs */
};
void comparison_done(struct comparison *c);
/* Edge by edge. The views give their cells away. Texts stay theirs. ERR_NOMEM. */
int compare_windows(struct view *base, double base_s, struct view *candidate, double candidate_s,
                    struct comparison *ret, struct err *err) MUST_USE;
/* In one view at GRANULARITY_VERSIONED_APP: the edges of one version of a service against those of
 * another, by direction, peer service and protocol. namespace empty: any. How much traffic each gets
 * is the operator's choice, so rates are not tested. */
struct compare_versions {
    struct sv service, namespace, base, candidate;
};
int compare_versions(const struct compare_versions *w, struct view *v, double seconds,
                     struct comparison *ret, struct err *err) MUST_USE;

DEFINE_AUTO_DONE(comparison);

#endif
