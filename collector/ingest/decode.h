/* decode.h - the contract of all decoders, and the table of them.
 *
 * A decoder reads one export request's body (already decompressed) into a batch. Text in the batch
 * points into the body wherever it can, so the body must live as long as the batch; whoever calls
 * makes the batch adopt it. A record that cannot be kept (an id of the wrong length, a time out of
 * range) is refused alone: batch.rejected, batch.first_rejection with offset and reason. A body
 * that breaks its format is refused whole: ERR_MALFORMED, ERR_TRUNCATED, ERR_LIMIT with the byte
 * offset, or ERR_NOMEM; the batch then holds an unspecified part of it. Thread-safe. */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "base/err.h"
#include "model/batch.h"
#include "model/limits.h"

typedef int decode_fn(struct sv body, struct batch *b, const struct limits *lim, struct err *err);

decode_fn otlp_proto_traces_decode; /* ExportTraceServiceRequest */
decode_fn otlp_proto_logs_decode;   /* ExportLogsServiceRequest: access records become calls */
decode_fn otlp_json_traces_decode;
decode_fn otlp_json_logs_decode;
decode_fn envoy_lines_decode; /* access-log lines in Istio's format, one a line */
/* One StreamAccessLogsMessage of Envoy's access log service. Only the first of a stream says who sends,
 * so its identifier (field 1, as it came) stands in front of each body. No row in the table: it comes
 * over gRPC. An entry that breaks its format is refused alone. */
decode_fn envoy_als_decode;

enum wire_signal { SIGNAL_TRACES, SIGNAL_LOGS };
enum wire_format { FORMAT_PROTOBUF, FORMAT_JSON };

struct decoder {
    struct sv path;         /* of the request */
    struct sv content_type; /* without parameters */
    enum wire_signal signal;
    enum wire_format format;
    decode_fn *decode;
};
extern const struct decoder decoders[];
extern const size_t decoders_len;

/* NULL when the path is not served or not in that type; *ret_is_path says which. */
const struct decoder *decoder_find(struct sv path, struct sv content_type, bool *ret_is_path);

#endif
