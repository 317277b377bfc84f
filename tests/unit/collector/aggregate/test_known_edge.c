/* test_known_edge.c - an edge has one object, whatever its names, its hash and the memory do. */
#include "../sample.h"
#include "aggregate/ahead.h"
#include "base/mem.h"

enum { CALLS = 3000, EDGES_MAX = 100000 };

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 33;
}

/* Of every length there is a rule for; many differ in one byte only, also in the middle. */
static struct sv some_name(uint64_t *seed, char *room)
{
    static const size_t lengths[] = { 1, 2, 3, 4, 7, 8, 9, 16, 17, 32, 33, 40 };
    size_t len = lengths[next(seed) % NELEMS(lengths)];
    memset(room, 'a', len);
    room[next(seed) % len] = (char)('a' + next(seed) % 3);
    return sv_of(room, len);
}

static struct call some_call(uint64_t *seed, char room[8][40])
{
    struct call c = { .protocol = (enum protocol)(next(seed) % PROTOCOLS_LEN) };
    struct identity *const ends[] = { &c.source, &c.destination };
    for (size_t i = 0; i < NELEMS(ends); i++) {
        *ends[i] = sample_who(some_name(seed, room[4 * i]), SV("v1"));
        if (next(seed) % 2)
            ends[i]->version = some_name(seed, room[4 * i + 1]);
        if (next(seed) % 2)
            ends[i]->namespace = some_name(seed, room[4 * i + 2]);
        if (next(seed) % 4 == 0)
            ends[i]->cluster = some_name(seed, room[4 * i + 3]);
    }
    return c;
}

static void test_one_object_an_edge(void **state)
{
    (void)state;
    static struct call calls[CALLS];
    static char rooms[CALLS][8][40];
    static struct known_edge *edges[CALLS];
    struct known_edges k;
    uint64_t seed = 11;
    size_t same = 0;
    known_edges_init(&k, EDGES_MAX);
    for (size_t i = 0; i < CALLS; i++) /* every third has come before */
        calls[i] = i % 3 ? some_call(&seed, rooms[i]) : calls[next(&seed) % (i + 1)];
    calls[0] = calls[1];
    struct ahead ahead;
    ahead_start(&ahead, &k, NULL, calls, CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        bool is_other;
        const struct edge_seek *seek = ahead_next(&ahead, i);
        edges[i] = known_edge_get(&k, &calls[i], i % 2 ? seek : NULL, &is_other);
        assert_non_null(edges[i]);
        assert_false(is_other);
        struct edge wanted = { calls[i].source, calls[i].destination, calls[i].protocol, SV_NONE };
        assert_true(edge_same(&edges[i]->edge, &wanted));
        for (size_t n = 0; n < i; n++) {
            bool is_same = edge_same(&edges[n]->edge, &wanted);
            assert_true(is_same == (edges[n] == edges[i]));
            same += is_same;
        }
    }
    size_t met = 0;
    for (size_t i = 0; known_edges_next(&k, &i);)
        met++;
    assert_int_equal(met, known_edges_len(&k));
    assert_true(same > CALLS / 4 && met > CALLS / 4);
    known_edges_done(&k);
}

static struct known_edge *get(struct known_edges *k, const char *to, bool *ret_is_other)
{
    struct call c = sample_call(SV("a"), sv_z(to), REPORTER_SOURCE, T0, 200);
    return known_edge_get(k, &c, NULL, ret_is_other);
}

static void test_too_many(void **state)
{
    (void)state;
    struct known_edges k;
    bool is_other;
    known_edges_init(&k, 2);
    struct known_edge *first = get(&k, "b", &is_other);
    assert_false(is_other);
    assert_non_null(get(&k, "c", &is_other));
    struct known_edge *third = get(&k, "d", &is_other);
    assert_true(is_other && third && third->is_other);
    assert_ptr_equal(get(&k, "e", &is_other), third);
    assert_true(is_other);
    assert_ptr_equal(get(&k, "b", &is_other), first);
    assert_false(is_other);
    known_edges_done(&k);
}

