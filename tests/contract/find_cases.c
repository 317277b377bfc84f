/* find_cases.c - traces in order, every predicate of a search, operations, access records. */
#include "base/mem.h"
#include "contract.h"

static void trace_is_in_order_of_start(struct world *w)
{
    static const int64_t starts[] = { 50, 10, 40, 10, 30, -5, 10 };
    for (size_t i = 0; i < NELEMS(starts); i++) {
        AUTO_FREE(batch) b = one_span_batch(1, (uint8_t)(i + 1), starts[i]);
        put_one(w->store, b);
        AUTO_FREE(batch) other = one_span_batch(2, 1, starts[i]);
        put_one(w->store, other);
    }
    for (int round = 0; round < 2; round++) {
        struct seen seen = { 0 };
        assert_int_equal(store_trace(w->store, trace_of(1), see_span, &seen, NULL), 0);
        static const uint8_t order[] = { 6, 2, 4, 7, 5, 3, 1 };
        assert_int_equal(seen.copy->spans_len, NELEMS(order));
        for (size_t i = 0; i < NELEMS(order); i++)
            assert_int_equal(seen.copy->spans[i].span_id.b[0], order[i]);
        seen_done(&seen);
        world_reopen(w);
    }
    struct seen none = { 0 };
    struct err err = { 0 };
    assert_int_equal(store_trace(w->store, trace_of(9), see_span, &none, &err), ERR_NOT_FOUND);
    assert_null(none.copy);
}

static const struct attr checkout_attrs[] = {
    { { "service.name", 12 }, { .type = VALUE_STR, .str = { "checkout", 8 } } },
    { { "zone", 4 }, { .type = VALUE_STR, .str = { "a", 1 } } },
};
static const struct attr cart_attrs[] = {
    { { "service.name", 12 }, { .type = VALUE_STR, .str = { "cart", 4 } } },
};
static const struct resource checkout = { { checkout_attrs, 2, 0 }, { NULL, 0 } };
static const struct resource cart = { { cart_attrs, 1, 0 }, { NULL, 0 } };
static const struct scope no_scope;
static const struct attr tags_200[] = {
    { { "code", 4 }, { .type = VALUE_INT, .integer = 200 } },
    { { "path", 4 }, { .type = VALUE_STR, .str = { "/pay", 4 } } },
};
static const struct attr tags_500[] = {
    { { "code", 4 }, { .type = VALUE_INT, .integer = 500 } },
    { { "code", 4 }, { .type = VALUE_STR, .str = { "200", 3 } } },
    { { "retry", 5 }, { .type = VALUE_BOOL, .boolean = true } },
};

/* Three traces: 1 checkout -> cart, 2 cart alone with an error, 3 without any resource. */
static void put_three_traces(struct store *s)
{
    static const struct resource none;
    AUTO_FREE(batch) b = batch_new();
    b->received_ns = 5000;
    struct span list[] = {
        { .trace_id = trace_of(1),
          .span_id = { { 1 } },
          .start_ns = 1000,
          .end_ns = 1900,
          .name = SV("pay"),
          .kind = SPAN_KIND_CLIENT,
          .attrs = { tags_200, 2, 0 },
          .resource = &checkout,
          .scope = &no_scope },
        { .trace_id = trace_of(1),
          .span_id = { { 2 } },
          .parent_id = { { 1 } },
          .start_ns = 1100,
          .end_ns = 1200,
          .name = SV("reserve"),
          .kind = SPAN_KIND_SERVER,
          .resource = &cart,
          .scope = &no_scope,
          .status = STATUS_OK },
        { .trace_id = trace_of(2),
          .span_id = { { 3 } },
          .parent_id = { { 9 } },
          .start_ns = 2000,
          .end_ns = 2050,
          .name = SV("reserve"),
          .kind = SPAN_KIND_SERVER,
          .resource = &cart,
          .scope = &no_scope,
          .status = STATUS_ERROR,
          .attrs = { tags_500, 3, 0 } },
        { .trace_id = trace_of(3),
          .span_id = { { 4 } },
          .start_ns = 3000,
          .end_ns = 2000,
          .name = SV(""),
          .resource = &none,
          .scope = &no_scope },
    };
    for (size_t i = 0; i < NELEMS(list); i++)
        *batch_add_span(b) = list[i];
    put_one(s, b);
}

