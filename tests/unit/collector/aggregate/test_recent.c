/* test_recent.c - what the fold keeps in memory says the same as the store and what is pending.
 *
 * A fold and its windows that reach to now are asked again and again while calls of all reporters
 * come, in time and late; each answer is compared with a view made of all buckets. */
#include "../sample.h"
#include "aggregate/fold.h"
#include "base/mem.h"

enum { SECONDS = 420, EDGES = 7, MIXED_EDGES = 5 };

struct world {
    struct fold *fold;
    struct store *store;
    uint64_t random, seq;
    int64_t now_ns;
};

static uint64_t below(struct world *w, uint64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

static void open_world(struct world *w, uint64_t seed)
{
    struct fold_conf fc = fold_conf_default();
    struct store_conf sc = { .url = SV("memory:") };
    *w = (struct world){ .random = seed, .now_ns = T0 };
    w->fold = fold_new(&fc);
    w->store = store_open(&sc, NULL);
    assert_non_null(w->fold);
    assert_non_null(w->store);
    clock_fake(w->now_ns, w->now_ns);
}

static void close_world(struct world *w)
{
    fold_free(w->fold);
    store_close(w->store);
    clock_real();
}

static void add_call(struct world *w, struct batch *b)
{
    static const char *const names[EDGES] = { "b", "c", "d", "e", "f", "g", "h" };
    uint64_t edge = below(w, EDGES);
    bool is_mixed = edge < MIXED_EDGES;
    enum reporter r = is_mixed ? (enum reporter)below(w, REPORTERS_LEN) : REPORTER_PAIR;
    /* a reporter that falls silent for minutes */
    if (r == REPORTER_SOURCE && w->now_ns / (100 * NS_PER_S) % 2)
        r = REPORTER_SPAN;
    int64_t late_ns = (int64_t)below(w, is_mixed ? 80 : 300) * NS_PER_S;
    int64_t start_ns = w->now_ns + 5 * NS_PER_S - (below(w, 4) ? late_ns / 8 : late_ns);
    struct call *c = batch_add_call(b);
    assert_non_null(c);
    *c = sample_call(SV("a"), sv_z(names[edge]), r, start_ns, below(w, 9) ? 200 : 503);
    c->duration_ns = (int64_t)below(w, 1000) * NS_PER_MS / 4;
    c->tls = (enum tls_state)below(w, TLS_STATES_LEN);
    c->tls_basis = (enum tls_basis)below(w, TLS_BASES_LEN);
    c->resends = (uint32_t)below(w, 2);
    c->grpc_status = below(w, 3) ? -1 : (int16_t)below(w, 20);
    c->response_flags = below(w, 9) ? SV_NONE : SV("UF,URX");
    c->tls_version = below(w, 2) ? SV("TLSv1.3") : SV_NONE;
    c->tls_cipher = SV("TLS_AES_256_GCM_SHA384");
    c->peer_cert_expiry_ns = below(w, 2) ? w->now_ns + (int64_t)below(w, 1000) : 0;
}

static void add_calls(struct world *w, size_t n)
{
    struct batch *b = batch_new();
    assert_non_null(b);
    for (size_t i = 0; i < n; i++)
        add_call(w, b);
    b->received_ns = w->now_ns;
    b->seq = ++w->seq;
    fold_batch(w->fold, b, true);
    batch_free(b);
}

static struct view view_of_buckets(struct world *w, const struct view_wish *wish)
{
    struct view v = { 0 };
    AUTO_FREE(view_builder) b = view_builder_new(wish);
    assert_non_null(b);
    struct window wanted = view_builder_window(b);
    assert_int_equal(fold_read(w->fold, w->store, &wanted, view_builder_add, b, NULL), 0);
    assert_int_equal(view_builder_finish(b, &v, NULL), 0);
    return v;
}

static struct view view_of_totals(struct world *w, const struct view_wish *wish)
{
    struct view v = { 0 };
    struct window whole = { window_align_down(wish->window.from_ns, BUCKET_NS),
                            window_align_up(wish->window.to_ns, BUCKET_NS) };
    AUTO_FREE(view_builder) b = view_builder_new(wish);
    assert_non_null(b);
    assert_int_equal(fold_window(w->fold, w->store, &whole, view_builder_add_total, b, NULL), 0);
    assert_int_equal(view_builder_finish(b, &v, NULL), 0);
    return v;
}

static void same_hist(const struct hist *a, const struct hist *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->zero, b->zero);
    assert_int_equal(a->sum_ns, b->sum_ns);
    for (double q = 0; q <= 1; q += 0.125)
        assert_int_equal(hist_quantile(a, q), hist_quantile(b, q));
}

