/* outcomes.h - how many requests ended how: exact code, gRPC status and response flags. */
#ifndef COLLECTOR_AGGREGATE_OUTCOMES_H
#define COLLECTOR_AGGREGATE_OUTCOMES_H

#include "model/call.h"

enum { OUTCOME_FLAGS_SIZE = 28, OUTCOMES_MAX = 64 };
struct outcome {
    char flags[OUTCOME_FLAGS_SIZE]; /* "UF,URX"; empty for none */
    uint16_t code;                  /* 0: no response */
    int16_t grpc;                   /* -1: none */
    uint64_t n, told;               /* told: how many of n were given on; the reader's */
};
/* All-zero is valid and empty. At most OUTCOMES_MAX kinds; the last is "other", without a code. */
struct outcomes {
    struct outcome *list;
    uint32_t len, cap;
};
void outcomes_done(struct outcomes *o);
/* Calls like c; -1 when memory is out and nothing was counted. */
int outcomes_count(struct outcomes *o, const struct call *c, uint64_t times) MUST_USE;
int outcomes_add(struct outcomes *into, const struct outcomes *from) MUST_USE;
/* Kind by kind the higher number. */
int outcomes_raise(struct outcomes *into, const struct outcomes *from) MUST_USE;

#endif
