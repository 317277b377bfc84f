/* test_ring.c - order, bounds, closing, and four threads that lose and double nothing. */
#include "base/mem.h"
#include "base/ring.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_order_and_bound(void **state)
{
    (void)state;
    int items[4];
    void *out[8];
    struct ring *r = ring_new(3);
    assert_non_null(r);
    assert_int_equal(ring_pop(r, out, 8, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_true(ring_push(r, &items[i]));
    assert_false(ring_push(r, &items[3]));
    assert_int_equal(ring_pop(r, out, 2, 0), 2);
    assert_ptr_equal(out[0], &items[0]);
    assert_true(ring_push(r, &items[3])); /* goes round */
    assert_int_equal(ring_len(r), 2);
    assert_int_equal(ring_pop(r, out, 8, 0), 2);
    assert_ptr_equal(out[0], &items[2]);
    assert_ptr_equal(out[1], &items[3]);
    ring_free(r);
    assert_null(ring_free(NULL));
}

static void test_close_and_wake(void **state)
{
    (void)state;
    int item;
    void *out[1];
    struct ring *r = ring_new(1);
    ring_wake(r);
    assert_int_equal(ring_pop(r, out, 1, -1), 0); /* woken with nothing */
    assert_true(ring_push(r, &item));
    ring_close(r);
    assert_true(ring_is_closed(r));
    assert_false(ring_push(r, &item));
    assert_int_equal(ring_pop(r, out, 1, -1), 1); /* what is inside comes out */
    assert_int_equal(ring_pop(r, out, 1, -1), 0); /* and then it never waits */
    ring_free(r);
}

enum { THREADS = 2, ITEMS = 20000 };
struct shared {
    struct ring *ring;
    unsigned char seen[THREADS * ITEMS];
    pthread_mutex_t lock; /* guards popped and seen */
    size_t popped;
};
struct producer {
    struct shared *shared;
    size_t first;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (size_t i = 0; i < ITEMS; i++)
        while (!ring_push(p->shared->ring, &p->shared->seen[p->first + i]))
            sched_yield();
    return NULL;
}

static void *consume(void *arg)
{
    struct shared *s = arg;
    void *out[16];
    for (size_t n; (n = ring_pop(s->ring, out, 16, -1)) > 0;) {
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < n; i++)
            (*(unsigned char *)out[i])++;
        s->popped += n;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static struct shared s;
    pthread_t makers[THREADS], takers[THREADS];
    struct producer producers[THREADS];
    s.ring = ring_new(64);
    pthread_mutex_init(&s.lock, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        producers[i] = (struct producer){ &s, i * ITEMS };
        assert_int_equal(pthread_create(&takers[i], NULL, consume, &s), 0);
        assert_int_equal(pthread_create(&makers[i], NULL, produce, &producers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(makers[i], NULL);
    ring_close(s.ring);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(takers[i], NULL);
    assert_int_equal(s.popped, THREADS * ITEMS);
    for (size_t i = 0; i < THREADS * ITEMS; i++)
        assert_int_equal(s.seen[i], 1);
    ring_free(s.ring);
    pthread_mutex_destroy(&s.lock);
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_null(ring_new(8));
    }
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bound),
        cmocka_unit_test(test_close_and_wake),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
