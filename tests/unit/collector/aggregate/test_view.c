/* test_view.c - a window's truth: each request once, rolled up, whatever order buckets come in. */
#include "../sample.h"
#include "aggregate/view.h"
#include "base/mem.h"

/* One column of one bucket. */
struct column {
    int bucket; /* from T0 */
    const char *source, *source_version, *destination, *destination_version;
    enum reporter reporter;
    int requests, failed;
};

static void feed(struct view_builder *b, const struct column *c)
{
    struct edge e = { .protocol = PROTOCOL_HTTP, .destination_service = SV("host") };
    e.source = sample_who(sv_z(c->source), sv_z(c->source_version));
    e.destination = sample_who(sv_z(c->destination), sv_z(c->destination_version));
    /* workloads are named service-version, as in a mesh */
    char workload[2][64];
    snprintf(workload[0], 64, "%s-%s", c->source, c->source_version);
    snprintf(workload[1], 64, "%s-%s", c->destination, c->destination_version);
    e.source.workload = sv_z(workload[0]);
    e.destination.workload = sv_z(workload[1]);
    struct edge_bucket bucket = { .edge = &e,
                                  .start_ns = T0 + c->bucket * BUCKET_NS,
                                  .width_ns = BUCKET_NS };
    struct edge_cell *cell = edge_bucket_cell(&bucket, c->reporter);
    assert_non_null(cell);
    for (int i = 0; i < c->requests; i++) {
        struct call call = sample_call(SV("x"), SV("y"), c->reporter, bucket.start_ns + i,
                                       i < c->failed ? 503 : 200);
        if (c->reporter == REPORTER_DESTINATION)
            call.duration_ns = NS_PER_MS;
        assert_int_equal(edge_cell_add(cell, &call), 0);
    }
    (void)view_builder_add(b, &bucket);
    edge_bucket_done(&bucket);
}

static void read_columns(const struct column *list, size_t n, const struct view_wish *w,
                         bool is_reversed, struct view *ret)
{
    AUTO_FREE(view_builder) b = view_builder_new(w);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++)
        feed(b, &list[is_reversed ? n - 1 - i : i]);
    assert_int_equal(view_builder_finish(b, ret, NULL), 0);
}

static const struct view_wish minute = { .window = { T0, T0 + 6 * BUCKET_NS } };

enum { COLUMNS = 8 };
static const struct {
    const char *name;
    struct column columns[COLUMNS];
    int edges, requests, errors; /* of all edges */
    enum reporter evidence;      /* of the first edge */
    int server_count;            /* requests behind its serverLatency */
} cases[] = {
    { "caller and callee",
      { { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 5, 1 },
        { 0, "a", "v1", "b", "v1", REPORTER_DESTINATION, 5, 1 } },
      1,
      5,
      1,
      REPORTER_SOURCE,
      5 },
    { "callee alone",
      { { 0, "a", "v1", "b", "v1", REPORTER_DESTINATION, 5, 1 } },
      1,
      5,
      1,
      REPORTER_DESTINATION,
      5 },
    { "over the border",
      { { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 2, 0 },
        { 0, "a", "v1", "b", "v1", REPORTER_DESTINATION, 1, 0 },
        { 1, "a", "v1", "b", "v1", REPORTER_DESTINATION, 1, 0 } },
      1,
      2,
      0,
      REPORTER_SOURCE,
      2 },
    { "the callee's first, far from the caller's",
      { { 0, "a", "v1", "b", "v1", REPORTER_DESTINATION, 4, 0 },
        { 3, "a", "v1", "b", "v1", REPORTER_SOURCE, 2, 0 } },
      1,
      6,
      0,
      REPORTER_SOURCE,
      4 },
    { "the caller's lies just outside the window",
      { { -1, "a", "v1", "b", "v1", REPORTER_SOURCE, 1, 0 },
        { 0, "a", "v1", "b", "v1", REPORTER_DESTINATION, 1, 0 } },
      0,
      0,
      0,
      REPORTERS_LEN,
      0 },
    { "the caller's after the window",
      { { 5, "a", "v1", "b", "v1", REPORTER_DESTINATION, 1, 0 },
        { 6, "a", "v1", "b", "v1", REPORTER_SOURCE, 1, 0 } },
      0,
      0,
      0,
      REPORTERS_LEN,
      0 },
    { "outside both ways",
      { { -1, "a", "v1", "b", "v1", REPORTER_SOURCE, 1, 0 },
        { 6, "a", "v1", "b", "v1", REPORTER_SOURCE, 1, 0 },
        { -2, "a", "v1", "b", "v1", REPORTER_SOURCE, 1, 0 },
        { 7, "a", "v1", "b", "v1", REPORTER_SOURCE, 1, 0 } },
      0,
      0,
      0,
      REPORTERS_LEN,
      0 },
    { "parts of one bucket add up",
      { { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 2, 0 },
        { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 3, 1 } },
      1,
      5,
      1,
      REPORTER_SOURCE,
      0 },
    { "the caller's part comes after the callee's was read",
      { { 0, "a", "v1", "b", "v1", REPORTER_DESTINATION, 3, 0 },
        { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 3, 0 } },
      1,
      3,
      0,
      REPORTER_SOURCE,
      3 },
    { "edges do not mix",
      { { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 9, 0 },
        { 0, "a", "v1", "b", "v2", REPORTER_DESTINATION, 4, 0 },
        { 1, "a", "v1", "c", "v1", REPORTER_PAIR, 3, 0 } },
      3,
      16,
      0,
      REPORTER_SOURCE,
      0 },
};

