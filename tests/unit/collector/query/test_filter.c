/* test_filter.c - the filter language: what parses, where it is wrong, and what it is true of. */
#include "../sample.h"
#include "base/mem.h"
#include "query/sieve.h"

/* user > frontend (http), frontend > reviews (http, a tenth fails), frontend > ratings (grpc),
 * reviews > db (tcp, plaintext, virtual). A minute's window. */
struct world {
    struct view view;
    struct view_net net;
    struct arena mem;
};
#define SECONDS 60.0

static void add(struct view_builder *b, const struct call *like, size_t n, size_t failed)
{
    struct edge e = { .source = like->source,
                      .destination = like->destination,
                      .protocol = like->protocol,
                      .destination_service = like->destination_service };
    struct edge_bucket bucket = { .edge = &e, .start_ns = T0, .width_ns = BUCKET_NS };
    struct edge_cell *cell = edge_bucket_cell(&bucket, REPORTER_SOURCE);
    for (size_t i = 0; i < n; i++) {
        struct call c = *like;
        if (i < failed)
            c.response_code = 503;
        assert_int_equal(edge_cell_add(cell, &c), 0);
    }
    assert_int_equal(view_builder_add(b, &bucket), 0);
    edge_bucket_done(&bucket);
}

static struct call call_of(const char *from, const char *to, enum protocol p)
{
    struct call c = sample_call(sv_z(from), sv_z(to), REPORTER_SOURCE, T0, 200);
    c.protocol = p;
    c.destination_service = SV("unknown");
    if (p == PROTOCOL_TCP)
        c.response_code = 0;
    if (p == PROTOCOL_GRPC)
        c.grpc_status = 0;
    return c;
}

static void fill(struct view *ret)
{
    struct view_wish w = { .window = { T0, T0 + 6 * BUCKET_NS } };
    AUTO_FREE(view_builder) b = view_builder_new(&w);
    struct call user = call_of("user", "frontend", PROTOCOL_HTTP);
    user.source = identity_unknown();
    user.source.workload = SV("user");
    struct call reviews = call_of("frontend", "reviews", PROTOCOL_HTTP);
    reviews.destination.version = SV("v2");
    reviews.duration_ns = 200 * NS_PER_MS;
    struct call ratings = call_of("frontend", "ratings", PROTOCOL_GRPC);
    struct call db = call_of("reviews", "db", PROTOCOL_TCP);
    db.source.version = SV("v2");
    db.destination.version = IDENTITY_UNKNOWN;
    db.destination_service = SV("db.shop.svc");
    db.tls = TLS_PLAINTEXT;
    add(b, &user, 120, 0);
    add(b, &reviews, 60, 6);
    add(b, &ratings, 30, 0);
    add(b, &db, 6, 0);
    assert_int_equal(view_builder_finish(b, ret, NULL), 0);
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){ 0 };
    fill(&w.view);
    *state = &w;
    return view_net_make(&w.view, &w.mem, &w.net);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    view_done(&w->view);
    arena_done(&w->mem);
    return 0;
}

/* Workloads of the nodes, then "source>destination" of the edges, that hold; in order of name and
 * of traffic. */
static void list(const struct world *w, const struct filter *f, struct buf *out)
{
    for (size_t i = 0; i < w->view.nodes_len; i++)
        if (filter_node(f, &w->net, i, SECONDS)) {
            buf_put(out, w->view.nodes[i].who.workload);
            buf_putc(out, ' ');
        }
    for (size_t i = 0; i < w->view.edges_len; i++)
        if (filter_edge(f, &w->net, i, SECONDS)) {
            buf_put(out, w->view.edges[i].edge.source.workload);
            buf_putc(out, '>');
            buf_put(out, w->view.edges[i].edge.destination.workload);
            buf_putc(out, ' ');
        }
}

