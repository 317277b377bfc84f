/* test_health_log.c - from judgements, ten seconds apart, to the events that are told. */
#include "../sample.h"
#include "base/mem.h"
#include "query/health_log.h"
#include <jansson.h>

/* One edge a > b: requests of the last minute at each moment, and how many failed. */
static void read_view(int requests, int failed, struct view *ret)
{
    struct view_wish w = { .window = { T0, T0 + 60 * NS_PER_S } };
    struct edge e = { .source = sample_who(SV("a"), SV("v1")),
                      .destination = sample_who(SV("b"), SV("v1")),
                      .destination_service = SV("host") };
    struct edge_bucket bucket = { .edge = &e, .start_ns = T0, .width_ns = BUCKET_NS };
    struct edge_cell *cell = edge_bucket_cell(&bucket, REPORTER_SOURCE);
    AUTO_FREE(view_builder) b = view_builder_new(&w);
    for (int i = 0; i < requests; i++) {
        struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, i < failed ? 503 : 200);
        assert_int_equal(edge_cell_add(cell, &c), 0);
    }
    assert_int_equal(view_builder_add(b, &bucket), 0);
    edge_bucket_done(&bucket);
    assert_int_equal(view_builder_finish(b, ret, NULL), 0);
}

struct told {
    char text[256]; /* "second:health" of the edge's events, oldest first */
    size_t nodes;
    uint64_t ids; /* added up */
};

static void on_event(void *to, const struct health_event *e)
{
    struct told *t = to;
    t->ids += e->id;
    if (!e->is_edge) {
        t->nodes++;
        return;
    }
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof(t->text) - n, "%s%d:%s", n ? " " : "",
             (int)((e->at_ns - T0) / NS_PER_S), health_name(e->to));
}

/* A letter for each moment: h(ealthy), d(egraded), f(ailing), -(no traffic). */
static const struct {
    const char *moments, *events;
} cases[] = {
    { "hhhh", "" },
    { "----", "" },
    { "hhfhhhh", "20:failing 50:healthy" },
    { "hfhfhfhhh", "10:failing 80:healthy" },
    { "hdfdddhhh", "10:degraded 20:failing 50:degraded 80:healthy" },
    { "fffhhh", "0:failing 50:healthy" },
    { "hf----------f", "10:failing" },
    { "hf--h-h-h", "10:failing 80:healthy" },
    { "fhdh", "0:failing 30:degraded" },
};

static void play(struct health_log *l, const char *moments, struct told *t)
{
    for (int i = 0; moments[i]; i++) {
        AUTO_DONE(view) v = { 0 };
        int failed = moments[i] == 'f' ? 20 : moments[i] == 'd' ? 1 : 0;
        read_view(moments[i] == '-' ? 0 : 100, failed, &v);
        assert_int_equal(health_log_judge(l, &v, T0 + i * HEALTH_STEP_NS, on_event, t, NULL), 0);
    }
}

static void test_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_FREE(health_log) l = health_log_new();
        AUTO_FREE(health_log) again = health_log_new();
        struct told t = { 0 }, same = { 0 };
        print_message("case: %s\n", cases[i].moments);
        play(l, cases[i].moments, &t);
        assert_string_equal(t.text, cases[i].events);
        play(again, cases[i].moments, &same);
        assert_true(t.ids == same.ids);
    }
}

static void keep_first(void *to, const struct health_event *e)
{
    json_t **j = to;
    if (!*j)
        *j = json_loadb(e->json.p, e->json.len, JSON_REJECT_DUPLICATES, NULL);
}

static void test_event(void **state)
{
    AUTO_FREE(health_log) l = health_log_new();
    struct told t = { 0 };
    json_t *j = NULL;
    (void)state;
    play(l, "hf", &t);
    assert_int_equal(t.nodes, 2);
    health_log_read(l, keep_first, &j); /* the newest is a node's: edges are judged first */
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "node");
    assert_string_equal(json_string_value(json_object_get(j, "from")), "healthy");
    assert_string_equal(json_string_value(json_object_get(j, "to")), "failing");
    assert_int_equal(json_integer_value(json_object_get(j, "errors")), 20);
    assert_true(json_is_object(json_object_get(j, "node")));
    json_decref(j);
}

static void count(void *to, const struct health_event *e)
{
    (void)e;
    ++*(size_t *)to;
}

static void test_bound(void **state)
{
    AUTO_FREE(health_log) l = health_log_new();
    size_t n = 0;
    struct told t = { 0 };
    (void)state;
    for (int i = 0; i < HEALTH_EVENTS_MAX; i++) {
        AUTO_DONE(view) v = { 0 };
        int moment =
            i % 4; /* failing, then three times healthy: two events of an edge and two nodes each */
        read_view(10, moment == 0 ? 5 : 0, &v);
        assert_int_equal(health_log_judge(l, &v, T0 + i * HEALTH_STEP_NS, NULL, &t, NULL), 0);
    }
    health_log_read(l, count, &n);
    assert_int_equal(n, HEALTH_EVENTS_MAX);
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t nth = 1;; nth++) {
        AUTO_DONE(view) v = { 0 };
        struct told t = { 0 };
        read_view(10, 5, &v);
        mem_fail_nth(nth);
        AUTO_FREE(health_log) l = health_log_new();
        int rc = l ? health_log_judge(l, &v, T0, on_event, &t, NULL) : ERR_NOMEM;
        mem_fail_nth(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
        if (!l)
            continue;
        AUTO_DONE(view) next = { 0 };
        read_view(10, 5, &next);
        assert_int_equal(health_log_judge(l, &next, T0 + HEALTH_STEP_NS, on_event, &t, NULL), 0);
        assert_true(t.text[0] && t.nodes == 2); /* found a step later at most */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
