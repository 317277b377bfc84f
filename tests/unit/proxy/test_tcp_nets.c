/* test_tcp_nets.c - ServiceEntries for blocks of addresses: the longest decides, then the server name. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/route/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ENTRY(host, addresses, port, protocol)                                                     \
    "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " host          \
    "}\nspec: {hosts: [" host "], " addresses "resolution: NONE, ports: [{number: " port           \
    ", name: p, protocol: " protocol "}]}\n"

static const char objects[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: own}\nspec: {clusterIP: 10.1.2.3, ports: "
    "[{name: tcp, "
    "port: 3306}]}\n" ENTRY("wide.db", "addresses: [10.0.0.0/8, 'fd00::/8'], ", "3306", "MYSQL")
        ENTRY("narrow.db", "addresses: [10.1.77.1/16], ", "3306",
              "TCP") ENTRY("one.db", "addresses: [10.1.9.9], ", "3306",
                           "TCP") ENTRY("a.tls", "addresses: [10.1.0.0/16], ", "443", "TLS")
            ENTRY("B.tls", "addresses: [10.1.0.0/16], ", "443",
                  "HTTPS") ENTRY("c.tls", "addresses: [10.0.0.0/8], ", "443", "TLS")
                ENTRY("raw.db", "addresses: [10.2.0.0/16], ", "443", "TCP")
                    ENTRY("d.tls", "addresses: [10.2.0.0/16], ", "443", "TLS")
                        ENTRY("e.tls", "", "443", "TLS") ENTRY("any.mongo", "", "27017", "MONGO")
                            ENTRY("web", "addresses: [10.0.0.0/8], ", "80", "HTTP")
                                ENTRY("v.tls", "addresses: [10.3.0.0/16], ", "443",
                                      "TLS") "---\napiVersion: networking.istio.io/v1\nkind: "
                                             "VirtualService\nmetadata: {name: v}\nspec: {hosts: "
                                             "[v.tls], tls: [{match: [{sniHosts: ['*.v.test']}], "
                                             "route: [{destination: {host: v.tls}}]}]}\n";

static struct mesh *load(const char *more, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    conf.wants_tcp = true;
    return mesh_fixture_load_as(&conf, (const char *[]){ objects, more, NULL }, err);
}

static const struct {
    const char *ip;
    uint16_t port;
    const char *sni; /* NULL: no ClientHello */
    const char *host;
} cases[] = {
    { "10.1.2.3", 3306, NULL, "own.default.svc.cluster.local" }, /* an address before any block */
    { "10.1.9.9", 3306, NULL, "one.db" },
    { "10.1.9.8", 3306, NULL, "narrow.db" }, /* bits behind the prefix mean nothing */
    { "10.2.0.1", 3306, NULL, "wide.db" },
    { "fd12::1", 3306, NULL, "wide.db" },
    { "fe80::1", 3306, NULL, NULL },
    { "11.0.0.1", 3306, NULL, NULL },
    { "10.1.9.8", 3307, NULL, NULL },
    { "192.0.2.1", 27017, NULL, "any.mongo" },
    { "2001:db8::1", 27017, NULL, "any.mongo" },
    { "10.5.0.1", 80, NULL, NULL }, /* HTTP goes by its Host */
    { "10.1.0.1", 443, NULL, NULL },
    { "10.1.0.1", 443, "a.tls", "a.tls" },
    { "10.1.0.1", 443, "b.tls", "b.tls" },
    { "10.1.0.1", 443, "c.tls", NULL }, /* no way back to the shorter block */
    { "10.1.0.1", 443, "", NULL },
    { "10.4.0.1", 443, "c.tls", "c.tls" },
    { "10.4.0.1", 443, "a.tls", NULL },
    { "10.2.0.1", 443, NULL, NULL }, /* the name has a say */
    { "10.2.0.1", 443, "d.tls", "d.tls" },
    { "10.2.0.1", 443, "x.tls", "raw.db" },
    { "192.0.2.1", 443, "e.tls", "e.tls" },
    { "192.0.2.1", 443, "a.tls", NULL },
    { "10.3.0.1", 443, "v.tls", NULL }, /* a VirtualService names others */
    { "10.3.0.1", 443, "x.v.test", "v.tls" },
};

