/* test_envoy_als.c - Envoy's access log service, made by hand: each flag, each state of TLS, what is passed over,
 * what is refused and what that costs its neighbours. */
#include "ingest/decode.h"
#include "tallies.h"
#include "wire/pb.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct batch *decode(struct sv body)
{
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    struct err err = { 0 };
    struct batch *b = batch_new();
    assert_non_null(b);
    assert_int_equal(envoy_als_decode(body, b, &lim, &err), 0);
    assert_int_equal(err.code, 0);
    return b;
}

static uint64_t ignored(void)
{
    return collector_tallies.cells[TALLY_LOGS_IGNORED];
}

static void is_text(struct sv have, const char *want)
{
    if (!sv_eq(have, sv_z(want)))
        fail_msg("'%.*s', want '%s'", SV_ARG(have), want);
}

/* An entry's AccessLogCommon is written between entry_opens() and common_ends(). */
struct entry {
    struct buf body;
    size_t logs, entry, common;
    bool is_http;
};

static void entry_opens(struct entry *e, bool is_http)
{
    e->is_http = is_http;
    e->logs = pb_open(&e->body, is_http ? 2 : 3);
    e->entry = pb_open(&e->body, 1);
    e->common = pb_open(&e->body, 1);
}

static void put_ns(struct buf *to, uint32_t field, int64_t seconds, int64_t nanos)
{
    size_t mark = pb_open(to, field);
    pb_put_i64(to, 1, seconds);
    pb_put_i64(to, 2, nanos);
    pb_close(to, mark);
}

static void put_pair(struct buf *to, uint32_t field, const char *key, const char *text)
{
    size_t mark = pb_open(to, field);
    pb_put_bytes(to, 1, sv_z(key));
    pb_put_bytes(to, 2, sv_z(text));
    pb_close(to, mark);
}

static void common_ends(struct entry *e)
{
    pb_close(&e->body, e->common);
}

static void entry_ends(struct entry *e)
{
    pb_close(&e->body, e->entry);
    pb_close(&e->body, e->logs);
}

/* A whole entry that is good. */
static void put_good(struct entry *e)
{
    entry_opens(e, true);
    put_ns(&e->body, 5, 1, 0);
    common_ends(e);
    entry_ends(e);
}

static void test_flags(void **state)
{
    (void)state;
    static const char *const names[] = { "LH",   "UH",  "UT",  "LR", "UR",  "UF",    "UC",
                                         "UO",   "NR",  "DI",  "FI", "RL",  NULL,    "RLSE",
                                         "DC",   "URX", "SI",  "IH", "DPE", "UMSDR", "RFCF",
                                         "NFCF", "DT",  "UPE", "NC", "OM",  "DF",    "DR" };
    for (uint32_t field = 1; field <= NELEMS(names) + 1; field++) {
        const char *want = field == 13 ? "UAEX" : field <= NELEMS(names) ? names[field - 1] : "";
        AUTO_DONE(buf) body = { 0 };
        struct entry e = { .body = body };
        entry_opens(&e, false);
        put_ns(&e.body, 5, 1, 0);
        size_t flags = pb_open(&e.body, 16);
        if (field == 13)
            pb_close(&e.body, pb_open(&e.body, 13));
        else
            pb_put_bool(&e.body, field, true);
        pb_put_bool(&e.body, field == 1 ? 2 : 1, false);
        pb_close(&e.body, flags);
        common_ends(&e);
        entry_ends(&e);
        body = e.body;
        AUTO_FREE(batch) b = decode(buf_sv(&body));
        assert_int_equal(b->calls_len, 1);
        is_text(b->calls[0].response_flags, want);
    }
}

