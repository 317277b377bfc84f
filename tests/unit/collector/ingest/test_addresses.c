/* test_addresses.c - the other end of a log line is found by its address, as long as its own lines are
 * not too old, and by nothing else. */
#include "base/clock.h"
#include "base/mem.h"
#include "ingest/addresses.h"
#include "tallies.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MINUTE (60 * NS_PER_S)

static struct identity who(const char *workload, const char *version)
{
    struct identity id = identity_unknown();
    id.namespace = SV("shop");
    id.workload = id.service = sv_z(workload);
    id.version = sv_z(version);
    return id;
}

/* One call told by one side, settled; what is known of the other end afterwards. */
static struct sv told(struct addresses *a, enum reporter r, struct identity own, const char *own_ip,
                      struct identity other, const char *other_ip, int64_t now_ns)
{
    static char workload[64];
    AUTO_FREE(batch) b = batch_new();
    struct call *c = batch_add_call(b);
    bool is_source = r == REPORTER_SOURCE;
    c->reporter = r;
    c->source = is_source ? own : other;
    c->destination = is_source ? other : own;
    c->own_address = sv_z(own_ip);
    c->peer_address = sv_z(other_ip);
    assert_int_equal(addresses_settle(a, b, now_ns), 0);
    (void)sv_to_z(is_source ? c->destination.workload : c->source.workload, workload,
                  sizeof(workload));
    return sv_z(workload);
}

static void test_both_sides(void **state)
{
    (void)state;
    AUTO_DONE(addresses) a = { 0 };
    struct identity nobody = identity_unknown(), host = who("reviews", "unknown");
    /* at first nobody is known; then each finds the other, over IPv4 and IPv6 */
    assert_true(sv_eq(told(&a, REPORTER_SOURCE, who("web-v1", "v1"), "10.0.0.1:4000", host,
                           "10.0.0.2:80", MINUTE),
                      SV("reviews")));
    assert_true(sv_eq(told(&a, REPORTER_DESTINATION, who("reviews-v2", "v2"), "10.0.0.2:80", nobody,
                           "10.0.0.1:4001", MINUTE),
                      SV("web-v1")));
    assert_true(sv_eq(told(&a, REPORTER_SOURCE, who("web-v1", "v1"), "10.0.0.1:4002", host,
                           "10.0.0.2:80", MINUTE),
                      SV("reviews-v2")));
    told(&a, REPORTER_DESTINATION, who("six", "v1"), "[fd00::9]:80", nobody, "", MINUTE);
    assert_true(
        sv_eq(told(&a, REPORTER_SOURCE, who("web-v1", "v1"), "", host, "[fd00::9]:80", MINUTE),
              SV("six")));
    /* who is named stays, and an address that changed hands is its new owner's */
    assert_true(sv_eq(told(&a, REPORTER_SOURCE, who("web-v1", "v1"), "", who("named", "v9"),
                           "10.0.0.2:80", MINUTE),
                      SV("named")));
    told(&a, REPORTER_DESTINATION, who("pay-v1", "v1"), "10.0.0.2:80", nobody, "", MINUTE);
    assert_true(
        sv_eq(told(&a, REPORTER_SOURCE, nobody, "", host, "10.0.0.2:80", MINUTE), SV("pay-v1")));
}

static void test_what_teaches_nothing(void **state)
{
    (void)state;
    static const char *const no_ip[] = { "",         "-",        "127.0.0.1:80", "127.0.0.6:80",
                                         "[::1]:80", "10.0.0.9", "reviews:80",   "/run/a.sock",
                                         "[]:1",     ":80" };
    AUTO_DONE(addresses) a = { 0 };
    struct identity nobody = identity_unknown();
    for (size_t i = 0; i < NELEMS(no_ip); i++)
        told(&a, REPORTER_DESTINATION, who("web", "v1"), no_ip[i], nobody, no_ip[i], MINUTE);
    told(&a, REPORTER_DESTINATION, nobody, "10.0.0.9:80", nobody, "", MINUTE);
    told(&a, REPORTER_DESTINATION, who("by-host", "unknown"), "10.0.0.9:80", nobody, "", MINUTE);
    assert_int_equal(a.by_ip.len, 0);
}

static void test_old_ones_are_not_believed(void **state)
{
    (void)state;
    AUTO_DONE(addresses) a = { 0 };
    struct identity nobody = identity_unknown();
    told(&a, REPORTER_DESTINATION, who("web", "v1"), "10.0.0.1:80", nobody, "", MINUTE);
    assert_true(sv_eq(told(&a, REPORTER_SOURCE, nobody, "", nobody, "10.0.0.1:80", 11 * MINUTE),
                      SV("web")));
    assert_true(sv_eq(told(&a, REPORTER_SOURCE, nobody, "", nobody, "10.0.0.1:80", 12 * MINUTE),
                      SV("unknown")));
    told(&a, REPORTER_DESTINATION, who("new", "v1"), "10.0.0.2:80", nobody, "", 12 * MINUTE);
    assert_int_equal(a.by_ip.len, 1);
}

static void test_limit(void **state)
{
    (void)state;
    AUTO_DONE(addresses) a = { 0 };
    struct identity nobody = identity_unknown();
    uint64_t refused = collector_tallies.cells[TALLY_ADDRESSES_FULL];
    char ip[32];
    for (unsigned i = 0; i < 20003; i++) {
        snprintf(ip, sizeof(ip), "10.1.%u.%u:80", i / 200, i % 200);
        told(&a, REPORTER_DESTINATION, who("web", "v1"), ip, nobody, "", MINUTE);
    }
    assert_int_equal(a.by_ip.len, 20000);
    assert_int_equal(collector_tallies.cells[TALLY_ADDRESSES_FULL] - refused, 3);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    bool was_reached = true;
    for (uint64_t nth = 1; was_reached; nth++) {
        AUTO_DONE(addresses) a = { 0 };
        AUTO_FREE(batch) b = batch_new();
        struct call *c = batch_add_call(b);
        c->reporter = REPORTER_DESTINATION;
        c->source = identity_unknown();
        c->destination = who("web", "v1");
        c->own_address = c->peer_address = SV("10.0.0.1:80"); /* it calls itself */
        mem_fail_nth(nth);
        int rc = addresses_settle(&a, b, MINUTE);
        was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
        assert_true(rc < 0 || sv_eq(c->source.workload, SV("web")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides),
        cmocka_unit_test(test_what_teaches_nothing),
        cmocka_unit_test(test_old_ones_are_not_believed),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
