/* test_detect.c - what ports say of themselves, what first bytes say, and ClientHellos of a real client. */
#include "proxy/detect.h"
#include "proxy/hello.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ssl.h>

static void test_declared(void **state)
{
    static const struct {
        const char *app_protocol, *name;
        enum port_protocol want;
    } cases[] = {
        { "", "", PORT_UNNAMED },
        { "", "http", PORT_HTTP },
        { "", "http-web", PORT_HTTP },
        { "", "HTTP-web", PORT_HTTP },
        { "", "http2-x", PORT_HTTP2 },
        { "", "grpc", PORT_GRPC },
        { "", "grpc-web", PORT_HTTP },
        { "", "grpc-web-x", PORT_HTTP },
        { "", "grpc-webs", PORT_GRPC },
        { "", "https-x", PORT_TLS },
        { "", "tls", PORT_TLS },
        { "", "tcp-db", PORT_TCP },
        { "", "mysql", PORT_TCP },
        { "", "mongo-0", PORT_TCP },
        { "", "redis", PORT_TCP },
        { "", "web", PORT_UNNAMED },
        { "", "httpx", PORT_UNNAMED },
        { "tcp", "http", PORT_TCP },
        { "kubernetes.io/h2c", "web", PORT_HTTP2 },
        { "kubernetes.io/wss", "web", PORT_TLS },
        { "example.com/own", "http", PORT_UNNAMED },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: '%s' '%s'\n", cases[i].app_protocol, cases[i].name);
        assert_int_equal(port_protocol_of(sv_z(cases[i].app_protocol), sv_z(cases[i].name)),
                         cases[i].want);
    }
    assert_int_equal(port_protocol_named(SV("TLS")), PORT_TLS);
    assert_int_equal(port_protocol_named(SV("MONGO")), PORT_TCP);
    assert_string_equal(port_protocol_text(PORT_GRPC), "grpc");
}

static void test_speech(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct sv first;
        enum speech want;
    } cases[] = {
        { "nothing", { "", 0 }, SPEECH_UNDECIDED },
        { "a request", SV("GET / HTTP/1.1\r\n"), SPEECH_HTTP1 },
        { "HTTP/1.0", SV("POST /x HTTP/1.0\r\n"), SPEECH_HTTP1 },
        { "a method nobody knows", SV("BREW-it /pot HTTP/1.1\r\n"), SPEECH_HTTP1 },
        { "an absolute target", SV("GET http://a/ HTTP/1.1"), SPEECH_HTTP1 },
        { "behind an empty line", SV("\r\nGET / HTTP/1.1"), SPEECH_HTTP1 },
        { "half of a method", SV("GE"), SPEECH_UNDECIDED },
        { "half of a target", SV("GET /inde"), SPEECH_UNDECIDED },
        { "half of a version", SV("GET / HTTP/1."), SPEECH_UNDECIDED },
        { "HTTP/0.9", SV("GET /\r\n"), SPEECH_OTHER },
        { "another version", SV("GET / HTTP/2.0\r\n"), SPEECH_OTHER },
        { "Redis inline", SV("GET key\r\n"), SPEECH_OTHER },
        { "Redis", SV("*1\r\n$4\r\nPING\r\n"), SPEECH_OTHER },
        { "SIP", SV("OPTIONS sip:a@b SIP/2.0\r\n"), SPEECH_OTHER },
        { "RTSP", SV("OPTIONS * RTSP/1.0\r\n"), SPEECH_OTHER },
        { "SMTP's client", SV("EHLO there\r\n"), SPEECH_OTHER },
        { "SSH", SV("SSH-2.0-OpenSSH_9.2p1\r\n"), SPEECH_OTHER },
        { "PostgreSQL", { "\0\0\0\x08\x04\xd2\x16\x2f", 8 }, SPEECH_OTHER },
        { "MQTT", { "\x10\x10\0\x04MQTT", 8 }, SPEECH_OTHER },
        { "the preface", SV("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SPEECH_HTTP2 },
        { "half of the preface", SV("PRI * HTTP/2.0\r\n\r\nS"), SPEECH_UNDECIDED },
        { "a preface that goes wrong", SV("PRI * HTTP/2.0\r\nHost: a"), SPEECH_OTHER },
        { "a ClientHello's begin", { "\x16\x03\x01\x02\0\x01", 6 }, SPEECH_TLS },
        { "too little of one", { "\x16\x03\x01", 3 }, SPEECH_UNDECIDED },
        { "a ServerHello", { "\x16\x03\x01\x02\0\x02", 6 }, SPEECH_OTHER },
        { "SYN", { "\x16\0", 2 }, SPEECH_OTHER },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        assert_int_equal(detect_speech(cases[i].first), cases[i].want);
        if (cases[i].want == SPEECH_HTTP1 || cases[i].want == SPEECH_HTTP2)
            for (size_t n = 0; n < cases[i].first.len; n++) {
                enum speech s = detect_speech(sv_sub(cases[i].first, 0, n));
                assert_true(s == SPEECH_UNDECIDED || s == cases[i].want);
            }
    }
}

static void test_long_lines(void **state)
{
    char line[DETECT_MAX + 10];
    (void)state;
    memset(line, 'a', sizeof(line));
    assert_int_equal(detect_speech(sv_of(line, sizeof(line))), SPEECH_OTHER);
    memcpy(line, "GET /", 5);
    assert_int_equal(detect_speech(sv_of(line, DETECT_MAX - 1)), SPEECH_UNDECIDED);
    assert_int_equal(detect_speech(sv_of(line, DETECT_MAX)), SPEECH_HTTP1);
    memcpy(line, "\r\nGET /", 7);
    assert_int_equal(detect_speech(sv_of(line, DETECT_MAX)), SPEECH_HTTP1);
}

/* What OpenSSL's client sends first. */
static size_t client_hello(const char *sni, const char *alpn, size_t alpn_len, bool is_12, char *to,
                           size_t size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (is_12)
        SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    if (sni)
        SSL_set_tlsext_host_name(ssl, sni);
    if (alpn)
        assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)alpn_len),
                         0);
    SSL_set_bio(ssl, in, out);
    assert_int_equal(SSL_connect(ssl), -1);
    int n = BIO_read(out, to, (int)size);
    assert_true(n > 0);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return (size_t)n;
}

