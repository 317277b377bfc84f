/* fuzz_mesh.c - any text as configuration: a refusal has a place, an acceptance holds together and
 * is the same twice. */
#include "proxy/config/mesh.h"
#include "proxy/route/action.h"
#include "proxy/route/tcp.h"

static const char *const hosts[] = {
    "reviews", "app", "ratings:9080", "example.com", "api.example.com", "a.b.default", "*", ""
};
static const char *const paths[] = { "/", "/users", "/orders/1?a=b&debug", "/api/v1" };

/* Everything a stream engine relies on. */
static void check_cluster(const struct mesh *m, const struct cluster *c)
{
    const struct cluster *const *clusters;
    const struct endpoint *const *endpoints;
    size_t clusters_len = mesh_clusters(m, &clusters);
    size_t endpoints_len = mesh_endpoints(m, &endpoints);
    INVARIANT(c->id < clusters_len && clusters[c->id] == c);
    bool is_unopened = sv_starts(c->name, SV("outbound_.")) && c->tls == TLS_MODE_DISABLE;
    INVARIANT((sv_starts(c->name, SV("outbound|")) || is_unopened) && c->connect_timeout_ns > 0);
    for (size_t i = 0; i < c->endpoints_len; i++) {
        const struct endpoint *e = c->endpoints[i];
        INVARIANT(e->id < endpoints_len && endpoints[e->id] == e && e->port != 0);
        INVARIANT(mesh_endpoint_by_ip(m, e->address) != NULL);
    }
}

static void check_route(const struct mesh *m, const struct route *r)
{
    uint64_t sum = 0;
    bool answers = r->actions && (r->actions->redirect || r->actions->direct);
    if (answers)
        return;
    INVARIANT(r->targets_len > 0 && r->name.len > 0 && r->timeout_ns >= 0);
    for (size_t i = 0; i < r->targets_len; i++) {
        sum += r->targets[i].weight;
        check_cluster(m, r->targets[i].cluster);
    }
    INVARIANT(sum == r->weight_sum && sum > 0);
    INVARIANT(route_pick(r, 0) && route_pick(r, UINT64_MAX));
}

static const char *const names[] = { "a.test", "x.pass.test",
                                     "outbound_.9080_._.app.default.svc.cluster.local", "" };

static void check_connections(const struct mesh *m, const struct tcp_service *s)
{
    for (size_t i = 0; s && i < NELEMS(names); i++) {
        struct tcp_ask ask = { .is_tls = i % 2 == 0, .sni = sv_z(names[i]), .port = s->port };
        ask.destination = ip_of_text(SV("10.96.0.5"));
        const struct route *r = tcp_route(s, &ask);
        INVARIANT(r || !s->host.len); /* a Service takes what is left */
        if (r)
            check_route(m, r);
    }
}

static bool same_texts(size_t a_len, const struct sv *a, size_t b_len, const struct sv *b)
{
    for (size_t i = 0; i < a_len && i < b_len; i++)
        if (!sv_eq(a[i], b[i]))
            return false;
    return a_len == b_len;
}

static void compare(const struct mesh *a, const struct mesh *b)
{
    const struct sv *a_list, *b_list;
    size_t a_len = mesh_warnings(a, &a_list), b_len = mesh_warnings(b, &b_list);
    INVARIANT(same_texts(a_len, a_list, b_len, b_list));
    struct http_header header = { SV("end-user"), SV("jason") };
    for (size_t i = 0; i < NELEMS(hosts) * NELEMS(paths); i++) {
        struct http_head req = { .method = SV("GET"),
                                 .authority = sv_z(hosts[i % NELEMS(hosts)]),
                                 .path = sv_z(paths[i / NELEMS(hosts)]),
                                 .headers = &header,
                                 .headers_len = i & 1 };
        const struct route *one = mesh_route(a, &req, (uint16_t)(i % 3 * 80));
        const struct route *two = mesh_route(b, &req, (uint16_t)(i % 3 * 80));
        INVARIANT((one != NULL) == (two != NULL));
        if (!one)
            continue;
        check_route(a, one);
        if (!one->targets_len)
            continue;
        INVARIANT(sv_eq(one->name, two->name) && one->weight_sum == two->weight_sum);
        INVARIANT(sv_eq(route_pick(one, i << 58)->cluster->name,
                        route_pick(two, i << 58)->cluster->name));
        (void)mesh_service_fqdn(a, req.authority);
    }
    for (size_t i = 0; i < NELEMS(hosts); i++)
        check_connections(a, mesh_tcp_by_host(a, sv_z(hosts[i]), i % 2 ? 9080 : 80));
    for (unsigned port = 9000; port < 9004; port++)
        check_connections(a, mesh_gateway_tcp(a, (uint16_t)port));
    struct ip ip = ip_of_text(SV("10.96.0.5"));
    check_connections(a, mesh_tcp_by_address(a, &ip, 80));
    for (unsigned port = 0; port <= 65535; port += 4369)
        INVARIANT(mesh_inbound_mtls(a, (uint16_t)port) == mesh_inbound_mtls(b, (uint16_t)port));
}

/* "fuzz.yaml:LINE:COLUMN: reason" */
static void check_refusal(const struct err *err)
{
    struct sv why = sv_z(err->why), line, column;
    uint64_t number;
    INVARIANT(err->code == ERR_USAGE && sv_starts(why, SV("fuzz.yaml:")));
    why = sv_from(why, sizeof("fuzz.yaml:") - 1);
    INVARIANT(sv_cut(&why, ':', &line) && sv_to_u64(line, &number) && number > 0);
    INVARIANT(sv_cut(&why, ':', &column) && sv_to_u64(column, &number) && number > 0);
    INVARIANT(why.len > 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct mesh_conf conf = { .self = identity_unknown() };
    conf.self_labels = SV("istio=ingressgateway,app=x");
    conf.wants_tcp = true;
    conf.ingress_http = 80;
    conf.ingress_https = 443;
    for (int role = 0; role < 2; role++) {
        struct err err = { 0 };
        conf.is_gateway = role == 1;
        struct mesh *a = mesh_load_text(&conf, "fuzz.yaml", sv_of(p, n), &err);
        struct mesh *b = mesh_load_text(&conf, "fuzz.yaml", sv_of(p, n), NULL);
        INVARIANT((a != NULL) == (b != NULL));
        if (a)
            compare(a, b);
        else
            check_refusal(&err);
        mesh_unref(a);
        mesh_unref(b);
    }
    return 0;
}
