/* What is repeated, when, and who is left out: tables over the decisions, and the configuration that
 * leads to them. */
#include "base/clock.h"
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/rest.h"
#include "proxy/upstream/retry.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND NS_PER_S

static const uint16_t teapot[] = { 418 };

static void test_retry_failures(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        unsigned on;
        bool connect, reset, timeout;
    } cases[] = {
        { RETRY_ON_5XX,             true,  true,  true },
        { RETRY_ON_GATEWAY_ERROR,   true,  true,  true },
        { RETRY_ON_RESET,           true,  true,  true },
        { RETRY_ON_CONNECT_FAILURE, true,  false, false },
        { RETRY_ON_REFUSED_STREAM,  false, false, false },
        { RETRY_ON_RETRIABLE_4XX,   false, false, false },
        { RETRY_ON_UNAVAILABLE,     false, false, false },
        { 0,                        false, false, false },
    };
    /* clang-format on */
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct retry_policy p = { .attempts = 2, .on = cases[i].on };
        print_message("case: %zu\n", i);
        assert_int_equal(retry_wants_failure(&p, RETRY_CONNECT), cases[i].connect);
        assert_int_equal(retry_wants_failure(&p, RETRY_RESET), cases[i].reset);
        assert_int_equal(retry_wants_failure(&p, RETRY_TIMEOUT), cases[i].timeout);
    }
    assert_true(retry_wants_failure(&retry_default, RETRY_CONNECT));
    assert_false(retry_wants_failure(&retry_default, RETRY_RESET));
    assert_false(retry_wants_failure(&retry_default, RETRY_TIMEOUT));
}

static void test_retry_responses(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        unsigned on, status;
        const char *grpc;
        bool is_wanted;
    } cases[] = {
        { RETRY_ON_5XX,                500, "",   true },
        { RETRY_ON_5XX,                503, "",   true },
        { RETRY_ON_5XX,                599, "",   true },
        { RETRY_ON_5XX,                499, "",   false },
        { RETRY_ON_GATEWAY_ERROR,      500, "",   false },
        { RETRY_ON_GATEWAY_ERROR,      501, "",   false },
        { RETRY_ON_GATEWAY_ERROR,      502, "",   true },
        { RETRY_ON_GATEWAY_ERROR,      504, "",   true },
        { RETRY_ON_GATEWAY_ERROR,      505, "",   false },
        { RETRY_ON_RESET,              503, "",   false },
        { RETRY_ON_CONNECT_FAILURE,    503, "",   false },
        { RETRY_ON_RETRIABLE_4XX,      409, "",   true },
        { RETRY_ON_RETRIABLE_4XX,      404, "",   false },
        { RETRY_ON_CANCELLED,          200, "1",  true },
        { RETRY_ON_DEADLINE_EXCEEDED,  200, "4",  true },
        { RETRY_ON_RESOURCE_EXHAUSTED, 200, "8",  true },
        { RETRY_ON_INTERNAL,           200, "13", true },
        { RETRY_ON_UNAVAILABLE,        200, "14", true },
        { RETRY_ON_UNAVAILABLE,        200, "13", false },
        { RETRY_ON_UNAVAILABLE,        200, "0",  false },
        { RETRY_ON_UNAVAILABLE,        200, "x",  false },
        { RETRY_ON_UNAVAILABLE,        503, "",   false },
        { 0,                           418, "",   true },
        { 0,                           417, "",   false },
    };
    /* clang-format on */
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct retry_policy p = { 2, cases[i].on, teapot, 1, 0, 0, true };
        print_message("case: %zu\n", i);
        assert_int_equal(retry_wants_response(&p, cases[i].status, sv_z(cases[i].grpc)),
                         cases[i].is_wanted);
    }
    assert_false(retry_wants_response(&retry_default, 503, SV_NONE));
}

static void test_retry_bodies_and_methods(void **state)
{
    struct retry_policy p = { .attempts = 2, .on = RETRY_ON_5XX };
    (void)state;
    assert_true(retry_needs_body(&p, false));
    assert_false(retry_needs_body(&retry_default, false));
    assert_true(retry_needs_body(&retry_default, true));
    p = (struct retry_policy){ .attempts = 1, .statuses = teapot, .statuses_len = 1 };
    assert_true(retry_needs_body(&p, false));
    p.attempts = 0;
    assert_false(retry_needs_body(&p, true));
    assert_true(retry_is_idempotent(SV("GET")) && retry_is_idempotent(SV("PUT")));
    assert_false(retry_is_idempotent(SV("POST")) || retry_is_idempotent(SV("PATCH")));
    assert_false(retry_is_idempotent(SV("get")) || retry_is_idempotent(SV("CONNECT")));
}

