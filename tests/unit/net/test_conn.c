/* Connections to ourselves, plain and TLS: bytes both ways, ends, flow control, identities. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/listener.h"
#include "test_certs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#define STEP_NS (5 * NS_PER_S)

/* One end: what it was told, what it read. */
struct end {
    struct loop *loop;
    struct conn *conn;
    struct tls_ctx *tls;
    struct buf got;
    bool is_open, is_ended, is_failed, is_drained, is_idle, is_reading_off;
};

static struct {
    struct loop *loop;
    struct listener *listener;
    struct end server, client;
    struct timer guard;
    bool (*is_done)(void);
} t;

static void on_event(void *owner, struct conn *c, enum conn_event ev)
{
    struct end *e = owner;
    char bytes[3000];
    ssize_t n;
    switch (ev) {
    case CONN_OPEN: e->is_open = true; break;
    case CONN_DRAINED: e->is_drained = true; break;
    case CONN_IDLE: e->is_idle = true; break;
    case CONN_FAILED: e->is_failed = true; break;
    case CONN_READABLE:
        n = conn_read(c, bytes, sizeof(bytes));
        if (n > 0)
            buf_append(&e->got, bytes, (size_t)n);
        else if (n < 0)
            e->is_ended = true;
        break;
    }
    if (t.is_done())
        loop_stop(t.loop);
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    (void)owner;
    t.server.conn = conn_accept(t.loop, fd, peer, on_event, &t.server, NULL);
    assert_non_null(t.server.conn);
    if (t.server.is_reading_off)
        conn_pause(t.server.conn);
    if (t.server.tls)
        assert_int_equal(conn_start_tls(t.server.conn, t.server.tls, NULL, STEP_NS, NULL), 0);
    listener_conn_gone(l);
    if (t.is_done())
        loop_stop(t.loop);
}

static void on_guard(struct timer *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d s", (int)(STEP_NS / NS_PER_S));
}

static void run_until(bool (*is_done)(void))
{
    t.is_done = is_done;
    timer_after(&t.guard, STEP_NS);
    if (!is_done())
        loop_run(t.loop);
    timer_stop(&t.guard);
}

static bool never(void)
{
    return false;
}

static void begin(struct tls_ctx *server, struct tls_ctx *client, const struct tls_client *want)
{
    memset(&t, 0, sizeof(t));
    t.is_done = never;
    t.loop = loop_new(NULL);
    timer_init(&t.guard, t.loop, on_guard);
    t.server.tls = server;
    struct listener_conf conf = { .host = SV("127.0.0.1") };
    t.listener = listener_open(t.loop, &conf, on_accept, NULL, NULL);
    assert_non_null(t.listener);
    struct addr a;
    assert_int_equal(addr_parse(SV("127.0.0.1"), listener_port(t.listener), &a, NULL), 0);
    t.client.conn = conn_connect(t.loop, &a, STEP_NS, on_event, &t.client, NULL);
    assert_non_null(t.client.conn);
    if (client)
        assert_int_equal(conn_start_tls(t.client.conn, client, want, 0, NULL), 0);
}

static void end(void)
{
    conn_close(t.client.conn);
    conn_close(t.server.conn);
    listener_close(t.listener);
    loop_free(t.loop);
    buf_done(&t.client.got);
    buf_done(&t.server.got);
}

static int send_text(struct end *e, const char *text)
{
    const struct sv part = sv_z(text);
    return conn_write(e->conn, &part, 1);
}

static bool both_open(void)
{
    return t.client.is_open && t.server.conn && (t.server.is_open || !t.server.tls);
}
static bool server_has_5(void)
{
    return t.server.got.len >= 5;
}
static bool client_has_5(void)
{
    return t.client.got.len >= 5;
}
static bool server_ended(void)
{
    return t.server.is_ended;
}
static bool client_ended(void)
{
    return t.client.is_ended || t.client.is_failed;
}
static bool both_failed(void)
{
    return (t.client.is_failed || t.client.is_ended) && (t.server.is_failed || t.server.is_ended);
}
static bool client_failed(void)
{
    return t.client.is_failed;
}

