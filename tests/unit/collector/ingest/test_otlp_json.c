/* test_otlp_json.c - spans in JSON mean what they mean in protobuf, with JSON's liberties. */
#include "base/mem.h"
#include "ingest/decode.h"
#include "otlp_write.h"
#include "sample.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct limits lim;

static int setup(void **state)
{
    (void)state;
    lim = limits_for(LIMIT_BODY_BYTES);
    return 0;
}

static void test_same_as_protobuf(void **state)
{
    (void)state;
    AUTO_DONE(buf) json = { 0 };
    AUTO_DONE(buf) proto = { 0 };
    AUTO_FREE(batch) from_json = batch_new();
    AUTO_FREE(batch) from_proto = batch_new();
    struct span spans[] = { sample_span, sample_span };
    spans[1].parent_id = (struct span_id){ 0 };
    otlp_write_json(spans, 2, &json);
    otlp_write_proto(spans, 2, &proto);
    assert_int_equal(otlp_json_traces_decode(buf_sv(&json), from_json, &lim, NULL), 0);
    assert_int_equal(otlp_proto_traces_decode(buf_sv(&proto), from_proto, &lim, NULL), 0);
    assert_int_equal(from_json->spans_len, 2);
    assert_true(span_eq(&from_json->spans[0], &spans[0]));
    assert_true(otlp_same_spans(from_json, from_proto));
}

#define IDS  "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"EEE19B7EC3C1B174\""
#define HEAD "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{"
#define TAIL "},{" IDS "}]}]}]}"

/* One span's text in a request, followed by a good span. */
static int decode_span(const char *text, struct batch *b, struct err *err)
{
    static char body[4096];
    int n = snprintf(body, sizeof(body), "%s%s%s", HEAD, text, TAIL);
    return otlp_json_traces_decode(sv_of(body, (size_t)n), b, &lim, err);
}

/* clang-format off */
static const struct {
    const char *name, *span; int rc; size_t kept; const char *why;
} cases[] = {
    { "plain",             IDS,                                                   0, 2, "" },
    { "unknown keys",      IDS ",\"x\":{\"y\":[1,{}]},\"z\":null",                0, 2, "" },
    { "nulls",             IDS ",\"name\":null,\"attributes\":null,\"kind\":null", 0, 2, "" },
    { "numbers as text",   IDS ",\"startTimeUnixNano\":\"5\",\"endTimeUnixNano\":6", 0, 2, "" },
    { "trace id short",    "\"traceId\":\"5b8e\",\"spanId\":\"eee19b7ec3c1b174\"", 0, 1, "traceId: not 32 hex digits" },
    { "trace id not hex",  "\"traceId\":\"zb8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\"", 0, 1, "traceId: not 32 hex digits" },
    { "no ids",            "\"name\":\"x\"",                                       0, 1, "the span has no trace_id" },
    { "bad base64",        IDS ",\"attributes\":[{\"key\":\"k\",\"value\":{\"bytesValue\":\"a*==\"}}]", 0, 1, "bytesValue is not base64" },
    { "year 2500",         IDS ",\"startTimeUnixNano\":\"18446744073709551615\"",  0, 1, "startTimeUnixNano: 18446744073709551615 is beyond the year 2262" },
    { "name is a number",  IDS ",\"name\":5",                         ERR_MALFORMED, 0, "'5' found, a string expected" },
    { "time is a word",    IDS ",\"endTimeUnixNano\":\"soon\"",       ERR_MALFORMED, 0, "the string holds no number" },
    { "int is a fraction", IDS ",\"flags\":1.5",                      ERR_MALFORMED, 0, "'1.5' is no unsigned 64-bit integer" },
    { "list is an object", IDS ",\"attributes\":{}",                  ERR_MALFORMED, 0, "'{' found, an array expected" },
    { "comma missing",     IDS " \"name\":\"x\"",                     ERR_MALFORMED, 0, "'\"' found, ',' or '}' expected" },
};
/* clang-format on */