static const struct tls_case {
    const char *name, *cluster;
    bool is_there;
    uint64_t version, cipher;
    const char *sni, *peer;
    enum tls_state state;
    const char *want_version, *want_cipher;
} tls_cases[] = {
    /* clang-format off */
    { "mutual",               "inbound|80||", true, 3, 0xc02b, "", "spiffe://td/ns/a/sa/b", TLS_MUTUAL, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
    { "cipher nobody uses",   "inbound|80||", true, 4, 0xffff, "", "spiffe://td/ns/a/sa/b", TLS_MUTUAL, "TLSv1.3", "" },
    { "version of tomorrow",  "inbound|80||", true, 9, 0x1301, "", "spiffe://td/ns/a/sa/b", TLS_MUTUAL, "", "TLS_AES_128_GCM_SHA256" },
    { "no client certificate","inbound|80||", true, 4, 0x1301, "a.example.com", NULL,       TLS_ONE_WAY, "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
    { "a URI that is no id",  "inbound|80||", true, 4, 0x1301, "", "https://a",             TLS_ONE_WAY, "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
    { "no tls",               "inbound|80||", false, 0, 0, NULL, NULL,                      TLS_PLAINTEXT, "-", "" },
    { "nothing of it is told","inbound|80||", true, 0, 0x1301, "", NULL,                    TLS_UNKNOWN, "", "" },
    { "outbound mutual",      "outbound|80||a.b.svc.cluster.local", true, 4, 0x1301, "", "spiffe://td/ns/a/sa/b", TLS_UNKNOWN, "", "" },
    { "outbound plaintext",   "outbound|80||a.b.svc.cluster.local", false, 0, 0, NULL, NULL, TLS_UNKNOWN, "", "" },
    /* clang-format on */
};

static void put_tls(struct buf *to, const struct tls_case *t)
{
    size_t tls = pb_open(to, 4);
    pb_put_varint(to, 1, t->version);
    size_t cipher = pb_open(to, 2);
    pb_put_varint(to, 1, t->cipher);
    pb_close(to, cipher);
    pb_put_bytes(to, 3, sv_z(t->sni));
    for (uint32_t field = 4; field <= 5 && t->peer; field++) {
        size_t cert = pb_open(to, field), san = pb_open(to, 1);
        pb_put_bytes(to, 1, field == 4 ? SV("spiffe://td/ns/c/sa/d") : sv_z(t->peer));
        pb_close(to, san);
        pb_close(to, cert);
    }
    pb_close(to, tls);
}

static void test_tls(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(tls_cases); i++) {
        const struct tls_case *t = &tls_cases[i];
        print_message("case: %s\n", t->name);
        AUTO_DONE(buf) body = { 0 };
        struct entry e = { .body = body };
        entry_opens(&e, true);
        put_ns(&e.body, 5, 1, 0);
        pb_put_bytes(&e.body, 15, sv_z(t->cluster));
        if (t->is_there)
            put_tls(&e.body, t);
        common_ends(&e);
        entry_ends(&e);
        body = e.body;
        AUTO_FREE(batch) b = decode(buf_sv(&body));
        assert_int_equal(b->calls_len, 1);
        const struct call *c = &b->calls[0];
        assert_int_equal(c->tls, t->state);
        is_text(c->tls_version, sv_eq(sv_z(t->want_version), SV("-")) ? "" : t->want_version);
        is_text(c->tls_cipher, t->want_cipher);
        bool is_mutual_case = t->state == TLS_MUTUAL;
        is_text(c->source.principal, is_mutual_case ? t->peer : "unknown");
        is_text(c->destination.principal, is_mutual_case ? "spiffe://td/ns/c/sa/d" : "unknown");
    }
}

/* AccessLogType, and whether it is a call. */
static void test_types(void **state)
{
    (void)state;
    for (uint64_t type = 0; type <= 14; type++) {
        bool is_call = type == 0 || type == 3 || type == 6;
        for (int is_intermediate = 0; is_intermediate < 2; is_intermediate++) {
            AUTO_DONE(buf) body = { 0 };
            struct entry e = { .body = body };
            entry_opens(&e, type != 3);
            put_ns(&e.body, 5, 1, 0);
            pb_put_bool(&e.body, 27, is_intermediate);
            pb_put_varint(&e.body, 33, type);
            common_ends(&e);
            entry_ends(&e);
            body = e.body;
            uint64_t before = ignored();
            AUTO_FREE(batch) b = decode(buf_sv(&body));
            assert_int_equal(b->calls_len, is_call && !is_intermediate);
            assert_int_equal(ignored() - before, !is_call || is_intermediate);
            assert_int_equal(b->rejected, 0);
        }
    }
}

static const struct grpc_case {
    const char *name;
    uint64_t version, code;
    const char *request_type, *header, *trailer, *agent;
    enum protocol protocol;
    int status;
} grpc_cases[] = {
    /* clang-format off */
    { "by its type, no status logged", 3, 200, "application/grpc", NULL, NULL, "x",      PROTOCOL_GRPC, 0 },
    { "the same, failed",              3, 503, "application/grpc", NULL, NULL, "x",      PROTOCOL_GRPC, -1 },
    { "by its agent",                  3, 200, NULL, NULL, NULL, "grpc-go/1.62.0",       PROTOCOL_GRPC, 0 },
    { "trailers only",                 3, 200, NULL, "5", NULL, "x",                     PROTOCOL_GRPC, 5 },
    { "trailers count",                3, 200, NULL, "0", "13", "x",                     PROTOCOL_GRPC, 13 },
    { "a status that is none",         3, 200, NULL, NULL, "many", "x",                  PROTOCOL_GRPC, 2 },
    { "HTTP/1.1",                      2, 200, "application/grpc", "0", "0", "grpc-go",  PROTOCOL_HTTP, -1 },
    { "gRPC-Web",                      3, 200, "application/grpc-web", NULL, NULL, "x",  PROTOCOL_HTTP, -1 },
    { "JSON",                          3, 200, "application/json", NULL, NULL, "x",      PROTOCOL_HTTP, -1 },
    /* clang-format on */
};

static void test_grpc(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(grpc_cases); i++) {
        const struct grpc_case *t = &grpc_cases[i];
        print_message("case: %s\n", t->name);
        AUTO_DONE(buf) body = { 0 };
        struct entry e = { .body = body };
        entry_opens(&e, true);
        put_ns(&e.body, 5, 1, 0);
        common_ends(&e);
        pb_put_varint(&e.body, 2, t->version);
        size_t request = pb_open(&e.body, 3);
        pb_put_bytes(&e.body, 6, sv_z(t->agent));
        if (t->request_type)
            put_pair(&e.body, 13, "content-type", t->request_type);
        pb_close(&e.body, request);
        size_t response = pb_open(&e.body, 4), code = pb_open(&e.body, 1);
        pb_put_varint(&e.body, 1, t->code);
        pb_close(&e.body, code);
        if (t->trailer)
            put_pair(&e.body, 5, "grpc-status", t->trailer);
        if (t->header)
            put_pair(&e.body, 4, "grpc-status", t->header);
        pb_close(&e.body, response);
        entry_ends(&e);
        body = e.body;
        AUTO_FREE(batch) b = decode(buf_sv(&body));
        assert_int_equal(b->calls_len, 1);
        assert_int_equal(b->calls[0].protocol, t->protocol);
        assert_int_equal(b->calls[0].grpc_status, t->status);
    }
}

/* Labels that an operator gave the log, a B3 trace id of 64 bits, an IPv6 pod, a duration of older Envoys. */
static void test_tags(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    struct entry e = { .body = body };
    entry_opens(&e, true);
    put_ns(&e.body, 5, 1, 5);
    put_ns(&e.body, 12, 0, 77);
    pb_put_bytes(&e.body, 15, SV("inbound|80||"));
    put_pair(&e.body, 22, "source_workload", "web");
    put_pair(&e.body, 22, "source_workload_namespace", "shop");
    put_pair(&e.body, 22, "grpc_response_status", "7");
    put_pair(&e.body, 22, "x-b3-traceid", "463ac35c9f6413ad");
    size_t local = pb_open(&e.body, 3), socket = pb_open(&e.body, 1);
    pb_put_bytes(&e.body, 2, SV("fd00::1"));
    pb_put_varint(&e.body, 3, 8080);
    pb_close(&e.body, socket);
    pb_close(&e.body, local);
    common_ends(&e);
    entry_ends(&e);
    body = e.body;
    AUTO_FREE(batch) b = decode(buf_sv(&body));
    assert_int_equal(b->calls_len, 1);
    const struct call *c = &b->calls[0];
    is_text(c->source.workload, "web");
    is_text(c->source.namespace, "shop");
    is_text(c->own_address, "[fd00::1]:8080");
    assert_int_equal(c->protocol, PROTOCOL_GRPC);
    assert_int_equal(c->grpc_status, 7);
    assert_true(c->start_ns == 1000000005 && c->duration_ns == 77);
    assert_memory_equal(c->trace_id.b, "\0\0\0\0\0\0\0\0\x46\x3a\xc3\x5c\x9f\x64\x13\xad", 16);
}

/* A caller without TLS that has made up who it is. */
static void test_forged_header(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    struct entry e = { .body = body };
    entry_opens(&e, true);
    put_ns(&e.body, 5, 1, 0);
    pb_put_bytes(&e.body, 15, SV("inbound|80||"));
    common_ends(&e);
    size_t request = pb_open(&e.body, 3);
    put_pair(&e.body, 13, "x-forwarded-client-cert", "By=spiffe://a;URI=spiffe://td/ns/a/sa/b");
    pb_close(&e.body, request);
    entry_ends(&e);
    body = e.body;
    AUTO_FREE(batch) b = decode(buf_sv(&body));
    assert_int_equal(b->calls_len, 1);
    assert_int_equal(b->calls[0].tls, TLS_PLAINTEXT);
    is_text(b->calls[0].source.principal, "unknown");
    is_text(b->calls[0].destination.principal, "unknown");
}

/* Each stands between two good entries; why: what the refusal says. */
enum bad { NO_TIME, TIME_BELOW_ZERO, TIME_TOO_LATE, NANOS, DURATION, CODE, BYTES, WIRE, CUT, PEER };
static const struct bad_case {
    enum bad bad;
    enum err_code code;
    const char *why;
} bad_cases[] = {
    { NO_TIME, ERR_MALFORMED, "start_time is missing" },
    { TIME_BELOW_ZERO, ERR_MALFORMED, "start_time: -5 s" },
    { TIME_TOO_LATE, ERR_MALFORMED, "before the year 2262" },
    { NANOS, ERR_MALFORMED, "1000000000 ns" },
    { DURATION, ERR_MALFORMED, "duration: 0 s and -1 ns" },
    { CODE, ERR_MALFORMED, "response_code 1000 is above 999" },
    { BYTES, ERR_MALFORMED, "bytes" },
    { WIRE, ERR_MALFORMED, "wire type" },
    { CUT, ERR_TRUNCATED, "announced" },
    { PEER, ERR_MALFORMED, "wire type" },
};

static void put_bad_common(struct buf *to, enum bad bad)
{
    if (bad == TIME_BELOW_ZERO)
        put_ns(to, 5, -5, 0);
    else if (bad == TIME_TOO_LATE)
        put_ns(to, 5, INT64_MAX / 2, 0);
    else if (bad == NANOS)
        put_ns(to, 5, 1, 1000000000);
    else if (bad != NO_TIME)
        put_ns(to, 5, 1, 0);
    if (bad == DURATION)
        put_ns(to, 23, 0, -1);
    if (bad == WIRE)
        pb_put_varint(to, 15, 1);
    if (bad == CUT)
        buf_put(to, SV("\x7a\x7f"));
    if (bad == PEER) {
        size_t state = pb_open(to, 21);
        pb_put_bytes(to, 1, SV("upstream_peer"));
        size_t any = pb_open(to, 2);
        pb_put_bytes(to, 1, SV("type.googleapis.com/google.protobuf.Struct"));
        pb_put_bytes(to, 2, SV("\x0d...."));
        pb_close(to, any);
        pb_close(to, state);
    }
}

static void test_bad_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(bad_cases); i++) {
        const struct bad_case *t = &bad_cases[i];
        print_message("case: %s\n", t->why);
        AUTO_DONE(buf) body = { 0 };
        struct entry e = { .body = body };
        put_good(&e);
        size_t from = e.body.len;
        entry_opens(&e, true);
        put_bad_common(&e.body, t->bad);
        common_ends(&e);
        if (t->bad == CODE) {
            size_t response = pb_open(&e.body, 4), code = pb_open(&e.body, 1);
            pb_put_varint(&e.body, 1, 1000);
            pb_close(&e.body, code);
            pb_close(&e.body, response);
        } else if (t->bad == BYTES) {
            size_t request = pb_open(&e.body, 3);
            pb_put_varint(&e.body, 12, UINT64_MAX);
            pb_close(&e.body, request);
        }
        entry_ends(&e);
        size_t to = e.body.len;
        put_good(&e);
        body = e.body;
        AUTO_FREE(batch) b = decode(buf_sv(&body));
        assert_int_equal(b->calls_len, 2);
        assert_int_equal(b->rejected, 1);
        assert_int_equal(b->first_rejection.code, t->code);
        assert_true(b->first_rejection.at > from && b->first_rejection.at <= to);
        if (!sv_contains(sv_z(b->first_rejection.why), sv_z(t->why)))
            fail_msg("'%s', want '%s'", b->first_rejection.why, t->why);
    }
}