/* clang-format off */
static const struct {
    const char *text, *holds;
} meanings[] = {
    { "name = reviews",                           "reviews " },
    { "name=reviews",                             "reviews " },
    { "NAME = reviews OR wl = ratings",           "ratings reviews " },
    { "name != reviews and ns = shop",            "db frontend ratings " },
    { "name startswith r",                        "ratings reviews " },
    { "name ^= r and not name $= s",              "" },
    { "name *= at",                               "ratings " },
    { "name !*= at and name !contains e",         "db " },
    { "name not startswith r and ns = shop",      "db frontend " },
    { "name contains \"e\\w\"",                   "reviews " },
    { "version = v2",                             "reviews " },
    { "node = virtual",                           "db " },
    { "external or virtual",                      "db user " },
    { "is root",                                  "user " },
    { "! healthy",                                "frontend reviews frontend>reviews " },
    { "failing",                                  "frontend reviews frontend>reviews " },
    { "rank <= 1",                                "frontend " },
    { "httpin > 1",                               "frontend " },
    { "grpcin > 0 and in < 1",                    "ratings " },
    { "tcpout > 0",                               "reviews " },
    { "rt > 100",                                 "frontend>reviews " },
    { "responsetime >= 100 and http > 0.9",       "frontend>reviews " },
    { "http = NaN",                               "frontend>ratings reviews>db " },
    { "%httperr = 10",                            "frontend>reviews " },
    { "%httperr >= 10 or protocol = tcp",         "frontend>reviews reviews>db " },
    { "%grpctraffic = 100",                       "frontend>ratings " },
    { "has mtls and protocol = grpc",             "frontend>ratings " },
    { "plaintext",                                "reviews>db " },
    { "tls = plaintext",                          "reviews>db " },
    { "host $= .svc",                             "reviews>db " },
    { "source.name = frontend and dest.version = v2", "frontend>reviews " },
    { "dest.virtual",                             "reviews>db " },
    { "not dest.virtual and not source.external", "frontend>reviews frontend>ratings " },
    { "name = db or rt > 100",                    "db frontend>reviews " },
    { "requests >= 120",                          "frontend user user>frontend " },
    { "name = db or name = user and ns = x",      "db " },
    { "(name = db or name = user) and ns = x",    "" },
    { "not (name = db or name = user)",           "frontend ratings reviews " },
    { "!(name = db || name = user) && !version = v2", "frontend ratings " },
    { "name = \"\"",                              "" },
};

static const struct {
    const char *text;
    size_t at;
    const char *why; /* a part of it */
} mistakes[] = {
    { "",                               0,  "ends where a condition is missing" },
    { "name =",                         6,  "want a value" },
    { "name",                           4,  "want an operator" },
    { "name = a or",                    11, "ends where" },
    { "colour = red",                   0,  "no such name" },
    { "circuitbreaker",                 0,  "no such name" },
    { "name = a b",                     9,  "want and, or, or the end" },
    { "(name = a",                      0,  "the parenthesis is not closed" },
    { "(name = a b)",                   10, "closing parenthesis" },
    { "name = a)",                      8,  "want and, or, or the end" },
    { "name = \"a",                     7,  "quote is not closed" },
    { "rt > fast",                      4,  "want a number" },
    { "rt > inf",                       4,  "want a number" },
    { "rt *= 5",                        5,  "this is a number" },
    { "name > a",                       6,  "this is a text" },
    { "mtls = true",                    4,  "stands alone" },
    { "source.rt > 5",                  0,  "go with what nodes have" },
    { "name = a and rt > 5",            0,  "never true" },
    { "not (name = a or rt > 5)",       0,  "never true" },
};
/* clang-format on */

static void test_meanings(void **state)
{
    for (size_t i = 0; i < NELEMS(meanings); i++) {
        AUTO_DONE(arena) mem = { 0 };
        AUTO_DONE(buf) out = { 0 };
        const struct filter *f = NULL;
        struct err err = { 0 };
        print_message("case: %s\n", meanings[i].text);
        if (filter_parse(sv_z(meanings[i].text), &mem, &f, &err) < 0)
            fail_msg("%s", err.why);
        list(*state, f, &out);
        buf_putc(&out, '\0');
        assert_string_equal(buf_sv(&out).p, meanings[i].holds);
    }
}

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(mistakes); i++) {
        AUTO_DONE(arena) mem = { 0 };
        const struct filter *f = NULL;
        struct err err = { 0 };
        print_message("case: %s\n", mistakes[i].text);
        assert_true(filter_parse(sv_z(mistakes[i].text), &mem, &f, &err) < 0);
        print_message("      %s\n", err.why);
        assert_int_equal(err.code, ERR_MALFORMED);
        assert_int_equal(err.at, mistakes[i].at);
        assert_true(sv_contains(sv_z(err.why), sv_z(mistakes[i].why)));
    }
}