static void test_backoff(void **state)
{
    static const int64_t below_ms[] = { 25, 75, 175, 250, 250, 250 };
    (void)state;
    for (unsigned n = 1; n <= NELEMS(below_ms); n++) {
        int64_t longest = 0, below = below_ms[n - 1] * NS_PER_MS;
        uint64_t random = n;
        for (int i = 0; i < 1000; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            int64_t wait = retry_backoff_ns(&retry_default, n, random);
            assert_true(wait >= 0 && wait < below);
            longest = MAX(longest, wait);
        }
        assert_true(longest > below / 2);
    }
    assert_true(retry_backoff_ns(&retry_default, UINT32_MAX, UINT64_MAX) < 250 * NS_PER_MS);
}

/* Up to ten endpoints in one cluster, and a policy of 3 errors, 10 s, 30 s. */
struct scene {
    struct endpoint e[10];
    const struct endpoint *list[10];
    struct outlier_policy policy;
    struct cluster c;
    struct outlier o;
};

static void scene_init(struct scene *t, size_t len)
{
    static const char *const names[] = { "a:1", "b:1", "c:1", "d:1", "e:1",
                                         "f:1", "g:1", "h:1", "i:1", "j:1" };
    *t = (struct scene){ .policy = { .consecutive_5xx = 3,
                                     .interval_ns = 10 * SECOND,
                                     .base_ns = 30 * SECOND,
                                     .max_percent = 10 } };
    for (uint32_t i = 0; i < len; i++) {
        t->e[i] = (struct endpoint){ .text = sv_z(names[i]), .id = i };
        t->list[i] = &t->e[i];
    }
    t->c = (struct cluster){ .endpoints = t->list, .endpoints_len = len, .outlier = &t->policy };
}

static enum outlier_verdict fail_times(struct scene *t, size_t who, int n, int64_t now_ns)
{
    enum outlier_verdict v = OUTLIER_UNCHANGED;
    while (n-- > 0)
        v = outlier_report(&t->o, &t->c, &t->e[who], OUTLIER_5XX, now_ns, NULL);
    return v;
}

static void test_outlier_counts_in_a_row(void **state)
{
    struct scene t;
    int64_t out_ns = 0;
    (void)state;
    scene_init(&t, 3);
    assert_int_equal(fail_times(&t, 0, 2, 0), OUTLIER_UNCHANGED);
    assert_int_equal(outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_OK, 0, NULL), OUTLIER_UNCHANGED);
    assert_int_equal(t.o.hosts.len, 0); /* recovered: forgotten */
    assert_int_equal(fail_times(&t, 0, 2, 0), OUTLIER_UNCHANGED);
    assert_int_equal(outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_5XX, SECOND, &out_ns),
                     OUTLIER_EJECTED);
    assert_true(out_ns == 30 * SECOND);
    assert_true(outlier_out_ns(&t.o, &t.e[0], SECOND) == 30 * SECOND);
    assert_true(outlier_out_ns(&t.o, &t.e[1], SECOND) == 0);
    assert_int_equal(fail_times(&t, 0, 9, 2 * SECOND), OUTLIER_UNCHANGED); /* late answers */
    assert_true(outlier_out_ns(&t.o, &t.e[0], 31 * SECOND - 1) == 1);
    assert_int_equal(outlier_count(&t.o, 31 * SECOND), 0);
    assert_int_equal(fail_times(&t, 0, 2, 31 * SECOND), OUTLIER_UNCHANGED); /* counts anew */
    outlier_done(&t.o);
}

