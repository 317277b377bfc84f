/* test_totals.c - counters that are exact in the end and never fall on the way. */
#include "../sample.h"
#include "aggregate/totals.h"
#include "base/mem.h"

static uint64_t shown(struct totals *t, bool is_source_known, int64_t now_ns)
{
    struct totals_wish wish = { now_ns, is_source_known, true, 0 };
    const struct total_row *list = totals_show(t, &wish);
    uint64_t n = 0;
    assert_non_null(list);
    for (size_t s = 0; s < TLS_STATES_LEN; s++) {
        n += total_requests(&list[s].n);
        assert_int_equal(list[s].latency.count, total_requests(&list[s].n));
    }
    return n;
}

static void put(struct totals *t, enum reporter r, int64_t start_ns, int64_t arrival_ns, int times)
{
    struct call c = sample_call(SV("a"), SV("b"), r, start_ns, 200);
    for (int i = 0; i < times; i++)
        assert_int_equal(totals_add(t, &c, -1, arrival_ns, 0), 0);
}

#define S(x) ((x)*NS_PER_S)

static void test_source_shows_at_once(void **state)
{
    struct totals t = { 0 };
    (void)state;
    put(&t, REPORTER_SOURCE, T0, T0 + S(1), 3);
    assert_int_equal(shown(&t, true, T0 + S(1)), 3);
    put(&t, REPORTER_DESTINATION, T0, T0 + S(1), 3);
    put(&t, REPORTER_PAIR, T0, T0 + S(1), 3);
    assert_int_equal(shown(&t, true, T0 + S(30)), 3);
    totals_done(&t);
}

/* The callee's record comes first; the caller's takes its place before anything was shown. */
static void test_callee_first(void **state)
{
    struct totals t = { 0 };
    (void)state;
    put(&t, REPORTER_DESTINATION, T0, T0 + S(1), 5);
    assert_int_equal(shown(&t, true, T0 + S(1)), 0);
    put(&t, REPORTER_SOURCE, T0, T0 + S(2), 6);
    assert_int_equal(shown(&t, true, T0 + S(2)), 6);
    assert_int_equal(shown(&t, true, T0 + S(200)), 6);
    totals_done(&t);
}

static void test_callee_alone(void **state)
{
    struct totals unknown = { 0 }, known = { 0 };
    (void)state;
    put(&unknown, REPORTER_DESTINATION, T0, T0 + S(1), 5);
    assert_int_equal(shown(&unknown, false, T0 + S(1)), 5); /* no proxy that could report */
    put(&known, REPORTER_DESTINATION, T0, T0 + S(1), 5);
    assert_int_equal(shown(&known, true, T0 + S(5)), 0);
    assert_int_equal(shown(&known, true, T0 + S(6)), 5); /* the hold is over */
    put(&known, REPORTER_DESTINATION, T0, T0 + S(7), 1);
    assert_int_equal(shown(&known, true, T0 + S(7)), 5); /* held again, not taken back */
    assert_int_equal(shown(&known, true, T0 + S(12)), 6);
    put(&known, REPORTER_DESTINATION, T0 + S(70), T0 + S(70), 1);
    assert_int_equal(shown(&known, true, T0 + S(70)), 7); /* a minute without the caller's */
    totals_done(&unknown);
    totals_done(&known);
}

/* A request on the border lies in the next bucket for the callee. */
static void test_border(void **state)
{
    struct totals t = { 0 };
    (void)state;
    put(&t, REPORTER_SOURCE, T0 + S(9), T0 + S(10), 1);
    put(&t, REPORTER_DESTINATION, T0 + S(10), T0 + S(10), 1);
    assert_int_equal(shown(&t, true, T0 + S(60)), 1);
    totals_settle(&t, T0 + S(90)); /* the first bucket settles, the second still lives */
    assert_int_equal(shown(&t, true, T0 + S(90)), 1);
    totals_settle(&t, T0 + S(200));
    assert_int_equal(shown(&t, true, T0 + S(200)), 1);
    totals_done(&t);
}

/* Settling changes nothing that is shown, and late worse evidence is not counted again. */
static void test_settled(void **state)
{
    struct totals t = { 0 };
    (void)state;
    for (int i = 0; i < 30; i++) {
        put(&t, REPORTER_SOURCE, T0 + S(10 * i), T0 + S(10 * i + 1), 2);
        put(&t, REPORTER_DESTINATION, T0 + S(10 * i), T0 + S(10 * i + 1), 2);
        totals_settle(&t, T0 + S(10 * i + 2));
        assert_int_equal(shown(&t, true, T0 + S(10 * i + 2)), 2 * (i + 1));
    }
    put(&t, REPORTER_PAIR, T0 + S(20), T0 + S(300), 2);
    assert_int_equal(shown(&t, true, T0 + S(400)), 60);
    put(&t, REPORTER_SOURCE, T0 + S(20), T0 + S(300), 1); /* late, and as good as any */
    assert_int_equal(shown(&t, true, T0 + S(300)), 61);
    totals_settle(&t, T0 + S(1000));
    assert_int_equal(shown(&t, true, T0 + S(1000)), 61);
    totals_done(&t);
}

