/* search_cases.c - searches of every kind against the oracle, page by page, and what a bound does. */
#include "base/mem.h"
#include "contract.h"
#include "model/window.h"

static void search(struct store *s, const struct span_query *q, struct seen *seen,
                   struct search_end *end)
{
    struct err err = { 0 };
    if (store_search(s, q, see_trace, seen, end, &err) < 0)
        fail_msg("search: %s", err.why);
}

static void assert_same_summary(const struct trace_summary *s, const struct trace_summary *t)
{
    assert_true(trace_id_eq(s->trace_id, t->trace_id));
    assert_int_equal(s->start_ns, t->start_ns);
    assert_int_equal(s->end_ns, t->end_ns);
    assert_int_equal(s->spans_len, t->spans_len);
    assert_int_equal(s->errors_len, t->errors_len);
    assert_true(sv_eq(s->root_service, t->root_service));
    assert_true(sv_eq(s->root_name, t->root_name));
}

/* The same page of both; *ret_end is where it ends. */
static void assert_same_page(struct store *a, struct store *b, const struct span_query *q,
                             struct search_end *ret_end)
{
    struct seen x = { 0 }, y = { 0 };
    struct search_end ex, ey;
    search(a, q, &x, &ex);
    search(b, q, &y, &ey);
    assert_int_equal(x.traces_len, y.traces_len);
    for (size_t i = 0; i < x.traces_len; i++)
        assert_same_summary(&x.traces[i], &y.traces[i]);
    assert_int_equal(ex.bound, SEARCH_NO_BOUND);
    assert_int_equal(ey.bound, SEARCH_NO_BOUND);
    assert_int_equal(ex.has_more, ey.has_more);
    if (ex.has_more) {
        assert_int_equal(ex.next.match_ns, ey.next.match_ns);
        assert_true(trace_id_eq(ex.next.id, ey.next.id));
    }
    seen_done(&x);
    seen_done(&y);
    *ret_end = ex;
}

static void assert_same_pages(struct store *a, struct store *b, struct span_query q)
{
    struct search_position after;
    struct search_end end;
    assert_same_page(a, b, &q, &end);
    for (int page = 0; page < 4 && end.has_more; page++) {
        after = end.next;
        q.after = &after;
        assert_same_page(a, b, &q, &end);
    }
}

struct random_query {
    struct span_query q;
    struct attr_wish attrs[3];
};

static void wish(struct random_source *r, struct random_query *rq, const struct attrs *from,
                 enum attr_level level)
{
    if (!from->len || rq->q.attrs_len == NELEMS(rq->attrs))
        return;
    struct attr_wish *w = &rq->attrs[rq->q.attrs_len++];
    *w = (struct attr_wish){ from->list[random_below(r, from->len)], level };
    if (random_below(r, 12) == 0)
        w->attr.key = SV("nowhere");
}

static void wish_anywhere(struct random_source *r, struct random_query *rq, const struct span *s)
{
    const struct attrs none = { 0 };
    switch (random_below(r, 10)) {
    case 0: wish(r, rq, &s->attrs, ATTR_OF_SPAN_OR_RESOURCE); break;
    case 1: wish(r, rq, &s->resource->attrs, ATTR_OF_SPAN_OR_RESOURCE); break;
    case 2: wish(r, rq, &s->attrs, ATTR_OF_SPAN); break;
    case 3: wish(r, rq, &s->resource->attrs, ATTR_OF_RESOURCE); break;
    case 4: wish(r, rq, &s->scope->attrs, ATTR_OF_SCOPE); break;
    case 5: wish(r, rq, s->events_len ? &s->events[0].attrs : &none, ATTR_OF_EVENT); break;
    case 6: wish(r, rq, s->links_len ? &s->links[0].attrs : &none, ATTR_OF_LINK); break;
    case 7: wish(r, rq, &s->attrs, ATTR_ANYWHERE); break;
    case 8: wish(r, rq, &s->resource->attrs, ATTR_ANYWHERE); break;
    case 9: wish(r, rq, s->events_len ? &s->events[0].attrs : &none, ATTR_ANYWHERE); break;
    }
}

static int64_t near(int64_t t_ns, struct random_source *r, int sign)
{
    int64_t by = (int64_t)random_below(r, 1000);
    return sign < 0 ? MAX(t_ns, INT64_MIN + 1000) - by : MIN(t_ns, INT64_MAX - 1000) + by;
}

