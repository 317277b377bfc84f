/* test_pipeline.c - groups, failures, full queues, endings and the replay at the start, with a store
 * that can be held up and made to fail in front of the real memory backend. */
#include "base/clock.h"
#include "base/mem.h"
#include "pipeline.h"
#include "store/store_ops.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A store in front of another. `lock` guards all below it. */
struct gate {
    struct store base;
    struct store *inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_shut, is_waiting; /* put waits while shut */
    int fail_with;            /* what put answers instead */
    size_t puts, largest_group;
    size_t replays_max; /* further ones fail while it is there; 0: no bound */
    size_t replays;
};

static int gate_put(struct store *s, struct batch *const *batches, size_t n, struct err *err)
{
    struct gate *g = (struct gate *)(void *)s;
    pthread_mutex_lock(&g->lock);
    g->is_waiting = true;
    pthread_cond_broadcast(&g->changed);
    while (g->is_shut)
        pthread_cond_wait(&g->changed, &g->lock);
    g->is_waiting = false;
    g->puts++;
    g->largest_group = MAX(g->largest_group, n);
    int rc = g->fail_with;
    pthread_mutex_unlock(&g->lock);
    return rc ? err_set(err, (enum err_code)rc, "made to fail")
              : store_put(g->inner, batches, n, err);
}

static int gate_put_edges(struct store *s, const struct edge_bucket *buckets, size_t n,
                          const struct store_progress *progress, struct err *err)
{
    return store_put_edges(((struct gate *)(void *)s)->inner, buckets, n, progress, err);
}

static int gate_get_progress(struct store *s, struct store_progress *ret_p, struct err *err)
{
    return store_get_progress(((struct gate *)(void *)s)->inner, ret_p, err);
}

static int gate_replay(struct store *s, uint64_t after_seq, int64_t since_ns,
                       store_batch_sink *sink, void *to, struct err *err)
{
    struct gate *g = (struct gate *)(void *)s;
    pthread_mutex_lock(&g->lock);
    bool may = !g->replays_max || g->replays < g->replays_max;
    g->replays++;
    pthread_mutex_unlock(&g->lock);
    return may ? store_replay(g->inner, after_seq, since_ns, sink, to, err)
               : err_set(err, ERR_BUSY, "made to fail");
}

static int gate_retain(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                       struct err *err)
{
    return store_retain(((struct gate *)(void *)s)->inner, now_ns, ret_dropped, err);
}

static const struct store_ops gate_ops = { .scheme = "gate",
                                           .put = gate_put,
                                           .put_edges = gate_put_edges,
                                           .get_progress = gate_get_progress,
                                           .retain = gate_retain,
                                           .replay = gate_replay };

