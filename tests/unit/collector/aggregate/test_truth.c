/* test_truth.c - a mesh whose every request is known, told to the fold in every order: counts are
 * exact and quantiles within 5 %.
 *
 * Each mode delivers the same records in another way, to each store. A failure prints the seed;
 * TULLE_TRUTH_SEED repeats it alone. */
#include "../sample.h"
#include "aggregate/fold.h"
#include "aggregate/view.h"
#include "base/mem.h"
#include "random_batch.h"
#include "truth.h"
#include <stdlib.h>
#include <unistd.h>

enum { REQUESTS = 3000, LENGTH_S = 100, PART_MAX = 40, SEEDS = 1 };
#define ERROR_MAX 0.05

struct mode {
    const char *name;
    int late_s;            /* a record arrives up to so much after it could be told */
    bool is_shuffled;      /* everything within half a minute, in any order */
    bool is_split;         /* every record in a request of its own */
    unsigned again_key;    /* of 100 requests that many come again with their key, some s later */
    unsigned again_no_key; /* ... without any key, as SDKs retry */
    unsigned crashes;      /* of 100 requests that many are followed by kill -9 */
};
/* clang-format off */
static const struct mode modes[] = {
    { "in order",                 0,  false, false, 0,  0,  0 },
    { "shuffled",                 0,  true,  false, 0,  0,  0 },
    { "late",                     50, false, false, 0,  0,  0 },
    { "split",                    20, false, true,  0,  0,  0 },
    { "again, with a key",        20, false, false, 40, 0,  0 },
    { "again, without a key",     20, false, false, 0,  40, 0 },
    { "kill -9",                  30, false, false, 0,  0,  6 },
    { "all of it",                40, false, false, 20, 20, 4 },
    { "all of it, shuffled",      0,  true,  false, 20, 20, 4 },
};
static const char *const stores[] = { "memory:", "sqlite:" };
/* clang-format on */

/* One delivery. */
struct parcel {
    int64_t at_ns;
    size_t from, len; /* records in order of arrival */
    uint64_t key;     /* 0: none */
};
struct arrival {
    int64_t at_ns;
    const struct truth_record *record;
};
struct run {
    const struct mode *mode;
    struct random_source random;
    char path[64];
    struct store *store;
    struct fold *fold;
    struct arrival *arrivals;
    size_t arrivals_len;
    struct parcel *parcels;
    size_t parcels_len;
    int64_t now_ns;
};

static int by_arrival(const void *pa, const void *pb)
{
    const struct arrival *a = pa, *b = pb;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    return a->record < b->record ? -1 : a->record > b->record;
}

static int by_time(const void *pa, const void *pb)
{
    const struct parcel *a = pa, *b = pb;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    return a->from < b->from ? -1 : a->from > b->from;
}

static void plan_arrivals(struct run *r, const struct truth *t)
{
    int64_t end_ns = T0 + (LENGTH_S + 30) * NS_PER_S;
    r->arrivals = mem_alloc(t->records_len * sizeof(*r->arrivals));
    r->arrivals_len = t->records_len;
    for (size_t i = 0; i < t->records_len; i++) {
        const struct truth_record *record = &t->records[i];
        int64_t at_ns = record->told_ns;
        if (r->mode->is_shuffled)
            at_ns = end_ns + (int64_t)random_below(&r->random, 30000) * NS_PER_MS;
        else if (r->mode->late_s)
            at_ns += (int64_t)random_below(&r->random, (uint64_t)r->mode->late_s * 1000) *
                     NS_PER_MS;
        r->arrivals[i] = (struct arrival){ at_ns, record };
    }
    qsort(r->arrivals, r->arrivals_len, sizeof(*r->arrivals), by_arrival);
}

static void plan_again(struct run *r, struct parcel *first)
{
    bool is_keyed = random_below(&r->random, 100) < r->mode->again_key;
    if (!is_keyed && random_below(&r->random, 100) >= r->mode->again_no_key)
        return;
    first->key = is_keyed ? 1 + first->from : 0;
    struct parcel again = *first;
    again.at_ns += (int64_t)random_below(&r->random, 5000) * NS_PER_MS;
    r->parcels[r->parcels_len++] = again;
}