static void talk(void)
{
    run_until(both_open);
    assert_int_equal(send_text(&t.client, "hello"), 0);
    run_until(server_has_5);
    assert_true(sv_eq(buf_sv(&t.server.got), SV("hello")));
    const struct sv parts[] = { SV("w"), SV("or"), SV(""), SV("ld") };
    assert_int_equal(conn_write(t.server.conn, parts, NELEMS(parts)), 0);
    run_until(client_has_5);
    assert_true(sv_eq(buf_sv(&t.client.got), SV("world")));
    conn_finish(t.client.conn);
    run_until(server_ended);
    assert_int_equal(conn_read(t.server.conn, (char[1]){ 0 }, 1), ERR_CLOSED);
    assert_int_equal(send_text(&t.server, "after"), 0); /* half-closed: we may still talk */
    conn_close_gently(TAKE(t.server.conn), STEP_NS);
    run_until(client_ended);
    assert_true(sv_eq(buf_sv(&t.client.got), SV("worldafter")));
}

static void test_plain(void **state)
{
    (void)state;
    begin(NULL, NULL, NULL);
    talk();
    assert_null(conn_tls(t.client.conn));
    end();
}

#define BIG (8u * 1024 * 1024)
static bool server_has_big(void)
{
    return t.server.got.len >= BIG;
}
static bool client_drained(void)
{
    return t.client.is_drained;
}

/* More than any socket takes: it is kept, said to be congested, and arrives whole. */
static void send_big(struct tls_ctx *server, struct tls_ctx *client)
{
    begin(server, client, NULL);
    t.server.is_reading_off = !server;
    run_until(both_open);
    conn_pause(t.server.conn);
    char *big = mem_alloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 + i / 4096);
    const struct sv parts[] = { sv_of(big, 10), sv_of(big + 10, BIG - 10) };
    assert_int_equal(conn_write(t.client.conn, parts, 2), 0);
    assert_true(conn_is_congested(t.client.conn));
    assert_true(conn_unsent(t.client.conn) > CONN_HIGH_WATER);
    assert_int_equal(t.server.got.len, 0);
    conn_resume(t.server.conn);
    run_until(server_has_big);
    run_until(client_drained);
    assert_false(conn_is_congested(t.client.conn));
    assert_memory_equal(buf_sv(&t.server.got).p, big, BIG);
    mem_free(big);
    end();
}

static void test_big_plain(void **state)
{
    (void)state;
    send_big(NULL, NULL);
}

static bool client_has_big(void)
{
    return t.client.got.len >= BIG;
}

/* The peer has ended its stream already; what is queued for it arrives all the same. */
static void test_last_bytes_of_a_half_closed(void **state)
{
    (void)state;
    begin(NULL, NULL, NULL);
    run_until(both_open);
    conn_finish(t.client.conn);
    run_until(server_ended);
    conn_pause(t.client.conn);
    char *big = mem_zalloc(BIG);
    const struct sv part = sv_of(big, BIG);
    assert_int_equal(conn_write(t.server.conn, &part, 1), 0);
    assert_true(conn_unsent(t.server.conn) > 0);
    conn_close_gently(TAKE(t.server.conn), STEP_NS);
    conn_resume(t.client.conn);
    run_until(client_has_big);
    run_until(client_ended);
    mem_free(big);
    end();
}

static void test_connect_refused(void **state)
{
    (void)state;
    struct addr a;
    begin(NULL, NULL, NULL);
    run_until(both_open);
    conn_close(TAKE(t.client.conn));
    assert_int_equal(addr_parse(SV("127.0.0.1"), 1, &a, NULL), 0);
    t.client.is_failed = false;
    t.client.conn = conn_connect(t.loop, &a, STEP_NS, on_event, &t.client, NULL);
    run_until(client_failed);
    assert_string_equal(conn_error(t.client.conn)->why, "connect: Connection refused");
    end();
}

