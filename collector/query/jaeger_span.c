/* jaeger_span.c - one span in the form of Jaeger's page.
 *
 * What OpenTelemetry keeps in fields of their own are tags here: scope, kind, status, trace state.
 * The parent is the first reference; links follow, and one that names the parent only says what
 * kind of parent it is. */
#include "query/jaeger_span.h"
#include "base/clock.h"

#define WARNINGS_KEY SV("@jaeger@warnings") /* put there by Jaeger's own collectors */

static void put_text_tag(struct json_out *j, const char *key, struct sv text)
{
    struct attr a = { sv_z(key), { .type = VALUE_STR, .str = text } };
    if (text.len)
        jaeger_put_tag(j, &a, false);
}

static void put_status_tags(struct json_out *j, const struct span *s)
{
    static const struct attr error = { { "error", 5 }, { .type = VALUE_BOOL, .boolean = true } };
    if (s->status == STATUS_OK)
        put_text_tag(j, "otel.status_code", SV("OK"));
    if (s->status == STATUS_ERROR) {
        put_text_tag(j, "otel.status_code", SV("ERROR"));
        jaeger_put_tag(j, &error, false);
    }
    put_text_tag(j, "otel.status_description", s->status_message);
}

static void put_tags(struct json_out *j, const struct span *s, bool is_adjusted)
{
    json_kv_open(j, "tags", '[');
    put_text_tag(j, "otel.scope.name", s->scope->name);
    put_text_tag(j, "otel.scope.version", s->scope->version);
    for (uint32_t i = 0; i < s->attrs.len; i++)
        if (!sv_eq(s->attrs.list[i].key, WARNINGS_KEY))
            jaeger_put_tag(j, &s->attrs.list[i], is_adjusted);
    if (s->kind != SPAN_KIND_UNSPECIFIED)
        put_text_tag(j, "span.kind", sv_z(span_kind_name(s->kind)));
    put_status_tags(j, s);
    put_text_tag(j, "w3c.tracestate", s->trace_state);
    json_close(j);
}

static void put_reference(struct json_out *j, bool is_parent, struct trace_id trace,
                          struct span_id span)
{
    json_open(j, '{');
    json_kv_str(j, "refType", is_parent ? SV("CHILD_OF") : SV("FOLLOWS_FROM"));
    jaeger_kv_trace_id(j, "traceID", trace);
    jaeger_kv_span_id(j, "spanID", span);
    json_close(j);
}

static bool is_child_of(const struct span_link *l)
{
    return sv_eq(attrs_str(&l->attrs, SV("opentracing.ref_type")), SV("child_of"));
}

static bool names_parent(const struct span *s, const struct span_link *l)
{
    return trace_id_eq(l->trace_id, s->trace_id) && span_id_eq(l->span_id, s->parent_id) &&
           span_id_is_set(s->parent_id);
}

static void put_references(struct json_out *j, const struct span *s, bool is_adjusted)
{
    bool is_parent = true;
    for (uint32_t i = 0; i < s->links_len; i++)
        if (names_parent(s, &s->links[i]))
            is_parent = is_child_of(&s->links[i]);
    json_kv_open(j, "references", '[');
    if (span_id_is_set(s->parent_id))
        put_reference(j, is_parent, s->trace_id, s->parent_id);
    for (uint32_t i = 0; i < s->links_len; i++) {
        const struct span_link *l = &s->links[i];
        bool is_whole = trace_id_is_set(l->trace_id) && span_id_is_set(l->span_id);
        if (!names_parent(s, l) && (is_whole || !is_adjusted))
            put_reference(j, is_child_of(l), l->trace_id, l->span_id);
    }
    json_close(j);
}

static void put_log(struct json_out *j, const struct span_event *e)
{
    json_open(j, '{');
    json_kv_i64(j, "timestamp", e->time_ns / NS_PER_US);
    json_kv_open(j, "fields", '[');
    if (!attrs_get(&e->attrs, SV("event")))
        put_text_tag(j, "event", e->name);
    for (uint32_t i = 0; i < e->attrs.len; i++)
        jaeger_put_tag(j, &e->attrs.list[i], false);
    json_close(j);
    json_close(j);
}

/* Null when there is none, as Jaeger writes it. */
static void put_warnings(struct json_out *j, const struct span *s, const struct span_notes *n)
{
    const struct value *sent = attrs_get(&s->attrs, WARNINGS_KEY);
    bool has_sent = sent && sent->type == VALUE_ARRAY && sent->len;
    json_key(j, SV("warnings"));
    if (!has_sent && n->warnings_len == 0) {
        json_null(j);
        return;
    }
    json_open(j, '[');
    for (uint32_t i = 0; has_sent && i < sent->len; i++)
        if (sent->array[i].type == VALUE_STR)
            json_str(j, sent->array[i].str);
    for (size_t i = 0; i < n->warnings_len; i++)
        json_str(j, n->warnings[i]);
    json_close(j);
}

/* Whole microseconds; what ends before it begins lasted nothing. */
static uint64_t duration_us(const struct span *s)
{
    if (s->end_ns <= s->start_ns)
        return 0;
    return ((uint64_t)s->end_ns - (uint64_t)s->start_ns) / (uint64_t)NS_PER_US;
}

void jaeger_put_span(struct json_out *j, const struct span *s, const struct span_notes *n,
                     bool is_adjusted, size_t process)
{
    json_open(j, '{');
    jaeger_kv_trace_id(j, "traceID", s->trace_id);
    jaeger_kv_span_id(j, "spanID", s->span_id);
    if (s->flags & 0xff)
        json_kv_u64(j, "flags", s->flags & 0xff);
    json_kv_str(j, "operationName", s->name);
    put_references(j, s, is_adjusted);
    json_kv_i64(j, "startTime", s->start_ns / NS_PER_US);
    json_kv_u64(j, "duration", duration_us(s));
    put_tags(j, s, is_adjusted);
    json_kv_open(j, "logs", '[');
    for (uint32_t i = 0; i < s->events_len; i++)
        put_log(j, &s->events[i]);
    json_close(j);
    json_key(j, SV("processID"));
    json_raw(j, SV("\"p"));
    buf_put_u64(j->to, process + 1);
    buf_putc(j->to, '"');
    put_warnings(j, s, n);
    json_close(j);
}