static void plan_parcels(struct run *r)
{
    r->parcels = mem_alloc(2 * r->arrivals_len * sizeof(*r->parcels));
    for (size_t at = 0; at < r->arrivals_len;) {
        size_t len = r->mode->is_split ? 1 : 1 + random_below(&r->random, PART_MAX);
        len = MIN(len, r->arrivals_len - at);
        struct parcel *p = &r->parcels[r->parcels_len++];
        *p = (struct parcel){ .at_ns = r->arrivals[at + len - 1].at_ns, .from = at, .len = len };
        plan_again(r, p);
        at += len;
    }
    qsort(r->parcels, r->parcels_len, sizeof(*r->parcels), by_time);
}

static void open_store(struct run *r)
{
    struct err err = { 0 };
    struct store_conf c = { .url = sv_z(r->path), .durability = STORE_DURABILITY_NONE };
    r->store = store_open(&c, &err);
    if (!r->store)
        print_message("%s: %s\n", r->path, err.why);
    assert_non_null(r->store);
}

static int replay_batch(void *to, const struct batch *b)
{
    struct run *r = to;
    struct store_progress p = { 0 };
    assert_int_equal(store_get_progress(r->store, &p, NULL), 0);
    fold_batch(r->fold, b, b->seq > p.seq);
    return 0;
}

/* A new fold goes on where the committed batches say that the last one was. */
static void start_fold(struct run *r)
{
    struct fold_conf c = fold_conf_default();
    struct store_progress p = { 0 };
    r->fold = fold_new(&c);
    assert_non_null(r->fold);
    assert_int_equal(store_get_progress(r->store, &p, NULL), 0);
    fold_resume(r->fold, &p);
    assert_int_equal(
        store_replay(r->store, p.seq, fold_replay_since(r->fold), replay_batch, r, NULL), 0);
}

static void crash(struct run *r)
{
    r->fold = fold_free(r->fold);
    if (r->path[0] == 's' && random_below(&r->random, 2)) {
        store_close(r->store);
        open_store(r);
    }
    start_fold(r);
}

/* The writer's clock goes on to at_ns, a tick a second. */
static void pass_time(struct run *r, int64_t at_ns)
{
    while (r->now_ns + NS_PER_S <= at_ns) {
        r->now_ns += NS_PER_S;
        fold_tick(r->fold, r->now_ns);
        if (random_below(&r->random, 3))
            assert_int_equal(fold_flush(r->fold, r->store, NULL), 0);
    }
}

static void deliver(struct run *r, const struct parcel *p)
{
    struct batch *b = batch_new();
    assert_non_null(b);
    for (size_t i = 0; i < p->len; i++) {
        const struct truth_record *record = r->arrivals[p->from + i].record;
        if (record->is_call)
            *batch_add_call(b) = record->call;
        else
            *batch_add_span(b) = record->span;
    }
    char key[32];
    int len = snprintf(key, sizeof(key), "%llu", (unsigned long long)p->key);
    b->idempotency_key = p->key ? sv_of(key, (size_t)len) : SV_NONE;
    b->received_ns = p->at_ns;
    assert_int_equal(store_put(r->store, &b, 1, NULL), 0);
    bool is_lost = random_below(&r->random, 100) < r->mode->crashes;
    if (b->seq && !(is_lost && random_below(&r->random, 2)))
        fold_batch(r->fold, b, true);
    batch_free(b);
    if (is_lost)
        crash(r);
}

static void compare_edge(const struct truth_edge *want, const struct edge_view *have)
{
    static const double quantiles[] = { 0.5, 0.9, 0.95, 0.99, 1 };
    assert_int_equal(have->sum.requests, want->requests);
    assert_int_equal(have->sum.errors, want->errors);
    for (size_t t = 0; t < TLS_STATES_LEN; t++)
        assert_int_equal(have->sum.tls[t], want->tls[t]);
    assert_int_equal(have->evidence, want->evidence);
    assert_int_equal(have->edge.protocol, want->protocol);
    for (size_t i = 0; i < NELEMS(quantiles); i++) {
        double exact = (double)truth_quantile(want, quantiles[i]);
        double told = (double)hist_quantile(&have->sum.latency, quantiles[i]);
        if (told < exact * (1 - ERROR_MAX) || told > exact * (1 + ERROR_MAX))
            fail_msg("q%.2f is %.0f ns, want %.0f", quantiles[i], told, exact);
    }
}

