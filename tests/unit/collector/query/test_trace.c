/* test_trace.c - /api/v1/traces/{id} from the request to the answer: as it was sent, repaired, and
 * without memory. */
#include "base/mem.h"
#include "query/api.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ID   "0000000000000000000000000000000a"
#define PATH "/api/v1/traces/" ID

/* Two hosts; the second one's clock is two seconds ahead. */
static const struct attr cart_host = { { "host.name", 9 }, { .type = VALUE_STR, .str = SV("n1") } };
static const struct attr stock_host = { { "host.name", 9 },
                                        { .type = VALUE_STR, .str = SV("n2") } };
static const struct resource cart = { .attrs = { &cart_host, 1, 0 } };
static const struct resource stock = { .attrs = { &stock_host, 1, 0 } };
static const struct scope scope;

static void add(struct batch *b, uint8_t id, const struct resource *r, int64_t start_ns,
                int64_t length_ns)
{
    *batch_add_span(b) = (struct span){ .trace_id = { { [15] = 10 } },
                                        .span_id = { { [7] = id } },
                                        .parent_id = { { [7] = (uint8_t)(id - 1) } },
                                        .start_ns = start_ns,
                                        .end_ns = start_ns + length_ns,
                                        .resource = r,
                                        .scope = &scope };
}

static struct store *filled_store(void)
{
    struct store_conf conf = { .url = SV("memory:") };
    struct store *s = store_open(&conf, NULL);
    struct batch *b = batch_new();
    add(b, 1, &cart, NS_PER_S, 100 * NS_PER_MS);
    for (int i = 0; i < 2; i++) /* sent again */
        add(b, 2, &stock, 3 * NS_PER_S + 20 * NS_PER_MS, 60 * NS_PER_MS);
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

static const char *text(json_t *of, const char *key)
{
    return json_string_value(json_object_get(of, key));
}

static void test_as_sent(void **state)
{
    (void)state;
    struct store *s = filled_store();
    json_t *t = ask(s, PATH, 200), *same = ask(s, PATH "?repaired=false", 200);
    json_t *spans = json_object_get(t, "spans");
    assert_int_equal(json_array_size(spans), 3);
    assert_string_equal(text(json_array_get(spans, 2), "startNs"), "3020000000");
    assert_null(json_object_get(json_array_get(spans, 2), "movedNs"));
    assert_null(json_object_get(json_array_get(spans, 2), "warnings"));
    assert_true(json_is_false(json_object_get(t, "incomplete")));
    assert_true(json_equal(t, same));
    json_decref(same);
    json_decref(t);
    store_close(s);
}

static void test_repaired(void **state)
{
    (void)state;
    struct store *s = filled_store();
    json_t *t = ask(s, PATH "?repaired=true", 200), *spans = json_object_get(t, "spans");
    assert_int_equal(json_array_size(spans), 2);
    json_t *first = json_array_get(spans, 0), *moved = json_array_get(spans, 1);
    assert_string_equal(text(first, "movedNs"), "0");
    assert_int_equal(json_array_size(json_object_get(first, "warnings")), 0);
    assert_string_equal(text(moved, "startNs"), "1020000000");
    assert_string_equal(text(moved, "movedNs"), "-2000000000");
    assert_string_equal(json_string_value(json_array_get(json_object_get(moved, "warnings"), 0)),
                        "This span's timestamps were adjusted by -2000ms");
    assert_true(json_number_value(json_object_get(t, "durationMs")) == 100);
    assert_true(json_is_false(json_object_get(t, "incomplete")));
    json_decref(t);
    store_close(s);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        unsigned status;
        const char *parameter;
    } cases[] = {
        { PATH "?repaired=1", 400, "repaired" },
        { "/api/v1/traces/a", 400, "id" },
        { "/api/v1/traces/0000000000000000000000000000000b?repaired=true", 404, "id" },
    };
    struct store *s = filled_store();
    for (size_t i = 0; i < NELEMS(cases); i++) {
        json_t *j = ask(s, cases[i].target, cases[i].status);
        assert_string_equal(text(json_object_get(j, "error"), "parameter"), cases[i].parameter);
        json_decref(j);
    }
    store_close(s);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct store *s = filled_store();
    const struct api api = { .store = s };
    struct request rq = { .method = SV("GET"), .target = SV(PATH "?repaired=true") };
    for (uint64_t n = 1;; n++) {
        AUTO_DONE(answer) a = { 0 };
        mem_fail_nth(n);
        api_answer(&api, &rq, &a);
        bool is_over = mem_count() < n;
        mem_fail_nth(0);
        /* 200: a note that cannot be made leaves its span as it was sent. 400: the parameters
         * could not be kept. */
        assert_true(a.status == 200 || a.status == 503 || a.status == 400);
        assert_true(!is_over || a.status == 200);
        if (is_over)
            break;
    }
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_sent),
        cmocka_unit_test(test_repaired),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
