/* What the HTTP/2 engine accepts, refuses, sends and bounds: heads an adversary writes, whole and byte by byte;
 * two engines that speak with each other; floods. */
#include "base/mem.h"
#include "h2_pair.h"
#include "h2_trace.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

#define P    ":method: GET\n:scheme: http\n:authority: a\n:path: /x\n"
#define POST ":method: POST\n:scheme: http\n:authority: a\n:path: /x\n"

/* clang-format off */
static const struct head_case {
    const char *name, *fields;
    const char *want; /* of stream 1; a prefix when it ends in '~' */
} head_cases[] = {
    { "get", P, "1 HEAD(GET @a /x 0) END\n" },
    { "fields", P "x: y\naccept: */*\n", "1 HEAD(GET @a /x 0 [x=y] [accept=*/*]) END\n" },
    { "cookies are joined", P "cookie: a=1\nx: y\ncookie: b=2\n", "1 HEAD(GET @a /x 0 [cookie=a=1; b=2] [x=y]) END\n" },
    { "post without a body", POST, "1 HEAD(POST @a /x 0 length=0) END\n" },
    { "asterisk", ":method: OPTIONS\n:scheme: http\n:authority: a\n:path: *\n", "1 HEAD(OPTIONS @a * 0) END\n" },
    { "host instead of authority", ":method: GET\n:scheme: http\n:path: /\nhost: b\n", "1 HEAD(GET @b / 0 [host=b]) END\n" },
    { "host as well", P "host: A\n", "1 HEAD(GET @a /x 0 [host=A]) END\n" },
    { "te: trailers", P "te: trailers\n", "1 HEAD(GET @a /x 0 [te=trailers]) END\n" },
    { "https", ":method: GET\n:scheme: https\n:authority: a\n:path: /\n", "1 HEAD(GET @a / 0) END\n" },

    { "another host", P "host: b\n", "1 BAD 400 END\n" },
    { "two hosts", ":method: GET\n:scheme: http\n:path: /\nhost: b\nhost: c\n", "~" /* either way */ },
    { "no host at all", ":method: GET\n:scheme: http\n:path: /\n", "open\n" },
    { "authority with userinfo", ":method: GET\n:scheme: http\n:authority: u@a\n:path: /\n", "~" },
    { "authority with a path", ":method: GET\n:scheme: http\n:authority: a/b\n:path: /\n", "open\n" },
    { "connect", ":method: CONNECT\n:authority: a:80\n", "1 BAD 501 END\n" },
    { "method that is none", ":method: GE T\n:scheme: http\n:authority: a\n:path: /\n", "open\n" },
    { "path with a space", ":method: GET\n:scheme: http\n:authority: a\n:path: / HTTP/1.1\n", "open\n" },
    { "path of high bytes", ":method: GET\n:scheme: http\n:authority: a\n:path: /\xc3\xa4\n", "1 BAD 400 END\n" },
    { "path that is a URL", ":method: GET\n:scheme: http\n:authority: a\n:path: http://b/\n", "open\n" },
    { "path that is empty", ":method: GET\n:scheme: http\n:authority: a\n:path: \n", "open\n" },
    { "another scheme", ":method: GET\n:scheme: ftp\n:authority: a\n:path: /\n", "1 BAD 400 END\n" },
    { "expectation nobody knows", P "expect: x\n", "1 BAD 417 END\n" },

    { "no method", ":scheme: http\n:authority: a\n:path: /\n", "open\n" },
    { "no path", ":method: GET\n:scheme: http\n:authority: a\n", "open\n" },
    { "no scheme", ":method: GET\n:authority: a\n:path: /\n", "open\n" },
    { "method twice", ":method: GET\n" P, "open\n" },
    { "path twice", P ":path: /y\n", "open\n" },
    { "pseudo field behind others", ":method: GET\n:scheme: http\nx: y\n:path: /\n", "open\n" },
    { "pseudo field of responses", P ":status: 200\n", "open\n" },
    { "pseudo field nobody knows", P ":x: y\n", "open\n" },
    { "extended connect", ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: a\n:path: /\n", "open\n" },
    { "connection", P "connection: close\n", "open\n" },
    { "keep-alive", P "keep-alive: x\n", "open\n" },
    { "proxy-connection", P "proxy-connection: x\n", "open\n" },
    { "transfer-encoding", P "transfer-encoding: chunked\n", "open\n" },
    { "upgrade", P "upgrade: h2c\n", "open\n" },
    { "te: gzip", P "te: gzip\n", "open\n" },
    { "capitals", P "X: y\n", "open\n" },
    { "name with a space", P "x y: z\n", "open\n" },
    { "name with a colon", P "x:y: z\n", "1 HEAD(GET @a /x 0 [x=: z]) END\n" /* the test's own notation: see bytes_cases */ },
    { "length that is none", P "content-length: x\n", "open\n" },
    { "length of a body that does not come", P "content-length: 3\n", "open\n" },
    { "two lengths", POST "content-length: 0\ncontent-length: 0\n", "open\n" },
    { "length with a sign", POST "content-length: +0\n", "open\n" },
};
/* clang-format on */

static void begin(struct buf *to)
{
    buf_put(to, SV(H2_PREFACE));
    h2_put_frame(to, SETTINGS, 0, 0, SV_NONE);
}

static void assert_trace(const char *name, enum h2_side side, struct sv in, const char *want_z)
{
    static const size_t steps[] = { 0, 1, 3, 10 };
    for (size_t i = 0; i < NELEMS(steps); i++) {
        AUTO_DONE(buf) got = { 0 };
        h2_trace(side, in, steps[i], true, &got);
        struct sv want = sv_z(want_z), have = buf_sv(&got);
        if (sv_ends(want, SV("~")))
            want.len--;
        if (!sv_starts(have, want))
            fail_msg("%s, step %zu:\n got  %.*s\n want %.*s", name, steps[i], SV_ARG(have),
                     SV_ARG(want));
        if (sv_eq(want, SV_NONE) && sv_contains(have, SV("HEAD")))
            fail_msg("%s, step %zu: accepted: %.*s", name, steps[i], SV_ARG(have));
    }
}

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(head_cases); i++) {
        AUTO_DONE(buf) in = { 0 };
        begin(&in);
        h2_put_head(&in, END_STREAM | END_HEADERS, 1, head_cases[i].fields);
        assert_trace(head_cases[i].name, H2_SERVER, buf_sv(&in), head_cases[i].want);
    }
}

