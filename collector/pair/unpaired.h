/* unpaired.h - what could not be paired: whose, how often, since when, examples, and likely why.
 *
 * One thread owns it. */
#ifndef COLLECTOR_PAIR_UNPAIRED_H
#define COLLECTOR_PAIR_UNPAIRED_H

#include "base/buf.h"
#include "base/map.h"
#include "pair/half.h"

enum unpaired_cause {
    UNPAIRED_NO_ID,       /* without trace or span id */
    UNPAIRED_FULL,        /* gave way: too many halves were waiting */
    UNPAIRED_LATE,        /* its other half had been given up */
    UNPAIRED_CLOCK,       /* it arrived long after its end, or before it */
    UNPAIRED_ATTEMPT,     /* its caller's span is paired with another called one */
    UNPAIRED_NO_CALL,     /* its parent is a called span, not a calling one */
    UNPAIRED_UNSAMPLED,   /* it says that its trace is not sampled */
    UNPAIRED_NO_CALLER,   /* nothing came from the caller */
    UNPAIRED_NO_CALLEE,   /* nothing came from the callee, and the caller does not name it */
    UNPAIRED_NO_CONSUMER, /* nothing came from a consumer, and the producer names no queue */
    UNPAIRED_CAUSES_LEN
};
const char *unpaired_cause_name(enum unpaired_cause c); /* "late", ...; static */
const char *unpaired_cause_text(enum unpaired_cause c); /* a sentence and what to do; static */

enum { UNPAIRED_EXAMPLES = 3 };
struct unpaired_row {
    const struct identity *who;  /* interned; lives as long as the pairer */
    const struct identity *peer; /* the other side where it is known, else NULL */
    enum span_kind kind;
    enum unpaired_cause cause;
    uint64_t count;
    int64_t first_ns, last_ns; /* when they were given up */
    struct unpaired_example {
        struct trace_id trace;
        struct span_id span;
        int64_t start_ns;
    } examples[UNPAIRED_EXAMPLES]; /* the newest; examples_len of them */
    uint32_t examples_len;
};
/* All-zero is the valid empty table. */
struct unpaired {
    struct arena mem;
    struct map by_key;
    uint64_t overflow; /* not listed: too many different rows */
};

void unpaired_done(struct unpaired *u);
/* h was given up at now_ns. peer may be NULL. */
void unpaired_add(struct unpaired *u, const struct half *h, enum unpaired_cause cause,
                  const struct identity *peer, int64_t now_ns);
/* *at starts at 0; NULL past the last. */
const struct unpaired_row *unpaired_next(const struct unpaired *u, size_t *at);

#endif
