/* test_pair.c - halves in every order, and what they become. */
#include "../sample.h"
#include "base/buf.h"
#include "base/mem.h"
#include "pair/pair.h"

enum { ATTRS = 4, STEPS = 6, NOW_S = 1000, WAIT_S = 60 };

/* One span of a story: who sends it, when it arrives, and what it says. */
struct step {
    int at_s; /* arrival, seconds after the start */
    enum span_kind kind;
    const char *service;
    uint8_t id, parent;
    struct attr attrs[ATTRS];
    uint8_t link;
};
struct story {
    const char *name;
    struct step steps[STEPS];
    const char *want;  /* "a>b pair 200; ..." in order of emission; after all has expired */
    const char *stats; /* the counters that are not zero */
};

#define HTTP     TEXT("http.method", "GET")
#define PROXY    TEXT("component", "proxy")
#define TULLE    TEXT("telemetry.sdk.name", "tulle")
#define SHOP     TEXT("k8s.namespace.name", "shop")
#define DATABASE TEXT("db.system", "mysql")
#define IS(name) TEXT("k8s.deployment.name", name)
#define POD(id)  TEXT("service.instance.id", id)
#define CLIENT   SPAN_KIND_CLIENT
#define SERVER   SPAN_KIND_SERVER
#define PRODUCER SPAN_KIND_PRODUCER
#define CONSUMER SPAN_KIND_CONSUMER

