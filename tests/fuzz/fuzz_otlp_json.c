/* fuzz_otlp_json.c - any text as OTLP/JSON: what is understood means the same when it is written as
 * JSON and as protobuf and read again. */
#include "ingest/decode.h"
#include "otlp_write.h"

static void reads_back(const struct batch *b, struct buf *text, decode_fn *decode)
{
    struct limits lim = limits_for((size_t)1 << 30);
    lim.json_depth = 1024;
    AUTO_FREE(batch) again = batch_new();
    INVARIANT(again && !text->failed);
    INVARIANT(decode(buf_sv(text), again, &lim, NULL) == 0);
    INVARIANT(again->rejected == 0 && otlp_same_spans(b, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct limits lim = limits_for(1 << 20);
    struct sv body = sv_of(p, n);
    AUTO_FREE(batch) traces = batch_new();
    AUTO_FREE(batch) logs = batch_new();
    AUTO_DONE(buf) json = { 0 };
    AUTO_DONE(buf) proto = { 0 };
    struct err err = { 0 };
    lim.value_depth = 8; /* what the writer's own depth limit allows */
    INVARIANT(traces && logs);
    if (otlp_json_logs_decode(body, logs, &lim, &err) < 0)
        INVARIANT(err.code != 0 && err.at <= n);
    err = (struct err){ 0 };
    if (otlp_json_traces_decode(body, traces, &lim, &err) < 0) {
        INVARIANT(err.code != 0 && err.at <= n && err.why[0]);
        return 0;
    }
    otlp_write_proto(traces->spans, traces->spans_len, &proto);
    reads_back(traces, &proto, otlp_proto_traces_decode);
    otlp_write_json(traces->spans, traces->spans_len, &json);
    reads_back(traces, &json, otlp_json_traces_decode);
    return 0;
}
