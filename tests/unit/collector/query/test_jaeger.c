/* test_jaeger.c - Jaeger's shapes span by span, repairs of traces, what tags mean, and every answer
 * with each allocation failing in turn. */
#include "../sample.h"
#include "base/mem.h"
#include "query/jaeger_search.h"
#include "query/jaeger_span.h"
#include "query/trace_adjust.h"

static const struct attr cart_attrs[] = { TEXT("service.name", "cart"), TEXT("host.name", "n1") };
static const struct attr stock_attrs[] = { TEXT("service.name", "stock"), TEXT("host.name", "n2") };
static const struct attr other_attrs[] = { TEXT("service.name", "other") };
static const struct resource cart = { { cart_attrs, 2, 0 }, { NULL, 0 } };
static const struct resource stock = { { stock_attrs, 2, 0 }, { NULL, 0 } };
static const struct resource other = { { other_attrs, 1, 0 }, { NULL, 0 } };
static const struct resource nobody;
static const struct scope no_scope;

static struct span span_at(uint8_t id, uint8_t parent, int64_t start_ns, int64_t end_ns,
                           const struct resource *r)
{
    return (struct span){ .trace_id = sample_trace(1),
                          .span_id = { { [7] = id } },
                          .parent_id = { { [7] = parent } },
                          .start_ns = start_ns,
                          .end_ns = end_ns,
                          .name = SV("work"),
                          .resource = r,
                          .scope = &no_scope };
}

static void assert_text(const struct buf *got, const char *want)
{
    if (!sv_eq(buf_sv(got), sv_z(want)))
        fail_msg("\n got %.*s\nwant %s", SV_ARG(buf_sv(got)), want);
}

static const struct value list_of_two[] = {
    { .type = VALUE_STR, .str = { "a\"", 2 } },
    { .type = VALUE_DOUBLE, .real = 0.5 },
};
static const struct attr map_of_one[] = { NUMBER("k", 7) };

static const struct {
    const char *name;
    struct attr attr;
    const char *json;
} tags[] = {
    { "text", TEXT("k", "v"), "{\"key\":\"k\",\"type\":\"string\",\"value\":\"v\"}" },
    { "number", NUMBER("k", -3), "{\"key\":\"k\",\"type\":\"int64\",\"value\":-3}" },
    { "largest exact number", NUMBER("k", 9007199254740991),
      "{\"key\":\"k\",\"type\":\"int64\",\"value\":9007199254740991}" },
    { "first that is not", NUMBER("k", 9007199254740992),
      "{\"key\":\"k\",\"type\":\"int64\",\"value\":\"9007199254740992\"}" },
    { "smallest", NUMBER("k", INT64_MIN),
      "{\"key\":\"k\",\"type\":\"int64\",\"value\":\"-9223372036854775808\"}" },
    { "flag",
      { { "k", 1 }, { .type = VALUE_BOOL, .boolean = true } },
      "{\"key\":\"k\",\"type\":\"bool\",\"value\":true}" },
    { "real",
      { { "k", 1 }, { .type = VALUE_DOUBLE, .real = 72.5 } },
      "{\"key\":\"k\",\"type\":\"float64\",\"value\":72.5}" },
    { "not a number",
      { { "k", 1 }, { .type = VALUE_DOUBLE, .real = __builtin_nan("") } },
      "{\"key\":\"k\",\"type\":\"float64\",\"value\":\"NaN\"}" },
    { "bytes",
      { { "k", 1 }, { .type = VALUE_BYTES, .str = { "\0\0009", 3 } } },
      "{\"key\":\"k\",\"type\":\"binary\",\"value\":\"AAA5\"}" },
    { "nothing",
      { { "k", 1 }, { .type = VALUE_EMPTY } },
      "{\"key\":\"k\",\"type\":\"string\",\"value\":\"\"}" },
    { "list",
      { { "k", 1 }, { .type = VALUE_ARRAY, .len = 2, .array = list_of_two } },
      "{\"key\":\"k\",\"type\":\"string\",\"value\":\"[\\\"a\\\\\\\"\\\",0.5]\"}" },
    { "map",
      { { "k", 1 }, { .type = VALUE_KVLIST, .len = 1, .kvlist = map_of_one } },
      "{\"key\":\"k\",\"type\":\"string\",\"value\":\"{\\\"k\\\":7}\"}" },
    { "address", NUMBER("peer.ipv4", 0x0a000102),
      "{\"key\":\"peer.ipv4\",\"type\":\"string\",\"value\":\"10.0.1.2\"}" },
};

