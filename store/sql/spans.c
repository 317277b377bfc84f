/* spans.c - the table `spans`: a row for each span, read chunk by chunk.
 *
 * Time and trace id choose the chunks, the service passes over spans before SQLite sees them.
 * Attributes become JSON only where a query names their column. */
#include "store/match.h"
#include "store/sql/span_json.h"
#include "store/sql/table.h"
#include "store/sqlite/walk.h"

struct span_cursor {
    struct sql_cursor super;
    struct walk walk;
    size_t at; /* next span of walk.batch */
    bool has_trace, has_service;
    struct trace_id trace;
    struct window window;
    struct buf service;
};

static void spans_done(struct sql_cursor *super)
{
    struct span_cursor *c = (struct span_cursor *)super;
    walk_done(&c->walk);
    buf_done(&c->service);
}

static int spans_filter(struct sql_cursor *super, const struct sql_given *given, struct err *err)
{
    struct span_cursor *c = (struct span_cursor *)super;
    c->at = 0;
    c->window = given->window;
    c->has_trace = given->has_trace;
    c->trace = given->trace;
    c->has_service = given->has_service;
    buf_put(&c->service, given->service);
    if (c->service.failed)
        return err_set(err, ERR_NOMEM, "name of a service");
    return walk_begin(&c->walk, &super->moment->session, given->window,
                      given->has_trace ? &given->trace : NULL, err);
}

static bool is_wanted(const struct span_cursor *c, const struct span *s)
{
    return s->start_ns >= c->window.from_ns &&
           (s->start_ns < c->window.to_ns || c->window.to_ns == INT64_MAX) &&
           (!c->has_trace || trace_id_eq(s->trace_id, c->trace)) &&
           (!c->has_service || sv_eq(span_service(s), buf_sv(&c->service)));
}

static int spans_next(struct sql_cursor *super, struct err *err)
{
    struct span_cursor *c = (struct span_cursor *)super;
    super->row = NULL;
    for (;;) {
        const struct batch *b = c->walk.batch;
        for (; b && c->at < b->spans_len; c->at++) {
            if (is_wanted(c, &b->spans[c->at])) {
                super->row = &b->spans[c->at++];
                return 0;
            }
        }
        c->at = 0;
        int rc = walk_next(&c->walk, err);
        if (rc <= 0)
            return rc;
    }
}

static struct sv resource_text(const struct span *s, struct sv key)
{
    return attrs_str(&s->resource->attrs, key);
}

#define COLUMN(name) static void put_##name(sqlite3_context *to, const void *row)
#define SPAN         ((const struct span *)row)

COLUMN(trace_id)
{
    sql_put_trace_id(to, SPAN->trace_id);
}
COLUMN(span_id)
{
    sql_put_span_id(to, SPAN->span_id);
}
COLUMN(parent_span_id)
{
    sql_put_span_id(to, SPAN->parent_id);
}
COLUMN(service)
{
    sql_put_text_or_null(to, span_service(SPAN));
}
COLUMN(namespace)
{
    struct sv of_pod = resource_text(SPAN, SV("k8s.namespace.name"));
    sql_put_text_or_null(to, of_pod.len ? of_pod : resource_text(SPAN, SV("service.namespace")));
}
COLUMN(name)
{
    sql_put_text(to, SPAN->name);
}
COLUMN(kind)
{
    sql_put_text(to, sv_z(span_kind_name(SPAN->kind)));
}
COLUMN(status)
{
    static const char *const names[] = { "unset", "ok", "error" };
    size_t status = (size_t)SPAN->status;
    sql_put_text(to, sv_z(names[status < NELEMS(names) ? status : 0]));
}
COLUMN(status_message)
{
    sql_put_text_or_null(to, SPAN->status_message);
}
COLUMN(start)
{
    sql_put_time(to, SPAN->start_ns);
}
COLUMN(start_ns)
{
    sqlite3_result_int64(to, SPAN->start_ns);
}
COLUMN(duration_ms)
{
    sqlite3_result_double(to, (double)span_duration_ns(SPAN) / 1e6);
}
COLUMN(duration_ns)
{
    sqlite3_result_int64(to, span_duration_ns(SPAN));
}
COLUMN(attributes)
{
    AUTO_DONE(buf) text = { 0 };
    span_json_attrs(&text, &SPAN->attrs);
    sql_put_buf(to, &text);
}
COLUMN(resource)
{
    AUTO_DONE(buf) text = { 0 };
    span_json_attrs(&text, &SPAN->resource->attrs);
    sql_put_buf(to, &text);
}
COLUMN(scope_name)
{
    sql_put_text_or_null(to, SPAN->scope->name);
}
COLUMN(scope_version)
{
    sql_put_text_or_null(to, SPAN->scope->version);
}
COLUMN(scope_attributes)
{
    AUTO_DONE(buf) text = { 0 };
    span_json_attrs(&text, &SPAN->scope->attrs);
    sql_put_buf(to, &text);
}
COLUMN(events)
{
    AUTO_DONE(buf) text = { 0 };
    span_json_events(&text, SPAN);
    sql_put_buf(to, &text);
}
COLUMN(links)
{
    AUTO_DONE(buf) text = { 0 };
    span_json_links(&text, SPAN);
    sql_put_buf(to, &text);
}
COLUMN(trace_state)
{
    sql_put_text_or_null(to, SPAN->trace_state);
}
COLUMN(flags)
{
    sqlite3_result_int64(to, SPAN->flags);
}