static void test_outlier_gateway_errors(void **state)
{
    struct scene t;
    (void)state;
    scene_init(&t, 3);
    t.policy.consecutive_5xx = 0;
    t.policy.consecutive_gateway = 2;
    assert_int_equal(fail_times(&t, 0, 50, 0), OUTLIER_UNCHANGED);
    (void)outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_GATEWAY_ERROR, 0, NULL);
    (void)outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_5XX, 0, NULL); /* a 500 breaks the row */
    (void)outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_GATEWAY_ERROR, 0, NULL);
    assert_int_equal(outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_GATEWAY_ERROR, 0, NULL),
                     OUTLIER_EJECTED);
    assert_int_equal(outlier_sign_of(499), OUTLIER_OK);
    assert_int_equal(outlier_sign_of(500), OUTLIER_5XX);
    assert_int_equal(outlier_sign_of(502), OUTLIER_GATEWAY_ERROR);
    assert_int_equal(outlier_sign_of(504), OUTLIER_GATEWAY_ERROR);
    assert_int_equal(outlier_sign_of(505), OUTLIER_5XX);
    outlier_done(&t.o);
}

/* splitExternalLocalOriginErrors: answers and their absence are counted apart. */
static void test_outlier_split(void **state)
{
    static const struct {
        const char *signs; /* e: 500, g: 503, n: no answer, o: 200 */
        bool splits;
        uint32_t local;
        bool is_ejected;
    } cases[] = {
        { "nnn", false, 5, true },    { "enn", false, 5, true },   { "nnn", true, 5, false },
        { "nnnnn", true, 5, true },   { "nn", true, 2, true },     { "enen", true, 2, false },
        { "eenne", true, 3, true },   { "nngnn", true, 3, false }, { "nnonn", true, 3, false },
        { "nnnnnn", true, 0, false }, { "eee", true, 5, true },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        enum outlier_verdict last = OUTLIER_UNCHANGED;
        struct scene t;
        scene_init(&t, 3);
        t.policy.splits_local = cases[i].splits;
        t.policy.consecutive_local = cases[i].local;
        for (const char *p = cases[i].signs; *p; p++)
            last = outlier_report(&t.o, &t.c, &t.e[0],
                                  *p == 'e'   ? OUTLIER_5XX
                                  : *p == 'g' ? OUTLIER_GATEWAY_ERROR
                                  : *p == 'n' ? OUTLIER_NO_ANSWER
                                              : OUTLIER_OK,
                                  0, NULL);
        print_message("case: %s\n", cases[i].signs);
        assert_int_equal(last == OUTLIER_EJECTED, cases[i].is_ejected);
        outlier_done(&t.o);
    }
}

static void test_outlier_grows_and_shrinks(void **state)
{
    struct scene t;
    int64_t now = 0;
    (void)state;
    scene_init(&t, 3);
    for (int step = 1; step <= 12; step++) { /* again and again, as soon as it is back */
        int64_t want = MIN(step * 30 * SECOND, 300 * SECOND);
        assert_int_equal(fail_times(&t, 0, 3, now), OUTLIER_EJECTED);
        assert_true(outlier_out_ns(&t.o, &t.e[0], now) == want);
        now += want;
    }
    now += 110 * SECOND; /* eleven intervals in health leave one step */
    assert_int_equal(outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_OK, now, NULL), OUTLIER_UNCHANGED);
    assert_int_equal(fail_times(&t, 0, 3, now), OUTLIER_EJECTED);
    assert_true(outlier_out_ns(&t.o, &t.e[0], now) == 60 * SECOND);
    now += 80 * SECOND; /* two intervals: none is left, and it is forgotten */
    (void)outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_OK, now, NULL);
    assert_int_equal(t.o.hosts.len, 0);
    outlier_done(&t.o);
}

static void test_outlier_how_many(void **state)
{
    (void)state;
    static const struct {
        size_t endpoints;
        uint32_t percent;
        size_t may_go;
    } cases[] = { { 3, 10, 1 },  { 2, 10, 1 },  { 1, 10, 0 },   { 1, 99, 0 },  { 1, 100, 1 },
                  { 3, 0, 0 },   { 10, 10, 1 }, { 10, 20, 2 },  { 10, 25, 2 }, { 10, 50, 5 },
                  { 3, 100, 3 }, { 4, 50, 2 },  { 10, 100, 10 } };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct scene t;
        scene_init(&t, cases[i].endpoints);
        t.policy.max_percent = cases[i].percent;
        print_message("case: %zu of %u %%\n", cases[i].endpoints, cases[i].percent);
        for (size_t e = 0; e < cases[i].endpoints; e++)
            assert_int_equal(fail_times(&t, e, 3, 0),
                             e < cases[i].may_go ? OUTLIER_EJECTED : OUTLIER_SPARED);
        assert_int_equal(outlier_count(&t.o, 0), cases[i].may_go);
        outlier_done(&t.o);
    }
}

