/* edge_cases.c - buckets: merging, widths, windows, facts of an edge, progress beside them. */
#include "base/mem.h"
#include "contract.h"

enum { MINUTE = 6, HOUR = 360 };

static struct edge an_edge(const char *source, const char *destination)
{
    struct edge e = { .source = identity_unknown(),
                      .destination = identity_unknown(),
                      .protocol = PROTOCOL_HTTP,
                      .destination_service = SV("unknown") };
    e.source.workload = sv_z(source);
    e.destination.workload = sv_z(destination);
    return e;
}

/* One call of duration_ns by the reporter in the bucket that starts at step * 10 s. */
static struct edge_bucket a_bucket(const struct edge *e, int64_t step, enum reporter r,
                                   int64_t duration_ns)
{
    struct edge_bucket b = { .edge = e, .start_ns = step * BUCKET_NS, .width_ns = BUCKET_NS };
    struct call c = { .start_ns = b.start_ns + 1, .duration_ns = duration_ns, .grpc_status = -1 };
    c.response_code = 200;
    c.response_flags = SV("UO");
    struct edge_cell *cell = edge_bucket_cell(&b, r);
    assert_non_null(cell);
    assert_int_equal(edge_cell_add(cell, &c), 0);
    return b;
}

static void put_buckets(struct store *s, struct edge_bucket *list, size_t n, uint64_t seq)
{
    struct store_progress p = { .seq = seq, .time_ns = (int64_t)seq * 7 };
    struct err err = { 0 };
    if (store_put_edges(s, list, n, &p, &err) < 0)
        fail_msg("put_edges: %s", err.why);
    for (size_t i = 0; i < n; i++)
        edge_bucket_done(&list[i]);
}

/* Sums over everything in the window; requests by reporter; and a check text an edge. */
struct total {
    uint64_t buckets, requests[REPORTERS_LEN], observations;
    int64_t sum_ns;
    char service[32], principal[32], asked[32];
};

static int sum_up(void *to, const struct edge_bucket *b)
{
    struct total *t = to;
    t->buckets++;
    assert_int_equal(window_align_down(b->start_ns, b->width_ns), b->start_ns);
    for (size_t r = 0; r < REPORTERS_LEN; r++) {
        if (!b->cells[r])
            continue;
        t->requests[r] += b->cells[r]->requests;
        t->observations += b->cells[r]->latency.count;
        t->sum_ns += b->cells[r]->latency.sum_ns;
    }
    (void)sv_to_z(b->edge->source.service, t->service, sizeof(t->service));
    (void)sv_to_z(b->edge->destination.principal, t->principal, sizeof(t->principal));
    (void)sv_to_z(b->edge->destination_service, t->asked, sizeof(t->asked));
    return 0;
}

static struct total total_of(struct store *s, int64_t from, int64_t to, int64_t width)
{
    struct window w = { from * BUCKET_NS, to * BUCKET_NS };
    struct total t = { 0 };
    assert_int_equal(store_edges(s, &w, width * BUCKET_NS, sum_up, &t, NULL), 0);
    return t;
}

static void buckets_add_up(struct world *w)
{
    struct edge ab = an_edge("a", "b"), ac = an_edge("a", "c");
    struct edge_bucket first[] = { a_bucket(&ab, 5, REPORTER_SOURCE, 1000),
                                   a_bucket(&ac, 5, REPORTER_SOURCE, 1000),
                                   a_bucket(&ab, 5, REPORTER_PAIR, 2000000),
                                   a_bucket(&ab, 6, REPORTER_SOURCE, 1000),
                                   a_bucket(&ab, 400, REPORTER_SOURCE, 1000) };
    put_buckets(w->store, first, NELEMS(first), 1);
    world_reopen(w);
    struct edge_bucket second[] = { a_bucket(&ab, 5, REPORTER_SOURCE, 5000),
                                    a_bucket(&ab, -3, REPORTER_SOURCE, 5000) };
    put_buckets(w->store, second, NELEMS(second), 2);
    for (int round = 0; round < 2; round++) {
        struct total t = total_of(w->store, 5, 6, 1);
        assert_int_equal(t.buckets, 2);
        assert_int_equal(t.requests[REPORTER_SOURCE], 3);
        assert_int_equal(t.requests[REPORTER_PAIR], 1);
        assert_int_equal(t.observations, 4);
        assert_int_equal(t.sum_ns, 1000 + 1000 + 5000 + 2000000);
        assert_int_equal(total_of(w->store, -10, 1000, 1).buckets, 5);
        assert_int_equal(total_of(w->store, 7, 400, 1).buckets, 0);
        struct store_stats stats;
        assert_int_equal(store_get_stats(w->store, &stats, NULL), 0);
        assert_int_equal(stats.edge_buckets, 5);
        world_reopen(w);
    }
}