static void test_cases(void **state)
{
    struct mesh *m = load(NULL, NULL);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct ip ip = ip_of_text(sv_z(cases[i].ip));
        const struct tcp_service *s = mesh_tcp_by_address(m, &ip, cases[i].port);
        if (!s && cases[i].sni)
            s = mesh_tcp_by_sni(m, &ip, cases[i].port, sv_z(cases[i].sni));
        print_message("case: %s:%u %s: %.*s\n", cases[i].ip, cases[i].port,
                      cases[i].sni ? cases[i].sni : "-", s ? (int)s->host.len : 4,
                      s ? s->host.p : "none");
        assert_int_equal(s != NULL, cases[i].host != NULL);
        if (!s)
            continue;
        assert_true(sv_eq(s->host, sv_z(cases[i].host)));
        const struct route *r = tcp_route(
            s, &(struct tcp_ask){ .is_tls = cases[i].sni != NULL,
                                  .sni = sv_z(cases[i].sni ? cases[i].sni : ""),
                                  .destination = ip,
                                  .port = s->port });
        assert_non_null(r);
        assert_int_equal(route_pick(r, 0)->cluster->is_as_meant, !sv_starts(s->host, SV("own.")));
    }
    assert_true(mesh_fixture_warns(m, "has no addresses: it takes every connection to port 27017"));
    assert_false(mesh_fixture_warns(m, "has no addresses: it takes every connection to port 443"));
    struct ip unknown = { .is_known = false };
    assert_null(mesh_tcp_by_address(m, &unknown, 3306));
    mesh_unref(m);
}

static void test_resolutions(void **state)
{
    static const struct {
        const char *spec;
        bool is_as_meant;
    } table[] = {
        { "resolution: NONE", true },
        { "location: MESH_EXTERNAL", true },
        { "resolution: STATIC, endpoints: [{address: 192.0.2.1}]", false },
        { "resolution: DNS", false },
        { "endpoints: [{address: 192.0.2.1}]", false },
        { "workloadSelector: {labels: {app: x}}", false },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(table); i++) {
        char text[400];
        snprintf(
            text, sizeof(text),
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: z}\nspec: "
            "{hosts: [z.test], addresses: [192.0.2.0/24], ports: [{number: 99, name: t, protocol: "
            "TCP}], %s}\n",
            table[i].spec);
        struct mesh *m = load(text, NULL);
        struct ip ip = ip_of_text(SV("192.0.2.9"));
        assert_non_null(m);
        const struct tcp_service *s = mesh_tcp_by_address(m, &ip, 99);
        print_message("case: %s\n", table[i].spec);
        assert_non_null(s);
        assert_int_equal(s->entries[0].route->targets[0].cluster->is_as_meant,
                         table[i].is_as_meant);
        mesh_unref(m);
    }
}

static void test_mistakes(void **state)
{
    static const char *const addresses[] = { "10.0.0.0/33", "10.0.0", "fd00::/129", "x/8",
                                             "10.0.0.0/" };
    (void)state;
    for (size_t i = 0; i < NELEMS(addresses); i++) {
        char text[400];
        struct err err = { 0 };
        snprintf(text, sizeof(text), ENTRY("z.test", "addresses: ['%s'], ", "99", "TCP"),
                 addresses[i]);
        assert_null(load(text, &err));
        print_message("case: %s\n", err.why);
        assert_non_null(strstr(err.why, "is no IP address and no CIDR block"));
    }
}

static void test_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = load(NULL, &err);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(m || err.code == ERR_NOMEM);
        mesh_unref(m);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_resolutions),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
