/* decode.c - which decoder reads what; a further protocol is a file and a row. */
#include "ingest/decode.h"

/* clang-format off */
const struct decoder decoders[] = {
    { { "/v1/traces", 10 }, { "application/x-protobuf", 22 }, SIGNAL_TRACES, FORMAT_PROTOBUF, otlp_proto_traces_decode },
    { { "/v1/traces", 10 }, { "application/json", 16 },       SIGNAL_TRACES, FORMAT_JSON,     otlp_json_traces_decode },
    { { "/v1/logs", 8 },    { "application/x-protobuf", 22 }, SIGNAL_LOGS,   FORMAT_PROTOBUF, otlp_proto_logs_decode },
    { { "/v1/logs", 8 },    { "application/json", 16 },       SIGNAL_LOGS,   FORMAT_JSON,     otlp_json_logs_decode },
    { { "/v1/envoy-logs", 14 }, { "text/plain", 10 },           SIGNAL_LOGS, FORMAT_JSON,     envoy_lines_decode },
    { { "/v1/envoy-logs", 14 }, { "application/x-ndjson", 20 }, SIGNAL_LOGS, FORMAT_JSON,     envoy_lines_decode },
    { { "/v1/envoy-logs", 14 }, { "application/json", 16 },     SIGNAL_LOGS, FORMAT_JSON,     envoy_lines_decode },
};
/* clang-format on */
const size_t decoders_len = NELEMS(decoders);

const struct decoder *decoder_find(struct sv path, struct sv content_type, bool *ret_is_path)
{
    *ret_is_path = false;
    for (size_t i = 0; i < decoders_len; i++) {
        if (!sv_eq(decoders[i].path, path))
            continue;
        *ret_is_path = true;
        if (sv_eq_nocase(decoders[i].content_type, content_type))
            return &decoders[i];
    }
    return NULL;
}