static void wider_buckets_agree(struct world *w)
{
    struct edge ab = an_edge("a", "b");
    struct random_source r = { 3 };
    for (uint64_t i = 0; i < 20; i++) {
        struct edge_bucket list[10];
        for (size_t j = 0; j < NELEMS(list); j++)
            list[j] = a_bucket(&ab, (int64_t)random_below(&r, 2 * HOUR), REPORTER_SOURCE,
                               (int64_t)random_next(&r));
        put_buckets(w->store, list, NELEMS(list), i);
    }
    struct total ten = total_of(w->store, 0, 2 * HOUR, 1);
    struct total minute = total_of(w->store, 0, 2 * HOUR, MINUTE);
    struct total hour = total_of(w->store, 0, 2 * HOUR, HOUR);
    assert_int_equal(ten.requests[REPORTER_SOURCE], 200);
    assert_int_equal(minute.requests[REPORTER_SOURCE], 200);
    assert_int_equal(hour.requests[REPORTER_SOURCE], 200);
    assert_int_equal(hour.buckets, 2);
    assert_true(minute.buckets < ten.buckets);
    assert_int_equal(hour.sum_ns, ten.sum_ns);
    assert_int_equal(minute.observations, ten.observations);
    struct window all = { 0, INT64_MAX };
    assert_int_equal(store_edges(w->store, &all, 7, sum_up, &ten, NULL), ERR_USAGE);
}

static void facts_are_kept_and_learned(struct world *w)
{
    struct edge e = an_edge("a", "b");
    struct edge_bucket b = a_bucket(&e, 1, REPORTER_SOURCE, 1);
    put_buckets(w->store, &b, 1, 1);
    e.source.service = SV("svc");
    e.destination.principal = SV("spiffe://x");
    e.destination_service = SV("b.default");
    b = a_bucket(&e, 2, REPORTER_SOURCE, 1);
    put_buckets(w->store, &b, 1, 2);
    struct edge blank = an_edge("a", "b");
    blank.source.service = SV_NONE;
    b = a_bucket(&blank, 3, REPORTER_SOURCE, 1);
    put_buckets(w->store, &b, 1, 3);
    for (int round = 0; round < 2; round++) {
        struct total t = total_of(w->store, 0, 9, 1);
        assert_int_equal(t.buckets, 3);
        assert_string_equal(t.service, "svc");
        assert_string_equal(t.principal, "spiffe://x");
        assert_string_equal(t.asked, "b.default");
        world_reopen(w);
    }
}

static void progress_moves_with_the_buckets(struct world *w)
{
    struct store_progress p;
    assert_int_equal(store_get_progress(w->store, &p, NULL), 0);
    assert_int_equal(p.seq, 0);
    assert_int_equal(p.time_ns, 0);
    struct edge e = an_edge("a", "b");
    struct edge_bucket b = a_bucket(&e, 1, REPORTER_SOURCE, 1);
    put_buckets(w->store, &b, 1, 41);
    put_buckets(w->store, NULL, 0, 42); /* progress alone */
    world_reopen(w);
    assert_int_equal(store_get_progress(w->store, &p, NULL), 0);
    assert_int_equal(p.seq, 42);
    assert_int_equal(p.time_ns, 42 * 7);
}