/* Values with bytes that the notation above cannot write. */
static void test_values(void **state)
{
    (void)state;
    static const char bad[] = { '\0', '\r', '\n', '\x01', '\x7f', '\x1f' };
    for (size_t i = 0; i < sizeof(bad); i++) {
        for (int where = 0; where < 3; where++) {
            AUTO_DONE(buf) in = { 0 };
            AUTO_DONE(buf) block = { 0 };
            static const char *const names[] = { ":path", "x", "x" };
            char value[] = { '/', 'a', bad[i], 'b' };
            begin(&in);
            h2_put_head(&block, 0, 1, where ? P : ":method: GET\n:scheme: http\n:authority: a\n");
            buf_consume(&block, 9);
            buf_putc(&block, 0);
            struct sv name = sv_z(names[where]);
            buf_putc(&block, (char)(name.len + (where == 2)));
            buf_put(&block, name);
            if (where == 2)
                buf_putc(&block, bad[i]);
            buf_putc(&block, where == 2 ? 1 : sizeof(value));
            buf_append(&block, value, where == 2 ? 1 : sizeof(value));
            h2_put_frame(&in, HEADERS, END_STREAM | END_HEADERS, 1, buf_sv(&block));
            assert_trace("control character", H2_SERVER, buf_sv(&in), "~");
        }
    }
}

static void test_bodies(void **state)
{
    (void)state;
    AUTO_DONE(buf) in = { 0 };
    begin(&in);
    h2_put_head(&in, END_HEADERS, 1, POST);
    h2_put_frame(&in, DATA, 0, 1, SV("ab"));
    h2_put_head(&in, END_HEADERS, 3, POST "content-length: 3\n");
    h2_put_frame(&in, DATA, 0, 3, SV("abc"));
    h2_put_frame(&in, DATA, 0, 1, SV("c"));
    h2_put_head(&in, END_HEADERS | END_STREAM, 1, "t: v\n");
    h2_put_frame(&in, DATA, END_STREAM, 3, SV_NONE);
    h2_put_head(&in, END_HEADERS, 5, POST "content-length: 3\n");
    h2_put_frame(&in, DATA, END_STREAM, 5, SV("ab"));
    h2_put_head(&in, END_HEADERS, 7, POST "content-length: 1\n");
    h2_put_frame(&in, DATA, 0, 7, SV("ab"));
    h2_put_head(&in, END_HEADERS, 9, POST);
    h2_put_head(&in, END_HEADERS | END_STREAM, 9, ":path: /\n");
    h2_put_head(&in, END_HEADERS, 11, POST);
    h2_put_frame(&in, RST_STREAM, 0, 11, SV("\0\0\0\x08"));
    assert_trace("bodies", H2_SERVER, buf_sv(&in),
                 "1 HEAD(POST @a /x 0 open) BODY:abc END [t=v]\n"
                 "3 HEAD(POST @a /x 0 length=3 [content-length=3]) BODY:abc END\n"
                 "5 HEAD(POST @a /x 0 length=3 [content-length=3]) RESET(PROTOCOL_ERROR)\n"
                 "7 HEAD(POST @a /x 0 length=1 [content-length=1]) RESET(PROTOCOL_ERROR)\n"
                 "9 HEAD(POST @a /x 0 open) RESET(PROTOCOL_ERROR)\n"
                 "11 HEAD(POST @a /x 0 open) RESET(CANCEL)\nopen\n");
}

