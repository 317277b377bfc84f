/* edges.c - the table `edges`: what each edge did in a bucket of time, each request once.
 *
 * A stored bucket has a column for each reporter (model/call.h). Only the one whose evidence counts
 * (model/evidence.h) becomes a row, so sum(requests) is right; for that, a bucket whose best
 * reporter is not the very best is compared with those beside it. Buckets of 10 s, a minute and an
 * hour tell the same story three times; a query gets those of 10 s unless it says width_s = 60 or
 * 3600. */
#include "base/clock.h"
#include "base/json_out.h"
#include "model/evidence.h"
#include "store/sql/table.h"
#include "store/sqlite/cells.h"

/* Columns of the statement; both ends have the same six, in the order of end_parts. */
enum {
    AT_START,
    AT_EDGE,
    AT_CELLS,
    AT_PROTOCOL,
    AT_ASKED_FOR,
    AT_SOURCE,
    AT_DESTINATION = AT_SOURCE + 6,
};
static const char rows_sql[] =
    "SELECT b.start_s, b.edge, b.cells, e.protocol, e.asked_for, e.source_cluster,"
    " e.source_namespace, e.source_workload, e.source_service, e.source_version,"
    " e.source_principal, e.destination_cluster, e.destination_namespace, e.destination_workload,"
    " e.destination_service, e.destination_version, e.destination_principal"
    " FROM edge_bucket b JOIN edge e ON e.id = b.edge"
    " WHERE b.width_s = ?1 AND b.start_s >= ?2 AND b.start_s <= ?3";
static const char beside_sql[] =
    "SELECT cells FROM edge_bucket WHERE width_s = ?1 AND start_s = ?2 AND edge = ?3";

struct edge_cursor {
    struct sql_cursor super;
    sqlite3_stmt *rows, *beside;
    int64_t width_s;
    struct edge_bucket bucket; /* of the current row */
    enum reporter evidence;
    const struct edge_cell *cell; /* bucket.cells[evidence] */
};

static void edges_done(struct sql_cursor *super)
{
    struct edge_cursor *c = (struct edge_cursor *)super;
    sqlite3_finalize(c->rows);
    sqlite3_finalize(c->beside);
    edge_bucket_done(&c->bucket);
    c->rows = c->beside = NULL;
    c->bucket = (struct edge_bucket){ 0 };
}

static int prepare(struct db *db, const char *sql, sqlite3_stmt **ret_st, struct err *err)
{
    return sqlite3_prepare_v2(db->handle, sql, -1, ret_st, NULL) == SQLITE_OK
               ? 0
               : db_fail(db, "edges", err);
}

static int edges_filter(struct sql_cursor *super, const struct sql_given *given, struct err *err)
{
    struct edge_cursor *c = (struct edge_cursor *)super;
    struct db *db = &super->moment->session.db;
    c->width_s = given->width_s;
    int rc = prepare(db, rows_sql, &c->rows, err);
    if (rc == 0)
        rc = prepare(db, beside_sql, &c->beside, err);
    if (rc < 0)
        return rc;
    db_bind_i64(c->rows, 1, given->width_s);
    db_bind_i64(c->rows, 2, given->window.from_ns / NS_PER_S - 1);
    db_bind_i64(c->rows, 3, given->window.to_ns / NS_PER_S + 1);
    return 0;
}

/* Who saw the edge in the bucket that starts there. */
static int reporters_at(struct edge_cursor *c, int64_t start_s, reporter_set *ret_seen,
                        struct err *err)
{
    struct db *db = &c->super.moment->session.db;
    sqlite3_reset(c->beside);
    db_bind_i64(c->beside, 1, c->width_s);
    db_bind_i64(c->beside, 2, start_s);
    db_bind_i64(c->beside, 3, sqlite3_column_int64(c->rows, AT_EDGE));
    struct edge_bucket b = { 0 };
    int rc = db_step(db, c->beside, "edges", err);
    if (rc > 0)
        rc = cells_merge(db_column(c->beside, 0), &b, err);
    *ret_seen = reporters_of(&b);
    edge_bucket_done(&b);
    return rc;
}

/* Decides whose column counts; none: c->cell is NULL. */
static int weigh(struct edge_cursor *c, struct err *err)
{
    int64_t start_s = sqlite3_column_int64(c->rows, AT_START);
    reporter_set before = 0, at = reporters_of(&c->bucket), after = 0;
    int rc = 0;
    if (reporters_best(at) != 0) {
        rc = reporters_at(c, start_s - c->width_s, &before, err);
        if (rc == 0)
            rc = reporters_at(c, start_s + c->width_s, &after, err);
    }
    c->evidence = evidence_of(before, at, after);
    c->cell = c->evidence < REPORTERS_LEN ? c->bucket.cells[c->evidence] : NULL;
    return rc;
}