/* The address it calls from can be chosen; one that is not ours fails as a connect does. */
static void test_connect_from(void **state)
{
    char text[ADDR_TEXT_SIZE];
    struct addr to;
    struct conn_from from = { .mark = 0 };
    (void)state;
    begin(NULL, NULL, NULL);
    run_until(both_open);
    conn_close(TAKE(t.client.conn));
    conn_close(TAKE(t.server.conn));
    t.client.is_open = false;
    assert_int_equal(addr_parse(SV("127.0.0.1"), listener_port(t.listener), &to, NULL), 0);
    assert_int_equal(addr_parse(SV("127.0.0.7"), 0, &from.addr, NULL), 0);
    t.client.conn = conn_connect_from(t.loop, &to, &from, STEP_NS, on_event, &t.client, NULL);
    run_until(both_open);
    assert_true(sv_eq(addr_host(conn_local(t.client.conn), text), SV("127.0.0.7")));
    assert_true(sv_eq(addr_host(conn_peer(t.server.conn), text), SV("127.0.0.7")));
    from.addr = *conn_local(t.client.conn); /* a port that is taken: the next one */
    conn_close(TAKE(t.server.conn));
    t.client.is_open = false;
    struct conn *first = TAKE(t.client.conn);
    t.client.conn = conn_connect_from(t.loop, &to, &from, STEP_NS, on_event, &t.client, NULL);
    run_until(both_open);
    uint16_t port = addr_port(conn_local(t.client.conn)), taken = addr_port(&from.addr);
    assert_true(port > taken && port < taken + 16);
    conn_close(first);
    conn_close(TAKE(t.client.conn));
    assert_int_equal(addr_parse(SV("192.0.2.1"), 0, &from.addr, NULL), 0);
    t.client.is_failed = false;
    t.client.conn = conn_connect_from(t.loop, &to, &from, STEP_NS, on_event, &t.client, NULL);
    run_until(client_failed);
    assert_string_equal(conn_error(t.client.conn)->why, "connect: Cannot assign requested address");
    end();
}

static bool client_has_one(void)
{
    return t.client.got.len >= 1;
}
static bool server_has_ten(void)
{
    return t.server.got.len >= 10;
}

/* Who wants ten bytes is not woken for five, but for the end of the stream. */
static void test_want(void **state)
{
    const struct sv five = SV("12345"), one = SV("x");
    (void)state;
    begin(NULL, NULL, NULL);
    run_until(both_open);
    conn_want(t.server.conn, 10);
    assert_int_equal(conn_write(t.client.conn, &five, 1), 0);
    assert_int_equal(conn_write(t.server.conn, &one, 1), 0);
    run_until(client_has_one);
    assert_int_equal(t.server.got.len, 0);
    assert_int_equal(conn_write(t.client.conn, &five, 1), 0);
    run_until(server_has_ten);
    assert_int_equal(conn_write(t.client.conn, &five, 1), 0);
    conn_finish(t.client.conn);
    run_until(server_ended);
    assert_int_equal(t.server.got.len, 15);
    end();
}

static bool server_idle(void)
{
    return t.server.is_idle;
}

static void test_idle(void **state)
{
    (void)state;
    begin(NULL, NULL, NULL);
    run_until(both_open);
    conn_set_idle(t.server.conn, 20 * NS_PER_MS);
    run_until(server_idle);
    end();
}

/* The peer is told of a break, where conn_close() alone tells of an end. */
static void reset(struct tls_ctx *server, struct tls_ctx *client)
{
    for (int resets = 0; resets < 2; resets++) {
        begin(server, client, NULL);
        run_until(both_open);
        if (resets)
            conn_reset_at_close(t.server.conn);
        conn_close(TAKE(t.server.conn));
        run_until(client_ended);
        assert_int_equal(conn_error(t.client.conn)->code, resets ? ERR_IO : 0);
        end();
    }
}

static void test_reset(void **state)
{
    (void)state;
    reset(NULL, NULL);
}

static struct test_ca *ca;

static struct tls_ctx *context(const char *name, bool is_server, struct err *err)
{
    struct tls_conf conf = {
        .is_server = is_server,
        .cert_file = test_ca_path(ca, name, "cert-chain.pem"),
        .key_file = test_ca_path(ca, name, "key.pem"),
        .ca_file = test_ca_path(ca, name, "root-cert.pem"),
        .peer = TLS_PEER_REQUIRE,
        .is_mesh = true,
        .alpn = is_server ? "http/1.1" : "istio-http/1.1,istio,http/1.1",
    };
    return tls_ctx_new(&conf, err);
}

