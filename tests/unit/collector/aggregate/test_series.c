/* test_series.c - the budget of series: the sum over all of them is right at any time. */
#include "../sample.h"
#include "aggregate/series.h"

#define S(x) ((x)*NS_PER_S)

enum { EDGES = 12, IDLE_S = 200 };

struct world {
    struct known_edges edges;
    struct edge_series series;
    struct series_budget budget;
};

static void world_done(struct world *w)
{
    known_edges_done(&w->edges);
    edge_series_done(&w->series);
}

static void put(struct world *w, unsigned edge, int64_t now_ns)
{
    char name[8];
    bool is_other;
    snprintf(name, sizeof(name), "e%u", edge);
    struct call c = sample_call(SV("a"), sv_z(name), REPORTER_SOURCE, now_ns, edge % 2 ? 500 : 200);
    c.tls = edge % 3 ? TLS_MUTUAL : TLS_PLAINTEXT;
    struct known_edge *e = known_edge_get(&w->edges, &c, NULL, &is_other);
    assert_non_null(e);
    assert_int_equal(totals_add(&e->totals, &c, -1, now_ns, 0), 0);
}

static void settle(struct world *w, int64_t now_ns)
{
    struct known_edge *e;
    for (size_t i = 0; (e = known_edges_next(&w->edges, &i));)
        totals_settle(&e->totals, now_ns);
}

/* What a scraper would have seen of one series after the other. */
struct seen {
    struct world *world;
    uint64_t sum, overflow, rows;
    uint64_t latest[EDGES]; /* of each edge's own row */
    int64_t created_ns[EDGES];
    bool is_there[EDGES];
    uint64_t ended; /* what rows had counted that are gone */
};

static void see(void *to, const struct edge *e, enum tls_state tls, const struct total_row *row)
{
    struct seen *seen = to;
    uint64_t n = total_requests(&row->n), edge;
    (void)tls;
    assert_int_equal(row->latency.count, n);
    assert_true(row->created_ns > 0);
    seen->sum += n;
    seen->rows++;
    if (sv_eq(e->destination.workload, SV("other"))) {
        seen->overflow += n;
        return;
    }
    assert_true(sv_to_u64(sv_from(e->destination.workload, 1), &edge) && edge < EDGES);
    assert_true(row->created_ns >= seen->created_ns[edge]);
    if (row->created_ns == seen->created_ns[edge])
        assert_true(n >= seen->latest[edge]);
    seen->latest[edge] = n;
    seen->created_ns[edge] = row->created_ns;
    seen->is_there[edge] = true;
}

/* One scrape; own rows that are missing now have ended with what they showed last. */
static void scrape(struct world *w, struct seen *seen, int64_t now_ns)
{
    uint64_t overflow = seen->overflow;
    bool was_there[EDGES];
    memcpy(was_there, seen->is_there, sizeof(was_there));
    memset(seen->is_there, 0, sizeof(seen->is_there));
    seen->sum = seen->overflow = seen->rows = 0;
    uint64_t before[EDGES];
    int64_t created_ns[EDGES];
    memcpy(before, seen->latest, sizeof(before));
    memcpy(created_ns, seen->created_ns, sizeof(created_ns));
    struct series_walk walk = { now_ns, true, NULL, see, seen };
    edge_series_walk(&w->series, &w->edges, &w->budget, &walk);
    for (size_t i = 0; i < EDGES; i++)
        if (was_there[i] && (!seen->is_there[i] || seen->created_ns[i] != created_ns[i]))
            seen->ended += before[i];
    assert_true(seen->overflow >= overflow);
}

/* Any load, any budget: what is shown and what has ended add up to what was sent. */
static void test_sum_is_right(void **state)
{
    (void)state;
    uint64_t seed = 7, ended = 0, refused = 0;
    for (unsigned round = 0; round < 20; round++) {
        struct world w = { .budget.conf = { (round % 5) * 2 * EDGE_ROW_SERIES, S(IDLE_S) } };
        struct seen seen = { .world = &w };
        known_edges_init(&w.edges, round % 2 ? EDGES : 5);
        uint64_t sent = 0;
        int64_t now_ns = T0;
        for (int i = 0; i < 400; i++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            unsigned dice = (unsigned)(seed >> 33);
            now_ns += S(dice % 50 == 0 ? 2 * IDLE_S : dice % 7);
            settle(&w, now_ns);
            if (dice % 11 == 0)
                scrape(&w, &seen, now_ns);
            put(&w, dice / 64 % EDGES, now_ns);
            sent++;
            if (dice % 3 == 0) {
                scrape(&w, &seen, now_ns);
                assert_int_equal(seen.sum + seen.ended, sent);
                assert_true(w.budget.used <= w.budget.conf.max);
            }
        }
        ended += w.budget.ended_rows;
        refused += w.budget.refused_rows;
        world_done(&w);
    }
    assert_true(ended > 0 && refused > 0);
}

static void test_budget(void **state)
{
    struct world w = { .budget.conf = { 2 * EDGE_ROW_SERIES, S(IDLE_S) } };
    struct seen seen = { .world = &w };
    (void)state;
    known_edges_init(&w.edges, EDGES);
    for (unsigned i = 1; i <= 4; i++)
        put(&w, i, T0);
    scrape(&w, &seen, T0);
    assert_int_equal(seen.sum, 4);
    assert_int_equal(w.budget.refused_rows, 2);
    assert_int_equal(w.budget.used, 2 * EDGE_ROW_SERIES);
    settle(&w, T0 + S(IDLE_S));
    scrape(&w, &seen, T0 + S(IDLE_S)); /* the last time */
    assert_int_equal(seen.sum, 4);
    assert_int_equal(w.budget.used, 0);
    assert_int_equal(w.budget.ended_rows, 4);
    scrape(&w, &seen, T0 + S(IDLE_S) + 1);
    assert_int_equal(seen.sum, 2); /* the overflow stays */
    assert_int_equal(seen.overflow, 2);
    put(&w, 1, T0 + S(IDLE_S + 10)); /* one comes back, as a new counter */
    scrape(&w, &seen, T0 + S(IDLE_S + 10));
    assert_int_equal(seen.sum, 3);
    world_done(&w);
}

static void test_never_ends(void **state)
{
    struct world w = { .budget.conf = { 100 * EDGE_ROW_SERIES, 0 } };
    struct seen seen = { .world = &w };
    (void)state;
    known_edges_init(&w.edges, EDGES);
    put(&w, 1, T0);
    settle(&w, T0 + S(100000));
    for (int i = 0; i < 3; i++)
        scrape(&w, &seen, T0 + S(100000 + i));
    assert_int_equal(seen.sum, 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_is_right),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_never_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