static void test_balance_skips(void **state)
{
    static const uint32_t active[10];
    struct scene t;
    (void)state;
    scene_init(&t, 3);
    t.policy.max_percent = 100;
    struct balance_ask ask = { .active = active, .outlier = &t.o, .tried_len = 1 };
    const struct endpoint *tried[] = { &t.e[1] };
    ask.tried = tried;
    (void)fail_times(&t, 0, 3, 0);
    for (int i = 0; i < 100; i++) {
        ask.random = ask.random * 6364136223846793005u + 1442695040888963407u;
        assert_ptr_equal(balance_pick(&t.c, &ask), &t.e[2]);
    }
    (void)fail_times(&t, 2, 3, 0);
    ask.tried_len = 0;
    assert_ptr_equal(balance_pick(&t.c, &ask), &t.e[1]); /* the only one */
    (void)fail_times(&t, 1, 3, 0);
    assert_null(balance_pick(&t.c, &ask));
    t.policy.min_health_percent = 1; /* too few are healthy: nobody is left out */
    assert_non_null(balance_pick(&t.c, &ask));
    struct cluster other = t.c; /* without a policy, ejections mean nothing */
    other.outlier = NULL;
    assert_non_null(balance_pick(&other, &ask));
    t.policy.min_health_percent = 0;
    ask.now_ns = 30 * SECOND;
    assert_non_null(balance_pick(&t.c, &ask));
    outlier_done(&t.o);
}