#define ID(sa) "spiffe://cluster.local/ns/default/sa/" sa

static void test_mutual_tls(void **state)
{
    (void)state;
    struct tls_ctx *server = context("server", true, NULL),
                   *client = context("client", false, NULL);
    struct tls_session session = { 0 };
    assert_non_null(server);
    assert_non_null(client);
    assert_true(sv_eq(tls_ctx_spiffe(server), SV(ID("server"))));
    for (int i = 0; i < 3; i++) {
        struct tls_client want = { .sni = SV("outbound_.80_._.x"),
                                   .spiffe = SV(ID("server")),
                                   .session = &session };
        begin(server, client, &want);
        talk();
        const struct tls_info *info = conn_tls(t.client.conn);
        assert_true(info->is_mutual);
        assert_int_equal(info->is_resumed, i > 0);
        assert_true(sv_eq(info->version, SV("TLSv1.3")));
        assert_true(sv_eq(info->cipher, SV("TLS_AES_128_GCM_SHA256")));
        assert_true(sv_eq(info->alpn, SV("http/1.1")));
        assert_true(sv_eq(info->peer_spiffe, SV(ID("server"))));
        assert_int_equal(info->peer_hash.len, 64);
        assert_true(info->peer_not_after_ns > clock_wall_ns());
        end();
    }
    reset(server, client);
    begin(server, client, NULL);
    run_until(both_open);
    const struct tls_info *info = conn_tls(t.server.conn);
    assert_true(info->is_mutual);
    assert_true(sv_eq(info->peer_spiffe, SV(ID("client"))));
    assert_true(sv_eq(info->peer_subject, SV("CN=client")));
    end();
    send_big(server, client);
    tls_session_done(&session);
    tls_ctx_unref(server);
    tls_ctx_unref(client);
}

static void test_wrong_identity(void **state)
{
    (void)state;
    struct tls_ctx *server = context("server", true, NULL),
                   *client = context("client", false, NULL);
    struct tls_client want = { .spiffe = SV(ID("other")) };
    begin(server, client, &want);
    run_until(client_failed);
    assert_string_equal(conn_error(t.client.conn)->why,
                        "peer: the peer is " ID("server") ", expected " ID("other"));
    end();
    tls_ctx_unref(server);
    tls_ctx_unref(client);
}

static void test_trust_domains(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *id, *want, *domains;
        bool is_fine;
    } cases[] = {
        { ID("a"),                     "",                      "",                    true },
        { ID("a"),                     ID("a"),                 "",                    true },
        { ID("a"),                     ID("b"),                 "",                    false },
        { ID("a"),                     "",                      "td1",                 false },
        { ID("a"),                     "",                      "td1,cluster.local",   true },
        { "spiffe://td1/ns/default/sa/a", ID("a"),              "",                    false },
        { "spiffe://td1/ns/default/sa/a", ID("a"),              "cluster.local,td1",   true },
        { "spiffe://td1/ns/default/sa/a", ID("b"),              "cluster.local,td1",   false },
        { "spiffe://td1/ns/other/sa/a", ID("a"),                "cluster.local,td1",   false },
        { "spiffe://td/ns/default/sa/a", ID("a"),               "cluster.local,td1",   false },
        { "spiffe://td1/ns/default/sa/a", "spiffe://x/ns/default/sa/a", "cluster.local,td1", false },
        { "spiffe://td1",              "",                      "td1",                 false },
        { ID("b"),                     ID("a") "," ID("b"),     "",                    true },
        { ID("c"),                     ID("a") "," ID("b"),     "",                    false },
        { "spiffe://td1/ns/default/sa/b", ID("a") "," ID("b"),  "cluster.local,td1",   true },
    };
    /* clang-format on */
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        int rc = spiffe_check(sv_z(cases[i].id), sv_z(cases[i].want), sv_z(cases[i].domains), &err);
        print_message("case: %s for %s of %s: %s\n", cases[i].id, cases[i].want, cases[i].domains,
                      err.why);
        assert_int_equal(rc == 0, cases[i].is_fine);
    }
}