static void test_hello(void **state)
{
#define ALPN(lit) (lit), sizeof(lit) - 1
    static const struct {
        const char *name, *sni, *alpn;
        size_t alpn_len;
        bool is_12;
        const char *want;
        bool is_mesh, is_http;
    } cases[] = {
        { "a browser", "Shop.Example.com", ALPN("\x02h2\x08http/1.1"), false, "shop.example.com",
          false, true },
        { "without a name", NULL, NULL, 0, false, "", false, false },
        { "TLS 1.2", "a.b", NULL, 0, true, "a.b", false, false },
        { "a sidecar's TCP", "outbound_.3306_._.db.default.svc.cluster.local", ALPN("\x05istio"),
          false, "outbound_.3306_._.db.default.svc.cluster.local", true, false },
        { "a sidecar's HTTP", "x", ALPN("\x0eistio-http/1.1\x05istio\x08http/1.1"), false, "x",
          true, true },
        { "an old sidecar's TCP", "x", ALPN("\x13istio-peer-exchange\x05istio"), false, "x", true,
          false },
        { "nearly a sidecar", "x", ALPN("\x06istio2"), false, "x", false, false },
    };
#undef ALPN
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char bytes[4096], copy[4096];
        struct hello h;
        print_message("case: %s\n", cases[i].name);
        size_t n = client_hello(cases[i].sni, cases[i].alpn, cases[i].alpn_len, cases[i].is_12,
                                bytes, sizeof(bytes));
        assert_int_equal(detect_speech(sv_of(bytes, n)), SPEECH_TLS);
        memcpy(copy, bytes, n);
        assert_int_equal(hello_read(copy, n, &h), HELLO_DONE);
        assert_string_equal(h.sni, cases[i].want);
        assert_int_equal(h.alpn.len, cases[i].alpn_len);
        assert_true(h.is_mesh == cases[i].is_mesh && h.is_http == cases[i].is_http);
        for (size_t k = 0; k < n; k++) {
            memcpy(copy, bytes, k);
            assert_int_equal(hello_read(copy, k, &h), HELLO_MORE);
        }
        const char *to = getenv(
            "HELLO_CORPUS"); /* where seeds are written when they are made anew */
        if (to) {
            char path[512];
            snprintf(path, sizeof(path), "%s/openssl_%zu", to, i);
            FILE *f = fopen(path, "wb");
            assert_non_null(f);
            assert_int_equal(fwrite(bytes, 1, n, f), n);
            assert_int_equal(fclose(f), 0);
        }
    }
}

static void test_bad_hellos(void **state)
{
    char good[4096], bytes[4096];
    struct hello h;
    (void)state;
    size_t n = client_hello("a.example.com", NULL, 0, false, good, sizeof(good));
    static const struct {
        const char *name;
        size_t at;
        uint8_t value;
    } cases[] = {
        { "no handshake record", 0, 23 },   { "SSL 2", 1, 2 },
        { "another message", 5, 2 },        { "a message of 64 KiB", 6, 1 },
        { "a session id of 255", 43, 255 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        memcpy(bytes, good, n);
        bytes[cases[i].at] = (char)cases[i].value;
        assert_int_equal(hello_read(bytes, n, &h), HELLO_BAD);
    }
    static char huge[HELLO_MAX + 1] = { 22, 3, 1, 0x3f, (char)0xff, 1, 0, 0x7f, 0 };
    assert_int_equal(hello_read(huge, sizeof(huge), &h), HELLO_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declared),   cmocka_unit_test(test_speech),
        cmocka_unit_test(test_long_lines), cmocka_unit_test(test_hello),
        cmocka_unit_test(test_bad_hellos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
