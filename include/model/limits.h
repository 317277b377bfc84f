/* limits.h - every number that a sender can push on, with the reason for its value.
 *
 * Hitting one is an outcome with an answer and a counter, never growth. Constant while the program
 * runs; any thread may read. */
#ifndef MODEL_LIMITS_H
#define MODEL_LIMITS_H

#include <stddef.h>

struct limits {
    size_t body_bytes;     /* one request as sent; an OpenTelemetry Collector's default export of
                              8192 spans is about 4 MiB */
    size_t inflated_bytes; /* the same after decompression; telemetry shrinks 6 times, but a body
                              near the limit comes from a batch setting that can be changed */
    size_t decoded_bytes;  /* structs and copied text of one request; 2 bytes of protobuf may make
                              an attribute of 40, real spans take about 1.5 times their wire size */
    size_t records;        /* spans or log records of one request: 16 MiB of structs */
    size_t list;           /* attributes, array elements, events or links open at the same time in
                              one record; SDKs stop at 128 */
    unsigned value_depth;  /* arrays and maps inside an attribute's value; recursion costs stack */
    unsigned json_depth;   /* brackets inside brackets: four for each level of value_depth, and
                              the message's own */
};

#define LIMIT_BODY_BYTES ((size_t)8 * 1024 * 1024)

/* All limits that follow from the largest body accepted. */
static inline struct limits limits_for(size_t body_bytes)
{
    return (struct limits){
        .body_bytes = body_bytes,
        .inflated_bytes = body_bytes * 4,
        .decoded_bytes = body_bytes * 16,
        .records = 65536,
        .list = 16384,
        .value_depth = 32,
        .json_depth = 160,
    };
}

#endif
