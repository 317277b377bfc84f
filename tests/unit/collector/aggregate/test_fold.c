/* test_fold.c - batches in, edges out: nothing twice, nothing missed, not even over a restart. */
#include "../sample.h"
#include "aggregate/fold.h"
#include "aggregate/view.h"

static struct fold *new_fold(void)
{
    struct fold_conf c = fold_conf_default();
    struct fold *f = fold_new(&c);
    assert_non_null(f);
    return f;
}

static struct store *new_store(void)
{
    struct store_conf c = { .url = SV("memory:") };
    struct store *s = store_open(&c, NULL);
    assert_non_null(s);
    return s;
}

static const struct attr name_a[] = { TEXT("service.name", "a") };
static const struct attr name_b[] = { TEXT("service.name", "b") };
static const struct attr http_attrs[] = { TEXT("http.method", "GET") };
static const struct resource resource_a = { .attrs = { name_a, 1, 0 } };
static const struct resource resource_b = { .attrs = { name_b, 1, 0 } };
static const struct scope no_scope;

/* The two halves of call n. */
static void add_half(struct batch *b, uint8_t n, bool is_client)
{
    struct span *s = batch_add_span(b);
    assert_non_null(s);
    s->trace_id = sample_trace(n);
    s->span_id = sample_span_id(is_client ? 1 : 2);
    s->parent_id = sample_span_id(is_client ? 9 : 1);
    s->kind = is_client ? SPAN_KIND_CLIENT : SPAN_KIND_SERVER;
    s->start_ns = T0;
    s->end_ns = T0 + NS_PER_MS;
    s->attrs = (struct attrs){ http_attrs, 1, 0 };
    s->resource = is_client ? &resource_a : &resource_b;
    s->scope = &no_scope;
}

static void commit(struct store *s, struct fold *f, struct batch *b, int64_t received_ns)
{
    b->received_ns = received_ns;
    assert_int_equal(store_put(s, &b, 1, NULL), 0);
    if (f)
        fold_batch(f, b, true);
    batch_free(b);
}

static void put_calls(struct store *s, struct fold *f, int n, int64_t received_ns)
{
    struct batch *b = batch_new();
    assert_non_null(b);
    for (int i = 0; i < n; i++) {
        struct call *c = batch_add_call(b);
        *c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0 + i, 200);
    }
    commit(s, f, b, received_ns);
}

static void put_half(struct store *s, struct fold *f, uint8_t n, bool is_client, int64_t at_ns)
{
    struct batch *b = batch_new();
    assert_non_null(b);
    add_half(b, n, is_client);
    commit(s, f, b, at_ns);
}

/* Requests of the edge a>b by reporter's best evidence. */
static int requests_of(struct fold *f, struct store *s)
{
    struct view_wish w = { .window = { T0 - 60 * NS_PER_S, T0 + 60 * NS_PER_S } };
    struct view v = { 0 };
    int n = 0;
    struct view_builder *b = view_builder_new(&w);
    struct window wanted = view_builder_window(b);
    assert_int_equal(fold_read(f, s, &wanted, view_builder_add, b, NULL), 0);
    assert_int_equal(view_builder_finish(b, &v, NULL), 0);
    for (size_t i = 0; i < v.edges_len; i++)
        n += (int)v.edges[i].sum.requests;
    view_done(&v);
    view_builder_free(b);
    return n;
}

static bool has_edge(struct fold *f, struct store *s, struct sv source, struct sv destination)
{
    struct view_wish w = { .window = { T0 - 60 * NS_PER_S, T0 + 60 * NS_PER_S } };
    AUTO_DONE(view) v = { 0 };
    AUTO_FREE(view_builder) b = view_builder_new(&w);
    struct window wanted = view_builder_window(b);
    bool is_there = false;
    assert_int_equal(fold_read(f, s, &wanted, view_builder_add, b, NULL), 0);
    assert_int_equal(view_builder_finish(b, &v, NULL), 0);
    for (size_t i = 0; i < v.edges_len; i++)
        is_there |= sv_eq(v.edges[i].edge.source.workload, source) &&
                    sv_eq(v.edges[i].edge.destination.workload, destination);
    return is_there;
}

static void test_pending_then_stored(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    struct fold_stats st;
    (void)state;
    put_calls(s, f, 7, T0);
    assert_int_equal(requests_of(f, s), 7); /* pending */
    assert_int_equal(fold_flush(f, s, NULL), 0);
    assert_int_equal(requests_of(f, s), 7); /* stored */
    put_calls(s, f, 5, T0);
    assert_int_equal(requests_of(f, s), 12); /* both */
    fold_get_stats(f, &st);
    assert_int_equal(st.pending_buckets, 1);
    assert_int_equal(st.calls_counted, 12);
    assert_int_equal(fold_flush(f, s, NULL), 0);
    assert_int_equal(fold_flush(f, s, NULL), 0); /* nothing pending */
    assert_int_equal(requests_of(f, s), 12);
    fold_free(f);
    store_close(s);
}