static void test_head_limits(void **state)
{
    (void)state;
    AUTO_DONE(buf) in = { 0 };
    AUTO_DONE(buf) fields = { 0 };
    begin(&in);
    buf_put(&fields, SV(P));
    for (int i = 0; i < 21; i++)
        buf_put(&fields, SV("x: y\n"));
    buf_putc(&fields, '\0');
    h2_put_head(&in, END_STREAM | END_HEADERS, 1, buf_sv(&fields).p);
    buf_clear(&fields);
    buf_put(&fields, SV(P "x: "));
    for (int i = 0; i < 2100; i++)
        buf_putc(&fields, 'y');
    buf_putc(&fields, '\0');
    h2_put_head(&in, END_STREAM | END_HEADERS, 3, buf_sv(&fields).p);
    h2_put_head(&in, END_STREAM | END_HEADERS, 5, P);
    assert_trace("limits", H2_SERVER, buf_sv(&in),
                 "1 BAD 431 END\n3 BAD 431 END\n5 HEAD(GET @a /x 0) END\nopen\n");
}

static void test_responses(void **state)
{
    (void)state;
    AUTO_DONE(buf) in = { 0 };
    h2_put_frame(&in, SETTINGS, 0, 0, SV_NONE);
    h2_put_head(&in, END_HEADERS, 1, ":status: 103\nlink: x\n");
    h2_put_head(&in, END_HEADERS, 1, ":status: 200\ncontent-length: 2\n");
    h2_put_frame(&in, DATA, END_STREAM, 1, SV("hi"));
    h2_put_head(&in, END_HEADERS, 3, ":status: 200\n");
    h2_put_frame(&in, DATA, 0, 3, SV("hi"));
    h2_put_head(&in, END_HEADERS | END_STREAM, 3, "grpc-status: 0\n");
    h2_put_frame(&in, GOAWAY, 0, 0, SV("\0\0\0\x03\0\0\0\0"));
    assert_trace("responses", H2_CLIENT, buf_sv(&in),
                 "1 HEAD( @  103 [link=x]) HEAD( @  200 length=2 [content-length=2]) BODY:hi END\n"
                 "3 HEAD( @  200 open) BODY:hi END [grpc-status=0]\ngoaway\n");
    buf_clear(&in);
    h2_put_frame(&in, SETTINGS, 0, 0, SV_NONE);
    h2_put_head(&in, END_HEADERS | END_STREAM, 1, "x: y\n");
    h2_put_frame(&in, GOAWAY, 0, 0, SV("\0\0\0\x01\0\0\0\0"));
    assert_trace("no status, and not processed", H2_CLIENT, buf_sv(&in),
                 "1 RESET(PROTOCOL_ERROR)\n3 RESET(REFUSED_STREAM)\n");
    buf_clear(&in);
    h2_put_frame(&in, SETTINGS, 0, 0, SV_NONE);
    h2_put_head(&in, END_HEADERS | END_STREAM, 1, ":status: 101\n");
    assert_trace("101", H2_CLIENT, buf_sv(&in), "1 ~");
}

/* --- floods: the connection must end --- */

static void put_resets(struct buf *to, uint32_t i)
{
    h2_put_head(to, END_HEADERS | END_STREAM, 2 * i + 1, P);
    h2_put_frame(to, RST_STREAM, 0, 2 * i + 1, SV("\0\0\0\x08"));
}

static void put_ping(struct buf *to, uint32_t i)
{
    (void)i;
    h2_put_frame(to, PING, 0, 0, SV("12345678"));
}

static void put_settings(struct buf *to, uint32_t i)
{
    (void)i;
    h2_put_frame(to, SETTINGS, 0, 0, SV_NONE);
}

