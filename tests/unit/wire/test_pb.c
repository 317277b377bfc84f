/* test_pb.c - the wire format both ways: known encodings, refusals with their place, nesting. */
#include "wire/pb.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_known_bytes(void **state)
{
    (void)state;
    AUTO_DONE(buf) b = { 0 };
    pb_put_varint(&b, 1, 150);
    pb_put_bytes(&b, 2, SV("testing"));
    pb_put_i64(&b, 3, -2);
    pb_put_bool(&b, 4, true);
    pb_put_fixed32(&b, 5, 1);
    pb_put_fixed64(&b, 6, 2);
    pb_put_double(&b, 16, 1.0);
    static const char want[] = "\x08\x96\x01"
                               "\x12\x07testing"
                               "\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                               "\x20\x01"
                               "\x2d\x01\0\0\0"
                               "\x31\x02\0\0\0\0\0\0\0"
                               "\x81\x01\0\0\0\0\0\0\xf0\x3f";
    assert_int_equal(b.len, sizeof(want) - 1);
    assert_memory_equal(b.mem, want, sizeof(want) - 1);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX };
    for (size_t i = 0; i < NELEMS(values); i++) {
        AUTO_DONE(buf) b = { 0 };
        struct pb_tag t = { 0 };
        pb_put_varint(&b, 536870911, values[i]);
        pb_put_fixed64(&b, 1, values[i]);
        struct rd r = rd_of(buf_sv(&b));
        assert_true(pb_next(&r, &t));
        assert_int_equal(t.field, 536870911);
        assert_true(pb_varint(&r, t) == values[i]);
        assert_true(pb_next(&r, &t));
        assert_true(pb_fixed64(&r, t) == values[i]);
        assert_false(pb_next(&r, &t));
        assert_int_equal(rd_finish(&r, NULL), 0);
    }
}

/* Messages of a length around the borders where its prefix grows. */
static void test_nesting(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 127, 128, 16383, 16384, 70000 };
    for (size_t i = 0; i < NELEMS(lengths); i++) {
        AUTO_DONE(buf) text = { 0 };
        AUTO_DONE(buf) b = { 0 };
        struct pb_tag t = { 0 };
        for (size_t k = 0; k < lengths[i]; k++)
            buf_putc(&text, (char)('a' + k % 26));
        size_t outer = pb_open(&b, 1), inner = pb_open(&b, 2);
        buf_put(&b, buf_sv(&text));
        pb_close(&b, inner);
        pb_put_varint(&b, 3, 7);
        pb_close(&b, outer);
        pb_put_varint(&b, 4, 8);
        struct rd r = rd_of(buf_sv(&b));
        assert_true(pb_next(&r, &t) && t.field == 1);
        const uint8_t *end = pb_enter(&r, t);
        assert_true(pb_next(&r, &t) && t.field == 2);
        assert_true(sv_eq(pb_bytes(&r, t), buf_sv(&text)));
        pb_leave(&r, end); /* field 3 was not looked at */
        assert_true(pb_next(&r, &t) && t.field == 4);
        assert_int_equal(pb_varint(&r, t), 8);
        assert_int_equal(rd_finish(&r, NULL), 0);
    }
}

/* clang-format off */
static const struct { const char *name; struct sv in; int rc; size_t at; const char *why; } cases[] = {
    { "empty",               { "", 0 },                 0,             0, "" },
    { "tag cut",             { "\x80", 1 },             ERR_TRUNCATED, 1, "varint cut short" },
    { "value missing",       { "\x08", 1 },             ERR_TRUNCATED, 1, "varint cut short" },
    { "field zero",          { "\x08\x01\x00\x01", 4 }, ERR_MALFORMED, 2, "field number 0 is out of range" },
    { "field too large",     { "\x80\x80\x80\x80\x10\x01", 6 }, ERR_MALFORMED, 0, "field number 536870912 is out of range" },
    { "group start",         { "\x0b", 1 },             ERR_MALFORMED, 0, "field 1: wire type 3 is not served" },
    { "group end",           { "\x0c", 1 },             ERR_MALFORMED, 0, "field 1: wire type 4 is not served" },
    { "wire type six",       { "\x0e", 1 },             ERR_MALFORMED, 0, "field 1: wire type 6 is not served" },
    { "fixed32 cut",         { "\x0d\x01\x02", 3 },     ERR_TRUNCATED, 1, "4 bytes wanted, 2 left" },
    { "fixed64 cut",         { "\x09\x01", 2 },         ERR_TRUNCATED, 1, "8 bytes wanted, 1 left" },
    { "bytes cut",           { "\x0a\x05" "abc", 5 },   ERR_TRUNCATED, 2, "field 1: 5 bytes announced, 3 left" },
    { "length of 2^63",      { "\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 }, ERR_TRUNCATED, 11, "field 1: 9223372036854775808 bytes announced, 0 left" },
};
/* clang-format on */

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        struct rd r = rd_of(cases[i].in);
        struct err err = { 0 };
        for (struct pb_tag t; pb_next(&r, &t);)
            pb_skip(&r, t);
        assert_int_equal(rd_finish(&r, &err), cases[i].rc);
        assert_string_equal(err.why, cases[i].why);
        assert_int_equal(err.at, cases[i].at);
    }
}

/* A failure inside ends the loops of every level and keeps the place in the whole input. */
static void test_failure_inside(void **state)
{
    (void)state;
    struct rd r = rd_of(SV("\x0a\x04\x12\x02\x0f\x01\x08\x01"));
    struct err err = { 0 };
    struct pb_tag t = { 0 };
    int seen = 0;
    while (pb_next(&r, &t)) {
        const uint8_t *outer = pb_enter(&r, t);
        while (pb_next(&r, &t)) {
            const uint8_t *inner = pb_enter(&r, t);
            while (pb_next(&r, &t))
                pb_skip(&r, t);
            pb_leave(&r, inner);
            seen++;
        }
        pb_leave(&r, outer);
        seen++;
    }
    assert_int_equal(seen, 2);
    assert_int_equal(rd_finish(&r, &err), ERR_MALFORMED);
    assert_int_equal(err.at, 4);
}

static void test_wrong_type_asked(void **state)
{
    (void)state;
    struct rd r = rd_of(SV("\x08\x01"));
    struct pb_tag t = { 0 };
    struct err err = { 0 };
    assert_true(pb_next(&r, &t));
    assert_int_equal(pb_bytes(&r, t).len, 0);
    assert_int_equal(rd_finish(&r, &err), ERR_MALFORMED);
    assert_string_equal(err.why, "field 1: wire type 0, expected 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_bytes),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_nesting),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failure_inside), cmocka_unit_test(test_wrong_type_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