struct replay {
    struct fold *fold;
    uint64_t folded_seq;
};

static int replay_batch(void *to, const struct batch *b)
{
    struct replay *r = to;
    fold_batch(r->fold, b, b->seq > r->folded_seq);
    return 0;
}

/* What the writer does at start. */
static struct fold *restart(struct fold *f, struct store *s)
{
    struct store_progress p;
    fold_free(f);
    f = new_fold();
    assert_int_equal(store_get_progress(s, &p, NULL), 0);
    fold_resume(f, &p);
    struct replay r = { f, p.seq };
    assert_int_equal(store_replay(s, p.seq, fold_replay_since(f), replay_batch, &r, NULL), 0);
    return f;
}

/* A sidecar that sends records and no spans: the SDK's server span lies right below its own, which
 * tells whose the SDK's call to a database is. */
static void test_record_names_an_sdk(void **state)
{
    static const struct attr database[] = { TEXT("db.system", "mysql") };
    static const bool orders[] = { false, true };
    (void)state;
    for (size_t i = 0; i < NELEMS(orders); i++) {
        struct store *s = new_store();
        struct fold *f = new_fold();
        struct fold_stats st;
        struct batch *first = batch_new(), *second = batch_new();
        struct batch *spans = orders[i] ? first : second, *records = orders[i] ? second : first;
        /* the second request makes sure that the record is met by a known application */
        for (uint8_t n = 1; n <= 2; n++) {
            add_half(spans, n, false);
            struct call *c = batch_add_call(records);
            *c = sample_call(SV("a"), SV("b-v1"), REPORTER_DESTINATION, T0, 200);
            c->destination.service = SV("b");
            c->trace_id = sample_trace(n);
            c->span_id = sample_span_id(1); /* the parent of the SDK's span */
        }
        commit(s, f, first, T0);
        commit(s, f, second, T0);
        struct batch *more = batch_new();
        add_half(more, 3, false);
        struct call *again = batch_add_call(more);
        *again = sample_call(SV("a"), SV("b-v1"), REPORTER_DESTINATION, T0, 200);
        again->destination.service = SV("b");
        again->trace_id = sample_trace(3);
        again->span_id = sample_span_id(1);
        commit(s, f, more, T0);
        struct batch *query = batch_new();
        add_half(query, 4, false);
        query->spans[0].kind = SPAN_KIND_CLIENT;
        query->spans[0].attrs = (struct attrs){ database, 1, 0 };
        commit(s, f, query, T0);
        assert_true(has_edge(f, s, SV("b-v1"), SV("mysql")));
        fold_get_stats(f, &st);
        assert_true(st.pair.internal_hops >= 1);
        fold_free(f);
        store_close(s);
    }
}

/* The process dies between commit and flush, again and again: counts stay exact. */
static void test_crashes(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    (void)state;
    put_calls(s, f, 7, T0);
    fold_tick(f, T0 + NS_PER_S);
    assert_int_equal(fold_flush(f, s, NULL), 0);
    put_calls(s, f, 5, T0 + NS_PER_S);    /* folded, not flushed */
    put_calls(s, NULL, 3, T0 + NS_PER_S); /* committed, not folded */
    f = restart(f, s);
    assert_int_equal(requests_of(f, s), 15);
    f = restart(f, s); /* died before the first flush */
    assert_int_equal(requests_of(f, s), 15);
    assert_int_equal(fold_flush(f, s, NULL), 0);
    f = restart(f, s);
    assert_int_equal(requests_of(f, s), 15);
    fold_free(f);
    store_close(s);
}

static void flush_at(struct fold *f, struct store *s, int64_t now_ns)
{
    fold_tick(f, now_ns);
    assert_int_equal(fold_flush(f, s, NULL), 0);
}

/* Halves wait over a restart; those that were paired or given up before do nothing again. */
static void test_halves_over_a_restart(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    struct fold_stats st;
    (void)state;
    put_half(s, f, 3, false, T0 - 30 * NS_PER_S); /* given up before it */
    put_half(s, f, 1, true, T0);                  /* pair, long before */
    put_half(s, f, 1, false, T0 + 55 * NS_PER_S);
    put_half(s, f, 2, true, T0 + 50 * NS_PER_S); /* waits over the restart */
    flush_at(f, s, T0 + 58 * NS_PER_S);
    assert_int_equal(requests_of(f, s), 1);
    f = restart(f, s);
    fold_tick(f, T0 + 59 * NS_PER_S);
    fold_get_stats(f, &st);
    assert_int_equal(st.pair.waiting, 1);
    assert_int_equal(requests_of(f, s), 1);
    put_half(s, f, 2, false, T0 + 60 * NS_PER_S);
    put_half(s, f, 3, true, T0 + 60 * NS_PER_S);
    assert_int_equal(requests_of(f, s), 2);
    flush_at(f, s, T0 + 300 * NS_PER_S);
    fold_get_stats(f, &st);
    assert_int_equal(st.pair.paired, 1);
    assert_int_equal(st.pair.unpaired_client, 1);
    assert_int_equal(st.pair.unpaired_server, 0);
    assert_int_equal(requests_of(f, s), 2);
    fold_free(f);
    store_close(s);
}

