/* Timers, deferred work, wake-ups, listeners and addresses. */
#include "base/clock.h"
#include "net/addr.h"
#include "net/listener.h"
#include "net/loop.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int fired[64];
static size_t fired_len;

struct numbered {
    struct timer timer;
    int number;
};

static void note(struct timer *t)
{
    fired[fired_len++] = CONTAINER_OF(t, struct numbered, timer)->number;
}

static void stop_loop(struct timer *t)
{
    loop_stop(t->loop);
}

/* is_late: the loop comes to them when all have been due for a while. */
static void fire_in_order(bool is_late)
{
    struct loop *l = loop_new(NULL);
    struct numbered n[16];
    struct timer end;
    int64_t now = loop_now_ns(l);
    fired_len = 0;
    for (int i = 0; i < 16; i++) {
        timer_init(&n[i].timer, l, note);
        n[i].number = (i * 7) % 16;
        timer_set(&n[i].timer, now + ((i * 7) % 16 + 1) * NS_PER_MS);
    }
    timer_stop(&n[3].timer);                      /* number 5 */
    timer_set(&n[1].timer, now + 20 * NS_PER_MS); /* number 7 moves to the end */
    timer_set(&n[2].timer, now + 1);              /* number 14 to the front */
    timer_init(&end, l, stop_loop);
    timer_set(&end, now + 30 * NS_PER_MS);
    while (is_late && clock_mono_ns() < now + 31 * NS_PER_MS)
        usleep(1000);
    loop_run(l);
    static const int want[] = { 14, 0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 15, 7 };
    assert_int_equal(fired_len, NELEMS(want));
    assert_memory_equal(fired, want, sizeof(want));
    assert_false(timer_is_set(&n[0].timer));
    loop_free(l);
}

static void test_timers_fire_in_order(void **state)
{
    (void)state;
    fire_in_order(false);
    fire_in_order(true);
}

/* Many timers against a plain array as the oracle, with moves and stops in between. */
static void test_timer_heap_against_an_array(void **state)
{
    (void)state;
    enum { N = 200 };
    struct loop *l = loop_new(NULL);
    static struct timer timers[N];
    struct timer end;
    int64_t now = loop_now_ns(l);
    uint64_t random = 12345;
    for (int i = 0; i < N; i++)
        timer_init(&timers[i], l, note);
    for (int i = 0; i < 20000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct timer *t = &timers[(random >> 33) % N];
        if ((random >> 20) % 3 == 0)
            timer_stop(t);
        else
            timer_set(t, now + NS_PER_S + (int64_t)((random >> 40) % 1000));
    }
    for (int i = 0; i < N; i++)
        timer_stop(&timers[i]);
    timer_init(&end, l, stop_loop);
    timer_after(&end, NS_PER_MS);
    fired_len = 0;
    loop_run(l);
    assert_int_equal(fired_len, 0);
    loop_free(l);
}

struct deferred {
    struct defer d;
    struct loop *loop;
    int runs;
};

static void run_again(struct defer *d)
{
    struct deferred *x = CONTAINER_OF(d, struct deferred, d);
    if (++x->runs < 5)
        loop_defer(x->loop, d, run_again);
    else
        loop_stop(x->loop);
}

static void test_deferred_work_may_defer(void **state)
{
    (void)state;
    struct deferred x = { .loop = loop_new(NULL) }, never = { .runs = 0 };
    loop_defer(x.loop, &x.d, run_again);
    loop_defer(x.loop, &x.d, run_again);
    loop_defer(x.loop, &never.d, run_again);
    defer_cancel(&never.d);
    loop_run(x.loop);
    assert_int_equal(x.runs, 5);
    assert_int_equal(never.runs, 0);
    loop_free(x.loop);
}

static void *send_wake(void *w)
{
    wake_send(w);
    return NULL;
}

static void on_wake(void *l)
{
    loop_stop(l);
}

static void test_wake_from_another_thread(void **state)
{
    (void)state;
    struct loop *l = loop_new(NULL);
    struct wake *w = wake_new(l, on_wake, l, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_wake, w), 0);
    loop_run(l);
    pthread_join(thread, NULL);
    wake_free(w);
    loop_free(l);
}

static int accepted_fd = -1;

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    (void)l, (void)peer;
    if (accepted_fd >= 0)
        close(accepted_fd);
    accepted_fd = fd;
    loop_stop(owner);
}

static void test_listener(void **state)
{
    (void)state;
    struct loop *l = loop_new(NULL);
    struct err err = { 0 };
    struct listener_conf conf = { .host = SV("127.0.0.1"), .max_conns = 1 };
    struct listener *ls = listener_open(l, &conf, on_accept, l, &err);
    struct addr a;
    assert_non_null(ls);
    conf.port = listener_port(ls);
    assert_null(listener_open(l, &conf, on_accept, l, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(addr_parse(SV("127.0.0.1"), listener_port(ls), &a, NULL), 0);
    int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(one, &a.sa, addr_len(&a)), 0);
    assert_int_equal(connect(two, &a.sa, addr_len(&a)), 0);
    loop_run(l);
    assert_int_equal(listener_conns(ls), 1); /* the second waits at the cap */
    listener_conn_gone(ls);
    loop_run(l);
    assert_int_equal(listener_counts(ls).accepted, 2);
    close(one);
    close(two);
    close(accepted_fd);
    listener_close(ls);
    loop_free(l);
}

static void test_addresses(void **state)
{
    (void)state;
    struct addr a, b;
    char text[ADDR_TEXT_SIZE];
    assert_int_equal(addr_parse_host_port(SV("127.0.0.1:80"), &a, NULL), 0);
    assert_true(sv_eq(addr_text(&a, text), SV("127.0.0.1:80")));
    assert_int_equal(addr_parse_host_port(SV("[::1]:80"), &b, NULL), 0);
    assert_true(sv_eq(addr_text(&b, text), SV("[::1]:80")));
    assert_false(addr_eq(&a, &b));
    assert_int_equal(addr_parse(SV("::ffff:10.0.0.1"), 1, &b, NULL), 0);
    assert_true(sv_eq(addr_host(&b, text), SV("10.0.0.1")));
    static const char *bad[] = { "",           "a",           "127.0.0.1",
                                 "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000",
                                 "1.2.3:80",   "host:80" };
    for (size_t i = 0; i < NELEMS(bad); i++)
        assert_int_equal(addr_parse_host_port(sv_z(bad[i]), &a, NULL), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order),
        cmocka_unit_test(test_timer_heap_against_an_array),
        cmocka_unit_test(test_deferred_work_may_defer),
        cmocka_unit_test(test_wake_from_another_thread),
        cmocka_unit_test(test_listener),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