static void put_empty_data(struct buf *to, uint32_t i)
{
    if (i == 0)
        h2_put_head(to, END_HEADERS, 1, POST);
    h2_put_frame(to, DATA, 0, 1, SV_NONE);
}

static void put_priority(struct buf *to, uint32_t i)
{
    (void)i;
    h2_put_frame(to, PRIORITY, 0, 1, SV("\0\0\0\0\x01"));
}

static void put_window(struct buf *to, uint32_t i)
{
    (void)i;
    h2_put_frame(to, WINDOW_UPDATE, 0, 0, SV("\0\0\0\x01"));
}

static void put_continuation(struct buf *to, uint32_t i)
{
    if (i == 0)
        h2_put_head(to, 0, 1, P);
    else
        h2_put_frame(to, CONTINUATION, 0, 1, SV("\0\1x\1y"));
}

static void test_floods(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*put)(struct buf *, uint32_t);
        uint32_t times;
        size_t step;
    } floods[] = {
        { "rapid reset", put_resets, 300, 0 },
        { "rapid reset, slowly fed", put_resets, 300, 100 },
        { "ping", put_ping, 2000, 0 },
        { "ping, answered", put_ping, 2000, 17 },
        { "settings", put_settings, 2000, 9 },
        { "empty DATA", put_empty_data, 2000, 0 },
        { "PRIORITY", put_priority, 2000, 0 },
        { "WINDOW_UPDATE", put_window, 2000, 0 },
        { "CONTINUATION", put_continuation, 100, 0 },
    };
    for (size_t i = 0; i < NELEMS(floods); i++) {
        AUTO_DONE(buf) in = { 0 };
        AUTO_DONE(buf) got = { 0 };
        begin(&in);
        for (uint32_t k = 0; k < floods[i].times; k++)
            floods[i].put(&in, k);
        h2_trace(H2_SERVER, buf_sv(&in), floods[i].step, true, &got);
        if (!sv_ends(buf_sv(&got), SV("over\n")))
            fail_msg("%s: the connection goes on", floods[i].name);
    }
}

/* --- two engines --- */

static void test_exchange(void **state)
{
    (void)state;
    struct pair p;
    static const struct http_header trailers[] = { { { "Grpc-Status", 11 }, { "0", 1 } } };
    assert_true(pair_init(&p, 100));
    struct h2_stream *st = h2_open(p.client.h2, REQUEST, SV("http"), false, &p.client);
    assert_non_null(st);
    assert_int_equal(h2_write(st, SV("hel")), 0);
    assert_int_equal(h2_write(st, SV("lo")), 0);
    assert_int_equal(h2_end(st, NULL, 0), 0);
    speak(&p);
    assert_int_equal(p.server.heads, 1);
    assert_int_equal(p.server.ends, 1);
    assert_true(sv_eq(buf_sv(&p.server.body), SV("hello")));
    struct h2_stream *its = p.server.streams[0];
    assert_true(sv_eq(its->head.authority, SV("a")));
    assert_int_equal(its->head.headers_len, 1);
    assert_true(sv_eq(its->head.headers[0].name, SV("x-y")));
    assert_true(sv_eq(its->head.headers[0].value, SV("Z")));
    assert_int_equal(h2_respond(its, SV("HTTP/1.1 100 Continue\r\n\r\n"), false), 0);
    assert_int_equal(h2_respond(its, RESPONSE, false), 0);
    assert_int_equal(h2_write(its, SV("there")), 0);
    assert_int_equal(h2_end(its, trailers, 1), 0);
    h2_let_go(its);
    speak(&p);
    assert_int_equal(p.client.heads, 2);
    assert_int_equal(st->head.status, 200);
    assert_int_equal(st->head.headers_len, 1);
    assert_true(sv_eq(buf_sv(&p.client.body), SV("there")));
    assert_int_equal(p.client.ends, 1);
    assert_int_equal(st->trailers_len, 1);
    assert_true(sv_eq(st->trailers[0].name, SV("grpc-status")));
    assert_int_equal(p.client.resets, 0);
    h2_let_go(st);
    assert_int_equal(h2_streams(p.client.h2), 0);
    assert_int_equal(h2_streams(p.server.h2), 0);
    pair_done(&p);
}

