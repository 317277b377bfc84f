/* test_json_out.c - commas, escapes, bytes that are no UTF-8, numbers JSON cannot write. */
#include "base/json_out.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_document(void **state)
{
    (void)state;
    AUTO_DONE(buf) b = { 0 };
    struct json_out j = json_out_of(&b);
    json_open(&j, '{');
    json_kv_u64(&j, "u", UINT64_MAX);
    json_kv_i64(&j, "i", -5);
    json_kv_double(&j, "d", 0.5);
    json_kv_double(&j, "bad", NAN);
    json_kv_bool(&j, "b", true);
    json_kv_open(&j, "list", '[');
    json_str(&j, SV("a"));
    json_open(&j, '{');
    json_close(&j);
    json_null(&j);
    json_raw(&j, SV("[1]"));
    json_close(&j);
    json_kv_open(&j, "empty", '[');
    json_close(&j);
    json_close(&j);
    assert_true(sv_eq(buf_sv(&b),
                      SV("{\"u\":18446744073709551615,\"i\":-5,\"d\":0.5,\"bad\":null,\"b\":true,"
                         "\"list\":[\"a\",{},null,[1]],\"empty\":[]}")));
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct sv in;
        const char *out;
    } cases[] = {
        { "plain", { "abc", 3 }, "\"abc\"" },
        { "empty", { NULL, 0 }, "\"\"" },
        { "quotes", { "a\"b\\c", 5 }, "\"a\\\"b\\\\c\"" },
        { "control", { "\n\r\t\x01\0", 5 }, "\"\\n\\r\\t\\u0001\\u0000\"" },
        { "utf-8", { "\xc3\xa9", 2 }, "\"\xc3\xa9\"" },
        { "bad byte", { "a\xffz", 3 }, "\"a\xef\xbf\xbdz\"" },
        { "cut short", { "\xe2\x82", 2 }, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        AUTO_DONE(buf) b = { 0 };
        json_put_quoted(&b, cases[i].in);
        assert_true(sv_eq(buf_sv(&b), sv_z(cases[i].out)));
        AUTO_DONE(buf) keyed = { 0 }, want = { 0 };
        struct json_out j = json_out_of(&keyed);
        json_open(&j, '{');
        json_kv_u64(&j, "first", 1);
        json_key(&j, cases[i].in);
        json_u64(&j, 2);
        json_close(&j);
        buf_put(&want, SV("{\"first\":1,"));
        buf_put(&want, sv_z(cases[i].out));
        buf_put(&want, SV(":2}"));
        assert_true(sv_eq(buf_sv(&keyed), buf_sv(&want)));
    }
}

static void test_indented(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{}", "{}" },
        { "null", "null" },
        { "{\"a\":[],\"b\":{\"c\":[1,{}]},\"d\":\"{,:\\\"[\\\\\"}",
          "{\n  \"a\": [],\n  \"b\": {\n    \"c\": [\n      1,\n      {}\n    ]\n  },\n  \"d\": "
          "\"{,:\\\"[\\\\\"\n}" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(buf) b = { 0 };
        json_put_indented(&b, sv_z(cases[i].in), 2);
        buf_putc(&b, '\0');
        assert_string_equal(buf_sv(&b).p, cases[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_indented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
