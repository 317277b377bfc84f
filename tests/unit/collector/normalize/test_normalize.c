/* test_normalize.c - what spans of different makers say, read alike. */
#include "../../../contract/random_batch.h"
#include "../sample.h"
#include "normalize/identity.h"
#include "normalize/normalize.h"
#include "normalize/semconv.h"

enum { ATTRS = 8 };

struct who_case {
    const char *name;
    struct attr resource[ATTRS];
    struct attr span[ATTRS];
    const char *cluster, *namespace, *workload, *service, *version;
};

/* clang-format off */
static const struct who_case who_cases[] = {
    { "nothing", { { { NULL, 0 }, { 0 } } }, { { { NULL, 0 }, { 0 } } },
      "unknown", "unknown", "unknown", "unknown", "unknown" },
    { "SDK", { TEXT("service.name", "cart"), TEXT("service.version", "1.2") }, { { { NULL, 0 }, { 0 } } },
      "unknown", "unknown", "cart", "cart", "1.2" },
    { "SDK's default name", { TEXT("service.name", "unknown_service:node") }, { { { NULL, 0 }, { 0 } } },
      "unknown", "unknown", "unknown", "unknown", "unknown" },
    { "SDK name with a dot stays", { TEXT("service.name", "com.example.cart") }, { { { NULL, 0 }, { 0 } } },
      "unknown", "unknown", "com.example.cart", "com.example.cart", "latest" },
    { "Tulle's proxy",
      { TEXT("service.name", "reviews"), TEXT("service.version", "v1"), TEXT("k8s.cluster.name", "demo"),
        TEXT("k8s.namespace.name", "shop"), TEXT("k8s.deployment.name", "reviews-v1"),
        TEXT("telemetry.sdk.name", "tulle") }, { { { NULL, 0 }, { 0 } } },
      "demo", "shop", "reviews-v1", "reviews", "v1" },
    { "Envoy in Istio",
      { TEXT("service.name", "productpage.default"), TEXT("telemetry.sdk.name", "envoy") },
      { TEXT("istio.canonical_service", "productpage"), TEXT("istio.canonical_revision", "v1"),
        TEXT("istio.namespace", "default"), TEXT("istio.cluster_id", "c1") },
      "c1", "default", "productpage", "productpage", "v1" },
    { "Envoy without labels", { TEXT("service.name", "ratings.shop") }, { TEXT("component", "proxy") },
      "unknown", "shop", "ratings", "ratings", "latest" },
    { "pod name", { TEXT("k8s.pod.name", "reviews-v1-545db77b95-wjtlq"), TEXT("service.namespace", "shop") },
      { { { NULL, 0 }, { 0 } } }, "unknown", "shop", "reviews-v1", "reviews-v1", "latest" },
    { "own label before app label",
      { TEXT("k8s.pod.label.app", "b"), TEXT("k8s.pod.labels.service.istio.io/canonical-name", "a"),
        TEXT("service.name", "c"), TEXT("k8s.deployment.name", "d") }, { { { NULL, 0 }, { 0 } } },
      "unknown", "unknown", "d", "a", "latest" },
    { "service.namespace is second to Kubernetes'",
      { TEXT("service.namespace", "x"), TEXT("k8s.namespace.name", "shop"), TEXT("service.name", "c") },
      { { { NULL, 0 }, { 0 } } }, "unknown", "shop", "c", "c", "latest" },
};
/* clang-format on */

static struct attrs attrs_of(const struct attr *list)
{
    struct attrs a = { .list = list };
    while (a.len < ATTRS && list[a.len].key.len)
        a.len++;
    return a;
}

static void assert_sv(struct sv got, const char *want)
{
    if (!sv_eq(got, sv_z(want)))
        fail_msg("got \"%.*s\", want \"%s\"", SV_ARG(got), want);
}

