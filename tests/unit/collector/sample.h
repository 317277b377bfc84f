/* sample.h - short ways to write spans, calls and identities in the collector's tests. */
#ifndef TESTS_COLLECTOR_SAMPLE_H
#define TESTS_COLLECTOR_SAMPLE_H

#include "base/clock.h"
#include "model/batch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define T0 (INT64_C(1790000000) * NS_PER_S) /* a multiple of ten seconds */

#define TEXT(k, v)                                                                                 \
    {                                                                                              \
        SV(k),                                                                                     \
        {                                                                                          \
            .type = VALUE_STR, .str = SV(v)                                                        \
        }                                                                                          \
    }
#define NUMBER(k, v)                                                                               \
    {                                                                                              \
        SV(k),                                                                                     \
        {                                                                                          \
            .type = VALUE_INT, .integer = (v)                                                      \
        }                                                                                          \
    }

static inline struct identity sample_who(struct sv workload, struct sv version)
{
    return (
        struct identity){ SV("demo"), SV("shop"), workload, workload, version, IDENTITY_UNKNOWN };
}

static inline struct call sample_call(struct sv source, struct sv destination, enum reporter r,
                                      int64_t start_ns, uint16_t code)
{
    return (struct call){
        .reporter = r,
        .protocol = PROTOCOL_HTTP,
        .tls = TLS_MUTUAL,
        .source = sample_who(source, SV("v1")),
        .destination = sample_who(destination, SV("v1")),
        .start_ns = start_ns,
        .duration_ns = 3 * NS_PER_MS,
        .response_code = code,
        .grpc_status = -1,
        .bytes_received = 10,
        .bytes_sent = 100,
    };
}

static inline struct trace_id sample_trace(uint8_t n)
{
    return (struct trace_id){ { 0xaa, [15] = n } };
}

static inline struct span_id sample_span_id(uint8_t n)
{
    return (struct span_id){ { [7] = n } };
}

#endif
