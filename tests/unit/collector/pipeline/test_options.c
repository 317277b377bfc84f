/* test_options.c - defaults, what follows from them, and options that contradict each other. */
#include "base/flag.h"
#include "options.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_defaults(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct options o;
    char *argv[] = { (char *)(uintptr_t) "tulle-collector", NULL };
    assert_int_equal(options_parse(&o, &mem, 1, argv, NULL), FLAG_RUN);
    assert_int_equal(o.otlp_http_port, 4318);
    assert_int_equal(o.http_port, 16686);
    assert_true(sv_eq(o.store_url, SV("sqlite:./tulle-data/tulle.db")));
    assert_int_equal(o.durability, STORE_DURABILITY_PROCESS);
    assert_int_equal(o.limits.body_bytes, LIMIT_BODY_BYTES);
    assert_int_equal(o.limits.inflated_bytes, 4 * LIMIT_BODY_BYTES);
    assert_int_equal(o.keep.raw_ns / 1000000000, 72 * 3600);
    assert_int_equal(o.keep.edges_ns / 1000000000, 30 * 86400);
    assert_int_equal(o.keep.disk_bytes, 0);
}

static void test_given(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct options o;
    const char *argv[] = { "tulle-collector", "--data=/srv/t", "--durability", "power",
                           "--max-body=1MiB", "--log-level",   "debug" };
    char **args = (char **)(uintptr_t)argv;
    assert_int_equal(options_parse(&o, &mem, NELEMS(argv), args, NULL), FLAG_RUN);
    assert_true(sv_eq(o.store_url, SV("sqlite:/srv/t/tulle.db")));
    assert_int_equal(o.durability, STORE_DURABILITY_POWER);
    assert_int_equal(o.limits.decoded_bytes, 16 << 20);
    assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
    const char *store[] = { "tulle-collector", "--store", "memory:", "--data", "/srv/t" };
    assert_int_equal(options_parse(&o, &mem, NELEMS(store), (char **)(uintptr_t)store, NULL),
                     FLAG_RUN);
    assert_true(sv_eq(o.store_url, SV("memory:")));
}

static void test_contradictions(void **state)
{
    (void)state;
    static const struct {
        const char *option, *why;
    } cases[] = {
        { "--max-body=0", "--max-body: 1 byte to 1 GiB" },
        { "--max-body=2GiB", "--max-body: 1 byte to 1 GiB" },
        { "--max-inflight=1MiB", "--max-inflight must not be less than --max-body" },
        { "--max-connections=0", "--max-connections: 1 to 1000000" },
        { "--queue=0", "--queue: 1 to 1000000" },
        { "--http-port=4318", "--otlp-http-port and --http-port are the same" },
        { "--scrape-interval=21s", "--scrape-interval: 1s to 20s" },
        { "--scrape-interval=10ms", "--scrape-interval: 1s to 20s" },
        { "--edge-retention=1h", "--edge-retention must not be less than --retention" },
        { "--retention=0", "--edge-retention must not be less than --retention" },
        { "--max-disk=255MiB", "--max-disk: 0, or 256 MiB and more" },
        { "--max-memory=127MiB", "--max-memory: 0, or 128 MiB and more" },
        { "--max-memory=1", "--max-memory: 0, or 128 MiB and more" },
        { "--durability=maybe", "--durability: 'maybe' is not one of process|power|none" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].option);
        AUTO_DONE(arena) mem = { 0 };
        struct options o;
        struct err err = { 0 };
        const char *argv[] = { "tulle-collector", cases[i].option };
        assert_int_equal(options_parse(&o, &mem, 2, (char **)(uintptr_t)argv, &err), ERR_USAGE);
        assert_string_equal(err.why, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_contradictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