static struct span_facts all_facts_of(struct span s, const struct attr *resource,
                                      const struct attr *attrs, struct span_peer *ret_peer)
{
    struct resource r = { .attrs = attrs_of(resource) };
    struct span_facts f;
    struct normalizer n;
    s.attrs = attrs_of(attrs);
    s.resource = &r;
    normalizer_init(&n);
    span_facts_of(&n, &s, &f);
    *ret_peer = span_peer_of(&n, &f);
    assert_int_equal(ret_peer->kind == PEER_DATABASE,
                     span_is_of_database(&n) && ret_peer->name.len &&
                         (f.kind == SPAN_KIND_CLIENT || f.kind == SPAN_KIND_PRODUCER));
    return f;
}

static struct span_facts facts_of(struct span s, const struct attr *resource,
                                  const struct attr *attrs)
{
    struct span_peer peer;
    return all_facts_of(s, resource, attrs, &peer);
}

static void test_who(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(who_cases); i++) {
        const struct who_case *c = &who_cases[i];
        print_message("case: %s\n", c->name);
        struct span_facts f = facts_of((struct span){ 0 }, c->resource, c->span);
        assert_sv(f.who.cluster, c->cluster);
        assert_sv(f.who.namespace, c->namespace);
        assert_sv(f.who.workload, c->workload);
        assert_sv(f.who.service, c->service);
        assert_sv(f.who.version, c->version);
        assert_sv(f.who.principal, "unknown");
    }
}

struct result_case {
    const char *name;
    enum span_status status;
    struct attr attrs[ATTRS];
    enum protocol protocol;
    int code, grpc;
    const char *flags;
};

/* clang-format off */
static const struct result_case result_cases[] = {
    { "new name", STATUS_UNSET, { NUMBER("http.response.status_code", 404) }, PROTOCOL_HTTP, 404, -1, "" },
    { "old name", STATUS_UNSET, { NUMBER("http.status_code", 200) }, PROTOCOL_HTTP, 200, -1, "" },
    { "Envoy's text", STATUS_ERROR, { TEXT("http.status_code", "503"), TEXT("response_flags", "UF,URX") },
      PROTOCOL_HTTP, 503, -1, "UF,URX" },
    { "Envoy's dash", STATUS_UNSET, { TEXT("http.status_code", "200"), TEXT("response_flags", "-") },
      PROTOCOL_HTTP, 200, -1, "" },
    { "no response", STATUS_ERROR, { TEXT("http.request.method", "GET") }, PROTOCOL_HTTP, 0, -1, "" },
    { "success without code", STATUS_UNSET, { TEXT("http.method", "GET") }, PROTOCOL_HTTP, 200, -1, "" },
    { "gRPC", STATUS_UNSET, { TEXT("rpc.system", "grpc"), NUMBER("rpc.grpc.status_code", 14) },
      PROTOCOL_GRPC, 0, 14, "" },
    { "gRPC over HTTP 200", STATUS_UNSET, { TEXT("grpc.status_code", "0"), TEXT("http.status_code", "200") },
      PROTOCOL_GRPC, 200, 0, "" },
    { "gRPC error without status", STATUS_ERROR, { TEXT("rpc.system", "grpc") }, PROTOCOL_GRPC, 0, 2, "" },
    { "neither", STATUS_UNSET, { TEXT("x", "y") }, PROTOCOL_TCP, 0, -1, "" },
    { "neither, failed", STATUS_ERROR, { TEXT("x", "y") }, PROTOCOL_TCP, 0, -1, "error" },
    { "code out of range", STATUS_UNSET, { NUMBER("http.status_code", 100000), TEXT("http.method", "GET") },
      PROTOCOL_HTTP, 200, -1, "" },
    { "code is no number", STATUS_UNSET, { TEXT("http.status_code", "abc"), TEXT("http.method", "GET") },
      PROTOCOL_HTTP, 200, -1, "" },
};
/* clang-format on */