/* Nothing but a broken outer length or an identifier that cannot be read is everybody's. */
static void test_bad_messages(void **state)
{
    (void)state;
    static const struct {
        struct sv body;
        enum err_code code;
    } cases[] = {
        { { "\x12\x7f\x0a", 3 }, ERR_TRUNCATED },     /* http_logs longer than the message */
        { { "\x12\x02\x0a\x7f", 4 }, ERR_TRUNCATED }, /* an entry longer than they */
        { { "\x10\x01", 2 }, ERR_MALFORMED },         /* http_logs that are a number */
        { { "\x0a\x02\x08\x01", 4 }, ERR_MALFORMED }, /* a node that is one */
    };
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_FREE(batch) b = batch_new();
        struct err err = { 0 };
        assert_int_equal(envoy_als_decode(cases[i].body, b, &lim, &err), cases[i].code);
        assert_true(err.at <= cases[i].body.len);
    }
    AUTO_FREE(batch) none = decode(SV_NONE);
    assert_int_equal(none->calls_len + none->rejected, 0);
}

static void test_limits(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    struct entry e = { .body = body };
    for (int i = 0; i < 3; i++)
        put_good(&e);
    body = e.body;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    struct err err = { 0 };
    lim.records = 2;
    AUTO_FREE(batch) b = batch_new();
    assert_int_equal(envoy_als_decode(buf_sv(&body), b, &lim, &err), ERR_LIMIT);
}