static void same_cell(const struct edge_cell *a, const struct edge_cell *b)
{
    assert_int_equal(a->requests, b->requests);
    assert_int_equal(a->errors, b->errors);
    assert_memory_equal(a->codes, b->codes, sizeof(a->codes));
    assert_memory_equal(a->grpc, b->grpc, sizeof(a->grpc));
    assert_memory_equal(a->tls, b->tls, sizeof(a->tls));
    assert_memory_equal(a->tls_bases, b->tls_bases, sizeof(a->tls_bases));
    assert_memory_equal(&a->clock, &b->clock, sizeof(a->clock));
    assert_int_equal(a->resends, b->resends);
    assert_int_equal(a->first_plaintext.at_ns, b->first_plaintext.at_ns);
    assert_int_equal(a->last_plaintext.at_ns, b->last_plaintext.at_ns);
    assert_int_equal(a->bytes_received, b->bytes_received);
    assert_int_equal(a->bytes_sent, b->bytes_sent);
    assert_int_equal(a->first_ns, b->first_ns);
    assert_int_equal(a->last_ns, b->last_ns);
    assert_int_equal(a->cert_expiry_ns, b->cert_expiry_ns);
    assert_int_equal(a->flags_len, b->flags_len);
    assert_string_equal(a->tls_cipher, b->tls_cipher);
    same_hist(&a->latency, &b->latency);
    same_hist(&a->server_latency, &b->server_latency);
}

static void compare(struct world *w, int64_t from_ns, enum granularity g)
{
    struct view_wish wish = { .window = { from_ns, w->now_ns }, .granularity = g };
    AUTO_DONE(view) expected = view_of_buckets(w, &wish);
    AUTO_DONE(view) got = view_of_totals(w, &wish);
    assert_int_equal(expected.edges_len, got.edges_len);
    assert_int_equal(expected.nodes_len, got.nodes_len);
    for (size_t i = 0; i < expected.edges_len; i++) {
        const struct edge_view *a = &expected.edges[i], *b = &got.edges[i];
        assert_int_equal(a->id, b->id);
        assert_int_equal(a->evidence, b->evidence);
        assert_memory_equal(a->counted, b->counted, sizeof(a->counted));
        assert_int_equal(a->received, b->received);
        same_cell(&a->sum, &b->sum);
        same_hist(&a->server_latency, &b->server_latency);
    }
}

static void second(struct world *w)
{
    w->now_ns += NS_PER_S;
    clock_fake(w->now_ns, w->now_ns);
    add_calls(w, below(w, 12));
    fold_tick(w->fold, w->now_ns);
    if (below(w, 3))
        assert_int_equal(fold_flush(w->fold, w->store, NULL), 0);
}

static void test_same_as_buckets(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world w;
        open_world(&w, seed);
        for (int i = 0; i < SECONDS; i++) {
            second(&w);
            if (i < 150 + (int)seed * 40 && i % 40 != 39)
                continue; /* the first question comes late, and others seldom */
            compare(&w, w.now_ns - 60 * NS_PER_S, GRANULARITY_WORKLOAD);
            compare(&w, w.now_ns - 175 * NS_PER_S, GRANULARITY_NAMESPACE);
            compare(&w, T0, GRANULARITY_WORKLOAD);
            compare(&w, T0 - 45 * NS_PER_S, GRANULARITY_SERVICE);
            compare(&w, window_align_down(w.now_ns - 200 * NS_PER_S, 60 * NS_PER_S),
                    GRANULARITY_WORKLOAD);
        }
        close_world(&w);
    }
}

/* Nobody asks for a while: it is forgotten, and right again at the next question. */
static void test_silence(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 9);
    for (int i = 0; i < 30; i++)
        second(&w);
    compare(&w, T0 - 300 * NS_PER_S, GRANULARITY_WORKLOAD);
    for (int i = 0; i < 200; i++)
        second(&w);
    compare(&w, T0 - 300 * NS_PER_S, GRANULARITY_WORKLOAD);
    compare(&w, w.now_ns - 60 * NS_PER_S, GRANULARITY_WORKLOAD);
    close_world(&w);
}

/* A window of the past, or one that reaches far ahead, is not what is kept. */
static void test_other_windows(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 5);
    second(&w);
    const struct window not_kept[] = {
        { T0 - 1200 * NS_PER_S, T0 - 600 * NS_PER_S },
        { T0 - 600 * NS_PER_S, T0 + 600 * NS_PER_S },
        { T0, T0 },
    };
    for (size_t i = 0; i < NELEMS(not_kept); i++) {
        AUTO_FREE(view_builder) b = view_builder_new(&(struct view_wish){ .window = not_kept[i] });
        assert_int_equal(
            fold_window(w.fold, w.store, &not_kept[i], view_builder_add_total, b, NULL),
            ERR_UNSUPPORTED);
    }
    close_world(&w);
}

static void test_out_of_memory(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 3);
    for (int i = 0; i < 20; i++)
        second(&w);
    assert_int_equal(fold_flush(w.fold, w.store, NULL), 0);
    struct window window = { T0 - 600 * NS_PER_S, T0 + 30 * NS_PER_S };
    struct view_wish wish = { .window = window };
    for (uint64_t nth = 1;; nth++) {
        struct view v = { 0 };
        struct view_builder *b = view_builder_new(&wish);
        assert_non_null(b);
        mem_fail_nth(nth);
        int rc = fold_window(w.fold, w.store, &window, view_builder_add_total, b, NULL);
        if (rc == 0)
            rc = view_builder_finish(b, &v, NULL);
        bool is_over = mem_count() < nth;
        mem_fail_nth(0);
        view_done(&v);
        view_builder_free(b);
        if (is_over) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_true(rc == 0 || rc == ERR_NOMEM || rc == ERR_UNSUPPORTED);
        compare(&w, T0, GRANULARITY_WORKLOAD);
    }
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_buckets),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_other_windows),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
