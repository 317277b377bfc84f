/* test_access.c - log records in both spellings: access records become calls, others are counted. */
#include "base/json_out.h"
#include "base/mem.h"
#include "ingest/decode.h"
#include "tallies.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A record: "key=text" or "key#number" pairs separated by spaces. */
struct record {
    const char *event_name;
    uint64_t time_ns;
    const char *attrs;
};

static bool next_attr(struct sv *rest, struct sv *key, struct sv *value, bool *is_number)
{
    struct sv pair;
    if (rest->len == 0 || !sv_cut(rest, ' ', &pair))
        return false;
    size_t at = MIN(sv_index(pair, '='), sv_index(pair, '#'));
    *key = sv_sub(pair, 0, at);
    *value = sv_from(pair, at + 1);
    *is_number = pair.p[at] == '#';
    return true;
}

static void put_proto(const struct record *rec, struct buf *to)
{
    struct sv rest = sv_z(rec->attrs), key, value;
    bool is_number;
    int64_t n;
    size_t group = pb_open(to, OTLP_LOGS_REQUEST_RESOURCE_LOGS);
    size_t scopes = pb_open(to, OTLP_RESOURCE_LOGS_SCOPE_LOGS);
    size_t log = pb_open(to, OTLP_SCOPE_LOGS_LOG_RECORDS);
    pb_put_fixed64(to, OTLP_LOG_TIME, rec->time_ns);
    while (next_attr(&rest, &key, &value, &is_number)) {
        size_t attr = pb_open(to, OTLP_LOG_ATTRIBUTES);
        pb_put_bytes(to, OTLP_KEY_VALUE_KEY, key);
        size_t any = pb_open(to, OTLP_KEY_VALUE_VALUE);
        if (is_number && sv_to_i64(value, &n))
            pb_put_i64(to, OTLP_VALUE_INT, n);
        else
            pb_put_bytes(to, OTLP_VALUE_STRING, value);
        pb_close(to, any);
        pb_close(to, attr);
    }
    pb_put_bytes(to, OTLP_LOG_TRACE_ID, SV("0123456789abcdef"));
    pb_put_bytes(to, OTLP_LOG_SPAN_ID, SV("01234567"));
    pb_put_bytes(to, OTLP_LOG_EVENT_NAME, sv_z(rec->event_name));
    pb_close(to, log);
    pb_close(to, scopes);
    pb_close(to, group);
}

static void put_json(const struct record *rec, struct buf *to)
{
    struct sv rest = sv_z(rec->attrs), key, value;
    bool is_number;
    struct json_out j = json_out_of(to);
    json_open(&j, '{');
    json_kv_open(&j, "resourceLogs", '[');
    json_open(&j, '{');
    json_kv_open(&j, "scopeLogs", '[');
    json_open(&j, '{');
    json_kv_open(&j, "logRecords", '[');
    json_open(&j, '{');
    json_kv_str(&j, "eventName", sv_z(rec->event_name));
    json_kv_u64(&j, "timeUnixNano", rec->time_ns);
    json_kv_str(&j, "traceId", SV("30313233343536373839616263646566"));
    json_kv_str(&j, "spanId", SV("3031323334353637"));
    json_kv_open(&j, "attributes", '[');
    while (next_attr(&rest, &key, &value, &is_number)) {
        json_open(&j, '{');
        json_kv_str(&j, "key", key);
        json_kv_open(&j, "value", '{');
        json_kv_str(&j, is_number ? "intValue" : "stringValue", value);
        json_close(&j);
        json_close(&j);
    }
    for (int i = 0; i < 8; i++)
        json_close(&j);
}

/* clang-format off */
static const struct {
    const char *name; struct record rec; size_t calls, rejected, ignored;
} cases[] = {
    { "least",             { "tulle.access", 5, "reporter=source" },                              1, 0, 0 },
    { "by attribute",      { "", 5, "event.name=tulle.access reporter=destination" },             1, 0, 0 },
    { "something else",    { "app.started", 5, "reporter=source" },                               0, 0, 1 },
    { "no event",          { "", 5, "reporter=source" },                                          0, 0, 1 },
    { "no reporter",       { "tulle.access", 5, "method=GET" },                                   0, 1, 0 },
    { "reporter unknown",  { "tulle.access", 5, "reporter=moon" },                                0, 1, 0 },
    { "pair is not said",  { "tulle.access", 5, "reporter=pair" },                                0, 1, 0 },
    { "no time",           { "tulle.access", 0, "reporter=source" },                              0, 1, 0 },
    { "number as text",    { "tulle.access", 5, "reporter=source response_code=200" },            1, 0, 0 },
    { "code is a word",    { "tulle.access", 5, "reporter=source response_code=ok" },             0, 1, 0 },
    { "code too large",    { "tulle.access", 5, "reporter=source response_code#70000" },          0, 1, 0 },
    { "duration negative", { "tulle.access", 5, "reporter=source duration_ns#-1" },               0, 1, 0 },
    { "text as number",    { "tulle.access", 5, "reporter=source method#5" },                     0, 1, 0 },
    { "unknown attribute", { "tulle.access", 5, "reporter=source my.own=1" },                     1, 0, 0 },
};
/* clang-format on */