/* A query made of pieces of a span that is there, so that most of them find something. */
static void query_about(struct random_source *r, const struct span *s, struct random_query *rq)
{
    *rq = (struct random_query){ .q = { .limit = 1 + random_below(r, 20) } };
    struct span_query *q = &rq->q;
    if (random_below(r, 3) == 0)
        q->window = (struct window){ near(s->start_ns, r, -1), near(s->start_ns, r, 1) };
    if (random_below(r, 3) == 0)
        q->service = attrs_str(&s->resource->attrs, SV("service.name"));
    if (random_below(r, 3) == 0)
        q->operation = s->name;
    if (random_below(r, 5) == 0)
        q->statuses = 1u << STATUS_ERROR | (random_below(r, 2) ? 1u << STATUS_OK : 0);
    if (random_below(r, 4) == 0)
        q->min_duration_ns = (int64_t)random_below(r, 600);
    if (random_below(r, 6) == 0)
        q->max_duration_ns = (int64_t)random_below(r, 900);
    if (random_below(r, 4) == 0 && (unsigned)s->kind < 32)
        q->kinds = 1u << s->kind;
    for (uint64_t n = random_below(r, 3); n; n--)
        wish_anywhere(r, rq, s);
    q->attrs = rq->attrs;
}

/* Batches of every kind, questions in between, and once more after a restart. */
static void random_searches_agree_with_the_oracle(struct world *w)
{
    struct store *oracle = oracle_open();
    struct random_source r = { 11 };
    AUTO_FREE(batch) b = NULL;
    for (size_t i = 0; i < 30; i++) {
        int64_t at_ns = 1000000 + (int64_t)i * 300;
        batch_free(b);
        b = i % 3 == 0   ? random_batch(&r, 1 + random_below(&r, 40), 0, at_ns)
            : i % 3 == 1 ? mesh_batch(&r, 60, at_ns)
                         : rich_batch(&r, 30, at_ns);
        put_one(w->store, b);
        put_one(oracle, b);
        for (size_t n = 0; n < 10; n++) {
            struct random_query rq;
            query_about(&r, &b->spans[random_below(&r, b->spans_len)], &rq);
            assert_same_pages(oracle, w->store, rq.q);
        }
        if (i % 10 == 9)
            world_reopen(w);
    }
    store_close(oracle);
}

static const struct attr level_attrs[] = {
    { { "k", 1 }, { .type = VALUE_STR, .str = { "span", 4 } } },
    { { "k", 1 }, { .type = VALUE_STR, .str = { "resource", 8 } } },
    { { "k", 1 }, { .type = VALUE_STR, .str = { "scope", 5 } } },
    { { "k", 1 }, { .type = VALUE_STR, .str = { "event", 5 } } },
    { { "k", 1 }, { .type = VALUE_STR, .str = { "link", 4 } } },
};

/* A span with another value of the same key at each level. */
static void attributes_at_every_level(struct world *w)
{
    static const struct resource resource = { { &level_attrs[1], 1, 0 }, { NULL, 0 } };
    static const struct scope scope = {
        { NULL, 0 }, { NULL, 0 }, { &level_attrs[2], 1, 0 }, { NULL, 0 }
    };
    static const struct span_event event = { 5, { "e", 1 }, { &level_attrs[3], 1, 0 } };
    static const struct span_link link = { .attrs = { &level_attrs[4], 1, 0 } };
    AUTO_FREE(batch) other = one_span_batch(1, 1, 4000);
    put_one(w->store, other);
    AUTO_FREE(batch) b = one_span_batch(2, 1, 5000);
    struct span *s = &b->spans[0];
    s->attrs = (struct attrs){ &level_attrs[0], 1, 0 };
    s->resource = &resource;
    s->scope = &scope;
    s->events = &event;
    s->links = &link;
    s->events_len = s->links_len = 1;
    put_one(w->store, b);
    /* By level, which of the five values is found there. */
    static const char *const found[ATTR_LEVELS_LEN] = { "xx---", "x----", "-x---", "--x--",
                                                        "---x-", "----x", "xxxxx" };
    for (int round = 0; round < 2; round++) {
        for (int level = 0; level < ATTR_LEVELS_LEN; level++) {
            for (size_t i = 0; i < NELEMS(level_attrs); i++) {
                struct attr_wish wish = { level_attrs[i], (enum attr_level)level };
                struct span_query q = { .attrs = &wish, .attrs_len = 1, .limit = 5 };
                struct seen seen = { 0 };
                struct search_end end;
                search(w->store, &q, &seen, &end);
                assert_int_equal(seen.traces_len, found[level][i] == 'x');
                seen_done(&seen);
            }
        }
        world_reopen(w);
    }
}

/* A map that two predicates ask about is read twice, and its texts are given back twice. */
static void two_predicates_on_one_map(struct world *w)
{
    static const struct attr inner[] = { { { "a", 1 }, { .type = VALUE_STR, .str = { "b", 1 } } } };
    static const struct attr map = { { "m", 1 },
                                     { .type = VALUE_KVLIST, .len = 1, .kvlist = inner } };
    for (uint8_t t = 1; t <= 16; t++) { /* two segments, where they are small */
        AUTO_FREE(batch) b = one_span_batch(t, 1, t * 100);
        b->spans[0].attrs = (struct attrs){ &map, 1, 0 };
        put_one(w->store, b);
    }
    world_reopen(w);
    const struct attr_wish wishes[] = { { map, ATTR_OF_SPAN }, { map, ATTR_OF_SPAN } };
    struct span_query q = { .attrs = wishes, .attrs_len = NELEMS(wishes), .limit = 20 };
    struct seen seen = { 0 };
    struct search_end end;
    search(w->store, &q, &seen, &end);
    assert_int_equal(seen.traces_len, 16);
    seen_done(&seen);
}

