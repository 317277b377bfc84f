/* How an HTTP/2 connection ends without a request being lost: what a server that drains says and when, and what its peer
 * makes of requests that were about to be sent. */
#include "h2_pair.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_drain(void **state)
{
    (void)state;
    struct pair p;
    assert_true(pair_init(&p, 100));
    struct h2_stream *st = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
    speak(&p);
    h2_drain(p.server.h2);
    h2_drain(p.server.h2);
    speak(&p);
    assert_int_equal(p.client.goaways, 2); /* the notice, and the last word */
    assert_int_equal(h2_room(p.client.h2), 0);
    assert_null(h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client));
    assert_false(h2_is_over(p.server.h2));
    assert_int_equal(h2_respond(p.server.streams[0], RESPONSE, true), 0);
    h2_let_go(p.server.streams[0]);
    speak(&p);
    assert_int_equal(p.client.ends, 1);
    assert_int_equal(p.client.resets, 0);
    h2_let_go(st);
    assert_true(h2_is_over(p.server.h2));
    assert_true(h2_is_over(p.client.h2));
    pair_done(&p);
}

/* Wherever what says that we drain is cut on its way, a stream that its reader opens meanwhile is answered. */
static void test_drain_in_pieces(void **state)
{
    (void)state;
    for (size_t cut = 0, len = 1; cut <= len; cut++) {
        struct pair p;
        AUTO_DONE(buf) notice = { 0 };
        assert_true(pair_init(&p, 100));
        p.server.reply = RESPONSE;
        struct h2_stream *first = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
        assert_non_null(first);
        speak(&p);
        h2_drain(p.server.h2);
        assert_true(h2_pull(p.server.h2, &notice, 16384));
        len = notice.len;
        assert_int_equal(h2_feed(p.client.h2, sv_sub(buf_sv(&notice), 0, cut), 1, NULL), 0);
        struct h2_stream *st = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
        (void)carry(&p.client, &p.server);
        assert_int_equal(h2_feed(p.client.h2, sv_from(buf_sv(&notice), cut), 1, NULL), 0);
        speak(&p);
        for (size_t i = 0; i < p.server.len; i++) {
            assert_int_equal(h2_end(p.server.streams[i], NULL, 0), 0);
            h2_let_go(p.server.streams[i]);
        }
        speak(&p);
        print_message("cut after %zu bytes: %s\n", cut, st ? "opened" : "not opened");
        assert_int_equal(p.client.resets, 0);
        assert_int_equal(p.client.ends, st ? 2 : 1);
        h2_let_go(first);
        if (st)
            h2_let_go(st);
        speak(&p);
        assert_true(h2_is_over(p.server.h2));
        pair_done(&p);
    }
}

/* A request that waits to be sent while the peer says that it drains is refused, and the others go on: a reset of a
 * stream that the peer never saw would break the connection. */
static void test_drain_before_it_is_sent(void **state)
{
    (void)state;
    struct pair p;
    assert_true(pair_init(&p, 100));
    struct h2_stream *first = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
    speak(&p);
    h2_drain(p.server.h2);
    struct h2_stream *late = h2_open(p.client.h2, REQUEST, SV("http"), false, &p.client);
    assert_non_null(late);
    assert_int_equal(h2_write(late, SV("hello")), 0);
    p.client.keeps = late;
    assert_true(carry(&p.server, &p.client));
    speak(&p);
    assert_int_equal(p.client.resets, 1);
    assert_true(late->is_refused);
    assert_int_equal(late->code, H2_REFUSED_STREAM);
    h2_let_go(late);
    assert_int_equal(p.server.heads, 1);
    assert_false(h2_is_over(p.server.h2));
    assert_int_equal(h2_respond(p.server.streams[0], RESPONSE, true), 0);
    h2_let_go(p.server.streams[0]);
    speak(&p);
    assert_int_equal(p.client.ends, 1);
    h2_let_go(first);
    assert_int_equal(h2_streams(p.client.h2), 0);
    pair_done(&p);
}

/* The peer's GOAWAY comes when requests are asked for that have not left yet, beside one that is under way or
 * none, sent at once or waiting for their turn: they are refused, not forgotten. */
static void test_goaway_before_it_left(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct pair p;
        struct h2_stream *first = NULL, *late[2];
        print_message("case: %d\n", i);
        assert_true(pair_init(&p, i & 2 ? 1 : 100));
        speak(&p);
        if (i & 1)
            first = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
        speak(&p);
        h2_drain(p.server.h2);
        for (int k = 0; k < 2; k++) {
            late[k] = h2_open(p.client.h2, REQUEST, SV("http"), k == 0, &p.client);
            assert_non_null(late[k]);
        }
        assert_int_equal(h2_write(late[1], SV("body")), 0);
        assert_true(carry(&p.server, &p.client)); /* the notice */
        speak(&p);
        assert_int_equal(p.server.heads, i & 1);
        assert_int_equal(p.client.resets, 2);
        assert_int_equal(p.client.refused, 2);
        if (first) {
            assert_int_equal(h2_respond(p.server.streams[0], RESPONSE, true), 0);
            h2_let_go(p.server.streams[0]);
            speak(&p);
            assert_int_equal(p.client.ends, 1);
            h2_let_go(first);
        }
        assert_int_equal(h2_streams(p.client.h2), 0);
        assert_true(h2_is_over(p.client.h2) && h2_is_over(p.server.h2));
        pair_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_in_pieces),
        cmocka_unit_test(test_drain_before_it_is_sent),
        cmocka_unit_test(test_goaway_before_it_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
