/* fuzz_otlp_proto.c - any bytes as OTLP/protobuf: every span sent is kept or refused, and what was
 * kept survives being written and read again. */
#include "ingest/decode.h"
#include "otlp_write.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

static size_t count_in(struct rd *r, struct pb_tag t, const uint32_t *path, size_t depth)
{
    size_t n = 0;
    if (depth == 0)
        n = 1;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; depth && pb_next(r, &u);) {
        if (u.field == path[0])
            n += count_in(r, u, path + 1, depth - 1);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
    return n;
}

/* Spans in a body that is well-formed. */
static size_t count_spans(struct sv body)
{
    static const uint32_t path[] = { OTLP_RESOURCE_SPANS_SCOPE_SPANS, OTLP_SCOPE_SPANS_SPANS };
    size_t n = 0;
    struct rd r = rd_of(body);
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field == OTLP_TRACE_REQUEST_RESOURCE_SPANS)
            n += count_in(&r, t, path, NELEMS(path));
        else
            pb_skip(&r, t);
    }
    return n;
}

/* The order of a span's keys says what its attributes say. */
static void check_orders(const struct batch *b)
{
    for (size_t i = 0; i < b->spans_len; i++) {
        const struct attrs *a = &b->spans[i].attrs;
        const struct key_order *o = b->spans[i].key_order;
        INVARIANT(!o || (o->id < b->key_orders_len && o->len == a->len));
        for (uint32_t k = 0; o && k < o->len; k++)
            INVARIANT(o->keys[k] < b->keys_len && sv_eq(b->keys[o->keys[k]], a->list[k].key));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct limits lim = limits_for(1 << 20);
    struct sv body = sv_of(p, n);
    AUTO_FREE(batch) traces = batch_new();
    AUTO_FREE(batch) again = batch_new();
    AUTO_FREE(batch) logs = batch_new();
    AUTO_DONE(buf) text = { 0 };
    struct err err = { 0 };
    INVARIANT(traces && again && logs);
    if (otlp_proto_logs_decode(body, logs, &lim, &err) < 0)
        INVARIANT(err.code != 0 && err.at <= n);
    for (size_t i = 0; i < logs->calls_len && err.code == 0; i++)
        INVARIANT(logs->calls[i].start_ns > 0 && logs->calls[i].source.workload.len);
    err = (struct err){ 0 };
    if (otlp_proto_traces_decode(body, traces, &lim, &err) < 0) {
        INVARIANT(err.code != 0 && err.at <= n && err.why[0]);
        return 0;
    }
    INVARIANT(traces->spans_len + traces->rejected == count_spans(body));
    check_orders(traces);
    otlp_write_proto(traces->spans, traces->spans_len, &text);
    lim = limits_for((size_t)1 << 30);
    INVARIANT(otlp_proto_traces_decode(buf_sv(&text), again, &lim, NULL) == 0);
    INVARIANT(again->rejected == 0 && otlp_same_spans(traces, again));
    return 0;
}
