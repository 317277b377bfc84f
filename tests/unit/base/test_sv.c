/* test_sv.c - cutting, numbers, hexadecimal, UTF-8. */
#include "base/sv.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text, *parts[4];
        size_t len;
    } cases[] = {
        { "a,,b", { "a", "", "b" }, 3 }, { "", { "" }, 1 },   { "a,", { "a", "" }, 2 },
        { ",", { "", "" }, 2 },          { "a", { "a" }, 1 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: '%s'\n", cases[i].text);
        struct sv rest = sv_z(cases[i].text), part;
        size_t n = 0;
        while (sv_cut(&rest, ',', &part)) {
            assert_true(n < cases[i].len);
            assert_true(sv_eq(part, sv_z(cases[i].parts[n++])));
        }
        assert_int_equal(n, cases[i].len);
    }
    struct sv none = SV_NONE, part;
    assert_false(sv_cut(&none, ',', &part));
}

static void test_compare_and_search(void **state)
{
    (void)state;
    assert_true(sv_cmp(SV("a"), SV("b")) < 0 && sv_cmp(SV("ab"), SV("a")) > 0);
    assert_int_equal(sv_cmp(SV_NONE, SV("")), 0);
    assert_true(sv_eq_nocase(SV("Content-Type"), SV("content-type")));
    assert_false(sv_eq_nocase(SV("ab"), SV("abc")));
    assert_true(sv_eq_nocase(SV("X-Request-ID: 0123"), SV("x-rEQUEST-id: 0123")));
    /* Pairs that differ in the bit between the cases and are no letters, at each place of a word. */
    static const char *const apart[] = { "@`", "[{", "\\|", "]}", "^~", "_\x7f", "0\x10", "Ab" };
    for (size_t i = 0; i < NELEMS(apart); i++)
        for (size_t at = 0; at < 19; at++) {
            char a[20] = "abcdefghijklmnopqrs", b[20] = "ABCDEFGHIJKLMNOPQRS";
            for (size_t len = 0; len < 20; len++)
                assert_true(sv_eq_nocase(sv_of(a, len), sv_of(b, len)));
            a[at] = apart[i][0];
            b[at] = apart[i][1];
            for (size_t len = at + 1; len < 20; len++)
                assert_false(sv_eq_nocase(sv_of(a, len), sv_of(b, len)));
        }
    /* Every pair of bytes at once, against the rule byte by byte. */
    for (unsigned x = 0; x < 256; x++)
        for (unsigned y = 0; y < 256; y++) {
            char a[9] = "01234567", b[9] = "01234567";
            a[3] = (char)x;
            b[3] = (char)y;
            unsigned low_x = x >= 'A' && x <= 'Z' ? x + 32 : x,
                     low_y = y >= 'A' && y <= 'Z' ? y + 32 : y;
            assert_int_equal(sv_eq_nocase(sv_of(a, 8), sv_of(b, 8)), low_x == low_y);
            assert_int_equal(sv_eq_nocase(sv_of(a, 5), sv_of(b, 5)), low_x == low_y);
        }
    assert_true(sv_starts(SV("abc"), SV("ab")) && sv_ends(SV("abc"), SV("bc")));
    assert_false(sv_starts(SV("a"), SV("ab")) || sv_ends(SV("b"), SV("ab")));
    assert_true(sv_contains(SV("abc"), SV("b")) && sv_contains(SV(""), SV("")));
    assert_false(sv_contains(SV("abc"), SV("x")));
    assert_int_equal(sv_index(SV("a.b.c"), '.'), 1);
    assert_int_equal(sv_rindex(SV("a.b.c"), '.'), 3);
    assert_int_equal(sv_index(SV("abc"), '.'), 3);
    assert_int_equal(sv_sub(SV("abc"), 9, 1).len, 0);
    assert_true(sv_eq(sv_trim(SV(" \t a b\r\n")), SV("a b")));
    assert_int_equal(sv_trim(SV(" \n")).len, 0);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_u64, is_i64, is_double;
    } cases[] = {
        { "0", true, true, true },
        { "18446744073709551615", true, false, true },
        { "18446744073709551616", false, false, true },
        { "9223372036854775807", true, true, true },
        { "-9223372036854775808", false, true, true },
        { "-9223372036854775809", false, false, true },
        { "", false, false, false },
        { "-", false, false, false },
        { "1 ", false, false, false },
        { " 1", false, false, false },
        { "1x", false, false, false },
        { "+1", false, false, true },
        { "1.5e3", false, false, true },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: '%s'\n", cases[i].text);
        uint64_t u = 7;
        int64_t s = 7;
        double d = 7;
        assert_int_equal(sv_to_u64(sv_z(cases[i].text), &u), cases[i].is_u64);
        assert_int_equal(sv_to_i64(sv_z(cases[i].text), &s), cases[i].is_i64);
        assert_int_equal(sv_to_double(sv_z(cases[i].text), &d), cases[i].is_double);
        assert_true(cases[i].is_u64 || u == 7);
        assert_true(cases[i].is_i64 || s == 7);
        assert_true(cases[i].is_double || d == 7);
    }
    int64_t s = 0;
    assert_true(sv_to_i64(SV("-9223372036854775808"), &s) && s == INT64_MIN);
}

