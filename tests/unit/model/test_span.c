/* test_span.c - looking attributes up, exact comparison, batches, identities, names, windows. */
#include "base/mem.h"
#include "model/batch.h"
#include "model/window.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct value nested[] = {
    { .type = VALUE_STR, .str = { "x", 1 } },
    { .type = VALUE_INT, .integer = -3 },
};
static const struct attr inner[] = {
    { { "k", 1 }, { .type = VALUE_DOUBLE, .real = 0.5 } },
};
static const struct attr some_attrs[] = {
    { { "a", 1 }, { .type = VALUE_STR, .str = { "one", 3 } } },
    { { "a", 1 }, { .type = VALUE_STR, .str = { "two", 3 } } },
    { { "b", 1 }, { .type = VALUE_BOOL, .boolean = true } },
    { { "c", 1 }, { .type = VALUE_ARRAY, .len = 2, .array = nested } },
    { { "d", 1 }, { .type = VALUE_KVLIST, .len = 1, .kvlist = inner } },
    { { "e", 1 }, { .type = VALUE_BYTES, .str = { "one", 3 } } },
    { { "f", 1 }, { .type = VALUE_EMPTY } },
};

static void test_lookup(void **state)
{
    (void)state;
    struct attrs a = { some_attrs, NELEMS(some_attrs), 0 };
    assert_true(sv_eq(attrs_str(&a, SV("a")), SV("one")));
    assert_int_equal(attrs_str(&a, SV("b")).len, 0);
    assert_int_equal(attrs_str(&a, SV("e")).len, 0);
    assert_null(attrs_get(&a, SV("")));
    assert_non_null(attrs_get(&a, SV("f")));
    for (size_t i = 0; i < NELEMS(some_attrs); i++)
        for (size_t j = 0; j < NELEMS(some_attrs); j++)
            assert_int_equal(value_eq(&some_attrs[i].value, &some_attrs[j].value), i == j);
}

/* Each row changes one field; the spans must then differ. */
static void vary(struct span *s, int field)
{
    static const struct attr other[] = { { { "z", 1 }, { .type = VALUE_EMPTY } } };
    static const struct resource other_resource = { { other, 1, 0 }, { NULL, 0 } };
    static const struct scope other_scope = { .version = { "2", 1 } };
    static const struct span_event events[] = { { 1, { "e", 1 }, { NULL, 0, 0 } } };
    static const struct span_link links[] = { { .flags = 1 } };
    switch (field) {
    case 0: s->trace_id.b[15] = 9; return;
    case 1: s->span_id.b[0] = 9; return;
    case 2: s->parent_id.b[7] = 9; return;
    case 3: s->kind = SPAN_KIND_SERVER; return;
    case 4: s->status = STATUS_ERROR; return;
    case 5: s->start_ns = 9; return;
    case 6: s->end_ns = 9; return;
    case 7: s->name = SV("other"); return;
    case 8: s->status_message = SV("m"); return;
    case 9: s->trace_state = SV("t=1"); return;
    case 10: s->flags = 1; return;
    case 11: s->dropped_events = 1; return;
    case 12: s->dropped_links = 1; return;
    case 13: s->attrs.dropped = 1; return;
    case 14: s->attrs = (struct attrs){ other, 1, 0 }; return;
    case 15: s->attrs.len--; return;
    case 16: s->resource = &other_resource; return;
    case 17: s->scope = &other_scope; return;
    case 18: s->events = events, s->events_len = 1; return;
    default: s->links = links, s->links_len = 1; return;
    }
}

static void test_equality(void **state)
{
    (void)state;
    static const struct resource resource, resource_again;
    static const struct scope scope;
    struct span a = { .name = SV("n"),
                      .attrs = { some_attrs, NELEMS(some_attrs), 0 },
                      .resource = &resource,
                      .scope = &scope };
    struct span b = a;
    b.resource = &resource_again; /* equal by content */
    assert_true(span_eq(&a, &b));
    for (int field = 0; field < 20; field++) {
        print_message("case: field %d\n", field);
        struct span changed = a;
        vary(&changed, field);
        assert_false(span_eq(&a, &changed));
        assert_true(span_eq(&changed, &changed));
    }
}