/* clang-format off */
static const struct sql_column columns[] = {
    { "trace_id",         "TEXT",    "32 hexadecimal digits", put_trace_id },
    { "span_id",          "TEXT",    "16 hexadecimal digits", put_span_id },
    { "parent_span_id",   "TEXT",    "NULL: a root", put_parent_span_id },
    { "service",          "TEXT",    "service.name of its resource", put_service },
    { "namespace",        "TEXT",    "k8s.namespace.name of its resource, else service.namespace", put_namespace },
    { "name",             "TEXT",    "the operation", put_name },
    { "kind",             "TEXT",    "unspecified, internal, server, client, producer, consumer", put_kind },
    { "status",           "TEXT",    "unset, ok, error", put_status },
    { "status_message",   "TEXT",    "", put_status_message },
    { "start",            "TEXT",    "UTC, YYYY-MM-DD HH:MM:SS.nnnnnnnnn", put_start },
    { "start_ns",         "INTEGER", "since 1970, UTC", put_start_ns },
    { "duration_ms",      "REAL",    "", put_duration_ms },
    { "duration_ns",      "INTEGER", "", put_duration_ns },
    { "attributes",       "TEXT",    "JSON object: attr(attributes, 'http.route')", put_attributes },
    { "resource",         "TEXT",    "JSON object", put_resource },
    { "scope_name",       "TEXT",    "the instrumentation library", put_scope_name },
    { "scope_version",    "TEXT",    "", put_scope_version },
    { "scope_attributes", "TEXT",    "JSON object", put_scope_attributes },
    { "events",           "TEXT",    "JSON array of {time_ns, name, attributes}", put_events },
    { "links",            "TEXT",    "JSON array of {trace_id, span_id, trace_state, attributes}", put_links },
    { "trace_state",      "TEXT",    "as the caller sent it", put_trace_state },
    { "flags",            "INTEGER", "W3C trace flags and OTLP's own", put_flags },
};
enum { COL_TRACE_ID = 0, COL_SERVICE = 3, COL_START = 9, COL_START_NS = 10 };

static const struct sql_constraint constraints[] = {
    { COL_TRACE_ID, BOUND_EQ,   PUSHED_TRACE,   "trace_id=", 1e-5 },
    { COL_SERVICE,  BOUND_EQ,   PUSHED_SERVICE, "service=",  0.3 },
    { COL_START_NS, BOUND_EQ,   PUSHED_NS,      "start_ns=", 0.02 },
    { COL_START_NS, BOUND_FROM, PUSHED_NS,      "start_ns>", 0.3 },
    { COL_START_NS, BOUND_TO,   PUSHED_NS,      "start_ns<", 0.3 },
    { COL_START,    BOUND_EQ,   PUSHED_TEXT,    "start=",    0.02 },
    { COL_START,    BOUND_FROM, PUSHED_TEXT,    "start>",    0.3 },
    { COL_START,    BOUND_TO,   PUSHED_TEXT,    "start<",    0.3 },
};
/* clang-format on */

const struct sql_table sql_spans = {
    .name = "spans",
    .about = "every span; pushed down: trace_id =, service =, start and start_ns = < > BETWEEN",
    .columns = columns,
    .columns_len = NELEMS(columns),
    .constraints = constraints,
    .constraints_len = NELEMS(constraints),
    .cursor_bytes = sizeof(struct span_cursor),
    .filter = spans_filter,
    .next = spans_next,
    .done = spans_done,
};
