/* otlp_proto_logs.c - ExportLogsServiceRequest in protobuf: access records become calls. */
#include "ingest/access.h"
#include "ingest/decode.h"
#include "ingest/otlp_proto.h"

static void read_record(struct rd *r, struct pb_tag t, struct gather *g)
{
    struct log_record rec = { .at = rd_offset(r), .attrs_mark = g->attrs.len };
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_LOG_TIME: rec.time_ns = proto_time(r, u, g, "time"); break;
        case OTLP_LOG_OBSERVED_TIME: rec.observed_ns = proto_time(r, u, g, "observed_time"); break;
        case OTLP_LOG_BODY: proto_value(r, u, g, &rec.body); break;
        case OTLP_LOG_ATTRIBUTES: proto_attrs(r, u, g); break;
        case OTLP_LOG_TRACE_ID: proto_id(r, u, g, rec.trace_id.b, 16, "trace_id"); break;
        case OTLP_LOG_SPAN_ID: proto_id(r, u, g, rec.span_id.b, 8, "span_id"); break;
        case OTLP_LOG_EVENT_NAME: rec.event_name = pb_bytes(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    if (rd_ok(r))
        proto_check(r, access_record_ends(g, &rec));
}

static const struct proto_group logs = {
    .request_groups = OTLP_LOGS_REQUEST_RESOURCE_LOGS,
    .group_resource = OTLP_RESOURCE_LOGS_RESOURCE,
    .group_scopes = OTLP_RESOURCE_LOGS_SCOPE_LOGS,
    .group_schema_url = OTLP_RESOURCE_LOGS_SCHEMA_URL,
    .scope_scope = OTLP_SCOPE_LOGS_SCOPE,
    .scope_records = OTLP_SCOPE_LOGS_LOG_RECORDS,
    .scope_schema_url = OTLP_SCOPE_LOGS_SCHEMA_URL,
    .record = read_record,
};

int otlp_proto_logs_decode(struct sv body, struct batch *b, const struct limits *lim,
                           struct err *err)
{
    AUTO_DONE(gather) g;
    gather_init(&g, b, lim);
    return proto_request(body, &g, &logs, err);
}