/* A caller without a certificate, and one from another authority. */
static void test_strangers(void **state)
{
    (void)state;
    struct tls_ctx *server = context("server", true, NULL);
    struct tls_conf conf = { .peer = TLS_PEER_NONE };
    struct tls_ctx *nobody = tls_ctx_new(&conf, NULL);
    begin(server, nobody, NULL);
    run_until(both_failed);
    assert_true(t.server.is_failed);
    assert_int_equal(conn_error(t.server.conn)->code, ERR_TLS);
    end();
    tls_ctx_unref(nobody);
    struct test_ca *mine = ca;
    ca = test_ca_new();
    test_ca_leaf(ca, "stranger", "URI:" ID("client"), 3600);
    struct tls_ctx *stranger = context("stranger", false, NULL);
    assert_non_null(stranger);
    begin(server, stranger, NULL);
    run_until(both_failed);
    assert_non_null(strstr(conn_error(t.client.conn)->why, "certificate verify failed"));
    end();
    tls_ctx_unref(stranger);
    test_ca_free(ca);
    ca = mine;
    tls_ctx_unref(server);
}

static void test_bad_contexts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
    } cases[] = {
        { "two", "own certificate: certificate has 2 URI names, want one" },
        { "none", "own certificate: certificate has 0 URI names, want one" },
        { "web", "own certificate: certificate's URI name 'https://a/b' is no SPIFFE id" },
        { "old", "own certificate: certificate has expired" },
        { "missing", "No such file" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        assert_null(context(cases[i].name, true, &err));
        if (strcmp(cases[i].name, "missing") != 0)
            assert_string_equal(err.why, cases[i].why);
        assert_int_equal(err.code, ERR_TLS);
    }
    struct err err = { 0 };
    struct tls_conf conf = { .is_server = true,
                             .cert_file = test_ca_path(ca, "server", "cert-chain.pem"),
                             .key_file = test_ca_path(ca, "client", "key.pem") };
    assert_null(tls_ctx_new(&conf, &err));
    assert_int_equal(err.code, ERR_TLS);
}

static void test_spiffe(void **state)
{
    (void)state;
    struct sv domain, ns, sa;
    assert_true(spiffe_parse(SV(ID("x")), &domain, &ns, &sa));
    assert_true(sv_eq(domain, SV("cluster.local")) && sv_eq(ns, SV("default")) &&
                sv_eq(sa, SV("x")));
    static const char *bad[] = { "",
                                 "spiffe://",
                                 "spiffe://td",
                                 "spiffe://td/ns/a/sa",
                                 "spiffe://td/ns/a/sa/b/c",
                                 "spiffe://td/ns/a/sa/",
                                 "spiffe://td/ns/a/sa/b/",
                                 "http://td/ns/a/sa/b",
                                 "spiffe://td/ns//sa/b",
                                 "spiffe://td/ns/a%/sa/b" };
    for (size_t i = 0; i < NELEMS(bad); i++)
        assert_false(spiffe_parse(sv_z(bad[i]), &domain, &ns, &sa));
    assert_true(tls_looks_like_hello(SV("\x16")));
    assert_true(tls_looks_like_hello(SV("\x16\x03\x01\x02\x00\x01")));
    assert_false(tls_looks_like_hello(SV("\x16\x03\x01\x02\x00\x02")));
    assert_false(tls_looks_like_hello(SV("GET / HTTP")));
}

static int make_certs(void **state)
{
    (void)state;
    ca = test_ca_new();
    test_ca_leaf(ca, "server", "URI:" ID("server"), 3600);
    test_ca_leaf(ca, "client", "URI:" ID("client"), 3600);
    test_ca_leaf(ca, "two", "URI:" ID("a") ",URI:" ID("b"), 3600);
    test_ca_leaf(ca, "none", "DNS:a", 3600);
    test_ca_leaf(ca, "web", "URI:https://a/b", 3600);
    test_ca_leaf(ca, "old", "URI:" ID("old"), -10);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    test_ca_free(ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_big_plain),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_mutual_tls),
        cmocka_unit_test(test_wrong_identity),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_bad_contexts),
        cmocka_unit_test(test_spiffe),
        cmocka_unit_test(test_trust_domains),
        cmocka_unit_test(test_last_bytes_of_a_half_closed),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_connect_from),
        cmocka_unit_test(test_want),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
