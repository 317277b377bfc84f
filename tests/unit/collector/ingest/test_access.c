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
    const char *scope; /* NULL: a group without one */
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

static void proto_attrs(const char *attrs, uint32_t field, struct buf *to)
{
    struct sv rest = sv_z(attrs), key, value;
    bool is_number;
    int64_t n;
    while (next_attr(&rest, &key, &value, &is_number)) {
        size_t attr = pb_open(to, field);
        pb_put_bytes(to, OTLP_KEY_VALUE_KEY, key);
        size_t any = pb_open(to, OTLP_KEY_VALUE_VALUE);
        if (is_number && sv_to_i64(value, &n))
            pb_put_i64(to, OTLP_VALUE_INT, n);
        else
            pb_put_bytes(to, OTLP_VALUE_STRING, value);
        pb_close(to, any);
        pb_close(to, attr);
    }
}

static void put_proto(const struct record *rec, struct buf *to)
{
    size_t group = pb_open(to, OTLP_LOGS_REQUEST_RESOURCE_LOGS);
    size_t scopes = pb_open(to, OTLP_RESOURCE_LOGS_SCOPE_LOGS);
    if (rec->scope) {
        size_t scope = pb_open(to, OTLP_SCOPE_LOGS_SCOPE);
        proto_attrs(rec->scope, OTLP_SCOPE_ATTRIBUTES, to);
        pb_close(to, scope);
    }
    size_t log = pb_open(to, OTLP_SCOPE_LOGS_LOG_RECORDS);
    pb_put_fixed64(to, OTLP_LOG_TIME, rec->time_ns);
    proto_attrs(rec->attrs, OTLP_LOG_ATTRIBUTES, to);
    pb_put_bytes(to, OTLP_LOG_TRACE_ID, SV("0123456789abcdef"));
    pb_put_bytes(to, OTLP_LOG_SPAN_ID, SV("01234567"));
    pb_put_bytes(to, OTLP_LOG_EVENT_NAME, sv_z(rec->event_name));
    pb_close(to, log);
    pb_close(to, scopes);
    pb_close(to, group);
}

static void json_attrs_of(struct json_out *j, const char *attrs)
{
    struct sv rest = sv_z(attrs), key, value;
    bool is_number;
    json_kv_open(j, "attributes", '[');
    while (next_attr(&rest, &key, &value, &is_number)) {
        json_open(j, '{');
        json_kv_str(j, "key", key);
        json_kv_open(j, "value", '{');
        json_kv_str(j, is_number ? "intValue" : "stringValue", value);
        json_close(j);
        json_close(j);
    }
    json_close(j);
}

static void put_json(const struct record *rec, struct buf *to)
{
    struct json_out j = json_out_of(to);
    json_open(&j, '{');
    json_kv_open(&j, "resourceLogs", '[');
    json_open(&j, '{');
    json_kv_open(&j, "scopeLogs", '[');
    json_open(&j, '{');
    if (rec->scope) {
        json_kv_open(&j, "scope", '{');
        json_attrs_of(&j, rec->scope);
        json_close(&j);
    }
    json_kv_open(&j, "logRecords", '[');
    json_open(&j, '{');
    json_kv_str(&j, "eventName", sv_z(rec->event_name));
    json_kv_u64(&j, "timeUnixNano", rec->time_ns);
    json_kv_str(&j, "traceId", SV("30313233343536373839616263646566"));
    json_kv_str(&j, "spanId", SV("3031323334353637"));
    json_attrs_of(&j, rec->attrs);
    for (int i = 0; i < 7; i++)
        json_close(&j);
}

