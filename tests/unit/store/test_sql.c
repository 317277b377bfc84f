/* test_sql.c - a store as tables: what they say is what the store says, whatever is pushed down. */
#include "base/clock.h"
#include "base/mem.h"
#include "random_batch.h"
#include "store/match.h"
#include "store/sql/table.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { BATCHES = 40, SPANS = 11 };

struct fixture {
    char dir[64], url[96];
    struct store *owner, *oracle;
    struct batch *batches[BATCHES];
    sqlite3 *db;
};

static struct store *open_store(struct sv url)
{
    struct store_conf conf = { .url = url };
    struct err err = { 0 };
    struct store *s = store_open(&conf, &err);
    if (!s)
        fail_msg("%s", err.why);
    return s;
}

static struct edge_bucket a_bucket(const struct edge *e, int64_t step, enum reporter r, int code)
{
    struct edge_bucket b = { .edge = e, .start_ns = step * BUCKET_NS, .width_ns = BUCKET_NS };
    struct call c = { .reporter = r, .start_ns = b.start_ns, .duration_ns = 2000000 };
    c.grpc_status = -1;
    c.response_code = (uint16_t)code;
    c.tls = TLS_MUTUAL;
    c.response_flags = code == 503 ? SV("UF") : SV_NONE;
    struct edge_cell *cell = edge_bucket_cell(&b, r);
    assert_non_null(cell);
    assert_int_equal(edge_cell_add(cell, &c), 0);
    return b;
}

/* The caller's column is in steps 1 and 2, the callee's in 2, 3 and 7: in 2 it is worse, in 3 it is
 * beside a better one, in 7 it counts. */
static void put_edges(struct store *s)
{
    struct edge e = { .source = identity_unknown(), .destination = identity_unknown() };
    e.source.service = SV("web");
    e.destination.service = SV("cart");
    e.destination_service = SV("cart.shop.svc");
    struct edge_bucket list[] = { a_bucket(&e, 1, REPORTER_SOURCE, 200),
                                  a_bucket(&e, 2, REPORTER_SOURCE, 503),
                                  a_bucket(&e, 2, REPORTER_DESTINATION, 200),
                                  a_bucket(&e, 3, REPORTER_DESTINATION, 200),
                                  a_bucket(&e, 7, REPORTER_DESTINATION, 404) };
    struct store_progress p = { .seq = 1 };
    assert_int_equal(store_put_edges(s, list, NELEMS(list), &p, NULL), 0);
    for (size_t i = 0; i < NELEMS(list); i++)
        edge_bucket_done(&list[i]);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct random_source r = { 7 };
    snprintf(f->dir, sizeof(f->dir), "/tmp/tulle-sql-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof(f->url), "sqlite:%s/t.db", f->dir);
    f->owner = open_store(sv_z(f->url));
    f->oracle = open_store(SV("memory:"));
    sqlite_set_segment_records((struct sqlite_store *)f->owner, 50);
    for (int i = 0; i < BATCHES; i++) {
        f->batches[i] = i % 4 ? random_batch(&r, SPANS, 1, i * NS_PER_S)
                              : mesh_batch(&r, SPANS, i * NS_PER_S);
        assert_int_equal(store_put(f->owner, &f->batches[i], 1, NULL), 0);
        assert_int_equal(store_put(f->oracle, &f->batches[i], 1, NULL), 0);
    }
    put_edges(f->owner);
    assert_int_equal(sqlite3_open(":memory:", &f->db), SQLITE_OK);
    struct err err = { 0 };
    if (sql_add_tables(f->db, sv_z(f->url), &err) < 0)
        fail_msg("%s", err.why);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sqlite3_close(f->db), SQLITE_OK);
    store_close(f->owner);
    store_close(f->oracle);
    for (int i = 0; i < BATCHES; i++)
        batch_free(f->batches[i]);
    DIR *d = opendir(f->dir);
    char path[400];
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(f->dir);
    mem_free(f);
    return 0;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    return st;
}

/* Every row, columns joined by '|', a line each. */
static void read_rows(sqlite3 *db, const char *sql, struct buf *to)
{
    sqlite3_stmt *st = prepare(db, sql);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const void *text = sqlite3_column_text(st, i);
            buf_put(to, sv_of(text, text ? (size_t)sqlite3_column_bytes(st, i) : 0));
            buf_putc(to, i + 1 < sqlite3_column_count(st) ? '|' : '\n');
        }
    if (code != SQLITE_DONE)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(st);
    buf_putc(to, '\0');
}

