/* test_json_in.c - RFC 8259 to the letter, with the place of each offence; numbers as protobuf's
 * JSON mapping has them. */
#include "base/json_in.h"
#include "base/mem.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* clang-format off */
static const struct { const char *text; int rc; size_t at; } cases[] = {
    { "null", 0, 0 }, { " true ", 0, 0 }, { "false", 0, 0 }, { "\"\"", 0, 0 }, { "{}", 0, 0 }, { "[]", 0, 0 },
    { "[1,[2,{\"a\":[]}],\"x\"]", 0, 0 }, { "\t{ \"a\" :\r\n1 , \"a\": 2 }", 0, 0 },
    { "0", 0, 0 }, { "-0", 0, 0 }, { "-1.5e+3", 0, 0 }, { "1E9", 0, 0 },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"", 0, 0 },
    { "", ERR_TRUNCATED, 0 },             { "  ", ERR_TRUNCATED, 2 },
    { "[", ERR_TRUNCATED, 1 },            { "{\"a\"", ERR_TRUNCATED, 4 },
    { "{\"a\":", ERR_TRUNCATED, 5 },      { "\"abc", ERR_TRUNCATED, 0 },
    { "\"abc\\\"", ERR_TRUNCATED, 0 },    { "nul", ERR_MALFORMED, 0 },
    { "[1,]", ERR_MALFORMED, 3 },         { "[,1]", ERR_MALFORMED, 1 },
    { "[1 2]", ERR_MALFORMED, 3 },        { "[1}", ERR_MALFORMED, 2 },
    { "{\"a\":1]", ERR_MALFORMED, 6 },    { "{\"a\":1,}", ERR_MALFORMED, 7 },
    { "{a:1}", ERR_MALFORMED, 1 },        { "{\"a\" 1}", ERR_MALFORMED, 5 },
    { "{1:1}", ERR_MALFORMED, 1 },        { "1 2", ERR_MALFORMED, 2 },
    { "01", ERR_MALFORMED, 0 },           { "+1", ERR_MALFORMED, 0 },
    { "1.", ERR_MALFORMED, 0 },           { ".5", ERR_MALFORMED, 0 },
    { "1e", ERR_MALFORMED, 0 },           { "-", ERR_MALFORMED, 0 },
    { "0x10", ERR_MALFORMED, 1 },         { "NaN", ERR_MALFORMED, 0 },
    { "'a'", ERR_MALFORMED, 0 },          { "\"\\x\"", ERR_MALFORMED, 1 },
    { "\"\\u12g4\"", ERR_MALFORMED, 3 },  { "\"\\u12\"", ERR_MALFORMED, 3 },
    { "\"a\nb\"", ERR_MALFORMED, 2 },     { "\"a\x01\"", ERR_MALFORMED, 2 },
    { "\"\xff\"", ERR_MALFORMED, 0 },     { "\"\xed\xa0\x80\"", ERR_MALFORMED, 0 },
    { "[[[[[[[[]]]]]]]]", 0, 0 },         { "[[[[[[[[[]]]]]]]]]", ERR_LIMIT, 8 },
    { "// no\n1", ERR_MALFORMED, 0 },     { "\xef\xbb\xbf{}", ERR_MALFORMED, 0 },
};
/* clang-format on */

static void test_grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].text);
        AUTO_DONE(arena) mem = { 0 };
        struct err err = { 0 };
        struct json_in j = json_in_of(sv_z(cases[i].text), &mem, 8);
        jin_skip(&j);
        assert_int_equal(jin_finish(&j, &err), cases[i].rc);
        assert_int_equal(err.at, cases[i].at);
    }
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } strings[] = {
        { "\"plain\"", "plain" },
        { "\"na\xc3\xafve\"", "na\xc3\xafve" },
        { "\"a\\n\\\"\\/b\"", "a\n\"/b" },
        { "\"\\u00e9\\u20ac\"", "\xc3\xa9\xe2\x82\xac" },
        { "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" },
        { "\"\\ud83d\"", "\xef\xbf\xbd" },
        { "\"\\ude00x\"", "\xef\xbf\xbdx" },
        { "\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                                "A" },
    };
    for (size_t i = 0; i < NELEMS(strings); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct json_in j = json_in_of(sv_z(strings[i].text), &mem, 8);
        struct sv s = jin_str(&j);
        assert_int_equal(jin_finish(&j, NULL), 0);
        assert_true(sv_eq(s, sv_z(strings[i].want)));
        bool is_view = s.p > strings[i].text && s.p < strings[i].text + strlen(strings[i].text);
        assert_int_equal(is_view, strchr(strings[i].text, '\\') == NULL);
    }
}

