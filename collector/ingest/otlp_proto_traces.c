/* otlp_proto_traces.c - ExportTraceServiceRequest in protobuf, every field of a span. */
#include "ingest/decode.h"
#include "ingest/otlp_proto.h"

static void read_event(struct rd *r, struct pb_tag t, struct gather *g)
{
    struct span_event e = { .time_ns = 0 };
    size_t mark = g->attrs.len, at = rd_offset(r);
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_EVENT_TIME: e.time_ns = proto_time(r, u, g, "event time"); break;
        case OTLP_EVENT_NAME: e.name = pb_bytes(r, u); break;
        case OTLP_EVENT_ATTRIBUTES: proto_attrs(r, u, g); break;
        case OTLP_EVENT_DROPPED_ATTRIBUTES: e.attrs.dropped = (uint32_t)pb_varint(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    proto_check(r, gather_attrs(g, mark, &e.attrs));
    proto_check(r, pile_add(g, &g->events, &e, sizeof(e), at));
}

static void read_link(struct rd *r, struct pb_tag t, struct gather *g)
{
    struct span_link l = { .flags = 0 };
    size_t mark = g->attrs.len, at = rd_offset(r);
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_LINK_TRACE_ID: proto_id(r, u, g, l.trace_id.b, 16, "link trace_id"); break;
        case OTLP_LINK_SPAN_ID: proto_id(r, u, g, l.span_id.b, 8, "link span_id"); break;
        case OTLP_LINK_TRACE_STATE: l.trace_state = pb_bytes(r, u); break;
        case OTLP_LINK_ATTRIBUTES: proto_attrs(r, u, g); break;
        case OTLP_LINK_DROPPED_ATTRIBUTES: l.attrs.dropped = (uint32_t)pb_varint(r, u); break;
        case OTLP_LINK_FLAGS: l.flags = pb_fixed32(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    proto_check(r, gather_attrs(g, mark, &l.attrs));
    proto_check(r, pile_add(g, &g->links, &l, sizeof(l), at));
}

static void read_status(struct rd *r, struct pb_tag t, struct span *s)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_STATUS_MESSAGE: s->status_message = pb_bytes(r, u); break;
        case OTLP_STATUS_CODE: s->status = span_status_from_wire(pb_varint(r, u)); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

/* What nearly every sender writes first, in the order of the fields' numbers: both ids, the parent, a
 * short name, the kind, both times. Reads as much of it as is there in just that form. */
static void read_usual_fields(struct rd *r, struct span *s)
{
    enum {
        TRACE = OTLP_SPAN_TRACE_ID << 3 | PB_BYTES,
        SPAN = OTLP_SPAN_SPAN_ID << 3 | PB_BYTES,
        PARENT = OTLP_SPAN_PARENT_SPAN_ID << 3 | PB_BYTES,
        NAME = OTLP_SPAN_NAME << 3 | PB_BYTES,
        KIND = OTLP_SPAN_KIND << 3 | PB_VARINT,
        START = OTLP_SPAN_START_TIME << 3 | PB_FIXED64,
        END = OTLP_SPAN_END_TIME << 3 | PB_FIXED64,
    };
    const uint8_t *at = r->at, *end = r->end;
    if (end - at < 28 || at[0] != TRACE || at[1] != 16 || at[18] != SPAN || at[19] != 8)
        return;
    memcpy(s->trace_id.b, at + 2, sizeof(s->trace_id.b));
    memcpy(s->span_id.b, at + 20, sizeof(s->span_id.b));
    at += 28;
    if (end - at >= 10 && at[0] == PARENT && at[1] == 8) {
        memcpy(s->parent_id.b, at + 2, sizeof(s->parent_id.b));
        at += 10;
    }
    if (end - at >= 2 && at[0] == NAME && at[1] < 0x80 && at[1] <= end - at - 2) {
        s->name = sv_of(at + 2, at[1]);
        at += 2 + s->name.len;
    }
    if (end - at >= 2 && at[0] == KIND && at[1] <= SPAN_KIND_CONSUMER) {
        s->kind = (enum span_kind)at[1];
        at += 2;
    }
    if (end - at >= 18 && at[0] == START && at[9] == END && at[8] < 0x80 && at[17] < 0x80) {
        s->start_ns = (int64_t)le64_at(at + 1);
        s->end_ns = (int64_t)le64_at(at + 10);
        at += 18;
    }
    r->at = at;
}

static void read_fields(struct rd *r, struct gather *g, struct span *s)
{
    read_usual_fields(r, s);
    for (struct pb_tag t; pb_next(r, &t);) {
        switch (t.field) {
        case OTLP_SPAN_TRACE_ID: proto_id(r, t, g, s->trace_id.b, 16, "trace_id"); break;
        case OTLP_SPAN_SPAN_ID: proto_id(r, t, g, s->span_id.b, 8, "span_id"); break;
        case OTLP_SPAN_TRACE_STATE: s->trace_state = pb_bytes(r, t); break;
        case OTLP_SPAN_PARENT_SPAN_ID:
            proto_id(r, t, g, s->parent_id.b, 8, "parent_span_id");
            break;
        case OTLP_SPAN_NAME: s->name = pb_bytes(r, t); break;
        case OTLP_SPAN_KIND: s->kind = span_kind_from_wire(pb_varint(r, t)); break;
        case OTLP_SPAN_START_TIME: s->start_ns = proto_time(r, t, g, "start_time"); break;
        case OTLP_SPAN_END_TIME: s->end_ns = proto_time(r, t, g, "end_time"); break;
        case OTLP_SPAN_ATTRIBUTES: proto_attrs(r, t, g); break;
        case OTLP_SPAN_DROPPED_ATTRIBUTES: s->attrs.dropped = (uint32_t)pb_varint(r, t); break;
        case OTLP_SPAN_EVENTS: read_event(r, t, g); break;
        case OTLP_SPAN_DROPPED_EVENTS: s->dropped_events = (uint32_t)pb_varint(r, t); break;
        case OTLP_SPAN_LINKS: read_link(r, t, g); break;
        case OTLP_SPAN_DROPPED_LINKS: s->dropped_links = (uint32_t)pb_varint(r, t); break;
        case OTLP_SPAN_STATUS: read_status(r, t, s); break;
        case OTLP_SPAN_FLAGS: s->flags = pb_fixed32(r, t); break;
        default: pb_skip(r, t);
        }
    }
}

static void read_span(struct rd *r, struct pb_tag t, struct gather *g)
{
    struct span *s;
    struct span_marks marks = span_marks_now(g);
    int rc = gather_span(g, &s);
    if (rc < 0) {
        proto_check(r, rc);
        return;
    }
    size_t at = rd_offset(r);
    const uint8_t *outer = pb_enter(r, t);
    read_fields(r, g, s);
    pb_leave(r, outer);
    proto_check(r, span_ends(g, &marks, s, at));
}

static const struct proto_group traces = {
    .request_groups = OTLP_TRACE_REQUEST_RESOURCE_SPANS,
    .group_resource = OTLP_RESOURCE_SPANS_RESOURCE,
    .group_scopes = OTLP_RESOURCE_SPANS_SCOPE_SPANS,
    .group_schema_url = OTLP_RESOURCE_SPANS_SCHEMA_URL,
    .scope_scope = OTLP_SCOPE_SPANS_SCOPE,
    .scope_records = OTLP_SCOPE_SPANS_SPANS,
    .scope_schema_url = OTLP_SCOPE_SPANS_SCHEMA_URL,
    .record = read_span,
};

int otlp_proto_traces_decode(struct sv body, struct batch *b, const struct limits *lim,
                             struct err *err)
{
    AUTO_DONE(gather) g;
    gather_init(&g, b, lim);
    return proto_request(body, &g, &traces, err);
}