static void assert_rows(sqlite3 *db, const char *sql, const char *want)
{
    AUTO_DONE(buf) got = { 0 };
    read_rows(db, sql, &got);
    print_message("%s\n", sql);
    assert_string_equal(buf_sv(&got).p, want);
}

/* As the row of a query for the same span says it. */
static int compare_span(void *to, const struct span *s)
{
    sqlite3_stmt *st = to;
    char hex[16];
    hex_encode(hex, s->span_id.b, 8);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    bool has_id = span_id_is_set(s->span_id);
    assert_int_equal(sqlite3_column_bytes(st, 0), has_id ? 16 : 0);
    assert_true(!has_id || memcmp(sqlite3_column_text(st, 0), hex, 16) == 0);
    assert_true(sqlite3_column_int64(st, 1) == s->start_ns);
    assert_true(sqlite3_column_int64(st, 2) == span_duration_ns(s));
    assert_int_equal(sqlite3_column_bytes(st, 3), s->name.len);
    assert_int_equal(sqlite3_column_bytes(st, 4), span_service(s).len);
    assert_int_equal(sqlite3_column_int64(st, 5), s->events_len);
    assert_int_equal(sqlite3_column_int64(st, 6), s->links_len);
    return 0;
}

static void test_spans_are_the_store(void **state)
{
    struct fixture *f = *state;
    sqlite3_stmt *st = prepare(f->db, "SELECT span_id, start_ns, duration_ns, name, service,"
                                      " json_array_length(events), json_array_length(links)"
                                      " FROM spans WHERE trace_id = ?"
                                      " ORDER BY start_ns, coalesce(span_id, '')");
    char want[32];
    for (int i = 0; i < BATCHES; i++) {
        for (size_t n = 0; n < f->batches[i]->spans_len; n += 4) {
            struct trace_id id = f->batches[i]->spans[n].trace_id;
            char text[32];
            if (!trace_id_is_set(id))
                continue;
            hex_encode(text, id.b, sizeof(id.b));
            sqlite3_bind_text(st, 1, text, sizeof(text), SQLITE_STATIC);
            assert_int_equal(store_trace(f->oracle, id, compare_span, st, NULL), 0);
            assert_int_equal(sqlite3_step(st), SQLITE_DONE);
            sqlite3_reset(st);
        }
    }
    sqlite3_finalize(st);
    snprintf(want, sizeof(want), "%d\n", BATCHES * SPANS);
    assert_rows(f->db, "SELECT count(*) FROM spans", want);
    assert_rows(f->db,
                "SELECT count(*) FROM spans WHERE json_valid(attributes) AND"
                " json_valid(resource) AND json_valid(scope_attributes)",
                want);
}