/* Records of both proxies and the pair of their spans are one edge and one count. */
static void test_one_request_once(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    struct batch *b = batch_new();
    (void)state;
    *batch_add_call(b) = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    *batch_add_call(b) = sample_call(SV("a"), SV("b"), REPORTER_DESTINATION, T0 + 1, 200);
    commit(s, f, b, T0);
    assert_int_equal(requests_of(f, s), 1);
    fold_free(f);
    store_close(s);
}

static void add_part(struct batch *b, enum reporter r, enum call_part part, int64_t at_ns,
                     int64_t duration_ns, uint64_t bytes)
{
    struct call c = sample_call(SV("a"), SV("b"), r, at_ns, 0);
    c.protocol = PROTOCOL_TCP;
    c.part = part;
    c.duration_ns = duration_ns;
    c.bytes_received = c.bytes_sent = bytes;
    if (call_has_end(&c))
        c.response_flags = SV("UC");
    *batch_add_call(b) = c;
}

static void check_the_connection(struct fold *f, struct store *s, uint64_t bytes, bool is_over)
{
    struct view_wish w = { .window = { T0 - 60 * NS_PER_S, T0 + 120 * NS_PER_S } };
    AUTO_DONE(view) v = { 0 };
    AUTO_FREE(view_builder) b = view_builder_new(&w);
    struct window wanted = view_builder_window(b);
    assert_int_equal(fold_read(f, s, &wanted, view_builder_add, b, NULL), 0);
    assert_int_equal(view_builder_finish(b, &v, NULL), 0);
    assert_int_equal(v.edges_len, 1);
    const struct edge_cell *sum = &v.edges[0].sum;
    assert_int_equal(sum->requests, 1);
    assert_int_equal(sum->bytes_received, bytes);
    assert_int_equal(sum->bytes_sent, bytes);
    assert_int_equal(sum->errors, is_over);
    assert_int_equal(sum->latency.count, is_over);
    assert_int_equal(v.edges[0].evidence, REPORTER_SOURCE);
}

/* Told of in parts by the caller's side and as a whole by the callee's, over a restart in between: one
 * connection, each byte once; and where only bytes flowed there is an edge, too. */
static void test_a_connection_in_parts(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    struct batch *b = batch_new();
    struct view_wish late = { .window = { T0 + 20 * NS_PER_S, T0 + 40 * NS_PER_S } };
    (void)state;
    add_part(b, REPORTER_SOURCE, CALL_BEGIN, T0, 15 * NS_PER_S, 1000);
    commit(s, f, b, T0 + 15 * NS_PER_S);
    check_the_connection(f, s, 1000, false);
    assert_int_equal(fold_flush(f, s, NULL), 0);
    b = batch_new();
    add_part(b, REPORTER_SOURCE, CALL_BYTES, T0 + 30 * NS_PER_S, 0, 200);
    commit(s, f, b, T0 + 30 * NS_PER_S);
    f = restart(f, s); /* the last part was not flushed */
    check_the_connection(f, s, 1200, false);
    b = batch_new();
    add_part(b, REPORTER_DESTINATION, CALL_WHOLE, T0 + 1, 45 * NS_PER_S, 1230);
    add_part(b, REPORTER_SOURCE, CALL_END, T0, 45 * NS_PER_S, 30);
    commit(s, f, b, T0 + 45 * NS_PER_S);
    check_the_connection(f, s, 1230, true);
    assert_int_equal(fold_flush(f, s, NULL), 0);
    check_the_connection(f, s, 1230, true);
    AUTO_DONE(view) v = { 0 };
    AUTO_FREE(view_builder) builder = view_builder_new(&late);
    struct window wanted = view_builder_window(builder);
    assert_int_equal(fold_read(f, s, &wanted, view_builder_add, builder, NULL), 0);
    assert_int_equal(view_builder_finish(builder, &v, NULL), 0);
    assert_int_equal(v.edges_len, 1);
    assert_int_equal(v.nodes_len, 2);
    assert_int_equal(v.edges[0].sum.requests, 0);
    assert_int_equal(v.edges[0].sum.parts[TLS_MUTUAL], 1);
    assert_int_equal(v.edges[0].sum.bytes_sent, 200);
    fold_free(f);
    store_close(s);
}

