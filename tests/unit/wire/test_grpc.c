/* gRPC's fields: timeouts both ways, statuses, messages. */
#include "base/clock.h"
#include "wire/grpc.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_content_types(void **state)
{
    (void)state;
    static const char *const good[] = { "application/grpc", "application/grpc+proto",
                                        "Application/GRPC;x=y", "application/grpc ; x" };
    static const char *const bad[] = { "", "application/grpc-web", "application/grpcx",
                                       "application/json", "application/grp" };
    for (size_t i = 0; i < NELEMS(good); i++)
        assert_true(grpc_is_content_type(sv_z(good[i])));
    for (size_t i = 0; i < NELEMS(bad); i++)
        assert_false(grpc_is_content_type(sv_z(bad[i])));
}

static void test_timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        { "1n", 1 },
        { "100u", 100000 },
        { "5m", 5000000 },
        { "1S", NS_PER_S },
        { "2M", 120 * NS_PER_S },
        { "3H", 10800 * NS_PER_S },
        { "0S", 0 },
        { "99999999H", INT64_MAX },
        { "99999999n", 99999999 },
        { "", -1 },
        { "S", -1 },
        { "1", -1 },
        { "1s", -1 },
        { "-1S", -1 },
        { "+1S", -1 },
        { "1.5S", -1 },
        { " 1S", -1 },
        { "123456789n", -1 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        int64_t ns = -1;
        print_message("case: %s\n", cases[i].text);
        assert_int_equal(grpc_timeout_parse(sv_z(cases[i].text), &ns), cases[i].ns >= 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void test_timeouts_back(void **state)
{
    (void)state;
    static const int64_t times[] = { -5,       0, 1, 99999999, 100000000, NS_PER_S, 3600 * NS_PER_S,
                                     INT64_MAX };
    for (size_t i = 0; i < NELEMS(times); i++) {
        char text[GRPC_TIMEOUT_SIZE];
        int64_t back, want = MAX(times[i], 1);
        assert_true(grpc_timeout_parse(grpc_timeout_format(times[i], text), &back));
        assert_true(back <= want && back >= 1);
        assert_true(want == INT64_MAX || want - back < want / 1000 + 1);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    assert_int_equal(grpc_status_of_http(403), GRPC_PERMISSION_DENIED);
    assert_int_equal(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_status_of_http(503), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_http(500), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_as_http(GRPC_OK), 200);
    assert_int_equal(grpc_status_as_http(GRPC_UNAVAILABLE), 503);
    assert_int_equal(grpc_status_as_http(GRPC_UNAUTHENTICATED), 401);
    assert_int_equal(grpc_status_as_http(17), 500);
}

static void test_status_names(void **state)
{
    static const struct {
        const char *text;
        int status; /* -1: none */
    } cases[] = { { "0", GRPC_OK },
                  { "OK", GRPC_OK },
                  { "CANCELLED", GRPC_CANCELLED },
                  { "UNAVAILABLE", GRPC_UNAVAILABLE },
                  { "14", GRPC_UNAVAILABLE },
                  { "UNAUTHENTICATED", GRPC_UNAUTHENTICATED },
                  { "16", GRPC_UNAUTHENTICATED },
                  { "17", -1 },
                  { "18446744073709551616", -1 },
                  { "unavailable", -1 },
                  { "UNAVAILABLE ", -1 },
                  { "-1", -1 },
                  { "", -1 } };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        enum grpc_status got;
        print_message("case: '%s'\n", cases[i].text);
        bool is_one = grpc_status_parse(sv_z(cases[i].text), &got);
        assert_int_equal(is_one ? (int)got : -1, cases[i].status);
    }
}

static void test_messages(void **state)
{
    (void)state;
    AUTO_DONE(buf) field = { 0 };
    AUTO_DONE(buf) back = { 0 };
    static const struct sv text = { "50% of \xc3\xa4\r\n\0", 12 };
    grpc_message_put(&field, text);
    assert_true(sv_eq(buf_sv(&field), SV("50%25 of %C3%A4%0D%0A%00")));
    grpc_message_decode(&back, buf_sv(&field));
    assert_true(sv_eq(buf_sv(&back), text));
    buf_clear(&back);
    grpc_message_decode(&back, SV("100% %4 %zz %41"));
    assert_true(sv_eq(buf_sv(&back), SV("100% %4 %zz A")));
}

/* Whatever pieces the bytes come in, also one by one. */
static void test_count(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t messages;
        bool is_over;
    } cases[] = {
        { "", 0, 0, false },
        { "\0", 1, 1, false },
        { "\0\0\0\0\0", 5, 1, false },
        { "\0\0\0\0\0\1\0\0\0\0", 10, 2, false },
        { "\0\0\0\0\3abc\0\0\0\0\1x", 14, 2, false },
        { "\1\0\0\1\1" /* 257 bytes, of which ten came */ "\0\0\0\0\0\0\0\0\0\0", 15, 1, false },
        { "\0\0\0\0\0\2\0\0\0\0", 10, 1, true },
        { "<html>\0\0\0\0\0\0\0\0", 14, 0, true },
        { "\0\xff\xff\xff\xff\0\0\0\0\0\0\0", 12, 1, false },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct sv all = sv_of(cases[i].bytes, cases[i].len);
        print_message("case: %zu\n", i);
        for (size_t first = 0; first <= all.len; first++) {
            struct grpc_count halves = { 0 };
            grpc_count(&halves, sv_sub(all, 0, first));
            grpc_count(&halves, sv_from(all, first));
            assert_int_equal(halves.messages, cases[i].messages);
            assert_int_equal(halves.is_over, cases[i].is_over);
        }
        struct grpc_count singly = { 0 };
        for (size_t k = 0; k < all.len; k++)
            grpc_count(&singly, sv_sub(all, k, 1));
        assert_int_equal(singly.messages, cases[i].messages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_types), cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_timeouts_back), cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_status_names),  cmocka_unit_test(test_messages),
        cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