static void test_records(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < 2 * NELEMS(cases); i++) {
        size_t n = i / 2;
        bool is_json = i % 2;
        print_message("case: %s, %s\n", cases[n].name, is_json ? "json" : "protobuf");
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        uint64_t ignored = collector_tallies.cells[TALLY_LOGS_IGNORED];
        (is_json ? put_json : put_proto)(&cases[n].rec, &body);
        decode_fn *decode = is_json ? otlp_json_logs_decode : otlp_proto_logs_decode;
        assert_int_equal(decode(buf_sv(&body), b, &lim, NULL), 0);
        assert_int_equal(b->calls_len, cases[n].calls);
        assert_int_equal(b->rejected, cases[n].rejected);
        assert_int_equal(collector_tallies.cells[TALLY_LOGS_IGNORED] - ignored, cases[n].ignored);
    }
}

static void check_full(const struct call *c)
{
    assert_int_equal(c->reporter, REPORTER_DESTINATION);
    assert_int_equal(c->protocol, PROTOCOL_GRPC);
    assert_int_equal(c->tls, TLS_MUTUAL);
    assert_int_equal(c->start_ns, 77);
    assert_int_equal(c->duration_ns, 123456);
    assert_int_equal(c->bytes_received, 10);
    assert_int_equal(c->bytes_sent, 20);
    assert_int_equal(c->response_code, 503);
    assert_int_equal(c->grpc_status, 14);
    assert_int_equal(c->peer_cert_expiry_ns, 99);
    assert_true(sv_eq(c->response_flags, SV("UF,URX")));
    assert_true(sv_eq(c->path, SV("/a?b")));
    assert_true(sv_eq(c->source.workload, SV("web-v1")));
    assert_true(sv_eq(c->source.principal, SV("spiffe://td/ns/d/sa/web")));
    assert_true(sv_eq(c->source_principal_seen, SV("spiffe://td/ns/d/sa/web")));
    assert_true(sv_eq(c->source.cluster, IDENTITY_UNKNOWN));
    assert_true(sv_eq(c->destination.service, SV("cart")));
    assert_true(sv_eq(c->destination.principal, IDENTITY_UNKNOWN));
    assert_int_equal(c->destination_principal_seen.len, 0);
    assert_true(sv_eq(c->tls_version, SV("TLSv1.3")));
    assert_memory_equal(c->trace_id.b, "0123456789abcdef", 16);
    assert_memory_equal(c->span_id.b, "01234567", 8);
}

/* In another order than the table's, so that the search wraps around. */
static const struct record full = {
    "tulle.access",
    77,
    "tls_version=TLSv1.3 destination_canonical_service=cart bytes_sent#20 reporter=destination "
    "request_protocol=grpc tls_state=mutual duration_ns#123456 bytes_received=10 response_code#503 "
    "grpc_response_status=14 peer_certificate_expiry_ns#99 response_flags=UF,URX path=/a?b "
    "source_workload=web-v1 source_principal=spiffe://td/ns/d/sa/web",
};

static void test_every_kind_of_field(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_DONE(buf) proto = { 0 };
    AUTO_DONE(buf) json = { 0 };
    AUTO_FREE(batch) b = batch_new();
    put_proto(&full, &proto);
    put_json(&full, &json);
    assert_int_equal(otlp_proto_logs_decode(buf_sv(&proto), b, &lim, NULL), 0);
    assert_int_equal(otlp_json_logs_decode(buf_sv(&json), b, &lim, NULL), 0);
    assert_int_equal(b->calls_len, 2);
    check_full(&b->calls[0]);
    check_full(&b->calls[1]);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_DONE(buf) body = { 0 };
    put_proto(&full, &body);
    for (uint64_t nth = 1;; nth++) {
        AUTO_FREE(batch) b = batch_new();
        mem_fail_nth(nth);
        int rc = otlp_proto_logs_decode(buf_sv(&body), b, &lim, NULL);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
        if (!was_reached)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_every_kind_of_field),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