static void gate_set(struct gate *g, bool is_shut, int fail_with)
{
    pthread_mutex_lock(&g->lock);
    g->is_shut = is_shut;
    g->fail_with = fail_with;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* Until the writer stands in front of the shut gate. */
static void gate_wait(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (!g->is_waiting)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

struct fixture {
    struct gate gate;
    struct fold *fold;
    struct loop *loop;
    struct pipeline *pipe;
    size_t expected, told;
    int last_rc;
    size_t duplicates;
};

static void open_pipeline_for(struct fixture *f, size_t queue_len, int64_t resume_ns)
{
    struct pipeline_conf c = { .store = &f->gate.base,
                               .fold = f->fold,
                               .loop = f->loop,
                               .queue_len = queue_len,
                               .inflight_max = 10000,
                               .resume_ns = resume_ns };
    f->pipe = pipeline_open(&c, NULL);
    assert_non_null(f->pipe);
}

static void open_pipeline(struct fixture *f, size_t queue_len)
{
    open_pipeline_for(f, queue_len, INT64_MAX);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){ .gate.base.ops = &gate_ops };
    struct store_conf sc = { .url = SV("memory:") };
    struct fold_conf fc = fold_conf_default();
    pthread_mutex_init(&f.gate.lock, NULL);
    pthread_cond_init(&f.gate.changed, NULL);
    f.gate.inner = store_open(&sc, NULL);
    f.fold = fold_new(&fc);
    f.loop = loop_new(NULL);
    *state = &f;
    return f.gate.inner && f.fold && f.loop ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->pipe = pipeline_close(f->pipe);
    loop_free(f->loop);
    fold_free(f->fold);
    store_close(f->gate.inner);
    pthread_cond_destroy(&f->gate.changed);
    pthread_mutex_destroy(&f->gate.lock);
    return 0;
}

static void on_done(struct parcel *p)
{
    struct fixture *f = p->owner;
    assert_null(p->batch);
    f->last_rc = p->rc;
    f->duplicates += p->is_duplicate;
    mem_free(p);
    if (++f->told == f->expected)
        loop_stop(f->loop);
}

static struct batch *a_batch(const char *key)
{
    struct batch *b = batch_new();
    struct call *c = batch_add_call(b);
    *c = (struct call){ .reporter = REPORTER_SOURCE,
                        .source = identity_unknown(),
                        .destination = identity_unknown(),
                        .start_ns = clock_wall_ns(),
                        .duration_ns = 1,
                        .response_code = 200,
                        .grpc_status = -1 };
    c->source.workload = SV("web");
    c->destination.workload = SV("cart");
    b->idempotency_key = sv_z(key);
    b->received_ns = clock_wall_ns();
    return b;
}

static bool submit(struct fixture *f, const char *key)
{
    struct parcel *p = mem_zalloc(sizeof(*p));
    *p = (struct parcel){ .batch = a_batch(key), .charged = 100, .done = on_done, .owner = f };
    assert_true(pipeline_charge(f->pipe, p->charged));
    if (pipeline_submit(f->pipe, p))
        return true;
    pipeline_uncharge(f->pipe, p->charged);
    batch_free(p->batch);
    mem_free(p);
    return false;
}

static uint64_t counted(struct fixture *f)
{
    struct fold_stats stats;
    fold_get_stats(f->fold, &stats);
    return stats.calls_counted;
}

static void test_one_transaction_for_what_waits(void **state)
{
    struct fixture *f = *state;
    open_pipeline(f, 100);
    gate_set(&f->gate, true, 0);
    assert_true(submit(f, ""));
    gate_wait(&f->gate);
    for (int i = 0; i < 9; i++)
        assert_true(submit(f, ""));
    f->expected = 10;
    gate_set(&f->gate, false, 0);
    loop_run(f->loop);
    assert_int_equal(f->told, 10);
    assert_int_equal(f->last_rc, 0);
    assert_int_equal(f->gate.puts, 2);
    assert_int_equal(f->gate.largest_group, 9);
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(counted(f), 10);
}

static void test_failure_is_told_and_forgotten(void **state)
{
    struct fixture *f = *state;
    open_pipeline(f, 100);
    gate_set(&f->gate, false, ERR_BUSY);
    f->expected = 1;
    assert_true(submit(f, ""));
    loop_run(f->loop);
    assert_int_equal(f->last_rc, ERR_BUSY);
    assert_true(pipeline_is_failing(f->pipe));
    gate_set(&f->gate, false, 0);
    f->expected = 2;
    assert_true(submit(f, ""));
    loop_run(f->loop);
    assert_int_equal(f->last_rc, 0);
    assert_false(pipeline_is_failing(f->pipe));
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(counted(f), 1);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    open_pipeline(f, 2);
    gate_set(&f->gate, true, 0);
    assert_true(submit(f, ""));
    gate_wait(&f->gate); /* the first one is with the writer, the queue is empty */
    assert_true(submit(f, ""));
    assert_true(submit(f, ""));
    assert_false(submit(f, ""));
    assert_false(pipeline_charge(f->pipe, 9701)); /* 300 of 10000 are taken */
    assert_true(pipeline_charge(f->pipe, 9700));
    pipeline_uncharge(f->pipe, 9700);
    f->expected = 3;
    gate_set(&f->gate, false, 0);
    loop_run(f->loop);
    assert_int_equal(f->told, 3);
}

static void test_repeated_key_counts_once(void **state)
{
    struct fixture *f = *state;
    open_pipeline(f, 100);
    f->expected = 3;
    for (int i = 0; i < 3; i++)
        assert_true(submit(f, "the same"));
    loop_run(f->loop);
    assert_int_equal(f->duplicates, 2);
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(counted(f), 1);
}

static void test_close_commits_and_tells_everything(void **state)
{
    struct fixture *f = *state;
    open_pipeline(f, 100);
    for (int i = 0; i < 50; i++)
        assert_true(submit(f, ""));
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(f->told, 50);
    assert_int_equal(f->last_rc, 0);
    assert_int_equal(counted(f), 50);
    struct store_progress progress;
    assert_int_equal(store_get_progress(f->gate.inner, &progress, NULL), 0);
    assert_int_equal(progress.seq, 50); /* folded and flushed, too */
}

/* Batches committed by a process that died before it folded them are folded by the next one. */
static void test_resume(void **state)
{
    struct fixture *f = *state;
    struct batch *list[3] = { a_batch(""), a_batch(""), a_batch("") };
    assert_int_equal(store_put(f->gate.inner, list, 3, NULL), 0);
    struct store_progress progress = { .seq = 1, .time_ns = clock_wall_ns() };
    assert_int_equal(store_put_edges(f->gate.inner, NULL, 0, &progress, NULL), 0);
    open_pipeline(f, 100);
    assert_int_equal(counted(f), 2);
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(store_get_progress(f->gate.inner, &progress, NULL), 0);
    assert_int_equal(progress.seq, 3);
    for (size_t i = 0; i < NELEMS(list); i++)
        batch_free(list[i]);
}

static void put_some(struct fixture *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO_FREE(batch) b = a_batch("");
        struct batch *list[1] = { b };
        assert_int_equal(store_put(f->gate.inner, list, 1, NULL), 0);
    }
}

