/* test_peer_metadata.c - what one sidecar says, another understands; what a stranger says cannot
 * hurt. */
#include "base/mem.h"
#include "exchange_fixture.h"
#include "proxy/telemetry/peer_metadata.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct peer_self self_fixture(void)
{
    return (struct peer_self){ .identity = identity_fixture("reviews-v2", "v2"),
                               .pod = SV("reviews-v2-abc"),
                               .ip = SV("127.1.0.7") };
}

static void test_round_trip(void **state)
{
    AUTO_DONE(arena) mem = { 0 };
    struct peer_self self = self_fixture();
    struct sv metadata, id;
    struct identity who;
    (void)state;
    assert_int_equal(peer_metadata_encode(&self, &mem, &metadata, &id, NULL), 0);
    assert_true(sv_eq(id, SV("sidecar~127.1.0.7~reviews-v2-abc.default~"
                             "default.svc.cluster.local~tulle")));
    assert_int_equal(peer_metadata_decode(metadata, &mem, &who, NULL), 0);
    assert_true(identity_same_node(&who, &self.identity));
    assert_true(sv_eq(who.service, self.identity.service));
    assert_true(sv_eq(who.principal, IDENTITY_UNKNOWN));
}

/* As an Istio sidecar sends it: more fields than we know, in its order. */
static void test_decode(void **state)
{
    static const struct {
        const char *name, *text;
        int rc;
        const char *workload, *service, *version;
    } cases[] = {
        { "workload and app",
          "ChkKDVdPUktMT0FEX05BTUUSCBoGYXBwLXYxChsKBkxBQkVMUxIRKg8KDQoDYXBwEgYaBHNob3A=", 0,
          "app-v1", "shop", "latest" },
        { "no padding", "ChkKDVdPUktMT0FEX05BTUUSCBoGYXBwLXYx", 0, "app-v1", "app-v1", "latest" },
        { "nothing known", "CgcKAVgSAhoA", 0, "unknown", "unknown", "unknown" },
        { "a number for a name", "ChkKDVdPUktMT0FEX05BTUUSCREAAAAAAADwPw==", ERR_TRUNCATED, "", "",
          "" },
        { "not base64", "!!!!", ERR_MALFORMED, "", "", "" },
        { "cut short", "ChkKDVdPUktM", ERR_TRUNCATED, "", "", "" },
        { "not UTF-8", "ChUKDVdPUktMT0FEX05BTUUSBBoC//4=", ERR_MALFORMED, "", "", "" },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct identity who;
        struct err err = { 0 };
        int rc = peer_metadata_decode(sv_z(cases[i].text), &mem, &who, &err);
        print_message("case: %s (%s)\n", cases[i].name, err.why);
        assert_int_equal(rc, cases[i].rc);
        if (rc < 0)
            continue;
        assert_true(sv_eq(who.workload, sv_z(cases[i].workload)));
        assert_true(sv_eq(who.service, sv_z(cases[i].service)));
        assert_true(sv_eq(who.version, sv_z(cases[i].version)));
    }
}

static void test_bound(void **state)
{
    static char huge[PEER_METADATA_MAX_BYTES + 1];
    AUTO_DONE(arena) mem = { 0 };
    struct identity who;
    struct peer_cache cache = { 0 };
    (void)state;
    memset(huge, 'A', sizeof(huge));
    assert_int_equal(peer_metadata_decode(sv_of(huge, sizeof(huge)), &mem, &who, NULL), ERR_LIMIT);
    assert_null(peer_cache_get(&cache, sv_of(huge, sizeof(huge))));
    peer_cache_done(&cache);
}

static void test_cache(void **state)
{
    AUTO_DONE(arena) mem = { 0 };
    struct peer_self self = self_fixture();
    struct peer_cache cache = { 0 };
    struct sv one, two, id;
    (void)state;
    assert_int_equal(peer_metadata_encode(&self, &mem, &one, &id, NULL), 0);
    self.identity.version = SV("v3");
    assert_int_equal(peer_metadata_encode(&self, &mem, &two, &id, NULL), 0);
    assert_null(peer_cache_get(&cache, SV_NONE));
    assert_true(sv_eq(peer_cache_get(&cache, one)->version, SV("v2")));
    mem_fail_nth(1); /* a hit allocates nothing */
    assert_true(sv_eq(peer_cache_get(&cache, one)->version, SV("v2")));
    assert_int_equal(mem_count(), 0);
    mem_fail_nth(0);
    assert_true(sv_eq(peer_cache_get(&cache, two)->version, SV("v3")));
    assert_null(peer_cache_get(&cache, SV("garbage!")));
    assert_null(peer_cache_get(&cache, SV("garbage!")));
    assert_true(sv_eq(peer_cache_get(&cache, one)->version, SV("v2")));
    peer_cache_done(&cache);
}

/* Only a peer that says so is taken for who it was, and only it is told that we remember. */
static void test_hear(void **state)
{
    AUTO_DONE(arena) mem = { 0 };
    struct peer_self self = self_fixture();
    struct peer_cache cache = { 0 };
    struct sv text, id, istio = SV("sidecar~127.1.0.7~x.default~default.svc.cluster.local");
    (void)state;
    assert_int_equal(peer_metadata_encode(&self, &mem, &text, &id, NULL), 0);
    struct sv plain = sv_sub(id, 0, id.len - 6);
    assert_null(peer_cache_hear(&cache, SV_NONE, SV_NONE));
    assert_null(peer_cache_hear(&cache, SV_NONE, id)); /* nothing to remember */
    assert_true(sv_eq(peer_cache_own_id(&cache, id), plain));
    assert_true(sv_eq(peer_cache_hear(&cache, text, istio)->version, SV("v2")));
    assert_null(peer_cache_hear(&cache, SV_NONE, SV_NONE));
    assert_true(sv_eq(peer_cache_own_id(&cache, id), plain));
    assert_true(sv_eq(peer_cache_hear(&cache, text, id)->version, SV("v2")));
    assert_true(sv_eq(peer_cache_hear(&cache, SV_NONE, SV_NONE)->version, SV("v2")));
    assert_true(sv_eq(peer_cache_own_id(&cache, id), id));
    assert_null(peer_cache_hear(&cache, SV("garbage!"), id));
    assert_null(peer_cache_hear(&cache, SV_NONE, SV_NONE));
    assert_non_null(peer_cache_hear(&cache, text, id));
    assert_non_null(peer_cache_hear(&cache, text, istio)); /* now it is somebody who repeats */
    assert_null(peer_cache_hear(&cache, SV_NONE, SV_NONE));
    peer_cache_done(&cache);
}

static void test_allocations(void **state)
{
    struct peer_self self = self_fixture();
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        AUTO_DONE(arena) mem = { 0 };
        struct sv metadata, id;
        struct identity who;
        mem_fail_nth(nth);
        int rc = peer_metadata_encode(&self, &mem, &metadata, &id, NULL);
        if (rc == 0)
            rc = peer_metadata_decode(metadata, &mem, &who, NULL);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_decode),
        cmocka_unit_test(test_bound),      cmocka_unit_test(test_cache),
        cmocka_unit_test(test_hear),       cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