/* The identifier stands where it likes, and what a second one says counts. */
static void test_identifiers(void **state)
{
    (void)state;
    static const struct sv first = { "\x0a\x0e\x0a\x09\x12\x07web.one\x12\x01l", 16 },
                           second = { "\x0a\x0b\x0a\x09\x12\x07web.two", 13 };
    AUTO_DONE(buf) body = { 0 };
    struct entry e = { .body = body };
    buf_put(&e.body, first);
    entry_opens(&e, true);
    put_ns(&e.body, 5, 1, 0);
    pb_put_bytes(&e.body, 15, SV("inbound|80||"));
    common_ends(&e);
    entry_ends(&e);
    size_t len = e.body.len;
    buf_put(&e.body, second);
    body = e.body;
    AUTO_FREE(batch) one = decode(sv_sub(buf_sv(&body), 0, len));
    AUTO_FREE(batch) two = decode(buf_sv(&body));
    is_text(one->calls[0].destination.namespace, "one");
    is_text(two->calls[0].destination.namespace, "two");
    is_text(two->calls[0].destination.service, "web");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),       cmocka_unit_test(test_tls),
        cmocka_unit_test(test_types),       cmocka_unit_test(test_grpc),
        cmocka_unit_test(test_tags),        cmocka_unit_test(test_forged_header),
        cmocka_unit_test(test_bad_entries), cmocka_unit_test(test_bad_messages),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_identifiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