static void allow_replays(struct fixture *f, size_t max)
{
    pthread_mutex_lock(&f->gate.lock);
    f->gate.replays_max = max;
    pthread_mutex_unlock(&f->gate.lock);
}

static void wait_resumed(struct fixture *f)
{
    const struct timespec pause = { .tv_nsec = NS_PER_MS };
    while (pipeline_is_resuming(f->pipe))
        nanosleep(&pause, NULL);
}

/* Opening reads back one batch, then the store cannot give more for a while. */
static void open_behind(struct fixture *f, size_t batches)
{
    put_some(f, batches);
    allow_replays(f, 1);
    open_pipeline_for(f, 100, 0);
    assert_true(pipeline_is_resuming(f->pipe));
    assert_int_equal(counted(f), 1);
}

/* What comes in while the past is not counted yet is acknowledged at once and counted in its turn. */
static void test_exports_are_taken_while_resuming(void **state)
{
    struct fixture *f = *state;
    open_behind(f, 5);
    f->expected = 4;
    for (int i = 0; i < 4; i++)
        assert_true(submit(f, i < 2 ? "" : "the same"));
    loop_run(f->loop);
    assert_int_equal(f->last_rc, 0);
    assert_int_equal(f->duplicates, 1);
    assert_true(pipeline_is_resuming(f->pipe));
    assert_int_equal(counted(f), 1);
    allow_replays(f, 0);
    wait_resumed(f);
    assert_int_equal(counted(f), 8);
    f->expected = 5;
    assert_true(submit(f, ""));
    loop_run(f->loop);
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(counted(f), 9);
    struct store_progress progress;
    assert_int_equal(store_get_progress(f->gate.inner, &progress, NULL), 0);
    assert_int_equal(progress.seq, 9);
}

/* Who is stopped before it has caught up leaves the rest to the next one. */
static void test_stopped_while_resuming(void **state)
{
    struct fixture *f = *state;
    open_behind(f, 5);
    f->expected = 1;
    assert_true(submit(f, ""));
    loop_run(f->loop);
    f->pipe = pipeline_close(f->pipe);
    struct store_progress progress;
    assert_int_equal(store_get_progress(f->gate.inner, &progress, NULL), 0);
    assert_int_equal(progress.seq, 1); /* flushed as far as it came */
    struct fold_conf fc = fold_conf_default();
    fold_free(f->fold);
    f->fold = fold_new(&fc);
    assert_non_null(f->fold);
    allow_replays(f, 0);
    open_pipeline_for(f, 100, 0);
    wait_resumed(f);
    assert_int_equal(counted(f), 5); /* all but the first, which is counted already */
    f->pipe = pipeline_close(f->pipe);
    assert_int_equal(store_get_progress(f->gate.inner, &progress, NULL), 0);
    assert_int_equal(progress.seq, 6);
}

/* A store that cannot be read back from says so; it gets ready when it can. */
static void test_resuming_fails_for_a_while(void **state)
{
    struct fixture *f = *state;
    const struct timespec pause = { .tv_nsec = NS_PER_MS };
    open_behind(f, 2);
    while (!pipeline_is_failing(f->pipe))
        nanosleep(&pause, NULL);
    allow_replays(f, 0);
    wait_resumed(f);
    assert_false(pipeline_is_failing(f->pipe));
    assert_int_equal(counted(f), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_transaction_for_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_is_told_and_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeated_key_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_commits_and_tells_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exports_are_taken_while_resuming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_while_resuming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resuming_fails_for_a_while, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