/* The traces of a page, as digits, and its end. */
static struct search_end page_of(struct store *s, const struct span_query *q, char *to, size_t size)
{
    struct seen seen = { 0 };
    struct search_end end;
    search(s, q, &seen, &end);
    assert_true(seen.traces_len < size);
    for (size_t i = 0; i < seen.traces_len; i++)
        to[i] = (char)('0' + seen.traces[i].trace_id.b[0]);
    to[seen.traces_len] = '\0';
    seen_done(&seen);
    return end;
}

/* Going on after a page gives nothing twice and misses nothing, whatever comes in meanwhile. */
static void pages_are_stable_under_new_data(struct world *w)
{
    for (uint8_t t = 1; t <= 6; t++) {
        AUTO_FREE(batch) b = one_span_batch(t, 1, t * 100);
        put_one(w->store, b);
    }
    char page[16];
    struct span_query q = { .limit = 2 };
    struct search_end end = page_of(w->store, &q, page, sizeof(page));
    assert_string_equal(page, "65");
    assert_true(end.has_more);
    /* A new trace, a second older span of a trace that was given, and one of a trace to come. */
    AUTO_FREE(batch) fresh = one_span_batch(7, 1, 900);
    AUTO_FREE(batch) again = one_span_batch(6, 2, 150);
    AUTO_FREE(batch) more = one_span_batch(3, 2, 250);
    put_one(w->store, fresh);
    put_one(w->store, again);
    put_one(w->store, more);
    q.after = &end.next;
    struct search_end second = page_of(w->store, &q, page, sizeof(page));
    assert_string_equal(page, "43");
    assert_true(second.has_more);
    world_reopen(w);
    q.after = &second.next;
    struct search_end third = page_of(w->store, &q, page, sizeof(page));
    assert_string_equal(page, "21");
    assert_false(third.has_more);
    q.limit = 9;
    q.after = &end.next;
    end = page_of(w->store, &q, page, sizeof(page));
    assert_string_equal(page, "4321");
    assert_false(end.has_more);
}

/* Traces of one start time go by their id; a page may end among them. */
static void pages_among_equals(struct world *w)
{
    for (uint8_t t = 5; t >= 1; t--) {
        AUTO_FREE(batch) b = one_span_batch(t, 1, 100);
        put_one(w->store, b);
    }
    char all[16] = "";
    struct span_query q = { .limit = 2 };
    struct search_end end = { 0 };
    for (int i = 0; i < 3; i++) {
        struct search_position after = end.next;
        q.after = i ? &after : NULL;
        end = page_of(w->store, &q, all + strlen(all), sizeof(all) - strlen(all));
        assert_int_equal(end.has_more, i < 2);
    }
    assert_string_equal(all, "12345");
}

/* What a bounded search gives is a beginning of what an unbounded one does, and going on gives the
 * rest. The oracle knows no bounds. */
static void a_bounded_search_goes_on(struct world *w)
{
    char expected[80] = "", got[80] = "";
    for (uint8_t t = 60; t >= 1; t--) {
        AUTO_FREE(batch) b = one_span_batch(t, 1, t * 100);
        put_one(w->store, b);
    }
    struct span_query q = { .limit = 60 };
    struct search_end end = page_of(w->store, &q, expected, sizeof(expected));
    assert_int_equal(strlen(expected), 60);
    assert_false(end.has_more);
    q.max_spans = 10;
    struct search_position after;
    int pages = 0;
    do {
        end = page_of(w->store, &q, got + strlen(got), sizeof(got) - strlen(got));
        assert_true(end.has_more == (end.bound != SEARCH_NO_BOUND));
        after = end.next;
        q.after = &after;
        assert_true(++pages < 70);
    } while (end.has_more);
    assert_string_equal(got, expected);
    assert_true(w->is_durable ? pages > 2 : pages == 1);
}

const struct contract_case search_cases[] = {
    { "random searches agree with the oracle", random_searches_agree_with_the_oracle },
    { "attributes at every level", attributes_at_every_level },
    { "two predicates on one map", two_predicates_on_one_map },
    { "pages are stable under new data", pages_are_stable_under_new_data },
    { "pages among equals", pages_among_equals },
    { "a bounded search goes on", a_bounded_search_goes_on },
};
const size_t search_cases_len = NELEMS(search_cases);