/* Whoever has tried all others gets an ejected one, and only one that it has not tried. */
static void test_balance_last_resort(void **state)
{
    static const uint32_t active[10];
    (void)state;
    static const struct {
        const char *name;
        size_t ejected[3], ejected_len, tried[3], tried_len;
        int wants; /* -1: NULL, -2: any of the tried */
    } cases[] = {
        { "others are left", { 0 }, 1, { 1 }, 1, 2 },
        { "all others were tried", { 0 }, 1, { 1, 2 }, 2, 0 },
        { "it was tried, too", { 0 }, 1, { 0, 1, 2 }, 3, -2 },
        { "one was ejected meanwhile", { 0, 1, 2 }, 3, { 1, 2 }, 2, 0 },
        { "all were tried and ejected", { 0, 1, 2 }, 3, { 0, 1, 2 }, 3, -1 },
        { "all are ejected, none was tried", { 0, 1, 2 }, 3, { 0 }, 0, -1 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct scene t;
        const struct endpoint *tried[3];
        scene_init(&t, 3);
        t.policy.max_percent = 100;
        print_message("case: %s\n", cases[i].name);
        for (size_t k = 0; k < cases[i].ejected_len; k++)
            (void)fail_times(&t, cases[i].ejected[k], 3, 0);
        for (size_t k = 0; k < cases[i].tried_len; k++)
            tried[k] = &t.e[cases[i].tried[k]];
        struct balance_ask ask = {
            .active = active, .outlier = &t.o, .tried = tried, .tried_len = cases[i].tried_len
        };
        for (int n = 0; n < 50; n++) {
            ask.random = ask.random * 6364136223846793005u + 1442695040888963407u;
            const struct endpoint *got = balance_pick(&t.c, &ask);
            if (cases[i].wants == -1)
                assert_null(got);
            else if (cases[i].wants == -2)
                assert_ptr_not_equal(got, &t.e[0]);
            else
                assert_ptr_equal(got, &t.e[cases[i].wants]);
        }
        outlier_done(&t.o);
    }
}

static void test_pardon(void **state)
{
    struct scene t;
    (void)state;
    scene_init(&t, 3);
    assert_false(outlier_pardon(&t.o, &t.e[0], 0)); /* nobody is out */
    (void)fail_times(&t, 0, 3, 0);
    assert_true(outlier_out_ns(&t.o, &t.e[0], SECOND) > 0);
    assert_true(outlier_pardon(&t.o, &t.e[0], SECOND));
    assert_int_equal(outlier_out_ns(&t.o, &t.e[0], SECOND), 0);
    assert_int_equal(outlier_count(&t.o, SECOND), 0);
    assert_false(outlier_pardon(&t.o, &t.e[0], SECOND));
    int64_t out_ns = 0; /* what it did is not forgotten: the next time takes longer */
    for (int i = 0; i < 3; i++)
        (void)outlier_report(&t.o, &t.c, &t.e[0], OUTLIER_5XX, SECOND, &out_ns);
    assert_int_equal(out_ns, 2 * t.policy.base_ns);
    outlier_done(&t.o);
}

static void test_outlier_without_memory(void **state)
{
    struct scene t;
    (void)state;
    scene_init(&t, 3);
    for (uint64_t n = 1; n <= 6; n++) {
        mem_fail_nth(n);
        (void)fail_times(&t, 0, 3, 0);
        mem_fail_nth(0);
        outlier_done(&t.o);
    }
}

#define RULE(http)                                                                                 \
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"       \
    "  hosts: [reviews]\n  http:\n  - route: [{destination: {host: reviews}}]\n" http

static const struct route *route_of(const struct mesh *m)
{
    struct http_head req = mesh_fixture_request("reviews", "/", NULL);
    return mesh_route(m, &req, 0);
}

static void test_retries_from_yaml(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *yaml;
        unsigned attempts, on;
        int per_try_ms, backoff_ms;
        size_t statuses;
        const char *warning;
    } cases[] = {
        { "", 2, RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM | RETRY_ON_UNAVAILABLE | RETRY_ON_CANCELLED, 0, 25, 0, NULL },
        { "    retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}\n", 3, RETRY_ON_5XX, 2000, 25, 0, NULL },
        { "    retries: {attempts: 0}\n", 0, RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM | RETRY_ON_UNAVAILABLE | RETRY_ON_CANCELLED, 0, 25, 0, NULL },
        { "    retries: {retryOn: reset}\n", 0, RETRY_ON_RESET, 0, 25, 0, "attempts is missing" },
        { "    retries: {attempts: 1, retryOn: \"gateway-error, 503,504 ,retriable-4xx\", backoff: 40ms}\n", 1, RETRY_ON_GATEWAY_ERROR | RETRY_ON_RETRIABLE_4XX, 0, 40, 2, NULL },
        { "    timeout: 1s\n    retries: {attempts: 1, perTryTimeout: 1s, retryOn: reset}\n", 1, RETRY_ON_RESET, 0, 25, 0, "perTryTimeout is not shorter than the route's timeout" },
        { "    retries: {attempts: 1, retryOn: \"reset,retriable-headers\"}\n", 1, RETRY_ON_RESET, 0, 25, 0, "'retriable-headers' is not supported yet" },
    };
    static const char *const wrong[][2] = {
        { "    retries: {attempts: 1, retryOn: sometimes}\n", "expected retry conditions" },
        { "    retries: {attempts: 1, retryOn: \"700\"}\n", "expected retry conditions" },
        { "    retries: {attempts: 101}\n", "from 0 to 100" },
        { "    retries: {attempts: 1, backoff: 0s}\n", "at least 1ms" },
    };
    /* clang-format on */
    char text[1024];
    const char *texts[] = { mesh_fixture_reviews, text, NULL };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        snprintf(text, sizeof(text), "%s%s", RULE(""), cases[i].yaml);
        struct mesh *m = mesh_fixture_load(texts, NULL);
        print_message("case: %s\n", cases[i].yaml);
        assert_non_null(m);
        const struct retry_policy *p = route_of(m)->retry;
        assert_int_equal(p->attempts, cases[i].attempts);
        assert_int_equal(p->on, cases[i].on);
        assert_true(p->per_try_ns == cases[i].per_try_ms * NS_PER_MS);
        assert_true(p->backoff_ns == cases[i].backoff_ms * NS_PER_MS);
        assert_int_equal(p->statuses_len, cases[i].statuses);
        assert_int_equal(mesh_fixture_warns(m, cases[i].warning ? cases[i].warning : "retries"),
                         cases[i].warning != NULL);
        mesh_unref(m);
    }
    for (size_t i = 0; i < NELEMS(wrong); i++) {
        struct err err = { 0 };
        snprintf(text, sizeof(text), "%s%s", RULE(""), wrong[i][0]);
        assert_null(mesh_fixture_load(texts, &err));
        assert_non_null(strstr(err.why, wrong[i][1]));
    }
}