static void test_bad_spans(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        AUTO_FREE(batch) b = batch_new();
        struct err err = { 0 };
        assert_int_equal(decode_span(cases[i].span, b, &err), cases[i].rc);
        if (cases[i].rc) {
            assert_string_equal(err.why, cases[i].why);
            assert_true(err.at >= strlen(HEAD));
            continue;
        }
        assert_int_equal(b->spans_len, cases[i].kept);
        assert_int_equal(b->rejected, 2 - cases[i].kept);
        assert_string_equal(b->first_rejection.why, cases[i].why);
    }
}

static void test_liberties(void **state)
{
    (void)state;
    AUTO_FREE(batch) b = batch_new();
    static const char text[] = IDS
        ",\"kind\":\"SPAN_KIND_PRODUCER\",\"status\":{\"code\":\"STATUS_CODE_OK\"},"
        "\"name\":\"first\",\"name\":\"l\\u00e9\\ud83d\\ude00\\ud800!\",\"endTimeUnixNano\":"
        "\"1e9\","
        "\"attributes\":[{\"key\":\"i\",\"value\":{\"intValue\":7}},"
        "{\"key\":\"n\",\"value\":{\"doubleValue\":\"NaN\"}},"
        "{\"key\":\"f\",\"value\":{\"doubleValue\":\"-Infinity\"}},"
        "{\"key\":\"y\",\"value\":{\"bytesValue\":\"_-8\"}},"
        "{\"value\":{\"futureValue\":[1]},\"key\":\"later\"}]";
    assert_int_equal(decode_span(text, b, NULL), 0);
    assert_int_equal(b->spans_len, 2);
    const struct span *s = &b->spans[0];
    assert_int_equal(s->kind, SPAN_KIND_PRODUCER);
    assert_int_equal(s->status, STATUS_OK);
    assert_int_equal(s->end_ns, 1000000000);
    assert_true(sv_eq(s->name, SV("l\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd!")));
    assert_int_equal(attrs_get(&s->attrs, SV("i"))->integer, 7);
    assert_true(isnan(attrs_get(&s->attrs, SV("n"))->real));
    assert_true(isinf(attrs_get(&s->attrs, SV("f"))->real));
    assert_true(sv_eq(attrs_get(&s->attrs, SV("y"))->str, SV("\xff\xef")));
    assert_int_equal(attrs_get(&s->attrs, SV("later"))->type, VALUE_EMPTY);
}

static void test_broken_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } broken[] = {
        { "", ERR_TRUNCATED },
        { "[]", ERR_MALFORMED },
        { "{}", 0 },
        { " {\"resourceSpans\":[]}\n", 0 },
        { "{\"resourceSpans\":[]} x", ERR_MALFORMED },
        { "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[", ERR_TRUNCATED },
        { "{\"resourceSpans\":[{},]}", ERR_MALFORMED },
    };
    for (size_t i = 0; i < NELEMS(broken); i++) {
        print_message("case: %s\n", broken[i].text);
        AUTO_FREE(batch) b = batch_new();
        assert_int_equal(otlp_json_traces_decode(sv_z(broken[i].text), b, &lim, NULL),
                         broken[i].rc);
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    otlp_write_json(&sample_span, 1, &body);
    for (uint64_t nth = 1;; nth++) {
        AUTO_FREE(batch) b = batch_new();
        mem_fail_nth(nth);
        int rc = otlp_json_traces_decode(buf_sv(&body), b, &lim, NULL);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
        if (!was_reached) {
            assert_true(nth > 4);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_same_as_protobuf, setup),
        cmocka_unit_test_setup(test_bad_spans, setup),
        cmocka_unit_test_setup(test_liberties, setup),
        cmocka_unit_test_setup(test_broken_bodies, setup),
        cmocka_unit_test_setup(test_allocation_failures, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