static struct json_in reader(const char *text, struct arena *mem)
{
    return json_in_of(sv_z(text), mem, 8);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        int64_t want;
    } numbers[] = {
        { "0", 0, 0 },
        { "-7", 0, -7 },
        { "\"9223372036854775807\"", 0, INT64_MAX },
        { "-9223372036854775808", 0, INT64_MIN },
        { "1e3", 0, 1000 },
        { "2.0", 0, 2 },
        { "\"15e1\"", 0, 150 },
        { "9223372036854775808", ERR_MALFORMED, 0 },
        { "2.5", ERR_MALFORMED, 0 },
        { "1e400", ERR_MALFORMED, 0 },
        { "\"\"", ERR_MALFORMED, 0 },
        { "\" 1\"", ERR_MALFORMED, 0 },
        { "true", ERR_MALFORMED, 0 },
    };
    for (size_t i = 0; i < NELEMS(numbers); i++) {
        print_message("case: %s\n", numbers[i].text);
        AUTO_DONE(arena) mem = { 0 };
        struct json_in j = reader(numbers[i].text, &mem);
        assert_true(jin_i64(&j) == numbers[i].want);
        assert_int_equal(jin_finish(&j, NULL), numbers[i].rc);
    }
    AUTO_DONE(arena) mem = { 0 };
    struct json_in j = reader("18446744073709551615", &mem);
    assert_true(jin_u64(&j) == UINT64_MAX);
    j = reader("-1", &mem);
    assert_int_equal(jin_u64(&j), 0);
    assert_int_equal(jin_finish(&j, NULL), ERR_MALFORMED);
}

static void test_doubles(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct json_in j = reader("[0.1,\"2.5\",\"NaN\",\"Infinity\",\"-Infinity\",1e308]", &mem);
    static const double want[] = { 0.1, 2.5, NAN, INFINITY, -INFINITY, 1e308 };
    size_t i = 0;
    for (jin_array(&j); jin_element(&j); i++) {
        double v = jin_double(&j);
        assert_true(isnan(want[i]) ? isnan(v) : v == want[i]);
    }
    assert_int_equal(i, NELEMS(want));
    assert_int_equal(jin_finish(&j, NULL), 0);
    j = reader("1e309", &mem);
    assert_true(jin_double(&j) == 0);
    assert_int_equal(jin_finish(&j, NULL), ERR_MALFORMED);
    /* More digits than any buffer for them. */
    j = reader("3.14159265358979323846264338327950288419716939937510582097494459230781640628",
               &mem);
    assert_true(jin_double(&j) == 3.14159265358979323846);
    assert_int_equal(jin_finish(&j, NULL), 0);
}

static void test_walk(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct json_in j = reader("{\"a\":[1,null,2],\"b\":{\"c\":true},\"a\":null}", &mem);
    struct sv key;
    int64_t sum = 0;
    int keys = 0, nulls = 0;
    for (jin_object(&j); jin_key(&j, &key); keys++) {
        if (sv_eq(key, SV("b"))) {
            assert_int_equal(jin_kind(&j), JSON_OBJECT);
            jin_skip(&j);
        } else if (jin_null(&j)) {
            nulls++;
        } else {
            for (jin_array(&j); jin_element(&j);)
                if (jin_null(&j))
                    nulls++;
                else
                    sum += jin_i64(&j);
        }
    }
    assert_int_equal(jin_finish(&j, NULL), 0);
    assert_int_equal(keys, 3);
    assert_int_equal(nulls, 2);
    assert_int_equal(sum, 3);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    struct json_in j = reader("[\"a\\n\"]", &mem);
    mem_fail_nth(1);
    jin_array(&j);
    if (jin_element(&j))
        (void)jin_str(&j);
    mem_fail_nth(0);
    assert_int_equal(jin_finish(&j, &err), ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),  cmocka_unit_test(test_strings),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_walk),     cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
