/* test_buf.c - appending, consuming, numbers as text, failing memory. */
#include "base/buf.h"
#include "base/mem.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_stream(void **state)
{
    (void)state;
    AUTO_DONE(buf) b = { 0 };
    uint8_t next_in = 0, next_out = 0;
    for (size_t turn = 0; turn < 2000; turn++) {
        for (size_t i = 0; i < turn % 97; i++)
            buf_putc(&b, (char)next_in++);
        size_t take = b.len * (turn % 3) / 2;
        take = MIN(take, b.len);
        for (size_t i = 0; i < take; i++)
            assert_int_equal((uint8_t)buf_sv(&b).p[i], next_out++);
        buf_consume(&b, take);
    }
    assert_false(b.failed);
    assert_true(b.cap < 64 * 1024); /* what was consumed does not pile up */
}

static void test_numbers(void **state)
{
    (void)state;
    AUTO_DONE(buf) b = { 0 };
    buf_put_u64(&b, UINT64_MAX);
    buf_putc(&b, ' ');
    buf_put_i64(&b, INT64_MIN);
    buf_putc(&b, ' ');
    buf_put_u64(&b, 0);
    assert_true(sv_eq(buf_sv(&b), SV("18446744073709551615 -9223372036854775808 0")));
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 0.1, "0.1" },        { 1, "1" },
        { -2.5, "-2.5" },      { 1e300, "1e+300" },
        { NAN, "NaN" },        { INFINITY, "+Inf" },
        { -INFINITY, "-Inf" }, { 1.0 / 3, "0.3333333333333333" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        buf_clear(&b);
        buf_put_double(&b, cases[i].v);
        assert_true(sv_eq(buf_sv(&b), sv_z(cases[i].text)));
    }
}

static void test_printf_and_take(void **state)
{
    (void)state;
    struct buf b = { 0 };
    size_t len;
    buf_printf(&b, "%0200d", 7);
    buf_consume(&b, 199);
    char *text = buf_take(&b, &len);
    assert_int_equal(len, 1);
    assert_int_equal(text[0], '7');
    assert_null(b.mem);
    mem_free(text);
    text = buf_take(&b, &len);
    assert_int_equal(len, 0);
    mem_free(text);
}

static void test_failure_latches(void **state)
{
    (void)state;
    uint64_t nth = 0;
    for (bool failed = true; failed;) {
        AUTO_DONE(buf) b = { 0 };
        mem_fail_nth(++nth);
        for (int i = 0; i < 100; i++)
            buf_printf(&b, "line %d\n", i);
        failed = b.failed;
        assert_true(nth < 50);
    }
    mem_fail_nth(0);
    AUTO_DONE(buf) b = { 0 };
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    buf_clear(&b);
    assert_false(b.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printf_and_take),
        cmocka_unit_test(test_failure_latches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