static void test_limits(void **state)
{
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) deep = { 0 };
    AUTO_DONE(buf) wide = { 0 };
    const struct filter *f = NULL;
    struct err err = { 0 };
    (void)state;
    for (size_t i = 0; i < FILTER_DEPTH_MAX; i++)
        buf_putc(&deep, '(');
    assert_int_equal(filter_parse(buf_sv(&deep), &mem, &f, &err), ERR_LIMIT);
    for (size_t i = 0; i <= FILTER_TERMS_MAX; i++)
        buf_put(&wide, i ? SV(" or root") : SV("root"));
    err = (struct err){ 0 };
    assert_int_equal(filter_parse(buf_sv(&wide), &mem, &f, &err), ERR_LIMIT);
    for (size_t i = 0; i <= FILTER_TEXT_MAX; i++)
        buf_putc(&wide, ' ');
    assert_int_equal(filter_parse(buf_sv(&wide), &mem, &f, NULL), ERR_LIMIT);
}

static void test_memory(void **state)
{
    const char *text = "not (name = \"a b\" or version != v1) and in > 5";
    (void)state;
    for (size_t n = 1;; n++) {
        AUTO_DONE(arena) mem = { 0 };
        const struct filter *f = NULL;
        mem_fail_nth(n);
        int rc = filter_parse(sv_z(text), &mem, &f, NULL);
        mem_fail_nth(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
}

/* Query, edges left, nodes left. */
static const struct {
    const char *query;
    size_t edges, nodes;
} sieves[] = {
    { "", 4, 5 },
    { "external=false", 2, 3 },
    { "minRequests=30", 3, 4 },
    { "minRate=1", 2, 3 },
    { "hide=name%3Dfrontend", 1, 2 },
    { "hide=rt%3E100", 3, 5 },
    { "hide=protocol%3Dhttp+or+node%3Dvirtual", 1, 2 },
    { "keep=name%3Dreviews", 2, 3 },
    { "keep=name%3Dreviews&hide=virtual", 1, 2 },
    { "keep=plaintext", 1, 2 },
    { "keep=%20", 4, 5 },
};

static void test_sieve(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(sieves); i++) {
        static const struct param_rule rules[] = { SIEVE_PARAMS, { NULL, false } };
        AUTO_DONE(params) p = { 0 };
        AUTO_DONE(view) v = { 0 };
        struct sieve s;
        print_message("case: %s\n", sieves[i].query);
        assert_int_equal(params_parse(&p, sv_z(sieves[i].query), rules, T0), 0);
        assert_int_equal(sieve_read(&p, &s), 0);
        fill(&v);
        assert_int_equal(sieve_apply(&s, &v, SECONDS, NULL), 0);
        assert_int_equal(v.edges_len, sieves[i].edges);
        assert_int_equal(v.nodes_len, sieves[i].nodes);
    }
}

static void test_neighbourhood(void **state)
{
    static const struct {
        const char *node;
        uint32_t depth;
        enum net_direction direction;
        size_t edges, nodes;
    } cases[] = {
        { "frontend", 1, NET_BOTH, 3, 4 }, { "frontend", 2, NET_BOTH, 4, 5 },
        { "frontend", 1, NET_IN, 1, 2 },   { "frontend", 9, NET_OUT, 3, 4 },
        { "db", 1, NET_BOTH, 1, 2 },       { "db", 2, NET_IN, 2, 3 },
        { "db", 5, NET_OUT, 0, 1 },
    };
    struct world *w = *state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(view) v = { 0 };
        struct sieve s = { .has_node = true,
                           .depth = cases[i].depth,
                           .direction = cases[i].direction };
        for (size_t k = 0; k < w->view.nodes_len; k++)
            if (sv_eq(w->view.nodes[k].who.workload, sv_z(cases[i].node)))
                s.node_id = w->view.nodes[k].id;
        fill(&v);
        assert_int_equal(sieve_apply(&s, &v, SECONDS, NULL), 0);
        assert_int_equal(v.edges_len, cases[i].edges);
        assert_int_equal(v.nodes_len, cases[i].nodes);
    }
    AUTO_DONE(view) v = { 0 };
    struct sieve s = { .has_node = true, .node_id = 1, .depth = 1 };
    fill(&v);
    assert_int_equal(sieve_apply(&s, &v, SECONDS, NULL), ERR_NOT_FOUND);
}

static void test_pages(void **state)
{
    (void)state;
    size_t seen = 0;
    for (size_t from = 0; from < 6; from++) {
        AUTO_DONE(view) v = { 0 };
        fill(&v);
        assert_int_equal(sieve_page(&v, from, 1, NULL), 0);
        assert_int_equal(v.nodes_len, 2 * v.edges_len);
        seen += v.edges_len;
    }
    assert_int_equal(seen, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meanings), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_sieve),    cmocka_unit_test(test_neighbourhood),
        cmocka_unit_test(test_pages),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