static void test_outlier_from_yaml(void **state)
{
    static const char rule[] =
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\n"
        "spec:\n  host: reviews\n  trafficPolicy:\n    outlierDetection: {consecutiveErrors: 7}\n"
        "  subsets:\n  - {name: v1, labels: {version: v1}}\n"
        "  - {name: v2, labels: {version: v2}, trafficPolicy: {outlierDetection: {"
        "consecutive5xxErrors: 0, consecutiveGatewayErrors: 4, interval: 1s, "
        "baseEjectionTime: 2s, maxEjectionPercent: 50, minHealthPercent: 20}}}\n";
    static const char split[] =
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
        "  hosts: [reviews]\n  http:\n  - route:\n"
        "    - {destination: {host: reviews, subset: v1}, weight: 1}\n"
        "    - {destination: {host: reviews, subset: v2}, weight: 1}\n";
    const char *texts[] = { mesh_fixture_reviews, rule, split, NULL };
    struct mesh *m = mesh_fixture_load(texts, NULL);
    (void)state;
    assert_non_null(m);
    const struct outlier_policy *v1 = route_of(m)->targets[0].cluster->outlier;
    const struct outlier_policy *v2 = route_of(m)->targets[1].cluster->outlier;
    assert_int_equal(v1->consecutive_5xx, 7);
    assert_int_equal(v1->consecutive_gateway, 0);
    assert_true(v1->interval_ns == 10 * SECOND && v1->base_ns == 30 * SECOND);
    assert_int_equal(v1->max_percent, 10);
    assert_int_equal(v2->consecutive_5xx, 0);
    assert_int_equal(v2->consecutive_gateway, 4);
    assert_true(v2->interval_ns == SECOND && v2->base_ns == 2 * SECOND);
    assert_int_equal(v2->max_percent, 50);
    assert_int_equal(v2->min_health_percent, 20);
    assert_false(mesh_fixture_warns(m, "outlier"));
    mesh_unref(m);
}

/* A server's idle timeout is learned from two closes alike, kept low, and given up when it is wrong. */
static void test_rest(void **state)
{
    (void)state;
    struct rest r = { 0 };
    const int64_t now = 1000 * NS_PER_S;
    assert_true(rest_is_short(&r, INT64_MAX / 2, now));
    rest_closed(&r, 5 * NS_PER_S, now);
    assert_true(rest_is_short(&r, 5 * NS_PER_S, now)); /* one says nothing */
    rest_closed(&r, NS_PER_S, now);
    assert_true(rest_is_short(&r, 5 * NS_PER_S, now)); /* two that differ: the server ended */
    rest_closed(&r, 5 * NS_PER_S, now);
    rest_closed(&r, 5 * NS_PER_S + 200 * NS_PER_MS, now);
    assert_true(rest_is_short(&r, 2499 * NS_PER_MS, now));
    assert_false(rest_is_short(&r, 2500 * NS_PER_MS, now));
    rest_closed(&r, 8 * NS_PER_S, now);
    rest_closed(&r, 8 * NS_PER_S, now); /* a busy server is late: the shortest counts */
    assert_false(rest_is_short(&r, 2500 * NS_PER_MS, now));
    rest_served(&r, 9 * NS_PER_S);
    assert_false(rest_is_short(&r, 2500 * NS_PER_MS, now));
    assert_true(rest_is_short(&r, 2500 * NS_PER_MS, now + 601 * NS_PER_S)); /* forgotten */
    rest_served(&r, 11 * NS_PER_S);                                         /* contradicted */
    assert_true(rest_is_short(&r, 60 * NS_PER_S, now));
    rest_closed(&r, 0, now);
    rest_closed(&r, 0, now);
    assert_true(rest_is_short(&r, 60 * NS_PER_S, now)); /* closed at once: no rest at all */
    rest_closed(&r, 1, now);
    rest_closed(&r, 1, now);
    assert_false(rest_is_short(&r, 1, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_retry_failures),
        cmocka_unit_test(test_retry_responses),
        cmocka_unit_test(test_retry_bodies_and_methods),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_outlier_counts_in_a_row),
        cmocka_unit_test(test_outlier_split),
        cmocka_unit_test(test_outlier_gateway_errors),
        cmocka_unit_test(test_outlier_grows_and_shrinks),
        cmocka_unit_test(test_outlier_how_many),
        cmocka_unit_test(test_balance_skips),
        cmocka_unit_test(test_balance_last_resort),
        cmocka_unit_test(test_pardon),
        cmocka_unit_test(test_outlier_without_memory),
        cmocka_unit_test(test_retries_from_yaml),
        cmocka_unit_test(test_outlier_from_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