static void test_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(tags); i++) {
        AUTO_DONE(buf) out = { 0 };
        struct json_out j = json_out_of(&out);
        print_message("case: %s\n", tags[i].name);
        jaeger_put_tag(&j, &tags[i].attr, true);
        assert_text(&out, tags[i].json);
    }
}

/* A link that names the parent says what kind of parent it is; others follow. */
static void test_references(void **state)
{
    static const struct attr child_of[] = { TEXT("opentracing.ref_type", "child_of") };
    struct span_link links[] = {
        { .trace_id = sample_trace(1), .span_id = { { [7] = 9 } } },
        { .trace_id = { { [15] = 0xff } },
          .span_id = { { [7] = 3 } },
          .attrs = { child_of, 1, 0 } },
        { .trace_id = { { 0 } }, .span_id = { { [7] = 4 } } },
    };
    struct span s = span_at(1, 9, 5000, 4000, &nobody);
    struct span_notes notes = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct json_out j = json_out_of(&out);
    (void)state;
    s.links = links;
    s.links_len = 3;
    span_warn(&notes, SV("careful"));
    jaeger_put_span(&j, &s, &notes, true, 1);
    assert_text(&out,
                "{\"traceID\":\"aa000000000000000000000000000001\",\"spanID\":\"0000000000000001\","
                "\"operationName\":\"work\",\"references\":["
                "{\"refType\":\"FOLLOWS_FROM\",\"traceID\":\"aa000000000000000000000000000001\","
                "\"spanID\":\"0000000000000009\"},"
                "{\"refType\":\"CHILD_OF\",\"traceID\":\"00000000000000ff\","
                "\"spanID\":\"0000000000000003\"}],"
                "\"startTime\":5,\"duration\":0,\"tags\":[],\"logs\":[],\"processID\":\"p2\","
                "\"warnings\":[\"careful\"]}");
}

static const struct {
    const char *name;
    int64_t parent_start, parent_end, start, end; /* ms */
    const struct resource *parent, *child;
    enum span_kind kind;
    int64_t want_start; /* ms */
    bool is_warned;
} clocks[] = {
    { "inside", 0, 100, 10, 90, &cart, &stock, SPAN_KIND_SERVER, 10, false },
    { "ahead", 0, 100, 2000, 2060, &cart, &stock, SPAN_KIND_SERVER, 20, true },
    { "behind", 0, 100, -500, -440, &cart, &stock, SPAN_KIND_SERVER, 20, true },
    { "longer, begins before", 0, 100, -500, 900, &cart, &stock, SPAN_KIND_SERVER, 0, true },
    { "longer, begins after", 0, 100, 50, 900, &cart, &stock, SPAN_KIND_SERVER, 50, false },
    { "the same host", 0, 100, 2000, 2060, &cart, &cart, SPAN_KIND_SERVER, 2000, false },
    { "hosts unknown, one service", 0, 100, 200, 260, &other, &other, SPAN_KIND_SERVER, 200,
      false },
    { "a message", 0, 100, 2000, 2060, &cart, &stock, SPAN_KIND_CONSUMER, 2000, false },
    { "too far", 0, 100, 20000, 20060, &cart, &stock, SPAN_KIND_SERVER, 20000, true },
    { "ends before it begins", 0, 100, 2000, 1000, &cart, &stock, SPAN_KIND_SERVER, 2000, false },
};

static void test_clocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(clocks); i++) {
        struct span spans[] = {
            span_at(2, 1, clocks[i].start * NS_PER_MS, clocks[i].end * NS_PER_MS, clocks[i].child),
            span_at(1, 0, clocks[i].parent_start * NS_PER_MS, clocks[i].parent_end * NS_PER_MS,
                    clocks[i].parent),
            span_at(3, 2, clocks[i].start * NS_PER_MS, clocks[i].end * NS_PER_MS, clocks[i].child),
        };
        struct span_notes notes[3] = { 0 };
        AUTO_DONE(whole_trace) t = { .spans = spans, .notes = notes, .len = 3, .cap = 3 };
        print_message("case: %s\n", clocks[i].name);
        spans[0].kind = clocks[i].kind;
        assert_int_equal(trace_align_clocks(&t), 0);
        assert_int_equal(spans[0].start_ns, clocks[i].want_start * NS_PER_MS);
        assert_int_equal(spans[0].end_ns - spans[0].start_ns,
                         (clocks[i].end - clocks[i].start) * NS_PER_MS);
        assert_int_equal(notes[0].warnings_len, clocks[i].is_warned);
        assert_int_equal(spans[2].start_ns, spans[0].start_ns); /* what runs there moves along */
        assert_int_equal(spans[1].start_ns, clocks[i].parent_start * NS_PER_MS);
    }
}

