/* test_otlp_proto.c - spans in protobuf: complete, refused alone, refused whole; text not copied. */
#include "base/mem.h"
#include "ingest/decode.h"
#include "otlp_write.h"
#include "sample.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"
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

static void test_every_field(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    AUTO_FREE(batch) b = batch_new();
    struct span spans[] = { sample_span, sample_span };
    spans[1].parent_id = (struct span_id){ 0 };
    otlp_write_proto(spans, 2, &body);
    assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), b, &lim, NULL), 0);
    assert_int_equal(b->spans_len, 2);
    assert_int_equal(b->rejected, 0);
    assert_true(span_eq(&b->spans[0], &spans[0]));
    assert_true(span_eq(&b->spans[1], &spans[1]));
    assert_in_range((uintptr_t)b->spans[0].name.p, (uintptr_t)body.mem,
                    (uintptr_t)body.mem + body.len);
}

/* A group's resource may come behind its spans, and is one object for all of them. */
static void test_group_is_shared(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    AUTO_FREE(batch) b = batch_new();
    size_t group = pb_open(&body, OTLP_TRACE_REQUEST_RESOURCE_SPANS);
    size_t scopes = pb_open(&body, OTLP_RESOURCE_SPANS_SCOPE_SPANS);
    for (int i = 1; i <= 2; i++) {
        size_t span = pb_open(&body, OTLP_SCOPE_SPANS_SPANS);
        pb_put_bytes(&body, OTLP_SPAN_TRACE_ID, SV("0123456789abcdef"));
        pb_put_bytes(&body, OTLP_SPAN_SPAN_ID, SV("01234567"));
        pb_close(&body, span);
    }
    pb_close(&body, scopes);
    size_t resource = pb_open(&body, OTLP_RESOURCE_SPANS_RESOURCE);
    pb_put_varint(&body, OTLP_RESOURCE_DROPPED_ATTRIBUTES, 9);
    pb_close(&body, resource);
    pb_close(&body, group);
    assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), b, &lim, NULL), 0);
    assert_int_equal(b->spans_len, 2);
    assert_ptr_equal(b->spans[0].resource, b->spans[1].resource);
    assert_ptr_equal(b->spans[0].scope, b->spans[1].scope);
    assert_int_equal(b->spans[0].resource->attrs.dropped, 9);
}

/* A request of one span made of raw fields, followed by a good one. */
static void put_request(struct buf *body, struct sv span_fields)
{
    size_t group = pb_open(body, OTLP_TRACE_REQUEST_RESOURCE_SPANS);
    size_t scopes = pb_open(body, OTLP_RESOURCE_SPANS_SCOPE_SPANS);
    pb_put_bytes(body, OTLP_SCOPE_SPANS_SPANS, span_fields);
    size_t span = pb_open(body, OTLP_SCOPE_SPANS_SPANS);
    pb_put_bytes(body, OTLP_SPAN_TRACE_ID, SV("0123456789abcdef"));
    pb_put_bytes(body, OTLP_SPAN_SPAN_ID, SV("01234567"));
    pb_close(body, span);
    pb_close(body, scopes);
    pb_close(body, group);
}

#define IDS                                                                                        \
    "\x0a\x10"                                                                                     \
    "0123456789abcdef"                                                                             \
    "\x12\x08"                                                                                     \
    "01234567"

