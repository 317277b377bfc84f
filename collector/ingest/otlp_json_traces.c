/* otlp_json_traces.c - ExportTraceServiceRequest in JSON, every field of a span. */
#include "ingest/decode.h"
#include "ingest/otlp_json.h"

static const struct sv kinds[] = {
    { "SPAN_KIND_UNSPECIFIED", 21 }, { "SPAN_KIND_INTERNAL", 18 }, { "SPAN_KIND_SERVER", 16 },
    { "SPAN_KIND_CLIENT", 16 },      { "SPAN_KIND_PRODUCER", 18 }, { "SPAN_KIND_CONSUMER", 18 },
};
static const struct sv statuses[] = {
    { "STATUS_CODE_UNSET", 17 },
    { "STATUS_CODE_OK", 14 },
    { "STATUS_CODE_ERROR", 17 },
};

static void read_event(struct json_in *j, struct gather *g)
{
    struct span_event e = { .time_ns = 0 };
    size_t mark = g->attrs.len, at = jin_offset(j);
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, SV("timeUnixNano")))
            e.time_ns = json_time(j, g, "event time");
        else if (sv_eq(key, SV("name")))
            e.name = jin_str(j);
        else if (sv_eq(key, SV("attributes")))
            json_attrs(j, g);
        else if (sv_eq(key, SV("droppedAttributesCount")))
            e.attrs.dropped = json_u32(j);
        else
            jin_skip(j);
    }
    json_check(j, gather_attrs(g, mark, &e.attrs));
    json_check(j, pile_add(g, &g->events, &e, sizeof(e), at));
}

static void read_link(struct json_in *j, struct gather *g)
{
    static const struct sv names[] = {
        { "traceId", 7 },
        { "spanId", 6 },
        { "traceState", 10 },
        { "attributes", 10 },
        { "droppedAttributesCount", 22 },
        { "flags", 5 },
    };
    struct span_link l = { .flags = 0 };
    size_t mark = g->attrs.len, at = jin_offset(j);
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        switch (json_which(key, names, NELEMS(names))) {
        case 0: json_id(j, g, l.trace_id.b, 16, "link traceId"); break;
        case 1: json_id(j, g, l.span_id.b, 8, "link spanId"); break;
        case 2: l.trace_state = jin_str(j); break;
        case 3: json_attrs(j, g); break;
        case 4: l.attrs.dropped = json_u32(j); break;
        case 5: l.flags = json_u32(j); break;
        default: jin_skip(j);
        }
    }
    json_check(j, gather_attrs(g, mark, &l.attrs));
    json_check(j, pile_add(g, &g->links, &l, sizeof(l), at));
}

static void read_status(struct json_in *j, struct span *s)
{
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, SV("message")))
            s->status_message = jin_str(j);
        else if (sv_eq(key, SV("code")))
            s->status = span_status_from_wire(json_enum(j, statuses, NELEMS(statuses)));
        else
            jin_skip(j);
    }
}

enum {
    KEY_TRACE_ID,
    KEY_SPAN_ID,
    KEY_TRACE_STATE,
    KEY_PARENT_SPAN_ID,
    KEY_NAME,
    KEY_KIND,
    KEY_START,
    KEY_END,
    KEY_ATTRIBUTES,
    KEY_DROPPED_ATTRIBUTES,
    KEY_EVENTS,
    KEY_DROPPED_EVENTS,
    KEY_LINKS,
    KEY_DROPPED_LINKS,
    KEY_STATUS,
    KEY_FLAGS,
    KEYS_LEN
};
static const struct sv span_keys[KEYS_LEN] = {
    [KEY_TRACE_ID] = { "traceId", 7 },
    [KEY_SPAN_ID] = { "spanId", 6 },
    [KEY_TRACE_STATE] = { "traceState", 10 },
    [KEY_PARENT_SPAN_ID] = { "parentSpanId", 12 },
    [KEY_NAME] = { "name", 4 },
    [KEY_KIND] = { "kind", 4 },
    [KEY_START] = { "startTimeUnixNano", 17 },
    [KEY_END] = { "endTimeUnixNano", 15 },
    [KEY_ATTRIBUTES] = { "attributes", 10 },
    [KEY_DROPPED_ATTRIBUTES] = { "droppedAttributesCount", 22 },
    [KEY_EVENTS] = { "events", 6 },
    [KEY_DROPPED_EVENTS] = { "droppedEventsCount", 18 },
    [KEY_LINKS] = { "links", 5 },
    [KEY_DROPPED_LINKS] = { "droppedLinksCount", 17 },
    [KEY_STATUS] = { "status", 6 },
    [KEY_FLAGS] = { "flags", 5 },
};

static void read_field(struct json_in *j, struct gather *g, struct sv key, struct span *s)
{
    switch (json_which(key, span_keys, KEYS_LEN)) {
    case KEY_TRACE_ID: json_id(j, g, s->trace_id.b, 16, "traceId"); return;
    case KEY_SPAN_ID: json_id(j, g, s->span_id.b, 8, "spanId"); return;
    case KEY_TRACE_STATE: s->trace_state = jin_str(j); return;
    case KEY_PARENT_SPAN_ID: json_id(j, g, s->parent_id.b, 8, "parentSpanId"); return;
    case KEY_NAME: s->name = jin_str(j); return;
    case KEY_KIND: s->kind = span_kind_from_wire(json_enum(j, kinds, NELEMS(kinds))); return;
    case KEY_START: s->start_ns = json_time(j, g, "startTimeUnixNano"); return;
    case KEY_END: s->end_ns = json_time(j, g, "endTimeUnixNano"); return;
    case KEY_ATTRIBUTES: json_attrs(j, g); return;
    case KEY_DROPPED_ATTRIBUTES: s->attrs.dropped = json_u32(j); return;
    case KEY_EVENTS:
        for (jin_array(j); jin_element(j);)
            read_event(j, g);
        return;
    case KEY_DROPPED_EVENTS: s->dropped_events = json_u32(j); return;
    case KEY_LINKS:
        for (jin_array(j); jin_element(j);)
            read_link(j, g);
        return;
    case KEY_DROPPED_LINKS: s->dropped_links = json_u32(j); return;
    case KEY_STATUS: read_status(j, s); return;
    case KEY_FLAGS: s->flags = json_u32(j); return;
    default: jin_skip(j);
    }
}

static void read_span(struct json_in *j, struct gather *g)
{
    struct span *s;
    struct span_marks marks = span_marks_now(g);
    int rc = gather_span(g, &s);
    if (rc < 0) {
        json_check(j, rc);
        return;
    }
    size_t at = jin_offset(j);
    struct sv key;
    for (jin_object(j); json_field(j, &key);)
        read_field(j, g, key, s);
    json_check(j, span_ends(g, &marks, s, at));
}

static const struct json_group traces = {
    .groups = { "resourceSpans", 13 },
    .scopes = { "scopeSpans", 10 },
    .records = { "spans", 5 },
    .record = read_span,
};

int otlp_json_traces_decode(struct sv body, struct batch *b, const struct limits *lim,
                            struct err *err)
{
    AUTO_DONE(gather) g;
    gather_init(&g, b, lim);
    return json_request(body, &g, &traces, err);
}
