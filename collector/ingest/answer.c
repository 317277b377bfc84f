/* answer.c - export responses and error bodies, in protobuf and in JSON. */
#include "ingest/answer.h"
#include "base/json_out.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

struct sv answer_content_type(enum wire_format format)
{
    return format == FORMAT_PROTOBUF ? SV("application/x-protobuf") : SV("application/json");
}

static void partial_proto(size_t rejected, struct sv why, struct buf *to)
{
    _Static_assert(OTLP_TRACE_RESPONSE_PARTIAL_SUCCESS == 1 &&
                       OTLP_LOGS_RESPONSE_PARTIAL_SUCCESS == 1,
                   "both signals answer with the same shape");
    size_t mark = pb_open(to, OTLP_TRACE_RESPONSE_PARTIAL_SUCCESS);
    pb_put_varint(to, OTLP_PARTIAL_SUCCESS_REJECTED, rejected);
    pb_put_bytes(to, OTLP_PARTIAL_SUCCESS_ERROR_MESSAGE, why);
    pb_close(to, mark);
}

static void partial_json(enum wire_signal signal, size_t rejected, struct sv why, struct buf *to)
{
    struct json_out j = json_out_of(to);
    AUTO_DONE(buf) number = { 0 };
    buf_put_u64(&number, rejected);
    json_open(&j, '{');
    json_kv_open(&j, "partialSuccess", '{');
    json_kv_str(&j, signal == SIGNAL_TRACES ? "rejectedSpans" : "rejectedLogRecords",
                buf_sv(&number)); /* 64-bit integers are text in protobuf's JSON */
    json_kv_str(&j, "errorMessage", why);
    json_close(&j);
    json_close(&j);
}

void answer_export(enum wire_signal signal, enum wire_format format, size_t rejected,
                   const struct err *first, struct buf *to)
{
    if (rejected == 0) {
        if (format == FORMAT_JSON)
            buf_put(to, SV("{}"));
        return;
    }
    AUTO_DONE(buf) why = { 0 };
    buf_printf(&why, "byte %zu: %s", first->at, first->why);
    if (format == FORMAT_JSON)
        partial_json(signal, rejected, buf_sv(&why), to);
    else
        partial_proto(rejected, buf_sv(&why), to);
}

void answer_status(enum wire_format format, enum rpc_code code, struct sv text, struct buf *to)
{
    if (format == FORMAT_PROTOBUF) {
        pb_put_varint(to, RPC_STATUS_CODE, code);
        pb_put_bytes(to, RPC_STATUS_MESSAGE, text);
        return;
    }
    struct json_out j = json_out_of(to);
    json_open(&j, '{');
    json_kv_u64(&j, "code", code);
    json_kv_str(&j, "message", text);
    json_close(&j);
}