/* Of principals the first that was proven, of hosts the last; those that are no DNS names are not kept. */
static void test_learns(void **state)
{
    (void)state;
    static char long_host[HOST_SIZE];
    memset(long_host, 'h', sizeof(long_host));
    struct known_edges k;
    bool is_other;
    known_edges_init(&k, 10);
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    struct known_edge *e = known_edge_get(&k, &c, NULL, &is_other);
    assert_non_null(e);
    assert_true(sv_eq(e->edge.destination_service, IDENTITY_UNKNOWN));
    const char *const principals[] = { "spiffe://td/ns/x/sa/one", "spiffe://td/ns/x/sa/two" };
    for (size_t i = 0; i < NELEMS(principals); i++) {
        c.source_principal_seen = sv_z(principals[i]);
        c.destination.principal = sv_z(principals[i]);
        assert_ptr_equal(known_edge_get(&k, &c, NULL, &is_other), e);
        assert_true(sv_eq(e->edge.source.principal, sv_z(principals[0])));
        assert_true(sv_eq(e->edge.destination.principal, sv_z(principals[0])));
    }
    for (size_t len = 1; len <= HOST_SIZE; len += len < 60 ? 7 : 1) {
        c.destination_service = sv_of(long_host, len);
        assert_ptr_equal(known_edge_get(&k, &c, NULL, &is_other), e);
        assert_int_equal(e->edge.destination_service.len, MIN(len, (size_t)HOST_SIZE - 1));
    }
    c.destination_service = SV("b.shop.svc");
    assert_ptr_equal(known_edge_get(&k, &c, NULL, &is_other), e);
    assert_true(sv_eq(e->edge.destination_service, SV("b.shop.svc")));
    known_edges_done(&k);
}

/* What a committed bucket leaves behind is empty, is used again, and goes when its edge is quiet. */
static void test_cells_are_kept(void **state)
{
    (void)state;
    struct known_edges k;
    bool is_other;
    known_edges_init(&k, 10);
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    struct known_edge *e = known_edge_get(&k, &c, NULL, &is_other);
    assert_non_null(e);
    for (int second = 0; second < 3; second++) {
        for (int bucket = 0; bucket < 2; bucket++) {
            int64_t start_ns = T0 + (second + bucket) * BUCKET_NS;
            struct edge_bucket *b = known_edge_bucket(&k, e, start_ns);
            assert_ptr_equal(known_edge_bucket(&k, e, start_ns), b);
            struct edge_cell *cell = known_edge_cell(&k, e, b, REPORTER_SOURCE);
            assert_false(edge_cell_is_used(cell));
            assert_int_equal(edge_cell_add(cell, &c), 0);
            assert_int_equal(cell->latency.count, 1);
            assert_null(b->cells[REPORTER_DESTINATION]);
        }
        assert_int_equal(k.pending_len, 2);
        known_edges_clear_pending(&k);
        assert_int_equal(k.pending_len, 0);
        assert_null(e->pending);
        assert_int_equal(k.kept_len, 1);
    }
    e->told_ns = T0;
    known_edges_trim(&k, T0);
    assert_int_equal(k.kept_len, 1);
    known_edges_trim(&k, T0 + 1);
    assert_int_equal(k.kept_len, 0);
    known_edges_done(&k);
}

/* Whatever allocation fails: the next try finds or makes everything. */
static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        struct known_edges k;
        bool is_other, has_failed = false;
        char name[8];
        known_edges_init(&k, 1000);
        mem_fail_nth(nth);
        for (unsigned i = 0; i < 150; i++) {
            snprintf(name, sizeof(name), "n%u", i);
            struct known_edge *e = get(&k, name, &is_other);
            struct edge_bucket *b = e ? known_edge_bucket(&k, e, T0) : NULL;
            if (!b || !known_edge_cell(&k, e, b, REPORTER_PAIR)) {
                assert_false(has_failed);
                has_failed = true;
                i--;
            }
        }
        mem_fail_nth(0);
        assert_int_equal(known_edges_len(&k), 150);
        assert_int_equal(k.pending_len, 150);
        known_edges_done(&k);
        if (!has_failed)
            break;
        assert_true(nth < 1000);
    }
}

/* Things with one hash are told apart by who asks, and none is lost when the table grows. */
static void test_met_with_one_hash(void **state)
{
    (void)state;
    static int things[1000];
    struct met m = { 0 };
    size_t at;
    assert_null(met_first(&m, 1, &at));
    for (size_t i = 0; i < NELEMS(things); i++)
        assert_int_equal(met_put(&m, (i % 3) << 30, &things[i]), 0);
    for (size_t hash = 0; hash < 4; hash++) {
        size_t n = 0;
        for (int *t = met_first(&m, hash << 30, &at); t; t = met_again(&m, hash << 30, &at), n++)
            assert_int_equal((size_t)(t - things) % 3, hash);
        assert_int_equal(n, hash == 3 ? 0 : NELEMS(things) / 3 + (hash == 0));
    }
    met_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_met_with_one_hash),
        cmocka_unit_test(test_one_object_an_edge),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_cells_are_kept),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
