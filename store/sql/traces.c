/* traces.c - the table `traces`: a row for each trace, made while its chunks are read.
 *
 * A time is that of the earliest span; the chunks of the window hold that span, and the walk finds
 * the rest of the trace wherever it lies. */
#include "base/json_out.h"
#include "store/sql/table.h"
#include "store/sqlite/trace_walk.h"

struct trace_cursor {
    struct sql_cursor super;
    struct trace_walk walk;
};

static void traces_done(struct sql_cursor *super)
{
    trace_walk_done(&((struct trace_cursor *)super)->walk);
}

static int traces_filter(struct sql_cursor *super, const struct sql_given *given, struct err *err)
{
    return trace_walk_begin(&((struct trace_cursor *)super)->walk, &super->moment->session,
                            given->window, given->has_trace ? &given->trace : NULL, err);
}

static int traces_next(struct sql_cursor *super, struct err *err)
{
    const struct walked_trace *t = NULL;
    int rc = trace_walk_next(&((struct trace_cursor *)super)->walk, &t, err);
    super->row = t;
    return rc;
}

#define COLUMN(name) static void put_##name(sqlite3_context *to, const void *row)
#define WALKED       ((const struct walked_trace *)row)
#define TRACE        (&WALKED->sum.t)

static int64_t duration_of(const struct trace_summary *t)
{
    int64_t ns;
    return __builtin_sub_overflow(t->end_ns, t->start_ns, &ns) ? INT64_MAX : ns;
}

COLUMN(trace_id)
{
    sql_put_trace_id(to, TRACE->trace_id);
}
COLUMN(start)
{
    sql_put_time(to, TRACE->start_ns);
}
COLUMN(start_ns)
{
    sqlite3_result_int64(to, TRACE->start_ns);
}
COLUMN(duration_ms)
{
    sqlite3_result_double(to, (double)duration_of(TRACE) / 1e6);
}
COLUMN(duration_ns)
{
    sqlite3_result_int64(to, duration_of(TRACE));
}
COLUMN(root_service)
{
    sql_put_text_or_null(to, TRACE->root_service);
}
COLUMN(root_name)
{
    sql_put_text(to, TRACE->root_name);
}
COLUMN(spans)
{
    sqlite3_result_int64(to, (sqlite3_int64)TRACE->spans_len);
}
COLUMN(errors)
{
    sqlite3_result_int64(to, (sqlite3_int64)TRACE->errors_len);
}
COLUMN(services)
{
    AUTO_DONE(buf) text = { 0 };
    struct json_out j = json_out_of(&text);
    json_open(&j, '[');
    for (const struct service_name *s = WALKED->services; s; s = s->next)
        json_str(&j, s->name);
    json_close(&j);
    sql_put_buf(to, &text);
}

/* clang-format off */
static const struct sql_column columns[] = {
    { "trace_id",     "TEXT",    "32 hexadecimal digits", put_trace_id },
    { "start",        "TEXT",    "of its earliest span: UTC, YYYY-MM-DD HH:MM:SS.nnnnnnnnn", put_start },
    { "start_ns",     "INTEGER", "since 1970, UTC", put_start_ns },
    { "duration_ms",  "REAL",    "from the earliest start to the latest end", put_duration_ms },
    { "duration_ns",  "INTEGER", "", put_duration_ns },
    { "root_service", "TEXT",    "of the root, or of the earliest span when no root came", put_root_service },
    { "root_name",    "TEXT",    "", put_root_name },
    { "spans",        "INTEGER", "", put_spans },
    { "errors",       "INTEGER", "spans with status error", put_errors },
    { "services",     "TEXT",    "JSON array", put_services },
};
enum { COL_TRACE_ID = 0, COL_START = 1, COL_START_NS = 2 };

static const struct sql_constraint constraints[] = {
    { COL_TRACE_ID, BOUND_EQ,   PUSHED_TRACE, "trace_id=", 1e-5 },
    { COL_START_NS, BOUND_EQ,   PUSHED_NS,    "start_ns=", 0.02 },
    { COL_START_NS, BOUND_FROM, PUSHED_NS,    "start_ns>", 0.3 },
    { COL_START_NS, BOUND_TO,   PUSHED_NS,    "start_ns<", 0.3 },
    { COL_START,    BOUND_EQ,   PUSHED_TEXT,  "start=",    0.02 },
    { COL_START,    BOUND_FROM, PUSHED_TEXT,  "start>",    0.3 },
    { COL_START,    BOUND_TO,   PUSHED_TEXT,  "start<",    0.3 },
};
/* clang-format on */

const struct sql_table sql_traces = {
    .name = "traces",
    .about = "every trace; pushed down: trace_id =, start and start_ns = < > BETWEEN",
    .columns = columns,
    .columns_len = NELEMS(columns),
    .constraints = constraints,
    .constraints_len = NELEMS(constraints),
    .cursor_bytes = sizeof(struct trace_cursor),
    .filter = traces_filter,
    .next = traces_next,
    .done = traces_done,
};
