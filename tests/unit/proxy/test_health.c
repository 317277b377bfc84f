/* Health checks: what the annotation says, what answers in a row mean, and whom balancing takes. */
#include "base/clock.h"
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/health.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CHECKED(note, port)                                                                        \
    "apiVersion: v1\nkind: Service\nmetadata: {name: shop, namespace: default, annotations: "      \
    "{tulle.io/health-check: '" note "'}}\n"                                                       \
    "spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: " port "}]}\n"

static const struct cluster *cluster_of(const struct mesh *m, const char *host)
{
    struct http_head req = mesh_fixture_request(host, "/", NULL);
    const struct route *r = mesh_route(m, &req, 0);
    assert_non_null(r);
    return r->targets[0].cluster;
}

static const struct health_check *check_of(struct mesh *m)
{
    return cluster_of(m, "shop")->check;
}

static void test_health_check_from_yaml(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *note, *path, *host;
        bool is_http; /* else a path is the service of grpc */
        unsigned port, interval_ms, timeout_ms, healthy, unhealthy;
    } cases[] = {
        { "http /healthz",                                  "/healthz", "", true, 0, 10000, 1000, 2, 3 },
        { "tcp",                                            "",  "", false, 0, 10000, 1000, 2, 3 },
        { "tcp port=8080",                                  "",  "", false, 8080, 10000, 1000, 2, 3 },
        { "  http  /a?b=c  port=1  host=x.y:80 ",           "/a?b=c", "x.y:80", true, 1, 10000, 1000, 2, 3 },
        { "http / unhealthy=1 healthy=100 timeout=2s interval=1m", "/", "", true, 0, 60000, 2000, 100, 1 },
        { "http / interval=100ms",                          "/", "", true, 0, 100, 100, 2, 3 },
        { "grpc",                                           "", "", false, 0, 10000, 1000, 2, 3 },
        { "grpc service=shop.v1 host=x port=7 healthy=1",   "shop.v1", "x", false, 7, 10000, 1000, 1, 3 },
    };
    static const char *const wrong[][2] = {
        { "",                        "expected 'http PATH', 'grpc' or 'tcp' first, found ''" },
        { "h2c",                     "expected 'http PATH', 'grpc' or 'tcp' first, found 'h2c'" },
        { "grpc shop.v1",            "expected port=, host=, service=" },
        { "grpc service=",           "service: expected the name of a service" },
        { "http / service=x",        "service belongs to grpc" },
        { "http",                    "expected a path that begins with" },
        { "http healthz",            "expected a path that begins with" },
        { "http /a#b",               "expected a path that begins with" },
        { "http port=80",            "expected a path that begins with" },
        { "tcp /x",                  "expected port=, host=, service=, interval=, timeout=, healthy= or unhealthy=, found" },
        { "tcp ports=1",             "found" },
        { "tcp port=0",              "port: expected a number from 1 to 65535" },
        { "tcp port=65536",          "port: expected a number from 1 to 65535" },
        { "tcp port=1 port=1",       "port is given twice" },
        { "tcp host=x",              "host belongs to http and grpc" },
        { "http / host=a/b",         "host: expected a host" },
        { "tcp interval=1",          "interval: expected a duration from 100ms to 1h" },
        { "tcp interval=99ms",       "interval: expected a duration from 100ms to 1h" },
        { "tcp timeout=9ms",         "timeout: expected a duration from 10ms to 1m" },
        { "tcp timeout=2s interval=1s", "timeout is longer than interval" },
        { "tcp healthy=0",           "healthy: expected a number from 1 to 100" },
        { "tcp unhealthy=x",         "unhealthy: expected a number from 1 to 100" },
    };
    /* clang-format on */
    char text[1024];
    const char *texts[] = { mesh_fixture_reviews, text, NULL };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        snprintf(text, sizeof(text), CHECKED("%s", "9080"), cases[i].note);
        print_message("case: %s\n", cases[i].note);
        struct mesh *m = mesh_fixture_load(texts, NULL);
        assert_non_null(m);
        const struct health_check *c = check_of(m);
        assert_int_equal(c->is_http, cases[i].is_http);
        assert_int_equal(c->is_grpc, strstr(cases[i].note, "grpc") != NULL);
        assert_true(sv_eq(c->is_grpc ? c->service : c->path, sv_z(cases[i].path)));
        assert_true(sv_eq(c->host, sv_z(cases[i].host)));
        assert_int_equal(c->port, cases[i].port);
        assert_true(c->interval_ns == cases[i].interval_ms * NS_PER_MS);
        assert_true(c->timeout_ns == cases[i].timeout_ms * NS_PER_MS);
        assert_int_equal(c->healthy, cases[i].healthy);
        assert_int_equal(c->unhealthy, cases[i].unhealthy);
        assert_null(cluster_of(m, "reviews")->check);
        mesh_unref(m);
    }
    for (size_t i = 0; i < NELEMS(wrong); i++) {
        struct err err = { 0 };
        snprintf(text, sizeof(text), CHECKED("%s", "9080"), wrong[i][0]);
        print_message("wrong: %s\n", wrong[i][0]);
        assert_null(mesh_fixture_load(texts, &err));
        print_message("  %s\n", err.why);
        assert_non_null(strstr(err.why, ":3:"));
        assert_non_null(strstr(err.why, wrong[i][1]));
    }
}

