/* lone.h - what one half says when its other half does not come. Pure functions. */
#ifndef COLLECTOR_PAIR_LONE_H
#define COLLECTOR_PAIR_LONE_H

#include "pair/half.h"

enum lone {
    LONE_NOTHING,  /* a producer that has found its consumers */
    LONE_COVERED,  /* an access record tells the same and more */
    LONE_VIRTUAL,  /* names the other side: an edge to or from a virtual node */
    LONE_UNPAIRED, /* no edge */
};
/* LONE_VIRTUAL fills *ret_call (reporter SPAN), which borrows from h. */
enum lone lone_judge(const struct half *h, struct call *ret_call);
/* The call of one half with the given ends. */
struct call call_of_half(const struct half *h, const struct identity *source,
                         const struct identity *destination);

#endif