static void test_back_pressure(void **state)
{
    (void)state;
    struct pair p;
    static char piece[16384];
    size_t written = 0;
    assert_true(pair_init(&p, 100));
    p.server.takes_nothing = true;
    struct h2_stream *st = h2_open(p.client.h2, REQUEST, SV("http"), false, &p.client);
    while (!h2_is_congested(st)) {
        assert_int_equal(h2_write(st, sv_of(piece, sizeof(piece))), 0);
        written += sizeof(piece);
        speak(&p);
    }
    assert_true(written <= H2_STREAM_WINDOW + H2_OUT_HIGH_WATER + 2 * sizeof(piece));
    assert_int_equal(h2_body(p.server.streams[0]).len, H2_STREAM_WINDOW);
    assert_int_equal(p.client.drained, 0);
    for (size_t taken = 0; taken < written;) {
        struct sv body = h2_body(p.server.streams[0]);
        assert_true(body.len > 0);
        taken += body.len;
        h2_consume(p.server.streams[0], body.len);
        speak(&p);
    }
    assert_int_equal(p.client.drained, 1);
    assert_false(h2_is_congested(st));
    /* A reader that stands still does not stop its neighbours. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(h2_write(st, sv_of(piece, sizeof(piece))), 0);
    struct h2_stream *other = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
    speak(&p);
    assert_int_equal(p.server.heads, 2);
    h2_let_go(st);
    h2_let_go(other);
    pair_done(&p);
}

static void test_reset_and_refusal(void **state)
{
    (void)state;
    struct pair p;
    assert_true(pair_init(&p, 1));
    assert_int_equal(h2_streams_told(p.client.h2), 0);
    speak(&p);
    assert_int_equal(h2_streams_told(p.client.h2), 1);
    assert_int_equal(h2_room(p.client.h2), 1);
    struct h2_stream *st = h2_open(p.client.h2, REQUEST, SV("http"), false, &p.client);
    assert_int_equal(h2_room(p.client.h2), 0);
    speak(&p);
    h2_reset(st, H2_CANCEL);
    h2_let_go(st);
    speak(&p);
    assert_int_equal(p.server.resets, 1);
    assert_int_equal(h2_streams(p.client.h2), 0);
    assert_int_equal(h2_streams(p.server.h2), 0);
    assert_int_equal(h2_room(p.client.h2), 1);
    pair_done(&p);
}

/* Requests are asked for before the peer has said how many it takes: those that have not left by then and are too many
 * are refused, and do not wait for the others to end, which may go on for hours. */
static void test_told_after_they_were_asked_for(void **state)
{
    (void)state;
    for (int sent = 0; sent < 4; sent++) { /* when it says so */
        struct pair p;
        AUTO_DONE(buf) settings = { 0 };
        struct h2_stream *st[5];
        print_message("case: %d\n", sent);
        assert_true(pair_init(&p, 2));
        assert_true(h2_pull(p.server.h2, &settings, 16384));
        for (int i = 0; i < 5; i++) {
            st[i] = h2_open(p.client.h2, REQUEST, SV("http"), true, &p.client);
            assert_non_null(st[i]);
            if (i + 1 == sent)
                (void)carry(&p.client, &p.server);
        }
        assert_int_equal(h2_feed(p.client.h2, buf_sv(&settings), 1, NULL), 0);
        speak(&p);
        assert_int_equal(p.client.resets, 3);
        assert_int_equal(p.client.refused, 3);
        assert_int_equal(p.server.heads, 2);
        assert_int_equal(h2_room(p.client.h2), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(h2_respond(p.server.streams[i], RESPONSE, true), 0);
            h2_let_go(p.server.streams[i]);
        }
        speak(&p);
        assert_int_equal(p.client.ends, 2);
        h2_let_go(st[0]);
        h2_let_go(st[1]);
        assert_int_equal(h2_streams(p.client.h2), 0);
        assert_int_equal(h2_room(p.client.h2), 2);
        pair_done(&p);
    }
}

/* Every allocation of an exchange fails in turn: no crash, no leak, the connection ends or goes on. */
static void test_memory_fails(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct pair p;
        mem_fail_nth(nth);
        bool is_up = pair_init(&p, 100);
        if (is_up) {
            p.server.reply = RESPONSE;
            struct h2_stream *st = h2_open(p.client.h2, REQUEST, SV("http"), false, &p.client);
            if (st) {
                (void)!h2_write(st, SV("hello"));
                (void)!h2_end(st, NULL, 0);
            }
            speak(&p);
        }
        bool is_done = mem_count() < nth;
        mem_fail_nth(0);
        pair_done(&p);
        if (is_done)
            break;
        assert_true(nth < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_head_limits),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_reset_and_refusal),
        cmocka_unit_test(test_told_after_they_were_asked_for),
        cmocka_unit_test(test_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