static void test_result(void **state)
{
    static const struct attr none[1];
    (void)state;
    for (size_t i = 0; i < NELEMS(result_cases); i++) {
        const struct result_case *c = &result_cases[i];
        print_message("case: %s\n", c->name);
        struct span_facts f = facts_of((struct span){ .status = c->status }, none, c->attrs);
        assert_int_equal(f.protocol, c->protocol);
        assert_int_equal(f.response_code, c->code);
        assert_int_equal(f.grpc_status, c->grpc);
        assert_sv(f.response_flags, c->flags);
    }
}

struct peer_case {
    const char *name;
    enum span_kind kind;
    struct attr attrs[ATTRS];
    enum peer_kind peer_kind;
    const char *peer, *namespace;
};

/* clang-format off */
static const struct peer_case peer_cases[] = {
    { "database by service", SPAN_KIND_CLIENT,
      { TEXT("db.system", "mysql"), TEXT("peer.service", "orders-db"), TEXT("server.address", "10.0.0.1") },
      PEER_DATABASE, "orders-db", "" },
    { "database by address", SPAN_KIND_CLIENT,
      { TEXT("db.system.name", "mysql"), TEXT("server.address", "db.example.com") }, PEER_DATABASE, "db.example.com", "" },
    { "database by name", SPAN_KIND_CLIENT, { TEXT("db.system", "redis"), TEXT("db.name", "cache") },
      PEER_DATABASE, "cache", "" },
    { "database by kind", SPAN_KIND_CLIENT, { TEXT("db.system", "redis") }, PEER_DATABASE, "redis", "" },
    { "host", SPAN_KIND_CLIENT, { TEXT("net.peer.name", "api.example.com") }, PEER_EXTERNAL, "api.example.com", "" },
    { "no URL as a name", SPAN_KIND_CLIENT, { TEXT("http.url", "http://a/b?c") }, PEER_NONE, "", "" },
    { "queue", SPAN_KIND_PRODUCER, { TEXT("messaging.system", "kafka"), TEXT("messaging.destination.name", "orders") },
      PEER_QUEUE, "orders", "" },
    { "Envoy's cluster", SPAN_KIND_CLIENT,
      { TEXT("upstream_cluster.name", "outbound|9080|v1|reviews.shop.svc.cluster.local") }, PEER_EXTERNAL, "reviews", "shop" },
    { "Envoy's cluster outside", SPAN_KIND_CLIENT, { TEXT("upstream_cluster", "outbound|443||api.example.com") },
      PEER_EXTERNAL, "api.example.com", "" },
    { "Envoy's inbound cluster", SPAN_KIND_SERVER, { TEXT("upstream_cluster", "inbound|9080||") }, PEER_NONE, "", "" },
    { "a server's own address is no peer", SPAN_KIND_SERVER, { TEXT("server.address", "me") }, PEER_NONE, "", "" },
};
/* clang-format on */

static void test_peer(void **state)
{
    static const struct attr none[1];
    (void)state;
    for (size_t i = 0; i < NELEMS(peer_cases); i++) {
        const struct peer_case *c = &peer_cases[i];
        print_message("case: %s\n", c->name);
        struct span_peer peer;
        (void)all_facts_of((struct span){ .kind = c->kind }, none, c->attrs, &peer);
        assert_int_equal(peer.kind, c->peer_kind);
        assert_sv(peer.name, c->peer);
        assert_sv(peer.namespace, c->namespace);
    }
}

static void test_kind_and_time(void **state)
{
    static const struct attr none[1],
        server[] = { TEXT("span.kind", "Server"), { SV_NONE, { 0 } } };
    (void)state;
    assert_int_equal(facts_of((struct span){ 0 }, none, server).kind, SPAN_KIND_SERVER);
    assert_int_equal(facts_of((struct span){ 0 }, none, none).kind, SPAN_KIND_UNSPECIFIED);
    assert_int_equal(facts_of((struct span){ .kind = (enum span_kind)77 }, none, none).kind,
                     SPAN_KIND_UNSPECIFIED);
    assert_int_equal(facts_of((struct span){ .start_ns = 5, .end_ns = 3 }, none, none).duration_ns,
                     0);
    assert_int_equal(
        facts_of((struct span){ .start_ns = INT64_MIN, .end_ns = INT64_MAX }, none, none)
            .duration_ns,
        0);
}