static void test_batch(void **state)
{
    (void)state;
    AUTO_FREE(batch) b = batch_new();
    for (size_t i = 0; i < 100; i++) {
        struct span *s = batch_add_span(b);
        assert_non_null(s);
        assert_int_equal(s->start_ns, 0);
        s->start_ns = (int64_t)i + 1;
        struct call *c = batch_add_call(b);
        assert_non_null(c);
        c->start_ns = (int64_t)i + 1;
    }
    assert_int_equal(b->spans_len, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(b->spans[i].start_ns, i + 1);
        assert_int_equal(b->calls[i].start_ns, i + 1);
    }
    assert_null(batch_free(NULL));
    mem_fail_nth(1);
    assert_null(batch_new());
    AUTO_FREE(batch) small = batch_new();
    mem_fail_nth(1);
    assert_null(batch_add_span(small));
    mem_fail_nth(1);
    assert_null(batch_add_call(small));
    mem_fail_nth(0);
    assert_non_null(batch_add_span(small));
}

static void test_identity(void **state)
{
    (void)state;
    struct identity unknown = identity_unknown(), copy;
    AUTO_DONE(arena) mem = { 0 };
    assert_int_equal(identity_copy(&mem, &(struct identity){ .workload = SV("w") }, &copy), 0);
    assert_true(sv_eq(copy.workload, SV("w")));
    assert_true(sv_eq(copy.principal, SV("unknown")));
    assert_false(identity_same_node(&unknown, &copy));
    copy.workload = SV("unknown");
    copy.service = SV("s");
    assert_true(identity_same_node(&unknown, &copy));
    AUTO_DONE(arena) other = { 0 };
    mem_fail_nth(1);
    assert_int_equal(identity_copy(&other, &unknown, &copy), -1);
    mem_fail_nth(0);
    assert_true(sv_eq(copy.service, SV("s")));
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < REPORTERS_LEN; i++) {
        enum reporter back;
        assert_true(reporter_from_sv(sv_z(reporter_name((enum reporter)i)), &back));
        assert_int_equal(back, i);
    }
    for (int i = 0; i < PROTOCOLS_LEN; i++) {
        enum protocol back;
        assert_true(protocol_from_sv(sv_z(protocol_name((enum protocol)i)), &back));
        assert_int_equal(back, i);
    }
    for (int i = 0; i < TLS_STATES_LEN; i++) {
        enum tls_state back;
        assert_true(tls_state_from_sv(sv_z(tls_state_name((enum tls_state)i)), &back));
        assert_int_equal(back, i);
    }
    enum protocol unset = PROTOCOL_TCP;
    assert_false(protocol_from_sv(SV("htt"), &unset));
    assert_int_equal(unset, PROTOCOL_TCP);
    assert_string_equal(span_kind_name(SPAN_KIND_CLIENT), "client");
    assert_string_equal(span_kind_name((enum span_kind)77), "unspecified");
}

/* clang-format off */
static const struct { int64_t t, step, down, up; } window_cases[] = {
    { 0,          10, 0,           0 },
    { 1,          10, 0,           10 },
    { 10,         10, 10,          10 },
    { -1,         10, -10,         0 },
    { -10,        10, -10,         -10 },
    { INT64_MAX,  10, INT64_MAX/10*10, INT64_MAX },
    { INT64_MIN,  10, INT64_MIN,   INT64_MIN/10*10 },
};
/* clang-format on */

static void test_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(window_cases); i++) {
        assert_int_equal(window_align_down(window_cases[i].t, window_cases[i].step),
                         window_cases[i].down);
        assert_int_equal(window_align_up(window_cases[i].t, window_cases[i].step),
                         window_cases[i].up);
    }
    struct window w = { 5, 7 };
    assert_true(window_contains(w, 5) && window_contains(w, 6));
    assert_false(window_contains(w, 4) || window_contains(w, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup), cmocka_unit_test(test_equality),
        cmocka_unit_test(test_batch),  cmocka_unit_test(test_identity),
        cmocka_unit_test(test_names),  cmocka_unit_test(test_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
