/* evidence.h - one request counts once: which reporter's column of a bucket counts. Pure. */
#ifndef MODEL_EVIDENCE_H
#define MODEL_EVIDENCE_H

#include "model/edge.h"

/* A set of reporters: bit (1 << r). */
typedef uint8_t reporter_set;
static inline reporter_set reporter_bit(enum reporter r)
{
    return (reporter_set)(1U << r);
}
/* The reporters of b that saw a request. */
reporter_set reporters_of(const struct edge_bucket *b);
/* The best of them, REPORTERS_LEN of none. */
enum reporter reporters_best(reporter_set seen);

/* The reporter whose column counts in a bucket, given who saw the same edge in the bucket before,
 * in this one and in the one after. REPORTERS_LEN: none does. */
enum reporter evidence_of(reporter_set before, reporter_set at, reporter_set after);

#endif