/* clang-format off */
static const struct attr_wish want_200 =  { .attr = { { "code", 4 },  { .type = VALUE_INT, .integer = 200 } } };
static const struct attr_wish want_200s = { .attr = { { "code", 4 },  { .type = VALUE_STR, .str = { "200", 3 } } } };
static const struct attr_wish want_zone = { .attr = { { "zone", 4 },  { .type = VALUE_STR, .str = { "a", 1 } } } };
static const struct attr_wish want_both[] = {
    { .attr = { { "code", 4 },  { .type = VALUE_INT, .integer = 500 } } },
    { .attr = { { "retry", 5 }, { .type = VALUE_BOOL, .boolean = true } } },
};
static const struct attr_wish want_other[] = {
    { .attr = { { "code", 4 },  { .type = VALUE_INT, .integer = 200 } } },
    { .attr = { { "retry", 5 }, { .type = VALUE_BOOL, .boolean = true } } },
};
static const struct { const char *name; struct span_query q; const char *traces; } predicate_cases[] = {
    { "everything, newest first", { .limit = 9 },                                         "321" },
    { "limit",                    { .limit = 2 },                                         "32" },
    { "window",                   { .limit = 9, .window = { 1000, 2000 } },               "1" },
    { "window on the start",      { .limit = 9, .window = { 1001, 2001 } },               "21" },
    { "service",                  { .limit = 9, .service = { "cart", 4 } },               "21" },
    { "service and operation",    { .limit = 9, .service = { "checkout", 8 }, .operation = { "pay", 3 } }, "1" },
    { "not on one span",          { .limit = 9, .service = { "cart", 4 }, .operation = { "pay", 3 } },     "" },
    { "operation",                { .limit = 9, .operation = { "reserve", 7 } },          "21" },
    { "errors",                   { .limit = 9, .statuses = 1u << STATUS_ERROR },                    "2" },
    { "errors of another service",{ .limit = 9, .statuses = 1u << STATUS_ERROR, .service = { "checkout", 8 } },       "" },
    { "at least 100 ns",          { .limit = 9, .min_duration_ns = 100 },                 "1" },
    { "at most 60 ns",            { .limit = 9, .max_duration_ns = 60 },                  "32" },
    { "between",                  { .limit = 9, .min_duration_ns = 1, .max_duration_ns = 60 }, "2" },
    { "typed integer",            { .limit = 9, .attrs = &want_200, .attrs_len = 1 },     "1" },
    { "typed text, second of that key", { .limit = 9, .attrs = &want_200s, .attrs_len = 1 }, "2" },
    { "resource attribute",       { .limit = 9, .attrs = &want_zone, .attrs_len = 1 },    "1" },
    { "two attributes",           { .limit = 9, .attrs = want_both, .attrs_len = 2 },     "2" },
    { "two, never together",      { .limit = 9, .attrs = want_other, .attrs_len = 2 },    "" },
    { "kind",                     { .limit = 9, .kinds = 1u << SPAN_KIND_CLIENT },        "1" },
    { "one of two kinds",         { .limit = 9, .kinds = 1u << SPAN_KIND_SERVER | 1u << SPAN_KIND_UNSPECIFIED }, "321" },
    { "no such kind",             { .limit = 9, .kinds = 1u << SPAN_KIND_PRODUCER },      "" },
    { "unknown service",          { .limit = 9, .service = { "nobody", 6 } },             "" },
};
/* clang-format on */

static void every_predicate(struct world *w)
{
    put_three_traces(w->store);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < NELEMS(predicate_cases); i++) {
            print_message("case: %s\n", predicate_cases[i].name);
            struct seen seen = { 0 };
            struct search_end end;
            assert_int_equal(
                store_search(w->store, &predicate_cases[i].q, see_trace, &seen, &end, NULL), 0);
            char got[8] = "";
            for (size_t t = 0; t < seen.traces_len; t++)
                got[t] = (char)('0' + seen.traces[t].trace_id.b[0]);
            assert_string_equal(got, predicate_cases[i].traces);
            assert_int_equal(end.bound, SEARCH_NO_BOUND);
            seen_done(&seen);
        }
        world_reopen(w);
    }
    struct span_query no_limit = { 0 };
    struct search_end ignored;
    assert_int_equal(store_search(w->store, &no_limit, see_trace, NULL, &ignored, NULL), ERR_USAGE);
}

static void summaries_cover_the_whole_trace(struct world *w)
{
    put_three_traces(w->store);
    AUTO_FREE(batch) late = one_span_batch(1, 77, 9000); /* arrives in another batch */
    late->spans[0].parent_id.b[0] = 1;
    late->spans[0].status = STATUS_ERROR;
    put_one(w->store, late);
    struct span_query q = { .limit = 1, .service = SV("cart"), .window = { 0, 1500 } };
    struct seen seen = { 0 };
    struct search_end end;
    assert_int_equal(store_search(w->store, &q, see_trace, &seen, &end, NULL), 0);
    assert_int_equal(seen.traces_len, 1);
    const struct trace_summary *t = &seen.traces[0];
    assert_int_equal(t->spans_len, 3);
    assert_int_equal(t->errors_len, 1);
    assert_int_equal(t->start_ns, 1000);
    assert_int_equal(t->end_ns, 9100);
    assert_true(sv_eq(t->root_service, SV("checkout")));
    assert_true(sv_eq(t->root_name, SV("pay")));
    seen_done(&seen);
}