/* clang-format off */
static const struct story stories[] = {
    { "in order", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, SERVER, "b", 2, 1, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "reversed", { { 0, SERVER, "b", 2, 1, { HTTP }, 0 }, { 0, CLIENT, "a", 1, 9, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "59 s late", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 59, SERVER, "b", 2, 1, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "61 s late", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 61, SERVER, "b", 2, 1, { HTTP }, 0 } },
      "", "unpaired_client=1 unpaired_server=1" },
    { "lone client that names its peer", { { 0, CLIENT, "a", 1, 9, { HTTP, TEXT("server.address", "api.example.com") }, 0 } },
      "a>api.example.com span 200;", "virtual=1" },
    { "client that names its peer, paired all the same",
      { { 0, CLIENT, "a", 1, 9, { HTTP, TEXT("server.address", "b.local") }, 0 }, { 3, SERVER, "b", 2, 1, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "database at once", { { 0, CLIENT, "a", 1, 9, { TEXT("db.system", "mysql"), TEXT("db.name", "orders") }, 0 } },
      "a>orders span 0;", "virtual=1" },
    { "root", { { 0, SERVER, "a", 1, 0, { HTTP }, 0 } }, "user>a span 200;", "roots=1" },
    { "inner spans mean nothing", { { 0, SPAN_KIND_INTERNAL, "a", 1, 9, { HTTP }, 0 }, { 0, SPAN_KIND_UNSPECIFIED, "a", 2, 9, { HTTP }, 0 } },
      "", "" },
    { "caller's code counts", { { 0, CLIENT, "a", 1, 9, { NUMBER("http.status_code", 504) }, 0 },
                                { 0, SERVER, "b", 2, 1, { NUMBER("http.status_code", 200) }, 0 } },
      "a>b pair 504;", "paired=1" },
    { "callee knows the protocol", { { 0, CLIENT, "a", 1, 9, { { { NULL, 0 }, { 0 } } }, 0 },
                                     { 0, SERVER, "b", 2, 1, { NUMBER("http.status_code", 201) }, 0 } },
      "a>b pair 201;", "paired=1" },
    { "one message, two consumers",
      { { 0, PRODUCER, "p", 1, 9, { { { NULL, 0 }, { 0 } } }, 0 }, { 1, CONSUMER, "c", 2, 1, { { { NULL, 0 }, { 0 } } }, 0 },
        { 2, CONSUMER, "d", 3, 1, { { { NULL, 0 }, { 0 } } }, 0 } },
      "p>c pair 0;p>d pair 0;", "paired=2" },
    { "consumers first",
      { { 0, CONSUMER, "c", 2, 1, { { { NULL, 0 }, { 0 } } }, 0 }, { 0, CONSUMER, "d", 3, 1, { { { NULL, 0 }, { 0 } } }, 0 },
        { 1, PRODUCER, "p", 1, 9, { { { NULL, 0 }, { 0 } } }, 0 } },
      "p>c pair 0;p>d pair 0;", "paired=2" },
    { "consumer by link", { { 0, PRODUCER, "p", 1, 9, { { { NULL, 0 }, { 0 } } }, 0 },
                            { 1, CONSUMER, "c", 2, 0, { { { NULL, 0 }, { 0 } } }, 1 } },
      "p>c pair 0;", "paired=1" },
    { "producer to a queue nobody reads", { { 0, PRODUCER, "p", 1, 9, { TEXT("messaging.destination.name", "orders") }, 0 } },
      "p>orders span 0;", "virtual=1" },
    { "Zipkin's shared id", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, SERVER, "b", 1, 9, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "shared id, server first", { { 0, SERVER, "b", 1, 9, { HTTP }, 0 }, { 0, CLIENT, "a", 1, 9, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "shared id of a root", { { 0, CLIENT, "a", 1, 0, { HTTP }, 0 }, { 0, SERVER, "b", 1, 0, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "two servers for one client", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, SERVER, "b", 2, 1, { HTTP }, 0 },
                                      { 0, SERVER, "b", 3, 1, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1 unpaired_server=1" },
    { "a workload calling itself", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, SERVER, "a", 2, 1, { HTTP }, 0 } },
      "", "internal=1" },
    { "applications with SDKs behind proxies",
      { { 0, CLIENT, "a", 1, 9, { HTTP, TEXT("server.address", "b") }, 0 }, { 0, CLIENT, "A", 2, 1, { HTTP, PROXY }, 0 },
        { 0, SERVER, "B", 3, 2, { HTTP, PROXY }, 0 }, { 0, SERVER, "b", 4, 3, { HTTP }, 0 } },
      "A>B pair 200;", "paired=1 internal=2" },
    { "the same, everything reversed",
      { { 0, SERVER, "b", 4, 3, { HTTP }, 0 }, { 0, SERVER, "B", 3, 2, { HTTP, PROXY }, 0 },
        { 0, CLIENT, "A", 2, 1, { HTTP, PROXY }, 0 }, { 0, CLIENT, "a", 1, 9, { HTTP, TEXT("server.address", "b") }, 0 } },
      "A>B pair 200;", "paired=1 internal=2" },
    { "lone halves of Tulle's proxy add nothing",
      { { 0, CLIENT, "a", 1, 9, { HTTP, TULLE, TEXT("server.address", "x") }, 0 }, { 0, SERVER, "b", 2, 8, { HTTP, TULLE }, 0 },
        { 0, SERVER, "g", 3, 0, { HTTP, TULLE }, 0 } },
      "", "covered=3" },
    { "nor do its pairs", { { 0, CLIENT, "a", 1, 9, { HTTP, TULLE }, 0 }, { 0, SERVER, "b", 2, 1, { HTTP, TULLE }, 0 } },
      "", "covered=1" },
    { "a pair with an application's SDK counts", { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, SERVER, "b", 2, 1, { HTTP, TULLE }, 0 } },
      "a>b pair 200;", "paired=1" },
    { "an SDK's bare name is its sidecar's workload",
      { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, CLIENT, "a", 2, 1, { PROXY, SHOP, IS("a-v1") }, 0 },
        { 0, SERVER, "b", 3, 2, { HTTP, PROXY }, 0 }, { 0, CLIENT, "a", 4, 9, { DATABASE }, 0 } },
      "a-v1>b pair 200;a-v1>mysql span 0;", "paired=1 virtual=1 internal=1" },
    { "learned when the sidecar's span is first",
      { { 0, SERVER, "a", 2, 9, { PROXY, SHOP, IS("a-v1") }, 0 }, { 0, SERVER, "a", 3, 2, { HTTP }, 0 },
        { 0, CLIENT, "a", 4, 3, { DATABASE }, 0 } },
      "a-v1>mysql span 0;", "virtual=1 internal=1 unpaired_server=1" },
    { "a neighbour of another name is another",
      { { 0, SERVER, "a", 2, 9, { PROXY, SHOP, IS("a-v1") }, 0 }, { 0, SERVER, "c", 3, 2, { HTTP }, 0 },
        { 0, CLIENT, "c", 4, 3, { DATABASE }, 0 } },
      "c>mysql span 0;", "virtual=1 internal=1 unpaired_server=1" },
    { "two workloads of one name are none",
      { { 0, SERVER, "a", 2, 9, { PROXY, SHOP, IS("a-v1") }, 0 }, { 0, SERVER, "a", 3, 2, { HTTP }, 0 },
        { 0, SERVER, "a", 5, 9, { PROXY, SHOP, IS("a-v2") }, 0 }, { 0, SERVER, "a", 6, 5, { HTTP }, 0 },
        { 0, CLIENT, "a", 4, 3, { DATABASE }, 0 } },
      "a>mysql span 0;", "virtual=1 internal=2 unpaired_server=2" },
    { "unless they are told apart",
      { { 0, SERVER, "a", 2, 9, { PROXY, SHOP, IS("a-v1") }, 0 }, { 0, SERVER, "a", 3, 2, { HTTP, POD("x") }, 0 },
        { 0, SERVER, "a", 5, 9, { PROXY, SHOP, IS("a-v2") }, 0 }, { 0, SERVER, "a", 6, 5, { HTTP, POD("y") }, 0 },
        { 0, CLIENT, "a", 4, 3, { DATABASE, POD("y") }, 0 } },
      "a-v2>mysql span 0;", "virtual=1 internal=2 unpaired_server=2" },
    { "an export sent once more",
      { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 0, SERVER, "b", 2, 1, { HTTP }, 0 },
        { 5, CLIENT, "a", 1, 9, { HTTP }, 0 }, { 5, SERVER, "b", 2, 1, { HTTP }, 0 } },
      "a>b pair 200;", "paired=1 repeated=2" },
    { "no id", { { 0, CLIENT, "a", 0, 9, { HTTP }, 0 } }, "", "no_id=1" },
};
/* clang-format on */

static void record(void *to, const struct call *c, const struct called_half *called)
{
    buf_printf(to, "%.*s>%.*s %s %u;", SV_ARG(c->source.workload), SV_ARG(c->destination.workload),
               reporter_name(c->reporter), c->response_code);
    assert_int_equal(called != NULL, c->reporter == REPORTER_PAIR);
}

static void add(struct pairer *p, const struct step *s, bool is_counted)
{
    struct attr resource_attrs[] = { { SV("service.name"),
                                       { .type = VALUE_STR, .str = sv_z(s->service) } } };
    struct resource resource = { .attrs = { resource_attrs, 1, 0 } };
    struct span_link link = { .trace_id = sample_trace(1), .span_id = sample_span_id(s->link) };
    struct span span = {
        .trace_id = s->link ? sample_trace(2) : sample_trace(1),
        .span_id = sample_span_id(s->id),
        .parent_id = sample_span_id(s->parent),
        .kind = s->kind,
        .start_ns = T0,
        .end_ns = T0 + NS_PER_MS,
        .attrs = { .list = s->attrs },
        .links = &link,
        .links_len = s->link != 0,
        .resource = &resource,
    };
    while (span.attrs.len < ATTRS && s->attrs[span.attrs.len].key.len)
        span.attrs.len++;
    int64_t now_ns = T0 + s->at_s * NS_PER_S;
    pairer_expire(p, now_ns, is_counted);
    pairer_add(p, &span, 1, now_ns, is_counted);
}

static void describe(const struct pair_stats *s, struct buf *out)
{
    const struct {
        const char *name;
        uint64_t v;
    } rows[] = {
        { "paired", s->paired },
        { "virtual", s->virtual_peers },
        { "roots", s->roots },
        { "internal", s->internal_hops },
        { "covered", s->covered },
        { "unpaired_client", s->unpaired_client },
        { "unpaired_server", s->unpaired_server },
        { "no_id", s->unidentified },
        { "repeated", s->repeated },
        { "evicted", s->evicted },
        { "lost", s->lost },
        { "waiting", s->waiting },
    };
    for (size_t i = 0; i < NELEMS(rows); i++)
        if (rows[i].v)
            buf_printf(out, "%s%s=%llu", out->len ? " " : "", rows[i].name,
                       (unsigned long long)rows[i].v);
}

static const struct pair_conf conf = { 1000, 1000, WAIT_S *NS_PER_S };

static void assert_text(const struct buf *got, const char *want)
{
    if (!sv_eq(buf_sv(got), sv_z(want)))
        fail_msg("got \"%.*s\", want \"%s\"", SV_ARG(buf_sv(got)), want);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(stories); i++) {
        const struct story *s = &stories[i];
        AUTO_DONE(buf) got = { 0 };
        AUTO_DONE(buf) stats = { 0 };
        print_message("case: %s\n", s->name);
        AUTO_FREE(pairer) p = pairer_new(&conf, record, &got);
        for (size_t k = 0; k < STEPS && s->steps[k].service; k++)
            add(p, &s->steps[k], true);
        pairer_expire(p, T0 + NOW_S * NS_PER_S, true);
        struct pair_stats st = pairer_stats(p);
        describe(&st, &stats);
        assert_text(&got, s->want);
        assert_text(&stats, s->stats);
    }
}

/* Halves refilled after a restart wait, but what they had done before is not done again. */
static void test_refill(void **state)
{
    (void)state;
    AUTO_DONE(buf) got = { 0 };
    AUTO_DONE(buf) stats = { 0 };
    AUTO_FREE(pairer) p = pairer_new(&conf, record, &got);
    static const struct step paired[] = { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 },
                                          { 0, SERVER, "b", 2, 1, { HTTP }, 0 } };
    static const struct step root = { 0, SERVER, "b", 7, 0, { HTTP }, 0 };
    static const struct step waiting = { 0, CLIENT, "a", 3, 9, { HTTP }, 0 };
    static const struct step after = { 5, SERVER, "c", 4, 3, { HTTP }, 0 };
    add(p, &paired[0], false);
    add(p, &paired[1], false);
    add(p, &root, false);
    add(p, &waiting, false);
    assert_int_equal(pairer_stats(p).waiting, 1);
    add(p, &after, true);
    assert_text(&got, "a>c pair 200;");
    struct pair_stats st = pairer_stats(p);
    describe(&st, &stats);
    assert_text(&stats, "paired=1");
}