struct sum {
    uint64_t requests;
    size_t edges;
};

static void add_totals(void *to, const struct edge *e, enum tls_state tls,
                       const struct total_row *row)
{
    struct sum *sum = to;
    (void)e;
    (void)tls;
    sum->edges++;
    sum->requests += total_requests(&row->n);
}

/* Beyond the limit, further edges share the edge "other" and the total stays right. */
static void test_overflow(void **state)
{
    struct fold_conf c = fold_conf_default();
    struct sum sum = { 0 };
    struct fold_stats st;
    (void)state;
    c.edges_max = 3;
    struct fold *f = fold_new(&c);
    struct batch *b = batch_new();
    char names[10][8];
    for (int i = 0; i < 10; i++) {
        snprintf(names[i], sizeof(names[i]), "w%d", i);
        *batch_add_call(b) = sample_call(sv_z(names[i]), SV("b"), REPORTER_SOURCE, T0, 200);
    }
    fold_batch(f, b, true);
    batch_free(b);
    fold_get_stats(f, &st);
    assert_int_equal(st.calls_counted, 10);
    assert_int_equal(st.calls_overflow, 7);
    assert_int_equal(st.edges, 4);
    fold_totals(f, false, add_totals, &sum);
    assert_int_equal(sum.requests, 10);
    assert_int_equal(sum.edges, 4);
    fold_free(f);
}

/* Identities that records leave out are filled in the way spans' are. */
static void test_incomplete_records(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    struct batch *b = batch_new();
    struct view_wish w = { .window = { T0, T0 + 1 } };
    struct view v = { 0 };
    (void)state;
    struct call *c = batch_add_call(b);
    *c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 0);
    c->source = (struct identity){ .workload = SV("a") };
    c->destination = (struct identity){ 0 };
    c->destination_service = SV("b.shop.svc.cluster.local");
    commit(s, f, b, T0);
    struct view_builder *vb = view_builder_new(&w);
    struct window wanted = view_builder_window(vb);
    assert_int_equal(fold_read(f, s, &wanted, view_builder_add, vb, NULL), 0);
    assert_int_equal(view_builder_finish(vb, &v, NULL), 0);
    assert_int_equal(v.edges_len, 1);
    assert_true(sv_eq(v.edges[0].edge.source.version, SV("latest")));
    assert_true(sv_eq(v.edges[0].edge.source.cluster, IDENTITY_UNKNOWN));
    assert_true(sv_eq(v.edges[0].edge.destination.workload, SV("b")));
    assert_true(sv_eq(v.edges[0].edge.destination.namespace, SV("shop")));
    view_done(&v);
    view_builder_free(vb);
    fold_free(f);
    store_close(s);
}

static int scrape(struct fold *f, struct sv to, uint64_t requests, int64_t start_ns)
{
    struct call who = sample_call(SV("a"), to, REPORTER_SCRAPE, start_ns, 200);
    struct alike a = { .protocol = PROTOCOL_HTTP,
                       .tls = TLS_MUTUAL,
                       .tls_basis = TLS_BASIS_REPORTED,
                       .code = 200,
                       .grpc = -1,
                       .at_ns = start_ns,
                       .times = requests };
    return fold_scraped(f, &who, &a, T0);
}

/* Counters fill in where nobody tells of calls. */
static void test_scraped(void **state)
{
    struct store *s = new_store();
    struct fold *f = new_fold();
    struct fold_stats st;
    (void)state;
    assert_int_equal(scrape(f, SV("c"), 5, T0), 0);
    assert_int_equal(scrape(f, SV("b"), 3, T0), 0); /* before the first record came */
    assert_int_equal(requests_of(f, s), 8);
    put_calls(s, f, 4, T0);
    assert_int_equal(scrape(f, SV("c"), 6, T0), 0);
    assert_int_equal(requests_of(f, s), 15);
    assert_int_equal(scrape(f, SV("b"), 4, T0 + 2 * BUCKET_NS), FOLD_TOLD_BETTER);
    assert_int_equal(fold_flush(f, s, NULL), 0);
    assert_int_equal(requests_of(f, s), 15);
    fold_get_stats(f, &st);
    assert_int_equal(st.edges, 2);
    assert_int_equal(st.calls_counted, 4);
    fold_free(f);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending_then_stored),
        cmocka_unit_test(test_record_names_an_sdk),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_halves_over_a_restart),
        cmocka_unit_test(test_one_request_once),
        cmocka_unit_test(test_a_connection_in_parts),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_incomplete_records),
        cmocka_unit_test(test_scraped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