static void test_tls(void **state)
{
    static const struct attr none[1];
    static const struct attr ours[] = { TEXT("tls_state", "plaintext"), { SV_NONE, { 0 } } };
    static const struct value certs[] = {
        { .type = VALUE_STR, .str = { "Hash=1;URI=spiffe://td/ns/a/sa/b", 32 } },
    };
    const struct attr forwarded[] = {
        { SV("http.request.header.x-forwarded-client-cert"),
          { .type = VALUE_ARRAY, .len = 1, .array = certs } },
        { SV_NONE, { 0 } },
    };
    (void)state;
    struct span server = { .kind = SPAN_KIND_SERVER }, client = { .kind = SPAN_KIND_CLIENT };
    assert_int_equal(facts_of(server, none, none).tls.state, TLS_UNKNOWN);
    assert_int_equal(facts_of(server, none, ours).tls.state, TLS_PLAINTEXT);
    assert_int_equal(facts_of(server, none, forwarded).tls.state, TLS_MUTUAL);
    assert_int_equal(facts_of(client, none, forwarded).tls.state, TLS_UNKNOWN);
}

#define A    "spiffe://td/ns/a/sa/a"
#define B    "spiffe://td/ns/b/sa/b"
#define XFCC "http.request.header.x-forwarded-client-cert"

struct tls_case {
    const char *name;
    struct attr attrs[ATTRS];
    enum tls_state called, calling;   /* as told by either side */
    enum tls_basis basis;             /* of the called side's word */
    const char *source, *destination; /* principals, by the called side */
};
/* clang-format off */
static const struct tls_case tls_cases[] = {
    { "nothing said", { TEXT("url.scheme", "https") }, TLS_UNKNOWN, TLS_UNKNOWN, TLS_BASIS_NONE, "", "" },
    { "Tulle's word", { TEXT("tls_state", "plaintext"), TEXT("requested_server_name", "outbound_.80_._.b") },
      TLS_PLAINTEXT, TLS_PLAINTEXT, TLS_BASIS_HANDSHAKE, "", "" },
    { "an SDK that ended TLS", { TEXT("tls.protocol.version", "1.3"), TEXT("tls.cipher", "AES") },
      TLS_ONE_WAY, TLS_ONE_WAY, TLS_BASIS_HANDSHAKE, "", "" },
    { "with the client's certificate", { { SV("tls.established"), { .type = VALUE_BOOL, .boolean = true } },
                                         TEXT("tls.client.subject", "CN=a") },
      TLS_MUTUAL, TLS_MUTUAL, TLS_BASIS_HANDSHAKE, "", "" },
    { "a handshake that failed", { { SV("tls.established"), { .type = VALUE_BOOL } }, TEXT("tls.protocol.version", "1.3") },
      TLS_UNKNOWN, TLS_UNKNOWN, TLS_BASIS_NONE, "", "" },
    { "Istio's verdict", { TEXT("connection_security_policy", "mutual_tls") }, TLS_MUTUAL, TLS_MUTUAL, TLS_BASIS_REPORTED, "", "" },
    { "none, which a client says when it was not told", { TEXT("connection_security_policy", "none") },
      TLS_PLAINTEXT, TLS_UNKNOWN, TLS_BASIS_REPORTED, "", "" },
    { "unknown beside a principal", { TEXT("connection_security_policy", "unknown"), TEXT("destination_principal", B) },
      TLS_MUTUAL, TLS_MUTUAL, TLS_BASIS_INFERRED, "", B },
    { "Envoy's operators", { TEXT("downstream_peer_uri_san", A), TEXT("downstream_tls_version", "TLSv1.3") },
      TLS_MUTUAL, TLS_UNKNOWN, TLS_BASIS_REPORTED, A, "" },
    { "Envoy's operators, no client certificate", { TEXT("downstream_peer_uri_san", "-"), TEXT("downstream_tls_version", "TLSv1.3") },
      TLS_ONE_WAY, TLS_UNKNOWN, TLS_BASIS_REPORTED, "", "" },
    { "Envoy's operators, no TLS", { TEXT("downstream_tls_version", "-") }, TLS_PLAINTEXT, TLS_UNKNOWN, TLS_BASIS_REPORTED, "", "" },
    { "ztunnel", { TEXT("src.identity", A), TEXT("dst.identity", B) }, TLS_MUTUAL, TLS_MUTUAL, TLS_BASIS_REPORTED, A, B },
    { "ztunnel with one", { TEXT("src.identity", A) }, TLS_UNKNOWN, TLS_UNKNOWN, TLS_BASIS_NONE, A, "" },
    { "the nearest proxy's header", { TEXT(XFCC, "By=x;URI=spiffe://far,By=" B ";Hash=1;Subject=\"\";URI=" A) },
      TLS_MUTUAL, TLS_UNKNOWN, TLS_BASIS_FORWARDED, A, B },
    { "a header without an identity", { TEXT(XFCC, "Hash=1;Subject=CN") }, TLS_UNKNOWN, TLS_UNKNOWN, TLS_BASIS_NONE, "", "" },
    { "a mesh's SNI", { TEXT("requested_server_name", "outbound_.9080_._.b.default.svc") }, TLS_MUTUAL, TLS_UNKNOWN, TLS_BASIS_INFERRED, "", "" },
    { "another SNI", { TEXT("requested_server_name", "shop.example.com") }, TLS_ONE_WAY, TLS_UNKNOWN, TLS_BASIS_INFERRED, "", "" },
    { "no SNI", { TEXT("requested_server_name", "-") }, TLS_PLAINTEXT, TLS_UNKNOWN, TLS_BASIS_INFERRED, "", "" },
};
/* clang-format on */

