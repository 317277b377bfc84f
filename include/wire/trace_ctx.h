/* trace_ctx.h - W3C trace context (Level 1): traceparent, tracestate, and fresh ids. */
#ifndef WIRE_TRACE_CTX_H
#define WIRE_TRACE_CTX_H

#include "base/err.h"
#include "model/span.h"

struct trace_ctx {
    struct trace_id trace_id;
    struct span_id parent_id; /* the caller's span */
    bool is_sampled;
};

#define TRACEPARENT_SIZE 55  /* characters, without a terminator */
#define TRACESTATE_MAX   512 /* W3C: at least this much must be passed on */

/* "00-<32 hex>-<16 hex>-<2 hex>": lower case only, ids not all zero, version ff refused, higher
 * versions read by the first four fields. ret is untouched on failure. */
int traceparent_parse(struct sv text, struct trace_ctx *ret, struct err *err) MUST_USE;
/* Version 00. Returns the view of out. */
struct sv traceparent_format(const struct trace_ctx *ctx, char out[TRACEPARENT_SIZE]);
/* A list "key=value,..." a header may carry: length, members and characters within the rules. */
bool tracestate_is_valid(struct sv text);

/* Random, never all zero. Any thread; each has its own generator, seeded by the kernel. */
struct trace_id trace_id_new(void);
struct span_id span_id_new(void);
uint64_t random_u64(void);
#define UUID_SIZE 36
/* A version 4 UUID in lower case, for x-request-id; no terminator. */
struct sv uuid_new(char out[UUID_SIZE]);

#endif