static void test_evidence(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++)
        for (int is_reversed = 0; is_reversed < 2; is_reversed++) {
            size_t n = 0;
            while (n < COLUMNS && cases[i].columns[n].source)
                n++;
            print_message("case: %s%s\n", cases[i].name, is_reversed ? ", reversed" : "");
            AUTO_DONE(view) v = { 0 };
            read_columns(cases[i].columns, n, &minute, is_reversed, &v);
            int requests = 0, errors = 0;
            for (size_t k = 0; k < v.edges_len; k++) {
                requests += (int)v.edges[k].sum.requests;
                errors += (int)v.edges[k].sum.errors;
            }
            assert_int_equal(v.edges_len, cases[i].edges);
            assert_int_equal(requests, cases[i].requests);
            assert_int_equal(errors, cases[i].errors);
            if (v.edges_len) {
                assert_int_equal(v.edges[0].evidence, cases[i].evidence);
                assert_int_equal(v.edges[0].server_latency.count, cases[i].server_count);
            } else {
                assert_int_equal(v.nodes_len, 0);
            }
        }
}

static const struct column mesh[] = {
    { 0, "a", "v1", "b", "v1", REPORTER_SOURCE, 9, 0 },
    { 1, "a", "v1", "b", "v2", REPORTER_SOURCE, 1, 1 },
    { 2, "b", "v1", "c", "v1", REPORTER_SOURCE, 5, 0 },
    { 3, "b", "v2", "c", "v1", REPORTER_SOURCE, 4, 0 },
};