static void put_edges_is_all_or_nothing(struct world *w)
{
    struct edge ab = an_edge("a", "b"), ac = an_edge("a", "c");
    struct edge_bucket list[] = { a_bucket(&ab, 1, REPORTER_SOURCE, 1),
                                  a_bucket(&ac, 1, REPORTER_PAIR, 1) };
    struct store_progress p = { .seq = 9 }, got;
    for (uint64_t nth = 1; nth < 500; nth++) {
        mem_fail_nth(nth);
        int rc = store_put_edges(w->store, list, NELEMS(list), &p, NULL);
        mem_fail_nth(0);
        assert_int_equal(total_of(w->store, 0, 9, 1).buckets, rc == 0 ? 2 : 0);
        assert_int_equal(total_of(w->store, 0, 9, MINUTE).buckets, rc == 0 ? 2 : 0);
        assert_int_equal(store_get_progress(w->store, &got, NULL), 0);
        assert_int_equal(got.seq, rc == 0 ? 9 : 0);
        if (rc == 0) {
            put_buckets(w->store, list, NELEMS(list), 10);
            assert_int_equal(total_of(w->store, 0, 9, 1).requests[REPORTER_SOURCE], 2);
            return;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    fail_msg("put_edges never succeeded");
}

static void odd_buckets_are_refused(struct world *w)
{
    struct edge e = an_edge("a", "b");
    struct edge_bucket b = a_bucket(&e, 1, REPORTER_SOURCE, 1);
    struct store_progress p = { .seq = 1 };
    b.start_ns++;
    assert_int_equal(store_put_edges(w->store, &b, 1, &p, NULL), ERR_USAGE);
    b.start_ns--;
    b.width_ns = 7;
    assert_int_equal(store_put_edges(w->store, &b, 1, &p, NULL), ERR_USAGE);
    edge_bucket_done(&b);
}

/* The collector's worst second: thousands of edges with one bucket each, several times over. */
static void many_edges(struct world *w)
{
    enum { N = 1000 };
    static char names[N][16];
    static struct edge edges[N];
    static struct edge_bucket list[N];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            snprintf(names[i], sizeof(names[i]), "w%zu", i);
            edges[i] = an_edge(names[i], "hub");
            list[i] = a_bucket(&edges[i], 7, REPORTER_SOURCE, 1000 + (int64_t)i);
        }
        put_buckets(w->store, list, N, (uint64_t)round);
    }
    world_reopen(w);
    struct total t = total_of(w->store, 0, 10, 1);
    assert_int_equal(t.buckets, N);
    assert_int_equal(t.requests[REPORTER_SOURCE], 3 * N);
}

static void every_reporter_keeps_its_column(struct world *w)
{
    struct edge e = an_edge("a", "b");
    struct edge_bucket list[REPORTERS_LEN];
    for (int r = 0; r < REPORTERS_LEN; r++)
        list[r] = a_bucket(&e, 3, (enum reporter)r, 100 + r);
    put_buckets(w->store, list, REPORTERS_LEN, 1);
    world_reopen(w);
    struct total t = total_of(w->store, 0, 10, 1);
    for (int r = 0; r < REPORTERS_LEN; r++)
        assert_int_equal(t.requests[r], 1);
}

const struct contract_case edge_cases[] = {
    { "every reporter keeps its column", every_reporter_keeps_its_column },
    { "buckets add up", buckets_add_up },
    { "wider buckets agree", wider_buckets_agree },
    { "facts are kept and learned", facts_are_kept_and_learned },
    { "progress moves with the buckets", progress_moves_with_the_buckets },
    { "put_edges is all or nothing", put_edges_is_all_or_nothing },
    { "odd buckets are refused", odd_buckets_are_refused },
    { "many edges", many_edges },
};
const size_t edge_cases_len = NELEMS(edge_cases);