static void operations_are_distinct_and_in_order(struct world *w)
{
    put_three_traces(w->store);
    put_three_traces(w->store);
    for (int round = 0; round < 2; round++) {
        struct seen seen = { 0 };
        assert_int_equal(store_operations(w->store, see_operation, &seen, NULL), 0);
        buf_putc(&seen.text, '\0');
        assert_string_equal(buf_sv(&seen.text).p, "||0\ncart|reserve|2\ncheckout|pay|3\n");
        seen_done(&seen);
        world_reopen(w);
    }
}

static void put_call(struct store *s, int64_t start_ns, const char *path)
{
    AUTO_FREE(batch) b = batch_new();
    b->received_ns = start_ns;
    struct call *c = batch_add_call(b);
    c->start_ns = start_ns;
    c->path = sv_z(path);
    put_one(s, b);
}

static void calls_newest_first(struct world *w)
{
    put_call(w->store, 30, "c");
    put_call(w->store, 10, "a");
    put_call(w->store, 40, "d");
    put_call(w->store, 20, "b1");
    put_call(w->store, 20, "b2");
    static const struct {
        struct window w;
        size_t limit;
        const char *paths;
    } cases[] = {
        { { 0, 100 }, 10, "d c b2 b1 a " },
        { { 0, 100 }, 3, "d c b2 " },
        { { 20, 40 }, 10, "c b2 b1 " },
        { { 41, 99 }, 10, "" },
    };
    for (size_t i = 0; i < 2 * NELEMS(cases); i++) {
        struct seen seen = { 0 };
        struct buf got = { 0 };
        size_t c = i % NELEMS(cases);
        assert_int_equal(store_calls(w->store, &cases[c].w, cases[c].limit, see_call, &seen, NULL),
                         0);
        for (size_t n = 0; seen.copy && n < seen.copy->calls_len; n++)
            buf_printf(&got, "%.*s ", SV_ARG(seen.copy->calls[n].path));
        buf_putc(&got, '\0');
        assert_string_equal(buf_sv(&got).p, cases[c].paths);
        buf_done(&got);
        seen_done(&seen);
        if (i + 1 == NELEMS(cases))
            world_reopen(w);
    }
}

struct compared_calls {
    struct store *other;
    struct window w;
    size_t at;
};
struct nth_call {
    size_t want, at;
    const struct call *against;
    bool same;
};

static int compare_nth_call(void *to, const struct call *c)
{
    struct nth_call *n = to;
    if (n->at++ != n->want)
        return 0;
    n->same = call_eq(c, n->against);
    return 1;
}

static int compare_call(void *to, const struct call *c)
{
    struct compared_calls *cmp = to;
    struct nth_call n = { .want = cmp->at++, .against = c };
    assert_int_equal(store_calls(cmp->other, &cmp->w, 1000, compare_nth_call, &n, NULL), 0);
    assert_true(n.same);
    return 0;
}

static void random_calls_come_back(struct world *w)
{
    struct store *oracle = oracle_open();
    struct random_source r = { 12 };
    for (size_t i = 0; i < 10; i++) {
        AUTO_FREE(batch) b = random_batch(&r, 0, 12, 1000000 + (int64_t)i * 100);
        put_one(w->store, b);
        put_one(oracle, b);
    }
    world_reopen(w);
    struct compared_calls cmp = { .other = w->store, .w = { INT64_MIN, INT64_MAX } };
    assert_int_equal(store_calls(oracle, &cmp.w, 1000, compare_call, &cmp, NULL), 0);
    assert_int_equal(cmp.at, 120);
    store_close(oracle);
}

static int stop_at_once(void *to, const struct span *s)
{
    (void)s;
    ++*(size_t *)to;
    return 1;
}

static void a_sink_can_stop(struct world *w)
{
    put_three_traces(w->store);
    size_t n = 0;
    assert_int_equal(store_trace(w->store, trace_of(1), stop_at_once, &n, NULL), 0);
    assert_int_equal(n, 1);
}

const struct contract_case find_cases[] = {
    { "trace is in order of start", trace_is_in_order_of_start },
    { "every predicate", every_predicate },
    { "summaries cover the whole trace", summaries_cover_the_whole_trace },
    { "operations are distinct and in order", operations_are_distinct_and_in_order },
    { "calls newest first", calls_newest_first },
    { "random calls come back", random_calls_come_back },
    { "a sink can stop", a_sink_can_stop },
};
const size_t find_cases_len = NELEMS(find_cases);