static int edges_next(struct sql_cursor *super, struct err *err)
{
    struct edge_cursor *c = (struct edge_cursor *)super;
    struct db *db = &super->moment->session.db;
    super->row = NULL;
    for (;;) {
        edge_bucket_done(&c->bucket);
        c->bucket = (struct edge_bucket){ 0 };
        int rc = db_step(db, c->rows, "edges", err);
        if (rc <= 0)
            return rc;
        rc = cells_merge(db_column(c->rows, AT_CELLS), &c->bucket, err);
        if (rc == 0)
            rc = weigh(c, err);
        if (rc < 0)
            return rc;
        if (c->cell) {
            super->row = c;
            return 0;
        }
    }
}

#define COLUMN(name) static void put_##name(sqlite3_context *to, const void *row)
#define CURSOR       ((const struct edge_cursor *)row)
#define CELL         (CURSOR->cell)

/* A text of the edge's own row. */
static void put_part(sqlite3_context *to, const void *row, int at)
{
    sql_put_text(to, db_column(CURSOR->rows, at));
}

#define END_COLUMN(name, at)                                                                       \
    COLUMN(source_##name)                                                                          \
    {                                                                                              \
        put_part(to, row, AT_SOURCE + (at));                                                       \
    }                                                                                              \
    COLUMN(destination_##name)                                                                     \
    {                                                                                              \
        put_part(to, row, AT_DESTINATION + (at));                                                  \
    }
END_COLUMN(cluster, 0)
END_COLUMN(namespace, 1)
END_COLUMN(workload, 2)
END_COLUMN(service, 3)
END_COLUMN(version, 4)
END_COLUMN(principal, 5)

COLUMN(start)
{
    sql_put_time(to, sqlite3_column_int64(CURSOR->rows, AT_START) * NS_PER_S);
}
COLUMN(start_ns)
{
    sqlite3_result_int64(to, sqlite3_column_int64(CURSOR->rows, AT_START) * NS_PER_S);
}
COLUMN(width_s)
{
    sqlite3_result_int64(to, CURSOR->width_s);
}
COLUMN(protocol)
{
    int64_t p = sqlite3_column_int64(CURSOR->rows, AT_PROTOCOL);
    bool is_known = p >= 0 && p < PROTOCOLS_LEN;
    sql_put_text(to, is_known ? sv_z(protocol_name((enum protocol)p)) : SV("unknown"));
}
COLUMN(asked_for)
{
    put_part(to, row, AT_ASKED_FOR);
}
COLUMN(evidence)
{
    sql_put_text(to, sv_z(reporter_name(CURSOR->evidence)));
}
COLUMN(requests)
{
    sqlite3_result_int64(to, (sqlite3_int64)CELL->requests);
}
COLUMN(errors)
{
    sqlite3_result_int64(to, (sqlite3_int64)CELL->errors);
}

static void put_quantile(sqlite3_context *to, const struct edge_cell *cell, double q)
{
    if (cell->latency.count)
        sqlite3_result_double(to, (double)hist_quantile(&cell->latency, q) / 1e6);
}
COLUMN(p50_ms)
{
    put_quantile(to, CELL, 0.5);
}
COLUMN(p95_ms)
{
    put_quantile(to, CELL, 0.95);
}
COLUMN(p99_ms)
{
    put_quantile(to, CELL, 0.99);
}
COLUMN(mean_ms)
{
    const struct hist *h = &CELL->latency;
    if (h->count)
        sqlite3_result_double(to, (double)h->sum_ns / (double)h->count / 1e6);
}

/* One word for the bucket: what all requests agree on, else "mixed". */
COLUMN(tls)
{
    const char *word = NULL;
    for (int i = 0; i < TLS_STATES_LEN; i++)
        if (CELL->tls[i])
            word = word ? "mixed" : tls_state_name((enum tls_state)i);
    sql_put_text(to, sv_z(word ? word : "unknown"));
}
COLUMN(mutual_requests)
{
    sqlite3_result_int64(to, (sqlite3_int64)CELL->tls[TLS_MUTUAL]);
}
COLUMN(plaintext_requests)
{
    sqlite3_result_int64(to, (sqlite3_int64)CELL->tls[TLS_PLAINTEXT]);
}
COLUMN(bytes_received)
{
    sqlite3_result_int64(to, (sqlite3_int64)CELL->bytes_received);
}
COLUMN(bytes_sent)
{
    sqlite3_result_int64(to, (sqlite3_int64)CELL->bytes_sent);
}
COLUMN(codes)
{
    static const char *const names[CODES_LEN] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    AUTO_DONE(buf) text = { 0 };
    struct json_out j = json_out_of(&text);
    json_open(&j, '{');
    for (int i = 0; i < CODES_LEN; i++)
        if (CELL->codes[i])
            json_kv_u64(&j, names[i], CELL->codes[i]);
    json_close(&j);
    sql_put_buf(to, &text);
}
COLUMN(flags)
{
    AUTO_DONE(buf) text = { 0 };
    struct json_out j = json_out_of(&text);
    json_open(&j, '{');
    for (uint32_t i = 0; i < CELL->flags_len; i++) {
        json_key(&j, sv_z(CELL->flags[i].flag));
        json_u64(&j, CELL->flags[i].count);
    }
    json_close(&j);
    sql_put_buf(to, &text);
}
COLUMN(trace_id)
{
    sql_put_trace_id(to, CELL->exemplar_trace);
}
COLUMN(error_trace_id)
{
    sql_put_trace_id(to, CELL->error_trace);
}

/* clang-format off */
static const struct sql_column columns[] = {
    { "start",                 "TEXT",    "of the bucket: UTC, YYYY-MM-DD HH:MM:SS.nnnnnnnnn", put_start },
    { "start_ns",              "INTEGER", "since 1970, UTC", put_start_ns },
    { "width_s",               "INTEGER", "10 unless the query says width_s = 60 or 3600", put_width_s },
    { "source_service",        "TEXT",    "who called", put_source_service },
    { "destination_service",   "TEXT",    "who was called", put_destination_service },
    { "protocol",              "TEXT",    "http, grpc, tcp", put_protocol },
    { "requests",              "INTEGER", "each one once", put_requests },
    { "errors",                "INTEGER", "no response, 5xx, gRPC status other than OK", put_errors },
    { "p50_ms",                "REAL",    "latency; off by 4.5 % at most", put_p50_ms },
    { "p95_ms",                "REAL",    "", put_p95_ms },
    { "p99_ms",                "REAL",    "", put_p99_ms },
    { "mean_ms",               "REAL",    "", put_mean_ms },
    { "tls",                   "TEXT",    "mutual, tls, plaintext, unknown; mixed", put_tls },
    { "evidence",              "TEXT",    "whose count it is: source, destination, pair, span", put_evidence },
    { "source_cluster",        "TEXT",    "", put_source_cluster },
    { "source_namespace",      "TEXT",    "", put_source_namespace },
    { "source_workload",       "TEXT",    "", put_source_workload },
    { "source_version",        "TEXT",    "", put_source_version },
    { "source_principal",      "TEXT",    "as proven by mutual TLS", put_source_principal },
    { "destination_cluster",   "TEXT",    "", put_destination_cluster },
    { "destination_namespace", "TEXT",    "", put_destination_namespace },
    { "destination_workload",  "TEXT",    "", put_destination_workload },
    { "destination_version",   "TEXT",    "", put_destination_version },
    { "destination_principal", "TEXT",    "as proven by mutual TLS", put_destination_principal },
    { "asked_for",             "TEXT",    "the host that was asked for last", put_asked_for },
    { "mutual_requests",       "INTEGER", "over mutual TLS", put_mutual_requests },
    { "plaintext_requests",    "INTEGER", "without TLS", put_plaintext_requests },
    { "bytes_received",        "INTEGER", "of request bodies", put_bytes_received },
    { "bytes_sent",            "INTEGER", "of response bodies", put_bytes_sent },
    { "codes",                 "TEXT",    "JSON object: requests by class, 2xx", put_codes },
    { "flags",                 "TEXT",    "JSON object: requests by response flag, UF", put_flags },
    { "trace_id",              "TEXT",    "an example", put_trace_id },
    { "error_trace_id",        "TEXT",    "one that failed", put_error_trace_id },
};
enum { COL_START = 0, COL_START_NS = 1, COL_WIDTH_S = 2 };

static const struct sql_constraint constraints[] = {
    { COL_WIDTH_S,  BOUND_EQ,   PUSHED_WIDTH, "width_s=",  0.8 },
    { COL_START_NS, BOUND_EQ,   PUSHED_NS,    "start_ns=", 0.02 },
    { COL_START_NS, BOUND_FROM, PUSHED_NS,    "start_ns>", 0.3 },
    { COL_START_NS, BOUND_TO,   PUSHED_NS,    "start_ns<", 0.3 },
    { COL_START,    BOUND_EQ,   PUSHED_TEXT,  "start=",    0.02 },
    { COL_START,    BOUND_FROM, PUSHED_TEXT,  "start>",    0.3 },
    { COL_START,    BOUND_TO,   PUSHED_TEXT,  "start<",    0.3 },
};
/* clang-format on */

const struct sql_table sql_edges = {
    .name = "edges",
    .about = "every edge in buckets of time; pushed down: width_s =, start and start_ns = < > "
             "BETWEEN",
    .columns = columns,
    .columns_len = NELEMS(columns),
    .constraints = constraints,
    .constraints_len = NELEMS(constraints),
    .cursor_bytes = sizeof(struct edge_cursor),
    .filter = edges_filter,
    .next = edges_next,
    .done = edges_done,
};
