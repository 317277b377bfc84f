/* What the HTTP/1 codec accepts, refuses and writes; every case whole and byte by byte. */
#include "base/mem.h"
#include "h1_trace.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* clang-format off */
struct h1_case {
    const char *name;
    enum h1_kind kind;
    const char *in;
    const char *want; /* a prefix of the trace, up to a '~' at its end */
};
#define H "Host: a\r\n"
static const struct h1_case cases[] = {
    { "get", H1_REQUEST, "GET /x?y=1 HTTP/1.1\r\n" H "\r\n",
      "HEAD(GET /x?y=1 @a /x?y=1 0 '' 1.1 keep [Host=a]) END\n" },
    { "two pipelined", H1_REQUEST, "GET / HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
      "HEAD(GET / @a / 0 '' 1.1 keep [Host=a]) END\nHEAD(GET /2 @a /2 0 '' 1.1 keep [Host=a]) END\n" },
    { "blank lines in front", H1_REQUEST, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
      "HEAD(GET / @a / 0 '' 1.1 keep [Host=a]) END\n" },
    { "length", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET",
      "HEAD(POST / @a / 0 '' 1.1 keep length=3 [Host=a] [Content-Length=3]) BODY:abc END\n" },
    { "chunked with trailers", H1_REQUEST,
      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v \r\nU:w\r\n\r\n",
      "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] [Transfer-Encoding=chunked]) BODY:abcde END [T=v] [U=w]\n" },
    { "absolute form", H1_REQUEST, "GET http://b:80/p HTTP/1.1\r\n" H "\r\n",
      "HEAD(GET http://b:80/p @b:80 /p 0 '' 1.1 keep [Host=a]) END\n" },
    { "absolute form, no path", H1_REQUEST, "GET http://b HTTP/1.1\r\n" H "\r\n",
      "HEAD(GET http://b @b / 0 '' 1.1 keep [Host=a]) END\n" },
    { "asterisk", H1_REQUEST, "OPTIONS * HTTP/1.1\r\n" H "\r\n", "HEAD(OPTIONS * @a * 0~" },
    { "http/1.0 closes", H1_REQUEST, "GET / HTTP/1.0\r\n\r\n", "HEAD(GET / @ / 0 '' 1.0) END\n" },
    { "connection close", H1_REQUEST, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
      "HEAD(GET / @a / 0 '' 1.1 [Host=a] [Connection=close]) END\n" },
    { "upgrade is seen, HTTP goes on", H1_REQUEST,
      "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HEAD(GET / @a / 0 '' 1.1 keep upgrade~" },
    { "value blanks are trimmed", H1_REQUEST, "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n",
      "HEAD(GET / @a / 0 '' 1.1 keep [Host=a]) END\n" },
    { "empty value", H1_REQUEST, "GET / HTTP/1.1\r\n" H "X:\r\nY:z\r\n\r\n",
      "HEAD(GET / @a / 0 '' 1.1 keep [Host=a] [X=] [Y=z]) END\n" },

    { "length and coding", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", " BAD 400\n" },
    { "coding and length", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", " BAD 400\n" },
    { "two lengths", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", " BAD 400\n" },
    { "length list", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", " BAD 400\n" },
    { "length with sign", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc", " BAD 400\n" },
    { "length overflows", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", " BAD 400\n" },
    { "other coding", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", " BAD 501\n" },
    { "identity coding", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", " BAD~" },
    { "coding in 1.0", H1_REQUEST, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", " BAD 400\n" },
    { "coding twice", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", " BAD 400\n" },
    { "folded line", H1_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", " BAD 400\n" },
    { "folded empty line", H1_REQUEST, "GET / HTTP/1.1\r\n" H "X:\r\n b\r\n\r\n", " BAD 400\n" },
    { "folded first line", H1_REQUEST, "GET / HTTP/1.1\r\n X: b\r\n" H "\r\n", " BAD 400\n" },
    { "bare LF in head", H1_REQUEST, "GET / HTTP/1.1\n" H "\r\n", " BAD 400\n" },
    { "bare LF after a field", H1_REQUEST, "GET / HTTP/1.1\r\nHost: a\n\r\n", " BAD 400\n" },
    { "bare LF ends the head", H1_REQUEST, "GET / HTTP/1.1\r\n" H "\n", " BAD 400\n" },
    { "bare CR in a value", H1_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", " BAD 400\n" },
    { "space before colon", H1_REQUEST, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", " BAD 400\n" },
    { "control character", H1_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\x01" "b\r\n\r\n", " BAD 400\n" },
    { "DEL", H1_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\x7f" "b\r\n\r\n", " BAD 400\n" },
    { "no host", H1_REQUEST, "GET / HTTP/1.1\r\n\r\n", " BAD 400\n" },
    { "two hosts", H1_REQUEST, "GET / HTTP/1.1\r\n" H H "\r\n", " BAD 400\n" },
    { "host with a path", H1_REQUEST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", " BAD 400\n" },
    { "host with userinfo", H1_REQUEST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", " BAD 400\n" },
    { "empty host", H1_REQUEST, "GET / HTTP/1.1\r\nHost:\r\n\r\n", " BAD 400\n" },
    { "relative target", H1_REQUEST, "GET x HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "ftp target", H1_REQUEST, "GET ftp://a/x HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "asterisk with GET", H1_REQUEST, "GET * HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "connect", H1_REQUEST, "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", " BAD 501\n" },
    { "version 2.0", H1_REQUEST, "GET / HTTP/2.0\r\n" H "\r\n", " BAD 505\n" },
    { "http/2 preface", H1_REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", " BAD~" },
    { "garbage", H1_REQUEST, "\x16\x03\x01\x02\x00\x01", " BAD 400\n" },
    { "zeros", H1_REQUEST, "hello world\r\n\r\n", " BAD 400\n" },
    { "chunk size is no number", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] [Transfer-Encoding=chunked]) BAD 400\n" },
    { "chunk size with 0x", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", "HEAD(POST~" },
    { "chunk longer than said", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
      "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] [Transfer-Encoding=chunked]) BODY:abc BAD 400\n" },
    { "chunk ended by LF", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
      "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] [Transfer-Encoding=chunked]) BAD 400\n" },

    { "chunk extension without a value", H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n",
      "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] [Transfer-Encoding=chunked]) BODY:x END\n" },
#define CHUNKED(body) H1_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n" body
#define CHUNKED_HEAD "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] [Transfer-Encoding=chunked]) "
    { "chunk size with a blank", CHUNKED("1 \r\nx\r\n0\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "chunk size with a sign", CHUNKED("+1\r\nx\r\n0\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "chunk size overflows", CHUNKED("10000000000000001\r\nx\r\n0\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "line break in a chunk extension", CHUNKED("1;a=\"\n\"\r\nx\r\n0\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "chunk data ended by LF", CHUNKED("1\r\nx\n0\r\n\r\n"), CHUNKED_HEAD "BODY:x BAD 400\n" },
    { "last line is LF", CHUNKED("0\r\n\nGET"), CHUNKED_HEAD "BAD 400\n" },
    { "last chunk ended by LF", CHUNKED("0\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "folded trailer", CHUNKED("0\r\nT: a\r\n b\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "trailer without a name", CHUNKED("0\r\n: a\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "trailer with a bare LF", CHUNKED("0\r\nT: a\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "length in a trailer", CHUNKED("0\r\ncontent-LENGTH: 3\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "coding in a trailer", CHUNKED("0\r\nTransfer-Encoding: x\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "Host in a trailer", CHUNKED("0\r\nHost: b\r\n\r\n"), CHUNKED_HEAD "BAD 400\n" },
    { "field without a name", H1_REQUEST, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n", " BAD 400\n" },
    { "two spaces before the target", H1_REQUEST, "GET  / HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "two spaces before the version", H1_REQUEST, "GET /  HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "another protocol's name", H1_REQUEST, "SOURCE / ICE/1.0\r\n" H "\r\n", " BAD 400\n" },
    { "fragment", H1_REQUEST, "GET /a#b HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "LF in front", H1_REQUEST, "\nGET / HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "CR in front", H1_REQUEST, "\rGET / HTTP/1.1\r\n" H "\r\n", " BAD 400\n" },
    { "expectation nobody knows", H1_REQUEST, "GET / HTTP/1.1\r\n" H "Expect: 101-x\r\n\r\n", " BAD 417\n" },
    { "two expectations", H1_REQUEST, "GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", " BAD 417\n" },
    { "status of two digits", H1_RESPONSE, "HTTP/1.1 99 OK\r\n\r\n", " BAD 502\n" },
    { "control character in the reason", H1_RESPONSE, "HTTP/1.1 200 O\x01K\r\n\r\n", " BAD 502\n" },
    { "response's chunk size with a blank", H1_RESPONSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
      "HEAD(  @  200 'OK' 1.1 keep chunked [Transfer-Encoding=chunked]) BAD 502\n" },

    { "response", H1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      "HEAD(  @  200 'OK' 1.1 keep length=2 [Content-Length=2]) BODY:hi END\n" },
    { "response, no reason", H1_RESPONSE, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HEAD(  @  200 '' 1.1 keep length=0 [Content-Length=0]) END\n" },
    { "response until the end", H1_RESPONSE, "HTTP/1.1 200 OK\r\n\r\nabc", "HEAD(  @  200 'OK' 1.1) BODY:abc END\n" },
    { "204", H1_RESPONSE, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      "HEAD(  @  204 'No Content' 1.1 keep) END\nHEAD(  @  200 'OK' 1.1 keep length=0 [Content-Length=0]) END\n" },
    { "304 with a length", H1_RESPONSE, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
      "HEAD(  @  304 'Not Modified' 1.1 keep length=5 [Content-Length=5]) END\n" },
    { "100 then 200", H1_RESPONSE, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      "HEAD(  @  100 'Continue' 1.1 keep) END\nHEAD(  @  200 'OK' 1.1 keep length=0 [Content-Length=0]) END\n" },
    { "response cut short", H1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
      "HEAD(  @  200 'OK' 1.1 keep length=5 [Content-Length=5]) BODY:ab BAD 502\n" },
    { "response with both", H1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", " BAD 502\n" },
    { "not HTTP", H1_RESPONSE, "SSH-2.0-OpenSSH\r\n", " BAD 502\n" },
};
/* clang-format on */

static void assert_trace(const struct h1_case *c, struct sv in, size_t step)
{
    AUTO_DONE(buf) got = { 0 };
    h1_trace(c->kind, in, step, c->kind == H1_RESPONSE, &got);
    struct sv want = sv_z(c->want), have = buf_sv(&got);
    if (sv_ends(want, SV("~"))) {
        want.len--;
        have = sv_sub(have, 0, want.len);
    }
    if (sv_eq(want, have))
        return;
    fail_msg("%s, step %zu:\n got  %.*s\n want %.*s", c->name, step, SV_ARG(have), SV_ARG(want));
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        static const size_t steps[] = { 0, 1, 2, 7 };
        for (size_t s = 0; s < NELEMS(steps); s++)
            assert_trace(&cases[i], sv_z(cases[i].in), steps[s]);
    }
}

static void test_nul_is_refused(void **state)
{
    (void)state;
    static const char in[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    static const struct h1_case c = { "NUL", H1_REQUEST, NULL, " BAD 400\n" };
    assert_trace(&c, sv_of(in, sizeof(in) - 1), 0);
    assert_trace(&c, sv_of(in, sizeof(in) - 1), 1);
}

static void test_head_limits(void **state)
{
    (void)state;
    static const struct h1_case c = { "long head", H1_REQUEST, NULL, " BAD 431\n" };
    AUTO_DONE(buf) in = { 0 };
    buf_put(&in, SV("GET / HTTP/1.1\r\nHost: a\r\nX: "));
    for (int i = 0; i < 3000; i++)
        buf_putc(&in, 'x');
    buf_put(&in, SV("\r\n\r\n"));
    assert_trace(&c, buf_sv(&in), 0);
    assert_trace(&c, buf_sv(&in), 1);
    buf_clear(&in);
    buf_put(&in, SV("GET / HTTP/1.1\r\nHost: a\r\n"));
    for (int i = 0; i < 30; i++)
        buf_put(&in, SV("X: y\r\n"));
    buf_put(&in, SV("\r\n"));
    assert_trace(&c, buf_sv(&in), 0);
    assert_trace(&c, buf_sv(&in), 1);
}

static void test_endless_chunk_framing(void **state)
{
    (void)state;
    static const struct h1_case c = { "chunk extension", H1_REQUEST, NULL,
                                      "HEAD(POST / @a / 0 '' 1.1 keep chunked [Host=a] "
                                      "[Transfer-Encoding=chunked]) BAD 400\n" };
    AUTO_DONE(buf) in = { 0 };
    buf_put(&in, SV("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;"));
    for (int i = 0; i < 20000; i++)
        buf_putc(&in, 'x');
    buf_put(&in, SV("\r\na\r\n"));
    assert_trace(&c, buf_sv(&in), 0);
    assert_trace(&c, buf_sv(&in), 1);
}

static void test_head_response_has_no_body(void **state)
{
    (void)state;
    struct http_header slots[4];
    struct h1 h = { 0 };
    struct sv in = SV("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1");
    h1_begin(&h, H1_RESPONSE, slots, NELEMS(slots), 1000);
    h1_expect_no_body(&h);
    assert_int_equal(h1_next(&h, &in), H1_HEAD);
    assert_true(h.head.is_keep_alive);
    assert_int_equal(h1_next(&h, &in), H1_END);
    assert_int_equal(in.len, 8);
    h1_done(&h);
}

static void test_bad_says_where(void **state)
{
    (void)state;
    struct http_header slots[4];
    struct h1 h = { 0 };
    struct sv in = SV("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    h1_begin(&h, H1_REQUEST, slots, NELEMS(slots), 1000);
    assert_int_equal(h1_next(&h, &in), H1_BAD);
    assert_int_equal(h1_next(&h, &in), H1_BAD);
    assert_int_equal(h.err.at, 22);
    assert_string_equal(h.err.why, "Host is not a host name");
    h1_done(&h);
}

static void test_trailer_memory_fails(void **state)
{
    (void)state;
    struct http_header slots[4];
    struct h1 h = { 0 };
    struct sv in = SV("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n");
    h1_begin(&h, H1_RESPONSE, slots, NELEMS(slots), 1000);
    assert_int_equal(h1_next(&h, &in), H1_HEAD);
    mem_fail_nth(1);
    assert_int_equal(h1_next(&h, &in), H1_BAD);
    mem_fail_nth(0);
    h1_done(&h);
}

static void test_writers(void **state)
{
    (void)state;
    AUTO_DONE(buf) out = { 0 };
    char size[H1_CHUNK_HEAD_SIZE];
    h1_put_request_line(&out, SV("GET"), SV("/a"));
    h1_put_field(&out, SV("Host"), SV("b"));
    h1_put_field(&out, SV("X"), SV_NONE);
    h1_put_end(&out);
    assert_true(sv_eq(buf_sv(&out), SV("GET /a HTTP/1.1\r\nHost: b\r\nX: \r\n\r\n")));
    buf_clear(&out);
    h1_put_status_line(&out, 404, SV_NONE);
    h1_put_status_line(&out, 200, SV("Fine"));
    assert_true(sv_eq(buf_sv(&out), SV("HTTP/1.1 404 Not Found\r\nHTTP/1.1 200 Fine\r\n")));
    assert_true(sv_eq(h1_chunk_head(size, 0), SV("0\r\n")));
    assert_true(sv_eq(h1_chunk_head(size, 0x1f4), SV("1f4\r\n")));
    assert_true(sv_eq(h1_chunk_head(size, UINT64_MAX), SV("ffffffffffffffff\r\n")));
}

static void test_authorities(void **state)
{
    (void)state;
    static const char *good[] = { "a", "a.b", "a:80", "a:", "[::1]", "[::1]:8080", "127.0.0.1:1" };
    static const char *bad[] = { "",    ":80",  "a:x",     "a:99999", "a b",
                                 "a/b", "[::1", "a:80:80", "a:+8" };
    for (size_t i = 0; i < NELEMS(good); i++)
        assert_true(http_is_authority(sv_z(good[i])));
    for (size_t i = 0; i < NELEMS(bad); i++)
        assert_false(http_is_authority(sv_z(bad[i])));
    assert_true(http_list_has(SV("a , Keep-Alive"), SV("keep-alive")));
    assert_false(http_list_has(SV("keep-alives"), SV("keep-alive")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_nul_is_refused),
        cmocka_unit_test(test_head_limits),
        cmocka_unit_test(test_endless_chunk_framing),
        cmocka_unit_test(test_head_response_has_no_body),
        cmocka_unit_test(test_bad_says_where),
        cmocka_unit_test(test_trailer_memory_fails),
        cmocka_unit_test(test_writers),
        cmocka_unit_test(test_authorities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