static int compare_trace(void *to, const struct trace_summary *t)
{
    sqlite3_stmt *st = to;
    char hex[32];
    hex_encode(hex, t->trace_id.b, 16);
    sqlite3_reset(st);
    sqlite3_bind_text(st, 1, hex, 32, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_true(sqlite3_column_int64(st, 0) == t->start_ns);
    assert_int_equal(sqlite3_column_int64(st, 1), t->spans_len);
    assert_int_equal(sqlite3_column_int64(st, 2), t->errors_len);
    assert_int_equal(sqlite3_column_bytes(st, 3), t->root_name.len);
    assert_int_equal(sqlite3_column_bytes(st, 4), t->root_service.len);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    return 0;
}

static void test_traces_are_the_store(void **state)
{
    struct fixture *f = *state;
    struct span_query everything = { .limit = 1000 };
    struct search_end end;
    sqlite3_stmt *st = prepare(f->db, "SELECT start_ns, spans, errors, root_name, root_service"
                                      " FROM traces WHERE trace_id = ?");
    assert_int_equal(store_search(f->oracle, &everything, compare_trace, st, &end, NULL), 0);
    sqlite3_finalize(st);
    /* All at once, traces lie across chunks and are still whole. */
    assert_rows(f->db,
                "SELECT count(*) FROM (SELECT trace_id, min(start_ns), count(*),"
                " sum(status = 'error') FROM spans GROUP BY 1 EXCEPT"
                " SELECT trace_id, start_ns, spans, errors FROM traces)",
                "0\n");
    assert_rows(f->db,
                "SELECT count(*) - count(DISTINCT trace_id) FROM traces WHERE trace_id NOT NULL",
                "0\n");
    assert_rows(f->db, "SELECT count(*) FROM traces WHERE json_valid(services) = 0", "0\n");
}

static void test_services_are_the_spans(void **state)
{
    struct fixture *f = *state;
    assert_rows(f->db,
                "SELECT count(*) FROM (SELECT service, count(*), sum(status = 'error'),"
                " count(DISTINCT name), min(start), max(start) FROM spans GROUP BY 1 EXCEPT"
                " SELECT * FROM services)",
                "0\n");
    assert_rows(f->db, "SELECT (SELECT sum(spans) FROM services) - (SELECT count(*) FROM spans)",
                "0\n");
    assert_rows(f->db, "SELECT count(*) FROM services WHERE service = 'checkout'", "1\n");
}

static void test_edges_count_once(void **state)
{
    struct fixture *f = *state;
    assert_rows(f->db,
                "SELECT start_ns / 10000000000, source_service, destination_service, asked_for,"
                " requests, errors, round(p50_ms, 1), mean_ms, tls, evidence, codes, flags"
                " FROM edges ORDER BY start",
                "1|web|cart|cart.shop.svc|1|0|2.0|2.0|mutual|source|{\"2xx\":1}|{}\n"
                "2|web|cart|cart.shop.svc|1|1|2.0|2.0|mutual|source|{\"5xx\":1}|{\"UF\":1}\n"
                "7|web|cart|cart.shop.svc|1|0|2.0|2.0|mutual|destination|{\"4xx\":1}|{}\n");
    assert_rows(f->db,
                "SELECT width_s, start, sum(requests) FROM edges WHERE width_s = 60 GROUP BY 2",
                "60|1970-01-01 00:00:00.000000000|2\n");
    assert_rows(f->db, "SELECT count(*) FROM edges WHERE width_s IN (10, 3600)", "4\n");
    assert_rows(f->db,
                "SELECT count(*) FROM edges WHERE start BETWEEN '1970-01-01 00:00:20' AND"
                " '1970-01-01 00:01:10'",
                "1\n");
    assert_rows(f->db, "SELECT count(*) FROM (SELECT 60 AS w) JOIN edges ON width_s = w", "1\n");
    assert_rows(f->db, "SELECT count(*) FROM edges a, edges b WHERE a.width_s = b.width_s", "9\n");
}

/* The rows of a query whose conditions have `sign` in front. */
static void read_with(sqlite3 *db, const char *select, const char *where, const char *order,
                      const char *sign, struct buf *rows)
{
    AUTO_DONE(buf) sql = { 0 };
    buf_printf(&sql, "%s WHERE ", select);
    for (const char *p = where; *p; p++)
        buf_put(&sql, *p == '@' ? sv_z(sign) : sv_of(p, 1));
    buf_printf(&sql, " ORDER BY %s", order);
    buf_putc(&sql, '\0');
    print_message("%s\n", buf_sv(&sql).p);
    read_rows(db, buf_sv(&sql).p, rows);
}

static bool same_both_ways(sqlite3 *db, const char *select, const char *where, const char *order)
{
    AUTO_DONE(buf) pushed = { 0 };
    AUTO_DONE(buf) not_pushed = { 0 };
    read_with(db, select, where, order, "", &pushed);
    read_with(db, select, where, order, "+", &not_pushed);
    assert_true(sv_eq(buf_sv(&pushed), buf_sv(&not_pushed)));
    return pushed.len > 1;
}

/* A unary plus keeps a constraint from being pushed down: the rows must be the same. */
static void test_pushing_down_changes_nothing(void **state)
{
    static const char *const wheres[] = {
        "@start_ns > 5000000000",
        "@start_ns >= 5000000000 AND @start_ns < 20000000000",
        "@start_ns BETWEEN 12000000000 AND 12000030000",
        "@start_ns = 12000000000",
        "@start_ns < 7.5e9",
        "@start_ns < 'x'",
        "@start_ns > NULL",
        "@start > '1970-01-01 00:00:12'",
        "@start <= '1970-01-01 00:00:12.00002'",
        "@start < '1970-02-31'",
        "@start > '1969'",
        "@start > datetime(12, 'unixepoch') AND @start < datetime(30, 'unixepoch')",
        "@start = '1970-01-01 00:00:12.000000000'",
        "@start LIKE '1970%'",
        "@trace_id = 'zz'",
        "@trace_id = 5",
        "@trace_id IN (SELECT trace_id FROM spans LIMIT 3)",
        "@trace_id = (SELECT upper(trace_id) FROM spans LIMIT 1) COLLATE NOCASE",
    };
    static const char *const of_spans[] = {
        "@service = 'checkout'",
        "@service = 'CHECKOUT' COLLATE NOCASE",
        "@service IN ('checkout', 'GET')",
        "@service = NULL",
        "@service = x'636865636b6f7574'",
        "@service = 'checkout' AND @start_ns > 0 AND @start_ns > 9000000000",
    };
    struct fixture *f = *state;
    size_t found = 0;
    for (size_t i = 0; i < NELEMS(wheres); i++) {
        found += same_both_ways(f->db, "SELECT * FROM spans", wheres[i], "1, 2, 11, 6, 14");
        found += same_both_ways(f->db, "SELECT trace_id, start_ns, spans, errors FROM traces",
                                wheres[i], "1, 2");
    }
    for (size_t i = 0; i < NELEMS(of_spans); i++)
        found += same_both_ways(f->db, "SELECT * FROM spans", of_spans[i], "1, 2, 11, 6, 14");
    assert_true(found > NELEMS(wheres)); /* not only nothing equals nothing */
}

static void test_plans_say_what_is_pushed_down(void **state)
{
    static const struct {
        const char *sql, *plan;
    } cases[] = {
        { "SELECT * FROM spans WHERE trace_id = 'a' AND start_ns > 5",
          "SCAN spans VIRTUAL TABLE INDEX 9:trace_id= start_ns>" },
        { "SELECT * FROM spans WHERE service = 'a' AND start BETWEEN '1' AND '2'",
          "SCAN spans VIRTUAL TABLE INDEX 194:service= start> start<" },
        { "SELECT * FROM spans WHERE duration_ms > 5", "SCAN spans VIRTUAL TABLE INDEX 0:" },
        { "SELECT * FROM traces WHERE start > 'a'", "SCAN traces VIRTUAL TABLE INDEX 32:start>" },
        { "SELECT * FROM edges WHERE width_s = 60", "SCAN edges VIRTUAL TABLE INDEX 1:width_s=" },
        { "SELECT * FROM services WHERE service = 'x'",
          "SCAN services VIRTUAL TABLE INDEX 1:service=" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char sql[200];
        AUTO_DONE(buf) got = { 0 };
        snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", cases[i].sql);
        read_rows(f->db, sql, &got);
        print_message("%s -> %s", cases[i].sql, buf_sv(&got).p);
        assert_non_null(strstr(buf_sv(&got).p, cases[i].plan));
    }
}

static void test_a_statement_sees_one_moment(void **state)
{
    struct fixture *f = *state;
    char want[32];
    struct random_source r = { 99 };
    AUTO_FREE(batch) more = random_batch(&r, 5, 0, 3 * NS_PER_S);
    sqlite3_stmt *st = prepare(f->db, "SELECT (SELECT count(*) FROM spans), 1 FROM spans LIMIT 2");
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int64(st, 0), BATCHES * SPANS);
    assert_int_equal(store_put(f->owner, &more, 1, NULL), 0);
    assert_rows(f->db, "SELECT count(*) - 440 FROM spans", "0\n"); /* the first one still reads */
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    sqlite3_finalize(st);
    snprintf(want, sizeof(want), "%d\n", BATCHES * SPANS + 5);
    assert_rows(f->db, "SELECT count(*) FROM spans", want);
}

static void test_attr(void **state)
{
    struct fixture *f = *state;
    assert_rows(
        f->db,
        "SELECT attr(o, 'a.b'), typeof(attr(o, 'n')), attr(o, 'r'), attr(o, 't'), attr(o, 'l'),"
        " attr(o, 'none'), attr(o, 'z'), attr(o, 'e'), attr(o, NULL), attr(NULL, 'n')"
        " FROM (SELECT '{\"a.b\":\"x\\n\",\"n\":9007199254740993,\"r\":1.5,\"t\":true,"
        "\"l\":[1,{\"k\":2}],\"z\":null,\"e\":\"\",\"a.b\":2}' AS o)",
        "x\n|integer|1.5|1|[1,{\"k\":2}]|||||\n");
    assert_int_equal(sqlite3_exec(f->db, "SELECT attr('[1]', 'x')", NULL, NULL, NULL),
                     SQLITE_ERROR);
    assert_rows(f->db,
                "SELECT count(*) > 0 FROM spans WHERE attr(attributes, 'http.method') = 'GET'",
                "1\n");
}

static void test_out_of_memory(void **state)
{
    static const char *const queries[] = {
        "SELECT *, start FROM spans WHERE service = 'checkout' AND start_ns > 0",
        "SELECT * FROM traces WHERE start_ns BETWEEN 9000000000 AND 30000000000",
        "SELECT * FROM services",
        "SELECT * FROM edges",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < NELEMS(queries); i++) {
        sqlite3_stmt *st = prepare(f->db, queries[i]);
        uint64_t allocations = 0, failures = 0;
        for (uint64_t nth = 0; nth <= allocations; nth += 1 + nth / 8) {
            int code; /* the first time nothing fails, and allocations are counted */
            mem_fail_nth(nth);
            while ((code = sqlite3_step(st)) == SQLITE_ROW)
                for (int c = 0; c < sqlite3_column_count(st); c++)
                    (void)sqlite3_column_text(st, c);
            allocations = nth ? allocations : mem_count();
            mem_fail_nth(0);
            assert_true(code == SQLITE_DONE || code == SQLITE_NOMEM);
            failures += code == SQLITE_NOMEM;
            sqlite3_reset(st);
        }
        print_message("%s: %llu allocations\n", queries[i], (unsigned long long)allocations);
        assert_true(failures > 3);
        sqlite3_finalize(st);
    }
    for (uint64_t nth = 1, left = 1; nth <= left; nth++) {
        sqlite3 *db = NULL;
        assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
        mem_fail_nth(nth);
        int rc = sql_add_tables(db, sv_z(f->url), NULL);
        left = mem_count();
        mem_fail_nth(0);
        assert_int_equal(rc, nth <= left ? ERR_NOMEM : 0);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

static void test_other_stores_have_none(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sql_add_tables(f->db, SV("memory:"), NULL), ERR_UNSUPPORTED);
    assert_true(sql_add_tables(f->db, SV("sqlite:/tmp/tulle-no-such-folder/x"), NULL) < 0);
}

static void test_time_from_text(void **state)
{
    static const struct {
        const char *text;
        bool is_time;
        int64_t want_ns;
    } cases[] = {
        { "1970-01-01 00:00:00.000000001", true, 1 },
        { "1970-01-01 00:00:01", true, NS_PER_S },
        { "1970-01-01 00:00:00.5", true, NS_PER_S / 2 },
        { "1970-01-01 00:00:00.", true, 0 },
        { "1970-01-01 01", true, 3600 * NS_PER_S },
        { "1970-01-02", true, 86400 * NS_PER_S },
        { "1970-02", true, 31 * 86400 * NS_PER_S },
        { "1971", true, 365 * 86400 * NS_PER_S },
        { "1969-12-31 23:59:59.999999999", true, -1 },
        { "", false, 0 },
        { "197", false, 0 },
        { "1970-", false, 0 },
        { "1970-1-1", false, 0 },
        { "1970-01-01T00:00:00", false, 0 },
        { "1970-02-30", false, 0 },
        { "1970-01-01 24:00", false, 0 },
        { "1970-01-01 00:00:00.0000000001", false, 0 },
        { "1970-01-01 00:00:00Z", false, 0 },
        { "1677-01-01", false, 0 },
        { "9999-12-31", false, 0 },
        { "0000", false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        int64_t t_ns = 0;
        print_message("case: '%s'\n", cases[i].text);
        assert_int_equal(sql_time_from_sv(sv_z(cases[i].text), &t_ns), cases[i].is_time);
        assert_true(t_ns == cases[i].want_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spans_are_the_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_traces_are_the_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_services_are_the_spans, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_edges_count_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pushing_down_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plans_say_what_is_pushed_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_statement_sees_one_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attr, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_stores_have_none, set_up, tear_down),
        cmocka_unit_test(test_time_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