static void put_alike(struct totals *t, int64_t at_ns, int64_t arrival_ns, uint64_t times)
{
    struct alike a = { .code = 503, .grpc = -1, .at_ns = at_ns, .times = times };
    assert_int_equal(hist_add(&a.latency, 10 * NS_PER_MS, times), 0);
    a.bytes_received = 10 * times;
    a.bytes_sent = 20 * times;
    assert_int_equal(totals_add_alike(t, &a, arrival_ns, 0), 0);
    hist_done(&a.latency);
}

/* Counters are the last evidence there is: alone they count, beside anything else they do not. */
static void test_counters(void **state)
{
    struct totals alone = { 0 }, beside = { 0 };
    (void)state;
    put_alike(&alone, T0, T0 + S(1), 4);
    assert_int_equal(shown(&alone, true, T0 + S(1)), 0);
    assert_int_equal(shown(&alone, true, T0 + S(6)), 4);
    put_alike(&alone, T0 + S(15), T0 + S(21), 3);
    totals_settle(&alone, T0 + S(200));
    assert_int_equal(shown(&alone, true, T0 + S(200)), 7);
    const struct total *n = &alone.shown[TLS_UNKNOWN].n;
    assert_int_equal(n->codes[CODE_5XX], 7);
    assert_int_equal(n->errors, 7);
    assert_int_equal(n->bytes_received, 70);
    assert_int_equal(n->bytes_sent, 140);
    assert_int_equal(n->duration_ns, 70 * NS_PER_MS);
    assert_int_equal(n->counts[4], 7); /* at 10 ms, where the proxy's own bucket ended */
    assert_int_equal(alone.shown[TLS_UNKNOWN].created_ns, T0 + S(1));

    put_alike(&beside, T0, T0 + S(1), 4);
    put(&beside, REPORTER_SPAN, T0 + S(2), T0 + S(3), 5);
    put_alike(&beside, T0 + S(10), T0 + S(16), 4);
    assert_int_equal(shown(&beside, true, T0 + S(30)), 5);
    totals_settle(&beside, T0 + S(200));
    assert_int_equal(shown(&beside, true, T0 + S(200)), 5);
    /* an endpoint that was away counts in a bucket that was settled */
    put_alike(&beside, T0 + S(100), T0 + S(400), 2);
    put_alike(&beside, T0 - S(30), T0 + S(400), 2);
    assert_int_equal(shown(&beside, true, T0 + S(410)), 9);
    totals_done(&alone);
    totals_done(&beside);
}

static void test_fields(void **state)
{
    struct totals t = { 0 };
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 503);
    (void)state;
    assert_int_equal(totals_add(&t, &c, -1, T0, 0), 0);
    c.tls = TLS_PLAINTEXT;
    c.response_code = 0;
    c.duration_ns = 20 * NS_PER_S;
    assert_int_equal(totals_add(&t, &c, -1, T0, 0), 0);
    c.duration_ns = total_bounds_ns[0];
    c.response_code = 204;
    assert_int_equal(totals_add(&t, &c, -1, T0, 0), 0);
    struct totals_wish wish = { .now_ns = T0, .is_source_known = true };
    const struct total_row *list = totals_show(&t, &wish);
    const struct total *mutual = &list[TLS_MUTUAL].n, *plain = &list[TLS_PLAINTEXT].n;
    assert_int_equal(list[TLS_MUTUAL].latency.count, 0); /* not asked for */
    assert_int_equal(mutual->codes[CODE_5XX], 1);
    assert_int_equal(mutual->errors, 1);
    assert_int_equal(mutual->counts[3], 1); /* 3 ms lies below 5 ms */
    assert_int_equal(mutual->bytes_sent, 100);
    assert_int_equal(plain->codes[CODE_NONE], 1);
    assert_int_equal(plain->codes[CODE_2XX], 1);
    assert_int_equal(plain->counts[TOTAL_BOUNDS_LEN], 1);
    assert_int_equal(plain->counts[0], 1); /* bounds are inclusive */
    assert_int_equal(plain->duration_ns, 20 * NS_PER_S + total_bounds_ns[0]);
    totals_done(&t);
}