static void test_tls_sources(void **state)
{
    static const struct attr none[1];
    (void)state;
    for (size_t i = 0; i < NELEMS(tls_cases); i++) {
        const struct tls_case *c = &tls_cases[i];
        struct span server = { .kind = SPAN_KIND_SERVER }, client = { .kind = SPAN_KIND_CLIENT };
        struct span_facts called = facts_of(server, none, c->attrs);
        print_message("case: %s\n", c->name);
        assert_int_equal(called.tls.state, c->called);
        assert_int_equal(called.tls.basis, c->basis);
        assert_sv(called.tls.source_principal, c->source);
        assert_sv(called.tls.destination_principal, c->destination);
        assert_int_equal(facts_of(client, none, c->attrs).tls.state, c->calling);
    }
}

static void test_host(void **state)
{
    struct identity named = { .workload = SV("reviews-v1") }, unknown = identity_unknown();
    (void)state;
    identity_of_host(&named, SV("reviews.shop.svc.cluster.local"));
    assert_sv(named.workload, "reviews-v1");
    identity_of_host(&unknown, SV("reviews.shop.svc.cluster.local"));
    assert_sv(unknown.workload, "reviews");
    assert_sv(unknown.namespace, "shop");
    assert_sv(unknown.version, "unknown");
    unknown = identity_unknown();
    identity_of_host(&unknown, SV("api.example.com"));
    assert_sv(unknown.service, "api.example.com");
    assert_sv(unknown.namespace, "unknown");
}

