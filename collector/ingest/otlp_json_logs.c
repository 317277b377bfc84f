/* otlp_json_logs.c - ExportLogsServiceRequest in JSON: access records become calls. */
#include "ingest/access.h"
#include "ingest/decode.h"
#include "ingest/otlp_json.h"

static void read_record(struct json_in *j, struct gather *g)
{
    static const struct sv names[] = {
        { "timeUnixNano", 12 }, { "observedTimeUnixNano", 20 },
        { "attributes", 10 },   { "traceId", 7 },
        { "spanId", 6 },        { "eventName", 9 },
        { "body", 4 },
    };
    struct log_record rec = { .at = jin_offset(j), .attrs_mark = g->attrs.len };
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        switch (json_which(key, names, NELEMS(names))) {
        case 0: rec.time_ns = json_time(j, g, "timeUnixNano"); break;
        case 1: rec.observed_ns = json_time(j, g, "observedTimeUnixNano"); break;
        case 2: json_attrs(j, g); break;
        case 3: json_id(j, g, rec.trace_id.b, 16, "traceId"); break;
        case 4: json_id(j, g, rec.span_id.b, 8, "spanId"); break;
        case 5: rec.event_name = jin_str(j); break;
        case 6: json_value(j, g, &rec.body); break;
        default: jin_skip(j);
        }
    }
    if (jin_ok(j))
        json_check(j, access_record_ends(g, &rec));
}

static const struct json_group logs = {
    .groups = { "resourceLogs", 12 },
    .scopes = { "scopeLogs", 9 },
    .records = { "logRecords", 10 },
    .record = read_record,
};

int otlp_json_logs_decode(struct sv body, struct batch *b, const struct limits *lim,
                          struct err *err)
{
    AUTO_DONE(gather) g;
    gather_init(&g, b, lim);
    return json_request(body, &g, &logs, err);
}
