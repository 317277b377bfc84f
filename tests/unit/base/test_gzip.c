/* test_gzip.c - round trips, several members, the limit to the byte, damage with its place. */
#include "base/gzip.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void repeat(struct buf *to, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_put(to, sv_z(text));
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t times[] = { 0, 1, 100, 100000 };
    for (size_t i = 0; i < NELEMS(times); i++)
        for (int level = 1; level <= 6; level += 5) {
            AUTO_DONE(buf) plain = { 0 };
            AUTO_DONE(buf) packed = { 0 };
            AUTO_DONE(buf) back = { 0 };
            repeat(&plain, "see-through net ", times[i]);
            assert_int_equal(gzip_compress(buf_sv(&plain), level, &packed, NULL), 0);
            assert_int_equal(
                gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, plain.len, &back, NULL), 0);
            assert_true(sv_eq(buf_sv(&plain), buf_sv(&back)));
        }
}

static void test_members(void **state)
{
    (void)state;
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    assert_int_equal(gzip_compress(SV("one "), 6, &packed, NULL), 0);
    assert_int_equal(gzip_compress(SV(""), 6, &packed, NULL), 0);
    assert_int_equal(gzip_compress(SV("two"), 6, &packed, NULL), 0);
    buf_put(&back, SV("> "));
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, 7, &back, NULL), 0);
    assert_true(sv_eq(buf_sv(&back), SV("> one two")));
    buf_clear(&back);
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, 6, &back, NULL), ERR_LIMIT);
}

static void test_limit(void **state)
{
    (void)state;
    AUTO_DONE(buf) plain = { 0 };
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    repeat(&plain, "0", 1000000);
    assert_int_equal(gzip_compress(buf_sv(&plain), 6, &packed, NULL), 0);
    assert_true(packed.len < 2000);
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, 999999, &back, NULL),
                     ERR_LIMIT);
    assert_true(back.cap <= (size_t)1 << 20);
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, 1000000, &back, NULL), 0);
}

/* A member that lies about its size gets no more memory than deflate could fill. */
static void test_lying_trailer(void **state)
{
    (void)state;
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    assert_int_equal(gzip_compress(SV("small"), 6, &packed, NULL), 0);
    memcpy(packed.mem + packed.len - 4, "\xff\xff\xff\x7f", 4);
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, (size_t)1 << 30, &back, NULL),
                     ERR_MALFORMED);
    assert_true(back.cap <= 64 * 1024);
}

static void test_damage(void **state)
{
    (void)state;
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    struct err err = { 0 };
    assert_int_equal(gzip_compress(SV("some text to pack"), 6, &packed, NULL), 0);
    size_t first_len = packed.len;
    for (size_t cut = 0; cut < first_len; cut++)
        assert_true(gzip_inflate(sv_of(packed.mem, cut), GZIP_FORMAT_GZIP, 100, &back, NULL) < 0);
    buf_put(&packed, SV("tail"));
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, 100, &back, &err),
                     ERR_MALFORMED);
    assert_int_equal(err.at, first_len);
    assert_string_equal(err.why, "not a gzip member");
    packed.mem[first_len - 6] ^= 1; /* in the checksum */
    assert_int_equal(gzip_inflate(sv_of(packed.mem, first_len), GZIP_FORMAT_GZIP, 100, &back, NULL),
                     ERR_MALFORMED);
}

static void test_zlib(void **state)
{
    (void)state;
    static const char hello[] = "\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    AUTO_DONE(buf) back = { 0 };
    assert_int_equal(gzip_inflate(SV(hello), GZIP_FORMAT_ZLIB, 5, &back, NULL), 0);
    assert_true(sv_eq(buf_sv(&back), SV("hello")));
    assert_int_equal(gzip_inflate(SV(hello), GZIP_FORMAT_ZLIB, 4, &back, NULL), ERR_LIMIT);
    assert_int_equal(gzip_inflate(SV(hello), GZIP_FORMAT_GZIP, 5, &back, NULL), ERR_MALFORMED);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    mem_fail_nth(1);
    assert_int_equal(gzip_compress(SV("x"), 6, &packed, NULL), ERR_NOMEM);
    mem_fail_nth(0);
    buf_clear(&packed);
    assert_int_equal(gzip_compress(SV("x"), 6, &packed, NULL), 0);
    mem_fail_nth(1);
    assert_int_equal(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, 9, &back, NULL), ERR_NOMEM);
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_members),
        cmocka_unit_test(test_limit),           cmocka_unit_test(test_lying_trailer),
        cmocka_unit_test(test_damage),          cmocka_unit_test(test_zlib),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