static void test_hex(void **state)
{
    (void)state;
    uint8_t bytes[3];
    char text[6];
    assert_true(sv_to_bytes(SV("00fFA7"), bytes, 3));
    hex_encode(text, bytes, 3);
    assert_memory_equal(text, "00ffa7", 6);
    assert_false(sv_to_bytes(SV("00fFA"), bytes, 3));
    assert_false(sv_to_bytes(SV("00fFAg"), bytes, 3));
    assert_false(sv_to_bytes(SV("00fFA700"), bytes, 3));
    uint8_t all[256], back[256];
    char digits[512], want[3];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    for (size_t len = 0; len <= 256; len++) {
        hex_encode(digits, all + 256 - len, len);
        assert_true(sv_to_bytes(sv_of(digits, 2 * len), back, len));
        assert_memory_equal(back, all + 256 - len, len);
    }
    for (unsigned i = 0; i < 256; i++) {
        snprintf(want, sizeof(want), "%02x", i);
        assert_memory_equal(digits + (size_t)2 * i, want, 2);
        char pair[] = { '0', (char)i };
        bool is_digit = strchr("0123456789abcdefABCDEF", (int)i) && i;
        assert_int_equal(sv_to_bytes(sv_of(pair, 2), back, 1), is_digit);
        for (size_t at = 0; is_digit && at < 16;
             at++) { /* many digits at once are worth the same */
            char many[] = "0123456789abcdef";
            uint8_t eight[8];
            many[at] = (char)i;
            assert_true(sv_to_bytes(sv_of(many, 16), eight, 8));
            assert_int_equal(at % 2 ? eight[at / 2] & 15 : eight[at / 2] >> 4, back[0]);
        }
        for (size_t at = 0; !is_digit && at < 16; at++) {
            char many[] = "0123456789abcdef";
            many[at] = (char)i;
            assert_false(sv_to_bytes(sv_of(many, 16), back, 8));
        }
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool ok;
    } cases[] = {
        { "ascii", "abc", true },
        { "two, three, four bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true },
        { "overlong slash", "\xc0\xaf", false },
        { "overlong, three bytes", "\xe0\x80\xaf", false },
        { "surrogate", "\xed\xa0\x80", false },
        { "past U+10FFFF", "\xf4\x90\x80\x80", false },
        { "cut short", "\xe2\x82", false },
        { "lone continuation", "\x80", false },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        assert_int_equal(sv_is_utf8(sv_z(cases[i].text)), cases[i].ok);
    }
}

/* Every length has its own way through sv_same(): equal ones are equal, and no byte is left out. */
static void test_same(void **state)
{
    (void)state;
    char a[70], b[70];
    for (size_t i = 0; i < sizeof(a); i++)
        a[i] = (char)(i * 7);
    for (size_t n = 0; n <= 64; n++) {
        struct sv x = sv_of(a + 1, n), y = sv_of(b + 3, n);
        memcpy(b + 3, a + 1, n);
        assert_true(sv_same(x, y));
        assert_false(sv_same(x, sv_of(y.p, n + 1)));
        for (size_t i = 0; i < n; i++) {
            b[3 + i] ^= 0x40;
            assert_false(sv_same(x, y));
            b[3 + i] ^= 0x40;
        }
    }
    assert_true(sv_same(SV_NONE, SV("")));
}

static void test_to_z(void **state)
{
    (void)state;
    char out[4];
    assert_true(sv_to_z(SV("abc"), out, sizeof(out)));
    assert_string_equal(out, "abc");
    assert_false(sv_to_z(SV("abcd"), out, sizeof(out)));
    assert_string_equal(out, "abc");
    assert_true(sv_to_z(SV_NONE, out, sizeof(out)));
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_compare_and_search),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_hex),
        cmocka_unit_test(test_utf8),    cmocka_unit_test(test_to_z),
        cmocka_unit_test(test_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