/* A DestinationRule's annotation is stronger than the Service's. */
static void test_health_check_of_rule(void **state)
{
    static const char rule[] =
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d, namespace: "
        "default, annotations: {tulle.io/health-check: tcp interval=7s}}\nspec: {host: shop}\n";
    static const char shop[] = CHECKED("http /", "9080");
    const char *texts[] = { mesh_fixture_reviews, shop, rule, NULL };
    (void)state;
    struct mesh *m = mesh_fixture_load(texts, NULL);
    assert_false(check_of(m)->is_http);
    assert_true(check_of(m)->interval_ns == 7 * NS_PER_S);
    mesh_unref(m);
}

/* What is believed of endpoints, and whom balancing takes then. Nothing is really asked. */
static void test_health_counts(void **state)
{
    static const uint32_t active[64];
    static const char shop[] = CHECKED("tcp healthy=2 unhealthy=3", "9080");
    const char *texts[] = { mesh_fixture_reviews, shop, NULL };
    struct loop *l = loop_new(NULL);
    struct mesh *m = mesh_fixture_load(texts, NULL);
    struct health h;
    (void)state;
    health_init(&h, l, NULL);
    health_follow(&h, m);
    const struct cluster *c = cluster_of(m, "shop");
    assert_int_equal(c->endpoints_len, 3);
    assert_int_equal(h.checked.len, 3);
    struct health_checked *k = health_find(&h, c, c->endpoints[0]);
    static const struct {
        bool is_ok, is_down;
    } steps[] = { { false, false }, { false, false }, { true, false }, { false, false },
                  { false, false }, { false, true },  { false, true }, { true, true },
                  { false, true },  { true, true },   { true, false }, { false, false } };
    for (size_t i = 0; i < NELEMS(steps); i++) {
        health_report(k, steps[i].is_ok, "x");
        assert_int_equal(health_is_down(&h, c, c->endpoints[0]), steps[i].is_down);
        assert_int_equal(h.down_len, steps[i].is_down);
        assert_true(timer_is_set(&k->timer)); /* and on it goes */
    }
    struct balance_ask ask = { .active = active, .health = &h };
    for (size_t i = 0; i < 2; i++)
        for (int n = 0; n < 3; n++)
            health_report(health_find(&h, c, c->endpoints[i]), false, "refused");
    for (int i = 0; i < 50; i++) {
        ask.random = ask.random * 6364136223846793005u + 1442695040888963407u;
        assert_ptr_equal(balance_pick(c, &ask), c->endpoints[2]);
    }
    for (int n = 0; n < 3; n++)
        health_report(health_find(&h, c, c->endpoints[2]), false, "refused");
    assert_null(balance_pick(c, &ask)); /* no panic, as Istio has it */
    assert_non_null(balance_pick(cluster_of(m, "reviews"), &ask));
    struct outlier_policy panics = { .min_health_percent = 1 };
    struct cluster other = *c;
    other.outlier = &panics;
    assert_non_null(balance_pick(&other, &ask));

    struct mesh *next = mesh_fixture_load(texts, NULL); /* the same again: what is known stays */
    health_follow(&h, next);
    mesh_unref(m);
    assert_int_equal(h.down_len, 3);
    c = cluster_of(next, "shop");
    assert_ptr_equal(health_find(&h, c, c->endpoints[0])->endpoint, c->endpoints[0]);
    health_stop(&h);
    assert_false(timer_is_set(&health_find(&h, c, c->endpoints[0])->timer));
    assert_true(health_is_down(&h, c, c->endpoints[0]));
    health_resume(&h);
    assert_true(timer_is_set(&health_find(&h, c, c->endpoints[0])->timer));
    const char *without[] = { mesh_fixture_reviews, NULL };
    struct mesh *last = mesh_fixture_load(without, NULL);
    health_follow(&h, last);
    assert_true(h.checked.len == 0 && h.down_len == 0);
    mesh_unref(next);
    mesh_unref(last);
    health_done(&h);
    loop_free(l);
}

/* Without memory an endpoint is not asked, and counts as well. */
static void test_health_without_memory(void **state)
{
    static const char shop[] = CHECKED("tcp", "9080");
    const char *texts[] = { mesh_fixture_reviews, shop, NULL };
    struct loop *l = loop_new(NULL);
    struct mesh *m = mesh_fixture_load(texts, NULL);
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct health h;
        health_init(&h, l, NULL);
        mem_fail_nth(nth);
        health_follow(&h, m);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(h.checked.len < 3 || !was_reached);
        health_done(&h);
        if (!was_reached)
            break;
    }
    mesh_unref(m);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health_check_from_yaml),
        cmocka_unit_test(test_health_check_of_rule),
        cmocka_unit_test(test_health_counts),
        cmocka_unit_test(test_health_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
