/* test_answer.c - what exporters are told, byte for byte; which decoder a request gets. */
#include "ingest/answer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_exports(void **state)
{
    (void)state;
    struct err first = { .code = ERR_MALFORMED, .at = 17, .why = "trace_id: 2 bytes" };
    /* clang-format off */
    static const struct {
        enum wire_signal signal; enum wire_format format; size_t rejected; const char *want;
    } cases[] = {
        { SIGNAL_TRACES, FORMAT_PROTOBUF, 0, "" },
        { SIGNAL_LOGS, FORMAT_JSON, 0, "{}" },
        { SIGNAL_TRACES, FORMAT_JSON, 3,
          "{\"partialSuccess\":{\"rejectedSpans\":\"3\","
          "\"errorMessage\":\"byte 17: trace_id: 2 bytes\"}}" },
        { SIGNAL_LOGS, FORMAT_JSON, 1,
          "{\"partialSuccess\":{\"rejectedLogRecords\":\"1\","
          "\"errorMessage\":\"byte 17: trace_id: 2 bytes\"}}" },
        { SIGNAL_TRACES, FORMAT_PROTOBUF, 300,
          "\x0a\x1f\x08\xac\x02\x12\x1a" "byte 17: trace_id: 2 bytes" },
    };
    /* clang-format on */
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(buf) out = { 0 };
        answer_export(cases[i].signal, cases[i].format, cases[i].rejected, &first, &out);
        print_message("case %zu: %.*s\n", i, SV_ARG(buf_sv(&out)));
        assert_true(sv_eq(buf_sv(&out), sv_z(cases[i].want)));
    }
}

static void test_statuses(void **state)
{
    (void)state;
    AUTO_DONE(buf) json = { 0 };
    AUTO_DONE(buf) proto = { 0 };
    answer_status(FORMAT_JSON, RPC_INVALID_ARGUMENT, SV("byte 3: \"x\""), &json);
    assert_true(sv_eq(buf_sv(&json), SV("{\"code\":3,\"message\":\"byte 3: \\\"x\\\"\"}")));
    answer_status(FORMAT_PROTOBUF, RPC_UNAVAILABLE, SV("later"), &proto);
    assert_true(sv_eq(buf_sv(&proto), SV("\x08\x0e\x12\x05"
                                         "later")));
}

static void test_decoders(void **state)
{
    (void)state;
    bool is_path;
    const struct decoder *d = decoder_find(SV("/v1/logs"), SV("Application/JSON"), &is_path);
    assert_non_null(d);
    assert_int_equal(d->signal, SIGNAL_LOGS);
    assert_int_equal(d->format, FORMAT_JSON);
    assert_null(decoder_find(SV("/v1/traces"), SV("text/plain"), &is_path));
    assert_true(is_path);
    assert_null(decoder_find(SV("/v1/trace"), SV("application/json"), &is_path));
    assert_false(is_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exports),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_decoders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
