/* test_kept.c - slow answers are kept, quick ones and failures are not. */
#include "../sample.h"
#include "query/kept.h"
#include <pthread.h>

#define GRAPH SV("/api/v1/graph?window=1m")

struct world {
    struct store *store;
    struct api api;
};

static void open_world(struct world *w)
{
    struct fold_conf fc = fold_conf_default();
    struct store_conf sc = { .url = SV("memory:") };
    *w = (struct world){ .store = store_open(&sc, NULL) };
    assert_non_null(w->store);
    w->api = (struct api){ .store = w->store, .fold = fold_new(&fc) };
    assert_non_null(w->api.fold);
    w->api.kept = kept_new(&w->api);
    assert_non_null(w->api.kept);
}

static void close_world(struct world *w)
{
    kept_free(w->api.kept);
    fold_free(w->api.fold);
    store_close(w->store);
}

static struct request get(struct sv target)
{
    return (struct request){ .method = SV("GET"), .target = target };
}

/* An answer as the API makes it, offered as one that took so long. */
static void offer_of(struct world *w, const struct request *rq, unsigned status, int64_t took_ns,
                     uint64_t generation)
{
    AUTO_DONE(answer) a = { .status = status, .content_type = "application/json" };
    buf_put(&a.body, SV("{\"made\":\"before\"}"));
    kept_offer(w->api.kept, rq, &a, generation, took_ns);
}

static void offer(struct world *w, const struct request *rq, unsigned status, int64_t took_ns)
{
    offer_of(w, rq, status, took_ns, 0);
}

static bool is_kept(struct world *w, const struct request *rq)
{
    AUTO_DONE(answer) a = { 0 };
    return kept_get(w->api.kept, rq, &a);
}

/* Offers it until it is there: on a machine that stands still for seconds it may be forgotten. */
static void keep(struct world *w, const struct request *rq)
{
    bool is_there = false;
    for (int i = 0; i < 100 && !is_there; i++) {
        offer(w, rq, 200, KEPT_MIN_NS);
        is_there = is_kept(w, rq);
    }
    assert_true(is_there);
}

static void test_what_is_kept(void **state)
{
    struct world w;
    struct request graph = get(GRAPH), other = get(SV("/api/v1/graph")), gzip = get(GRAPH);
    (void)state;
    open_world(&w);
    gzip.accepts_gzip = true;
    assert_false(is_kept(&w, &graph));
    offer(&w, &graph, 200, KEPT_MIN_NS - 1);
    offer(&w, &other, 503, 2 * KEPT_MIN_NS);
    assert_false(is_kept(&w, &graph));
    assert_false(is_kept(&w, &other));
    keep(&w, &graph);
    assert_false(is_kept(&w, &gzip));
    assert_false(is_kept(&w, &other));
    close_world(&w);
}

/* Through the API an ETag spares the body. */
static void test_through_api(void **state)
{
    struct world w;
    struct request rq = get(GRAPH);
    unsigned status = 0;
    (void)state;
    open_world(&w);
    rq.if_none_match = SV("\"0\", *");
    for (int i = 0; i < 100 && status != 304; i++) {
        AUTO_DONE(answer) a = { 0 };
        keep(&w, &rq);
        api_answer(&w.api, &rq, &a);
        status = a.status;
        assert_true(status == 304 ? a.body.len == 0 && a.etag[0] == '"' : status == 200);
    }
    assert_int_equal(status, 304);
    close_world(&w);
}

/* More targets than places: the ones asked for last stay. */
static void test_places(void **state)
{
    struct world w;
    char text[32];
    (void)state;
    open_world(&w);
    for (int i = 0; i < 40; i++) {
        int n = snprintf(text, sizeof(text), "/api/v1/edges?limit=%d", i + 1);
        struct request rq = get(sv_of(text, (size_t)n));
        keep(&w, &rq);
    }
    close_world(&w);
}

struct asker {
    struct world *w;
    struct request rq;
    bool is_there;
};

static void *ask_for_it(void *to)
{
    struct asker *a = to;
    a->is_there = is_kept(a->w, &a->rq);
    return NULL;
}

/* The first who finds it too old makes it; who comes meanwhile gets that one. Tried again in case the
 * machine stands still for longer than anybody waits. */
static void test_made_once(void **state)
{
    (void)state;
    bool is_given = false;
    for (int i = 0; i < 20 && !is_given; i++) {
        struct world w;
        pthread_t thread;
        open_world(&w);
        struct asker asker = { .w = &w, .rq = get(GRAPH) };
        clock_fake(clock_wall_ns(), clock_mono_ns());
        offer_of(&w, &asker.rq, 200, KEPT_MIN_NS, 7); /* something was counted since */
        clock_fake(clock_wall_ns(), clock_mono_ns() + KEPT_MAX_AGE_NS + NS_PER_MS);
        bool is_first_given = is_kept(&w, &asker.rq); /* when the thread was quicker */
        assert_int_equal(pthread_create(&thread, NULL, ask_for_it, &asker), 0);
        offer(&w, &asker.rq, 200, KEPT_MIN_NS);
        pthread_join(thread, NULL);
        is_given = asker.is_there && !is_first_given;
        clock_real();
        close_world(&w);
    }
    assert_true(is_given);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_through_api),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