static const struct edge_view *find(const struct view *v, const struct truth_edge *e)
{
    for (size_t i = 0; i < v->edges_len; i++)
        if (sv_eq(v->edges[i].edge.source.workload, e->source) &&
            sv_eq(v->edges[i].edge.destination.workload, e->destination))
            return &v->edges[i];
    return NULL;
}

static void print_strangers(const struct view *v, const struct truth *t)
{
    for (size_t i = 0; i < v->edges_len; i++) {
        const struct edge_view *have = &v->edges[i];
        print_message("  %.*s > %.*s: %llu by %s\n", SV_ARG(have->edge.source.workload),
                      SV_ARG(have->edge.destination.workload),
                      (unsigned long long)have->sum.requests, reporter_name(have->evidence));
    }
    print_message("want %zu edges\n", t->edges_len);
}

static void compare(struct run *r, const struct truth *t)
{
    struct view_wish w = { .window = { T0, T0 + (LENGTH_S + 30) * NS_PER_S } };
    AUTO_FREE(view_builder) b = view_builder_new(&w);
    AUTO_DONE(view) v = { 0 };
    assert_non_null(b);
    struct window wanted = view_builder_window(b);
    assert_int_equal(fold_read(r->fold, r->store, &wanted, view_builder_add, b, NULL), 0);
    assert_int_equal(view_builder_finish(b, &v, NULL), 0);
    if (v.edges_len != t->edges_len)
        print_strangers(&v, t);
    assert_int_equal(v.edges_len, t->edges_len);
    for (size_t i = 0; i < t->edges_len; i++) {
        const struct edge_view *have = find(&v, &t->edges[i]);
        if (!have || have->sum.requests != t->edges[i].requests)
            print_message("edge %.*s > %.*s, kind %d: want %llu, have %llu\n",
                          SV_ARG(t->edges[i].source), SV_ARG(t->edges[i].destination),
                          t->edges[i].kind, (unsigned long long)t->edges[i].requests,
                          have ? (unsigned long long)have->sum.requests : 0ULL);
        assert_non_null(have);
        compare_edge(&t->edges[i], have);
    }
}

static void run_mode(const struct mode *mode, const char *store, uint64_t seed)
{
    struct truth t;
    struct run r = { .mode = mode, .random = { seed ^ 0x5eed }, .now_ns = T0 };
    bool is_file = store[0] == 's';
    print_message("%s, %s seed %llu\n", mode->name, store, (unsigned long long)seed);
    char folder[] = "/tmp/tulle-truth-XXXXXX";
    if (is_file)
        assert_non_null(mkdtemp(folder));
    snprintf(r.path, sizeof(r.path), "%s%s", store, is_file ? folder : "");
    if (is_file)
        snprintf(r.path + strlen(r.path), sizeof(r.path) - strlen(r.path), "/t.db");
    truth_init(&t, seed, REQUESTS, T0, LENGTH_S * NS_PER_S);
    plan_arrivals(&r, &t);
    plan_parcels(&r);
    open_store(&r);
    start_fold(&r);
    for (size_t i = 0; i < r.parcels_len; i++) {
        pass_time(&r, r.parcels[i].at_ns);
        deliver(&r, &r.parcels[i]);
    }
    pass_time(&r, r.now_ns + 100 * NS_PER_S);
    compare(&r, &t);
    if (mode->crashes) {
        crash(&r);
        compare(&r, &t);
    }
    fold_free(r.fold);
    store_close(r.store);
    if (is_file) {
        char command[96];
        snprintf(command, sizeof(command), "rm -r '%s'", folder);
        assert_int_equal(system(command), 0);
    }
    mem_free(r.arrivals);
    mem_free(r.parcels);
    truth_done(&t);
}

static void test_truth(void **state)
{
    const char *wanted = getenv("TULLE_TRUTH_SEED");
    uint64_t first = wanted ? strtoull(wanted, NULL, 10) : 1;
    (void)state;
    for (uint64_t seed = first; seed < first + (wanted ? 1 : SEEDS); seed++)
        for (size_t m = 0; m < NELEMS(modes); m++)
            for (size_t s = 0; s < NELEMS(stores); s++)
                run_mode(&modes[m], stores[s], seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_truth) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