static void test_roll_ups(void **state)
{
    static const struct {
        enum granularity g;
        size_t edges, nodes;
    } wants[] = {
        { GRANULARITY_WORKLOAD, 4, 4 },  { GRANULARITY_VERSIONED_APP, 4, 4 },
        { GRANULARITY_APP, 2, 3 },       { GRANULARITY_SERVICE, 2, 3 },
        { GRANULARITY_NAMESPACE, 1, 1 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(wants); i++) {
        struct view_wish w = minute;
        AUTO_DONE(view) v = { 0 };
        uint64_t requests = 0;
        w.granularity = wants[i].g;
        read_columns(mesh, NELEMS(mesh), &w, false, &v);
        assert_int_equal(v.edges_len, wants[i].edges);
        assert_int_equal(v.nodes_len, wants[i].nodes);
        for (size_t k = 0; k < v.edges_len; k++) {
            requests += v.edges[k].sum.requests;
            assert_int_equal(v.edges[k].sum.latency.count, v.edges[k].sum.requests);
        }
        assert_int_equal(requests, 19);
    }
}

static void test_nodes_and_filter(void **state)
{
    struct view_wish w = minute;
    AUTO_DONE(view) v = { 0 };
    AUTO_DONE(view) one = { 0 };
    AUTO_DONE(view) none = { 0 };
    (void)state;
    w.granularity = GRANULARITY_SERVICE;
    read_columns(mesh, NELEMS(mesh), &w, false, &v);
    assert_true(sv_eq(v.nodes[1].who.service, SV("b")));
    assert_int_equal(v.nodes[1].who.version.len, 0);
    assert_int_equal(node_load_requests(&v.nodes[1].in), 10);
    assert_int_equal(node_load_errors(&v.nodes[1].in), 1);
    assert_int_equal(node_load_requests(&v.nodes[1].out), 9);
    assert_int_equal(node_load_health(&v.nodes[1].in), HEALTH_FAILING); /* 10 % */
    assert_int_equal(node_load_health(&v.nodes[1].out), HEALTH_HEALTHY);
    assert_int_equal(node_load_health(&v.nodes[0].in), HEALTH_IDLE);
    assert_int_equal(v.nodes[1].type, NODE_WORKLOAD);
    w.edge_id = v.edges[1].id;
    read_columns(mesh, NELEMS(mesh), &w, false, &one);
    assert_int_equal(one.edges_len, 1);
    assert_int_equal(one.edges[0].id, v.edges[1].id);
    assert_int_equal(one.edges[0].sum.requests, v.edges[1].sum.requests);
    w.edge_id = 0;
    w.namespaces = SV("other,elsewhere");
    read_columns(mesh, NELEMS(mesh), &w, false, &none);
    assert_int_equal(none.edges_len, 0);
}

static void test_steps(void **state)
{
    struct view_wish w = minute;
    AUTO_DONE(view) v = { 0 };
    (void)state;
    w.step_ns = 2 * BUCKET_NS;
    w.granularity = GRANULARITY_NAMESPACE;
    read_columns(mesh, NELEMS(mesh), &w, false, &v);
    assert_int_equal(v.edges_len, 2);
    assert_int_equal(v.edges[0].step, 0);
    assert_int_equal(v.edges[0].sum.requests, 10);
    assert_int_equal(v.edges[1].step, 1);
    assert_int_equal(v.edges[1].sum.requests, 9);
}

/* A window that is not aligned is widened to whole buckets. */
static void test_widened(void **state)
{
    struct view_wish w = { .window = { T0 + 1, T0 + BUCKET_NS + 1 } };
    AUTO_DONE(view) v = { 0 };
    (void)state;
    read_columns(mesh, NELEMS(mesh), &w, false, &v);
    assert_int_equal(v.window.from_ns, T0);
    assert_int_equal(v.window.to_ns, T0 + 2 * BUCKET_NS);
    assert_int_equal(v.edges_len, 2);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct view v = { 0 };
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct view_builder *b = view_builder_new(&minute);
        mem_fail_nth(0);
        if (!b)
            continue;
        /* only the builder's own allocations fail: feed() makes cells of its own */
        struct edge e = { sample_who(SV("a"), SV("v1")), sample_who(SV("b"), SV("v1")),
                          PROTOCOL_HTTP, SV("h") };
        struct edge_cell cell = { 0 };
        struct call call = sample_call(SV("a"), SV("b"), REPORTER_DESTINATION, T0, 200);
        assert_int_equal(edge_cell_add(&cell, &call), 0);
        struct edge_bucket bucket = { &e, T0, BUCKET_NS, { NULL, &cell, NULL, NULL } };
        mem_fail_nth(nth);
        (void)view_builder_add(b, &bucket);
        int rc = view_builder_finish(b, &v, &err);
        bool is_done = mem_count() < nth;
        mem_fail_nth(0);
        edge_cell_done(&cell);
        view_builder_free(b);
        if (rc == 0)
            assert_int_equal(v.edges_len, 1);
        else
            assert_int_equal(err.code, ERR_NOMEM);
        view_done(&v);
        if (is_done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evidence),         cmocka_unit_test(test_roll_ups),
        cmocka_unit_test(test_nodes_and_filter), cmocka_unit_test(test_steps),
        cmocka_unit_test(test_widened),          cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