/* At the limit the half that waits longest is judged at once. */
static void test_full_table(void **state)
{
    (void)state;
    AUTO_DONE(buf) got = { 0 };
    struct pair_conf small = { 2, 100, WAIT_S * NS_PER_S };
    AUTO_FREE(pairer) p = pairer_new(&small, record, &got);
    for (uint8_t i = 1; i <= 5; i++) {
        struct step s = { 0, CLIENT, "a", i, 9, { HTTP, TEXT("server.address", "x") }, 0 };
        add(p, &s, true);
    }
    struct pair_stats st = pairer_stats(p);
    assert_int_equal(st.waiting, 2);
    assert_int_equal(st.evicted, 3);
    assert_int_equal(st.virtual_peers, 3);
}

/* Thousands of halves: the table grows, finds every one, and is empty afterwards. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    AUTO_DONE(buf) got = { 0 };
    struct pair_conf large = { MANY, 100, WAIT_S * NS_PER_S };
    AUTO_FREE(pairer) p = pairer_new(&large, record, &got);
    struct attr attrs[] = { { SV("service.name"), { .type = VALUE_STR, .str = SV("a") } } };
    struct resource resource = { .attrs = { attrs, 1, 0 } };
    struct span s = { .start_ns = T0, .end_ns = T0 + 1, .resource = &resource };
    for (int side = 0; side < 2; side++)
        for (uint32_t i = 1; i <= MANY; i++) {
            memcpy(s.trace_id.b, &i, sizeof(i));
            s.kind = side ? SERVER : CLIENT;
            attrs[0].value.str = side ? SV("b") : SV("a");
            memset(&s.span_id, side + 1, sizeof(s.span_id));
            memset(&s.parent_id, side ? 1 : 9, sizeof(s.parent_id));
            pairer_add(p, &s, 1, T0, true);
        }
    assert_int_equal(pairer_stats(p).paired, MANY);
    assert_int_equal(pairer_stats(p).waiting, 0);
    assert_int_equal(pairer_identities(p), 2);
}

/* Beyond the limit of identities everybody is "other", and nothing grows. */
static void test_identities_are_bounded(void **state)
{
    (void)state;
    AUTO_DONE(buf) got = { 0 };
    struct pair_conf small = { 100, 2, WAIT_S * NS_PER_S };
    AUTO_FREE(pairer) p = pairer_new(&small, record, &got);
    static const struct step steps[] = { { 0, CLIENT, "a", 1, 9, { HTTP }, 0 },
                                         { 0, CLIENT, "b", 2, 9, { HTTP }, 0 },
                                         { 0, SERVER, "c", 3, 1, { HTTP }, 0 } };
    for (size_t i = 0; i < NELEMS(steps); i++)
        add(p, &steps[i], true);
    assert_text(&got, "a>other pair 200;");
    assert_int_equal(pairer_identities(p), 2);
}

/* Whichever allocation fails, the half is counted as lost and the rest goes on. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 30; nth++) {
        AUTO_DONE(buf) got = { 0 };
        buf_reserve(&got, 1024);
        mem_fail_nth(nth);
        AUTO_FREE(pairer) p = pairer_new(&conf, record, &got);
        if (p)
            for (size_t k = 0; k < 2; k++)
                add(p, &stories[0].steps[k], true);
        mem_fail_nth(0);
        if (!p)
            continue;
        struct pair_stats st = pairer_stats(p);
        assert_int_equal(2 * st.paired + st.lost + st.waiting, 2);
        assert_int_equal(buf_sv(&got).len > 0, st.paired == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_refill),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_identities_are_bounded),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