/* clang-format off */
static const struct {
    const char *name; struct sv fields; int rc; size_t kept; const char *why;
} cases[] = {
    { "plain",               { IDS, 28 },                                       0, 2, "" },
    { "name missing is fine", { IDS "\x30\x03", 30 },                           0, 2, "" },
    { "kind of the future",  { IDS "\x30\x09", 30 },                            0, 2, "" },
    { "unknown field",       { IDS "\xfa\x7f\x01x", 32 },                       0, 2, "" },
    { "trace id short",      { "\x0a\x02" "ab" "\x12\x08" "01234567", 14 },     0, 1, "trace_id: 2 bytes, expected 16" },
    { "no trace id",         { "\x12\x08" "01234567", 10 },                     0, 1, "the span has no trace_id" },
    { "no ids",              { "", 0 },                                         0, 1, "the span has no trace_id" },
    { "span id zero",        { "\x0a\x10" "0123456789abcdef" "\x12\x08\0\0\0\0\0\0\0\0", 28 }, 0, 1, "the span has no span_id" },
    { "parent id long",      { IDS "\x22\x09" "012345678", 39 },                0, 1, "parent_span_id: 9 bytes, expected 8" },
    { "time of year 2500",   { IDS "\x39\xff\xff\xff\xff\xff\xff\xff\xff", 37 }, 0, 1, "start_time: 18446744073709551615 is beyond the year 2262" },
    { "link id short",       { IDS "\x6a\x03\x12\x01" "x", 33 },                0, 1, "link span_id: 1 bytes, expected 8" },
    { "wire type wrong",     { IDS "\x28\x01", 30 },              ERR_MALFORMED, 0, "field 5: wire type 0, expected 2" },
    { "group",               { IDS "\x2b\x01", 30 },              ERR_MALFORMED, 0, "field 5: wire type 3 is not served" },
    { "name past the end",   { IDS "\x2a\x40x", 31 },             ERR_TRUNCATED, 0, "field 5: 64 bytes announced, 1 left" },
    { "varint cut",          { IDS "\x30\x80", 30 },              ERR_TRUNCATED, 0, "varint cut short" },
    { "varint too long",     { IDS "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 39 }, ERR_MALFORMED, 0, "varint over 64 bits" },
    { "field number zero",   { IDS "\x02\x00", 30 },              ERR_MALFORMED, 0, "field number 0 is out of range" },
};
/* clang-format on */

static void test_bad_spans(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        struct err err = { 0 };
        put_request(&body, cases[i].fields);
        assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), b, &lim, &err), cases[i].rc);
        if (cases[i].rc) {
            assert_string_equal(err.why, cases[i].why);
            assert_in_range(err.at, 1, body.len);
            continue;
        }
        assert_int_equal(b->spans_len, cases[i].kept);
        assert_int_equal(b->rejected, 2 - cases[i].kept);
        assert_string_equal(b->first_rejection.why, cases[i].why);
        assert_memory_equal(b->spans[cases[i].kept - 1].trace_id.b, "0123456789abcdef", 16);
    }
}

/* Arrays inside arrays, `depth` of them, as an attribute of the second span. */
static void put_nested(struct buf *to, unsigned depth)
{
    size_t mark = pb_open(to, depth ? OTLP_VALUE_ARRAY : OTLP_VALUE_STRING);
    if (depth) {
        size_t element = pb_open(to, OTLP_LIST_VALUES);
        put_nested(to, depth - 1);
        pb_close(to, element);
    }
    pb_close(to, mark);
}

static void test_depth(void **state)
{
    (void)state;
    for (unsigned depth = lim.value_depth - 1; depth <= lim.value_depth + 1; depth++) {
        AUTO_DONE(buf) span = { 0 };
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        pb_put_bytes(&span, OTLP_SPAN_TRACE_ID, SV("0123456789abcdef"));
        pb_put_bytes(&span, OTLP_SPAN_SPAN_ID, SV("01234567"));
        size_t attr = pb_open(&span, OTLP_SPAN_ATTRIBUTES);
        size_t value = pb_open(&span, OTLP_KEY_VALUE_VALUE);
        put_nested(&span, depth);
        pb_close(&span, value);
        pb_close(&span, attr);
        put_request(&body, buf_sv(&span));
        assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), b, &lim, NULL), 0);
        assert_int_equal(b->rejected, depth > lim.value_depth);
        assert_int_equal(b->spans_len, depth > lim.value_depth ? 1 : 2);
    }
}

static void test_limits(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    struct span spans[4] = { sample_span, sample_span, sample_span, sample_span };
    otlp_write_proto(spans, 4, &body);
    struct err err = { 0 };
    AUTO_FREE(batch) few = batch_new();
    lim.records = 3;
    assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), few, &lim, &err), ERR_LIMIT);
    AUTO_FREE(batch) small = batch_new();
    lim = limits_for(LIMIT_BODY_BYTES);
    lim.decoded_bytes = 512;
    assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), small, &lim, NULL), ERR_LIMIT);
    AUTO_FREE(batch) short_lists = batch_new();
    lim = limits_for(LIMIT_BODY_BYTES);
    lim.list = 5; /* the span has nine attributes */
    assert_int_equal(otlp_proto_traces_decode(buf_sv(&body), short_lists, &lim, NULL), 0);
    assert_int_equal(short_lists->rejected, 4);
    assert_int_equal(short_lists->spans_len, 0);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    otlp_write_proto(&sample_span, 1, &body);
    for (uint64_t nth = 1;; nth++) {
        AUTO_FREE(batch) b = batch_new();
        mem_fail_nth(nth);
        int rc = otlp_proto_traces_decode(buf_sv(&body), b, &lim, NULL);
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
        cmocka_unit_test_setup(test_every_field, setup),
        cmocka_unit_test_setup(test_group_is_shared, setup),
        cmocka_unit_test_setup(test_bad_spans, setup),
        cmocka_unit_test_setup(test_depth, setup),
        cmocka_unit_test_setup(test_limits, setup),
        cmocka_unit_test_setup(test_allocation_failures, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