/* Of every part that may be missing: what is said to be named stays as it is, the rest has no empty part. */
static void test_ends(void **state)
{
    (void)state;
    struct call whole = { .source = identity_unknown(), .destination = identity_unknown() };
    struct sv *parts[] = { &whole.source.workload,      &whole.source.version,
                           &whole.destination.cluster,  &whole.destination.workload,
                           &whole.destination.service,  &whole.destination.principal,
                           &whole.destination.namespace };
    size_t named = 0;
    for (unsigned missing = 0; missing < 1U << NELEMS(parts); missing++)
        for (unsigned kind = 0; kind < 4; kind++) {
            for (size_t i = 0; i < NELEMS(parts); i++)
                *parts[i] = missing & 1U << i ? SV_NONE : IDENTITY_UNKNOWN;
            whole.reporter = kind & 1 ? REPORTER_SOURCE : REPORTER_DESTINATION;
            whole.destination_service = kind & 2 ? SV("reviews.shop.svc") : SV_NONE;
            struct call c = whole;
            call_name_ends(&c);
            if (call_has_ends(&whole)) {
                named++;
                assert_memory_equal(&c, &whole, sizeof(c));
            }
            assert_true(call_has_ends(&c));
            if (kind == 3)
                assert_sv(c.destination.workload, "reviews");
        }
    assert_int_equal(named, 3); /* all parts there, and no host to make a name of */
}

/* Every row is found by the binary search, so the table is in order. */
static void test_every_name(void **state)
{
    static const struct {
        const char *name;
        enum role role;
    } rows[] = {
#define SEMCONV(name, role, rank) { name, ROLE_##role },
#include "normalize/semconv.def"
#undef SEMCONV
    };
    struct semconv names;
    (void)state;
    semconv_init(&names);
    for (size_t i = 0; i < NELEMS(rows); i++) {
        struct attr one = { sv_z(rows[i].name), { .type = VALUE_STR, .str = SV("v") } };
        struct attrs a = { &one, 1, 0 };
        struct roles r = { 0 };
        roles_add(&names, &r, &a);
        if (!r.value[rows[i].role] || r.played != ROLE_BIT(rows[i].role))
            fail_msg("%s is not found", rows[i].name);
    }
}

/* Spans of one resource in a row: what one span adds stays with it. */
static void test_shared_resource(void **state)
{
    static const struct attr of_resource[ATTRS] = { TEXT("service.name", "cart.shop") };
    static const struct attr as_proxy[ATTRS] = { TEXT("component", "proxy") };
    static const struct attr as_other[ATTRS] = { TEXT("service.name", "other"),
                                                 TEXT("service.version", "2") };
    static const struct attr none[ATTRS] = { { { NULL, 0 }, { 0 } } };
    struct resource r = { .attrs = attrs_of(of_resource) }, other = r;
    static const struct {
        const struct attr *attrs;
        const char *service, *version;
        bool is_of_resource;
    } cases[] = {
        { none, "cart.shop", "latest", true }, { as_proxy, "cart", "latest", true },
        { as_other, "other", "2", false },     { none, "cart.shop", "latest", true },
        { as_proxy, "cart", "latest", true },
    };
    struct normalizer n;
    (void)state;
    normalizer_init(&n);
    for (size_t i = 0; i < 2 * NELEMS(cases); i++) {
        size_t at = i % NELEMS(cases);
        struct span s = { .attrs = attrs_of(cases[at].attrs), .resource = i % 3 ? &r : &other };
        struct span_facts f;
        span_facts_of(&n, &s, &f);
        assert_sv(f.who.service, cases[at].service);
        assert_sv(f.who.version, cases[at].version);
        assert_int_equal(f.kept_who != NULL, cases[at].is_of_resource);
    }
    /* another batch may have its resource at the same place */
    struct attr renamed[ATTRS] = { TEXT("service.name", "basket") };
    struct span s = { .attrs = attrs_of(none), .resource = &r };
    struct span_facts f;
    r.attrs = attrs_of(renamed);
    normalizer_forget(&n);
    span_facts_of(&n, &s, &f);
    assert_sv(f.who.service, "basket");
}

/* Attributes with names that mean something and names that do not, values of all kinds that may be
 * empty; a key may come twice. The same keys come again with other values. */