/* Extremes of time, circles of parents and ids that come twice. */
static void test_odd_traces(void **state)
{
    struct span spans[] = {
        span_at(1, 0, INT64_MIN, INT64_MAX, &cart),
        span_at(2, 1, INT64_MAX, INT64_MIN, &stock),
        span_at(3, 1, INT64_MIN, INT64_MIN, &stock),
        span_at(4, 5, 0, 1, &cart),
        span_at(5, 4, 0, 1, &stock),
        span_at(6, 6, 0, 1, &stock),
        span_at(7, 8, 0, 1, &stock),
        span_at(9, 1, 5, 6, &stock),
        span_at(9, 1, 7, 8, &stock),
    };
    struct span_notes notes[NELEMS(spans)] = { 0 };
    AUTO_DONE(whole_trace) t = { .spans = spans, .notes = notes, .len = NELEMS(spans) };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(trace_adjust(&t, &err), 0);
    assert_int_equal(t.len, NELEMS(spans));
    assert_true(sv_eq(notes[6].warnings[0], SV("parent span is not in the trace")));
    assert_true(sv_starts(notes[8].warnings[0], SV("duplicate span IDs")));
    AUTO_DONE(whole_trace) empty = { 0 };
    assert_int_equal(trace_adjust(&empty, &err), 0);
}

static void test_doubles_and_shared_ids(void **state)
{
    struct span spans[] = {
        span_at(1, 0, 0, 100, &cart),  span_at(1, 0, 10, 90, &stock), span_at(1, 0, 10, 90, &stock),
        span_at(2, 1, 20, 30, &stock), span_at(2, 1, 20, 31, &stock),
    };
    struct span_notes notes[NELEMS(spans)] = { 0 };
    AUTO_DONE(whole_trace) t = { .spans = spans, .notes = notes, .len = NELEMS(spans) };
    (void)state;
    spans[0].kind = SPAN_KIND_CLIENT;
    spans[1].kind = spans[2].kind = SPAN_KIND_SERVER;
    trace_drop_doubles(&t);
    assert_int_equal(t.len, 4);
    assert_int_equal(trace_split_shared(&t), 0);
    assert_int_equal(spans[0].span_id.b[7], 1);
    assert_int_equal(spans[1].span_id.b[7], 2); /* the first id that no client has */
    assert_int_equal(spans[1].parent_id.b[7], 1);
    assert_int_equal(spans[2].parent_id.b[7], 2);
}

static const struct {
    const char *text;
    bool is_right;
    uint8_t last, first;
} ids[] = {
    { "1", true, 1, 0 },
    { "abc", true, 0xbc, 0 },
    { "AA000000000000000000000000000001", true, 1, 0xaa },
    { "", false, 0, 0 },
    { "0", false, 0, 0 },
    { "00000000000000000000000000000000", false, 0, 0 },
    { "1aa000000000000000000000000000001", false, 0, 0 },
    { "xyz", false, 0, 0 },
    { "qgAAAAAAAAAAAAAAAAAAAQ==", true, 1, 0xaa },
    { "qgAAAAAAAAAAAAAAAAAAAQ", true, 1, 0xaa },
    { "__8AAAAAAAAAAAAAAAAAAQ", true, 1, 0xff },
    { "//8AAAAAAAAAAAAAAAAAAQ==", true, 1, 0xff },
    { "_wAAAAAAAAE", true, 1, 0 },           /* 8 bytes */
    { "qgAAAAAAAAAAAAAAAAAA", false, 0, 0 }, /* 15 bytes */
    { "qgAAAAAAAAAAAAAAAAAAAQ===", false, 0, 0 },
    { "-1", false, 0, 0 },
};

static void test_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(ids); i++) {
        struct trace_id id = { { 0 } };
        print_message("case: %s\n", ids[i].text);
        assert_int_equal(jaeger_trace_id(sv_z(ids[i].text), &id), ids[i].is_right);
        assert_int_equal(id.b[15], ids[i].last);
        assert_int_equal(id.b[0], ids[i].first);
    }
}