/* Random arrivals within the hold: never falling, exact at the end. */
static void test_random_order(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 50; round++) {
        struct totals t = { 0 };
        uint64_t before = 0, sent = 0;
        for (int i = 0; i < 300; i++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            unsigned r = (unsigned)(seed >> 33);
            int64_t now_ns = T0 + S(i), start_ns = now_ns - S(r % 3);
            bool is_caller_first = r & 64;
            put(&t, is_caller_first ? REPORTER_SOURCE : REPORTER_DESTINATION, start_ns, now_ns, 1);
            put(&t, is_caller_first ? REPORTER_DESTINATION : REPORTER_SOURCE, start_ns + S(r % 2),
                now_ns + S(r % 4), 1);
            sent++;
            totals_settle(&t, now_ns);
            uint64_t now = shown(&t, true, now_ns);
            assert_true(now >= before);
            before = now;
        }
        assert_int_equal(shown(&t, true, T0 + S(400)), sent);
        totals_settle(&t, T0 + S(1000));
        assert_int_equal(shown(&t, true, T0 + S(1000)), sent);
        totals_done(&t);
    }
}

/* The callee's own view where there is one, a pair's server half, else the caller's. */
static void test_server_view(void **state)
{
    (void)state;
    struct totals_wish wish = { .now_ns = T0 + S(6),
                                .is_source_known = true,
                                .extras = TOTALS_SERVER | TOTALS_OUTCOMES };
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    struct totals both = { 0 }, pair = { 0 }, alone = { 0 };
    assert_int_equal(totals_add(&alone, &c, -1, T0, wish.extras), 0);
    assert_int_equal(totals_add(&both, &c, -1, T0, wish.extras), 0);
    c.reporter = REPORTER_DESTINATION;
    c.duration_ns = 2 * NS_PER_MS;
    c.response_code = 204;
    assert_int_equal(totals_add(&both, &c, -1, T0, wish.extras), 0);
    c.reporter = REPORTER_PAIR;
    assert_int_equal(totals_add(&pair, &c, NS_PER_MS, T0, wish.extras), 0);
    const struct total_row *row = &totals_show(&alone, &wish)[TLS_MUTUAL];
    assert_int_equal(row->server.duration_ns, 3 * NS_PER_MS);
    row = &totals_show(&both, &wish)[TLS_MUTUAL];
    assert_int_equal(row->n.duration_ns, 3 * NS_PER_MS);
    assert_int_equal(row->server.duration_ns, 2 * NS_PER_MS);
    assert_int_equal(row->outcomes.len, 1);
    assert_int_equal(row->outcomes.list[0].code, 200); /* the caller's word */
    row = &totals_show(&pair, &wish)[TLS_MUTUAL];
    assert_int_equal(row->n.duration_ns, 2 * NS_PER_MS);
    assert_int_equal(row->server.duration_ns, NS_PER_MS);
    assert_int_equal(row->server.counts[1], 1);
    totals_settle(&both, T0 + S(200));
    assert_null(both.live);
    row = &totals_show(&both, &wish)[TLS_MUTUAL];
    assert_int_equal(row->server.duration_ns, 2 * NS_PER_MS);
    assert_int_equal(row->outcomes.list[0].n, 1);
    totals_done(&both);
    totals_done(&pair);
    totals_done(&alone);
}

/* The newest request of a bucket with a trace is its exemplar. */
static void test_exemplars(void **state)
{
    struct totals t = { 0 };
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    struct totals_wish wish = { .now_ns = T0, .is_source_known = true };
    (void)state;
    assert_int_equal(totals_add(&t, &c, -1, T0, 0), 0);
    assert_null(totals_show(&t, &wish)[TLS_MUTUAL].exemplars);
    for (uint8_t i = 1; i <= 2; i++) {
        c.trace_id = sample_trace(i);
        c.duration_ns = (3 + i) * NS_PER_MS; /* up to 5 ms */
        assert_int_equal(totals_add(&t, &c, -1, T0 + i, 0), 0);
    }
    const struct total_row *row = &totals_show(&t, &wish)[TLS_MUTUAL];
    assert_true(trace_id_eq(row->exemplars[3].trace, sample_trace(2)));
    assert_int_equal(row->exemplars[3].value_ns, 5 * NS_PER_MS);
    assert_false(trace_id_is_set(row->exemplars[4].trace));
    assert_int_equal(row->created_ns, T0);
    totals_done(&t);
}

static void test_no_memory(void **state)
{
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    (void)state;
    c.trace_id = sample_trace(1);
    for (uint64_t nth = 1; nth < 6; nth++) {
        struct totals t = { 0 };
        mem_fail_nth(nth);
        int rc = totals_add(&t, &c, -1, T0, 0);
        mem_fail_nth(0);
        assert_int_equal(shown(&t, true, T0), rc == 0);
        totals_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_shows_at_once),
        cmocka_unit_test(test_callee_first),
        cmocka_unit_test(test_callee_alone),
        cmocka_unit_test(test_border),
        cmocka_unit_test(test_settled),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_random_order),
        cmocka_unit_test(test_exemplars),
        cmocka_unit_test(test_server_view),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