static struct attrs random_attrs(struct random_source *random, uint64_t keys, struct attr *list)
{
    static const char *const names[] = {
#define SEMCONV(name, role, rank) name,
#include "normalize/semconv.def"
#undef SEMCONV
        "a",
        "user_agent",
        "http.protocol",
        "",
    };
    static const char *const texts[] = { "",      "-",    "7",
                                         "proxy", "grpc", "tulle",
                                         "a|b",   "x.y",  "outbound|80||svc.ns.svc.cluster.local" };
    struct random_source of_keys = { keys };
    struct attrs a = { list, (uint32_t)random_below(&of_keys, keys % 7 ? 12 : 60), 0 };
    for (uint32_t i = 0; i < a.len; i++) {
        struct value v = { .type = VALUE_STR };
        v.str = sv_z(texts[random_below(random, NELEMS(texts))]);
        if (random_below(random, 4) == 0)
            v = (struct value){ .type = VALUE_INT, .integer = (int64_t)random_below(random, 600) };
        else if (random_below(random, 16) == 0)
            v.type = VALUE_EMPTY;
        list[i] = (struct attr){ sv_z(names[random_below(&of_keys, NELEMS(names))]), v };
    }
    return a;
}

static void assert_same_facts(const struct span_facts *a, const struct span_facts *b)
{
    assert_true(identity_same_node(&a->who, &b->who) && sv_eq(a->who.service, b->who.service));
    assert_true(sv_eq(a->instance, b->instance) && sv_eq(a->response_flags, b->response_flags));
    assert_true(a->emitter == b->emitter && a->kind == b->kind && a->protocol == b->protocol);
    assert_true(a->response_code == b->response_code && a->grpc_status == b->grpc_status);
    assert_true(a->bytes_received == b->bytes_received && a->bytes_sent == b->bytes_sent);
    assert_true(a->resends == b->resends && a->tls.state == b->tls.state);
    assert_int_equal(a->kept_who != NULL, b->kept_who != NULL);
}

/* What is remembered of resources and of lists of keys changes nothing: each span is asked about by a
 * normalizer that has seen many, and by a fresh one that knows nothing of orders of keys. */
static void test_remembered(void **state)
{
    enum { RESOURCES = 40, ORDERS = NORMALIZER_ORDERS + 20, LIST = 60 };
    static struct attr of_resources[RESOURCES][LIST], list[LIST];
    static struct resource resources[RESOURCES];
    static struct key_order orders[ORDERS];
    static struct normalizer seasoned, fresh;
    struct random_source random = { 7 };
    (void)state;
    normalizer_init(&seasoned);
    for (size_t i = 0; i < RESOURCES; i++)
        resources[i].attrs = random_attrs(&random, i, of_resources[i]);
    for (unsigned i = 0; i < 20000; i++) {
        struct span_facts a, b;
        uint64_t keys = random_below(&random, ORDERS);
        struct span s = { .kind = (enum span_kind)random_below(&random, 6),
                          .attrs = random_attrs(&random, keys, list),
                          .resource = &resources[random_below(&random, RESOURCES)] };
        normalizer_init(&fresh);
        span_facts_of(&fresh, &s, &b);
        orders[keys].id = (uint32_t)keys;
        orders[keys].len = s.attrs.len;
        s.key_order = &orders[keys];
        span_facts_of(&seasoned, &s, &a);
        assert_same_facts(&a, &b);
        struct span_peer x = span_peer_of(&seasoned, &a), y = span_peer_of(&fresh, &b);
        assert_true(x.kind == y.kind && sv_eq(x.name, y.name) && sv_eq(x.namespace, y.namespace));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who),        cmocka_unit_test(test_result),
        cmocka_unit_test(test_peer),       cmocka_unit_test(test_kind_and_time),
        cmocka_unit_test(test_tls),        cmocka_unit_test(test_tls_sources),
        cmocka_unit_test(test_host),       cmocka_unit_test(test_ends),
        cmocka_unit_test(test_every_name), cmocka_unit_test(test_shared_resource),
        cmocka_unit_test(test_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