static const struct {
    const char *text;
    int rc;
    size_t tags, meanings; /* of the first tag */
} searches[] = {
    { "{}", 0, 0, 0 },
    { "", 0, 0, 0 },
    { "{\"a\":\"b\"}", 0, 1, 1 },
    { "{\"a\":\"200\",\"b\":\"x\"}", 0, 2, 3 },
    { "a=200", 0, 1, 3 },
    { "a=2.5", 0, 1, 2 },
    { "a=true", 0, 1, 2 },
    { "error=true", 0, 1, 3 },
    { "otel.status_code=ERROR", 0, 1, 1 },
    { "span.kind=client", 0, 0, 0 },
    { "  a=\"two words\"   b=x\\y ", 0, 2, 1 },
    { "a=\"said \\\"so\\\"\"", 0, 1, 1 },
    { "a=\"open", 0, 1, 1 },
    { "a=", 0, 1, 1 },
    { "=b", -1, 0, 0 },
    { "a", -1, 0, 0 },
    { "a b=c", -1, 0, 0 },
    { "{\"a\":5}", -1, 0, 0 },
    { "{\"a\":\"b\"", -1, 0, 0 },
    { "{\"a\":\"b\"} x", -1, 0, 0 },
    { "span.kind=loud", -1, 0, 0 },
};

static void test_search_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(searches); i++) {
        AUTO_DONE(params) p = { 0 };
        struct jaeger_search s = { 0 };
        print_message("case: %s\n", searches[i].text);
        assert_int_equal(jaeger_add_tags(&p, "tags", &s, sv_z(searches[i].text)), searches[i].rc);
        assert_int_equal(p.why[0] != 0, searches[i].rc != 0);
        if (searches[i].rc)
            continue;
        assert_int_equal(s.tags_len, searches[i].tags);
        if (s.tags_len)
            assert_int_equal(s.tags[0].len, searches[i].meanings);
    }
}

/* Every route with every allocation failing once: a whole answer or a 503, nothing between. */
static void test_out_of_memory(void **state)
{
    static const char *const targets[] = {
        "/api/services",
        "/api/services/cart/operations",
        "/api/operations?service=cart",
        "/api/traces?service=cart&tags=a=1",
        "/api/traces?traceID=aa000000000000000000000000000001&traceID=ff",
        "/api/traces/aa000000000000000000000000000001",
        "/api/dependencies",
        "/api/v3/"
        "traces?query.startTimeMin=1970-01-01T00:00:00Z&query.startTimeMax=2199-01-01T00:00:00Z",
        "/api/v3/traces/aa000000000000000000000000000001",
        "/api/v3/trace-summaries?query.startTimeMin=1970-01-01T00:00:00Z"
        "&query.startTimeMax=2199-01-01T00:00:00Z",
    };
    struct store_conf sc = { .url = SV("memory:") };
    struct fold_conf fc = fold_conf_default();
    struct api api = { .store = store_open(&sc, NULL), .fold = fold_new(&fc) };
    AUTO_FREE(batch) b = batch_new();
    (void)state;
    *batch_add_span(b) = span_at(1, 0, T0, T0 + 100, &cart);
    *batch_add_span(b) = span_at(2, 1, T0 + 500, T0 + 550, &stock);
    *batch_add_call(b) = sample_call(SV("cart"), SV("stock"), REPORTER_SOURCE, clock_wall_ns(),
                                     200);
    assert_int_equal(store_put(api.store, &b, 1, NULL), 0);
    fold_batch(api.fold, b, true);
    for (size_t i = 0; i < NELEMS(targets); i++) {
        bool has_failed = true;
        AUTO_DONE(answer) whole = { 0 };
        struct request wanted = { .method = SV("GET"), .target = sv_z(targets[i]) };
        api_answer(&api, &wanted, &whole);
        assert_int_equal(whole.status, 200);
        print_message("case: %s\n", targets[i]);
        for (uint64_t nth = 1; has_failed; nth++) {
            AUTO_DONE(answer) a = { 0 };
            mem_fail_nth(nth);
            api_answer(&api, &wanted, &a);
            has_failed = mem_count() >= nth;
            mem_fail_nth(0);
            if (!has_failed)
                assert_int_equal(a.status, 200);
            if (a.status == 200)
                assert_true(sv_eq(buf_sv(&a.body), buf_sv(&whole.body)));
            else if (a.status != 200 && a.status != 503 && a.status != 400)
                fail_msg("allocation %llu: %u %.*s", (unsigned long long)nth, a.status,
                         SV_ARG(buf_sv(&a.body)));
        }
    }
    fold_free(api.fold);
    store_close(api.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_odd_traces),
        cmocka_unit_test(test_doubles_and_shared_ids),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_search_tags),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