/* clang-format off */
static const struct {
    const char *name; struct record rec; size_t calls, rejected, ignored;
} cases[] = {
    { "least",             { "tulle.access", 5, "reporter=source", NULL },                        1, 0, 0 },
    { "by attribute",      { "", 5, "event.name=tulle.access reporter=destination", NULL },       1, 0, 0 },
    { "something else",    { "app.started", 5, "reporter=source", NULL },                         0, 0, 1 },
    { "no event",          { "", 5, "reporter=source", NULL },                                    0, 0, 1 },
    { "no reporter",       { "tulle.access", 5, "method=GET", NULL },                             0, 1, 0 },
    { "reporter unknown",  { "tulle.access", 5, "reporter=moon", NULL },                          0, 1, 0 },
    { "pair is not said",  { "tulle.access", 5, "reporter=pair", NULL },                          0, 1, 0 },
    { "no time",           { "tulle.access", 0, "reporter=source", NULL },                        0, 1, 0 },
    { "number as text",    { "tulle.access", 5, "reporter=source response_code=200", NULL },      1, 0, 0 },
    { "code is a word",    { "tulle.access", 5, "reporter=source response_code=ok", NULL },       0, 1, 0 },
    { "code too large",    { "tulle.access", 5, "reporter=source response_code#70000", NULL },    0, 1, 0 },
    { "duration negative", { "tulle.access", 5, "reporter=source duration_ns#-1", NULL },         0, 1, 0 },
    { "text as number",    { "tulle.access", 5, "reporter=source method#5", NULL },               0, 1, 0 },
    { "unknown attribute", { "tulle.access", 5, "reporter=source my.own=1", NULL },               1, 0, 0 },
    { "scope has it",      { "tulle.access", 5, "method=GET", "reporter=source" },                1, 0, 0 },
    { "both have it",      { "tulle.access", 5, "reporter=source", "reporter=destination" },      1, 0, 0 },
    { "scope is wrong",    { "tulle.access", 5, "reporter=source", "duration_ns=long" },          0, 1, 0 },
    { "scope is empty",    { "tulle.access", 5, "method=GET", "" },                               0, 1, 0 },
    { "a part",            { "tulle.access.part", 5, "reporter=source connection_part=begin", NULL }, 1, 0, 0 },
    { "which part",        { "tulle.access.part", 5, "reporter=source", NULL },                   0, 1, 0 },
    { "no such part",      { "tulle.access.part", 5, "reporter=source connection_part=half", NULL }, 0, 1, 0 },
    { "an end",            { "tulle.access", 5, "reporter=source connection_part=end bytes_sent#9 bytes_sent_before#9", NULL }, 1, 0, 0 },
    { "more before",       { "tulle.access", 5, "reporter=source connection_part=end bytes_sent#9 bytes_sent_before#10", NULL }, 0, 1, 0 },
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

/* The end says all bytes, of which those of the parts before were counted. */
static void test_an_end_is_what_is_left(void **state)
{
    (void)state;
    static const struct record end = {
        "tulle.access", 5,
        "bytes_sent_before#60 bytes_received_before#7 reporter=source "
        "bytes_sent#100 bytes_received#7 connection_part=end",
        NULL
    };
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_DONE(buf) body = { 0 };
    AUTO_FREE(batch) b = batch_new();
    put_proto(&end, &body);
    assert_int_equal(otlp_proto_logs_decode(buf_sv(&body), b, &lim, NULL), 0);
    assert_int_equal(b->calls_len, 1);
    assert_int_equal(b->calls[0].part, CALL_END);
    assert_int_equal(b->calls[0].bytes_sent, 40);
    assert_int_equal(b->calls[0].bytes_received, 0);
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
    NULL,
};

static void check_both_spellings(const struct record *rec)
{
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_DONE(buf) proto = { 0 };
    AUTO_DONE(buf) json = { 0 };
    AUTO_FREE(batch) b = batch_new();
    put_proto(rec, &proto);
    put_json(rec, &json);
    assert_int_equal(otlp_proto_logs_decode(buf_sv(&proto), b, &lim, NULL), 0);
    assert_int_equal(otlp_json_logs_decode(buf_sv(&json), b, &lim, NULL), 0);
    assert_int_equal(b->calls_len, 2);
    check_full(&b->calls[0]);
    check_full(&b->calls[1]);
}

static void test_every_kind_of_field(void **state)
{
    (void)state;
    check_both_spellings(&full);
}

/* The same call when the scope says most of it, some of that wrong, which the record's own replaces. */
static void test_scope_and_record(void **state)
{
    (void)state;
    struct record split = full;
    split.scope = full.attrs;
    split.attrs = "";
    check_both_spellings(&split);
    split.scope =
        "reporter=source request_protocol=grpc tls_state=mutual tls_version=TLSv1.3 path=/c "
        "destination_canonical_service=cart source_workload=web-v1 "
        "source_principal=spiffe://td/ns/d/sa/web peer_certificate_expiry_ns#99";
    split.attrs =
        "reporter=destination path=/a?b bytes_sent#20 duration_ns#123456 bytes_received=10 "
        "response_code#503 grpc_response_status=14 response_flags=UF,URX";
    check_both_spellings(&split);
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
        cmocka_unit_test(test_an_end_is_what_is_left),
        cmocka_unit_test(test_every_kind_of_field),
        cmocka_unit_test(test_scope_and_record),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
