/* test_search.c - /api/v1/traces from the request to the answer, without a socket: pages and the
 * cursor between them, every parameter that is refused, attributes by level. */
#include "base/mem.h"
#include "query/api.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TRACES = 7 };
static const struct resource resource;
static const struct attr mark = { { "mark", 4 }, { .type = VALUE_BOOL, .boolean = true } };
static const struct scope scope = { .attrs = { &mark, 1, 0 } };
static const struct scope bare;

/* Traces 1 .. TRACES, one a second, the last one now; only the third has the scope with a mark. */
static struct store *filled_store(void)
{
    struct store_conf conf = { .url = SV("memory:") };
    struct store *s = store_open(&conf, NULL);
    struct batch *b = batch_new();
    for (uint8_t i = 1; i <= TRACES; i++) {
        struct span *span = batch_add_span(b);
        *span = (struct span){ .trace_id = { { [15] = i } },
                               .span_id = { { [7] = i } },
                               .kind = SPAN_KIND_SERVER,
                               .start_ns = clock_wall_ns() - (TRACES - i) * NS_PER_S,
                               .resource = &resource,
                               .scope = i == 3 ? &scope : &bare };
        span->end_ns = span->start_ns + NS_PER_MS;
    }
    assert_int_equal(store_put(s, &b, 1, NULL), 0);
    batch_free(b);
    return s;
}

static json_t *ask(struct store *s, const char *target, unsigned status)
{
    const struct api api = { .store = s };
    struct request rq = { .method = SV("GET"), .target = sv_z(target) };
    AUTO_DONE(answer) a = { 0 };
    api_answer(&api, &rq, &a);
    if (a.status != status)
        fail_msg("%s: %u %.*s", target, a.status, SV_ARG(buf_sv(&a.body)));
    json_t *j = json_loadb(buf_sv(&a.body).p, a.body.len, 0, NULL);
    assert_non_null(j);
    return j;
}

static size_t traces_len(json_t *page)
{
    return json_array_size(json_object_get(page, "traces"));
}

/* Page by page comes out what one page holds, in the same order and of the same window. */
static void test_pages(void **state)
{
    (void)state;
    struct store *s = filled_store();
    json_t *all = ask(s, "/api/v1/traces?window=24h", 200), *first = NULL;
    char path[256] = "/api/v1/traces?window=24h&limit=2";
    size_t seen = 0;
    assert_int_equal(traces_len(all), TRACES);
    assert_null(json_object_get(all, "next"));
    for (bool is_over = false; !is_over;) {
        json_t *page = ask(s, path, 200), *next = json_object_get(page, "next");
        for (size_t i = 0; i < traces_len(page); i++, seen++)
            assert_true(json_equal(json_array_get(json_object_get(page, "traces"), i),
                                   json_array_get(json_object_get(all, "traces"), seen)));
        assert_true(json_is_false(json_object_get(page, "incomplete")));
        first = first ? first : json_incref(page);
        assert_true(json_equal(json_object_get(page, "from"), json_object_get(first, "from")));
        assert_true(json_equal(json_object_get(page, "to"), json_object_get(first, "to")));
        if (next)
            snprintf(path, sizeof(path), "/api/v1/traces?limit=2&cursor=%s",
                     json_string_value(next));
        is_over = !next;
        json_decref(page);
    }
    assert_int_equal(seen, TRACES);
    json_decref(first);
    json_decref(all);
    store_close(s);
}

/* clang-format off */
static const struct { const char *query, *parameter; } refused[] = {
    { "attr=novalue",     "attr" },
    { "attr=event:=x",    "attr" },
    { "attr==x",          "attr" },
    { "kind=serving",     "kind" },
    { "status=bad",       "status" },
    { "cursor=",          "cursor" },
    { "cursor=0102",      "cursor" },
    { "cursor=02000000000000000000000000000000000000000000000000000000000000000000000000000000000000", "cursor" },
    { "cursor=01ffffffffffffffff00000000000000000000000000000000000000000000000000000000000000000000", "cursor" },
    { "limit=0",          "limit" },
    { "limit=1001",       "limit" },
};
static const struct { const char *query; size_t traces; } asked[] = {
    { "kind=server",              TRACES },
    { "kind=client",              0 },
    { "status=unset",             TRACES },
    { "status=ok",                0 },
    { "status=error",             0 },
    { "attr=scope:mark=true",     1 },
    { "attr=mark=true",           0 },
    { "attr=span:mark=true",      0 },
    { "attr=resource:mark=true",  0 },
    { "attr=event:mark=true",     0 },
    { "attr=link:mark=true",      0 },
    { "attr=scope:mark=%22true%22", 0 },
};
/* clang-format on */

static void test_parameters(void **state)
{
    (void)state;
    char path[256];
    struct store *s = filled_store();
    for (size_t i = 0; i < NELEMS(refused); i++) {
        snprintf(path, sizeof(path), "/api/v1/traces?%s", refused[i].query);
        json_t *j = ask(s, path, 400), *why = json_object_get(j, "error");
        assert_string_equal(json_string_value(json_object_get(why, "parameter")),
                            refused[i].parameter);
        json_decref(j);
    }
    for (size_t i = 0; i < NELEMS(asked); i++) {
        print_message("case: %s\n", asked[i].query);
        snprintf(path, sizeof(path), "/api/v1/traces?%s", asked[i].query);
        json_t *j = ask(s, path, 200);
        assert_int_equal(traces_len(j), asked[i].traces);
        json_decref(j);
    }
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
