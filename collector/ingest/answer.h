/* answer.h - what an exporter is told, in the encoding it spoke. */
#ifndef INGEST_ANSWER_H
#define INGEST_ANSWER_H

#include "base/buf.h"
#include "base/err.h"
#include "ingest/decode.h"

/* gRPC's status codes, which OTLP/HTTP carries in the body of an error (google.rpc.Status). */
enum rpc_code {
    RPC_INVALID_ARGUMENT = 3,
    RPC_NOT_FOUND = 5,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
};

/* ExportTraceServiceResponse or ExportLogsServiceResponse; with partial_success when rejected > 0,
 * which names the first reason and its place. */
void answer_export(enum wire_signal signal, enum wire_format format, size_t rejected,
                   const struct err *first, struct buf *to);
/* google.rpc.Status. */
void answer_status(enum wire_format format, enum rpc_code code, struct sv text, struct buf *to);
struct sv answer_content_type(enum wire_format format);

#endif
