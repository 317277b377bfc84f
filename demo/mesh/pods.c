/* pods.c - the table of the demo's pods, and the same as Kubernetes Pod objects.
 *
 * It is the mesh of a well-known book shop with what real meshes also have: an instance that fails
 * now and then, a legacy service that speaks plaintext only and calls into the mesh from outside,
 * and a database-like leaf without a sidecar; beside it what the Ingresses lead to. Nothing else in the
 * demo but what users wish (load.c) and gateways read (folders.c) knows the names: routes, certificates,
 * processes and the final comparison all follow from this table. */
#include "demo/mesh/pods.h"
#include "demo/mesh/folders.h"

/* clang-format off */
static const struct pod_spec mesh[] = {
    { "gateway-v1", "gateway", "v1", "default", "gateway", 2, POD_GATEWAY, 0, { NULL } },
    { "frontend-v1", "frontend", "v1", "default", "frontend", 10, POD_SIDECAR, 9080, {
        ("/home ms=1-3 size=1500 call=app:9080/feature call=backend:9080/work"
         " call=database:9080/api/query,20"),
        "/products ms=1-4 size=600 strict call=productpage:9080/products",
        "/cart ms=1-3 strict call=productpage:9080/cart",
        "/slow ms=5-10 strict call=productpage:9080/slow",
        "/broken ms=1-2 strict call=productpage:9080/broken" } },
    { "productpage-v1", "productpage", "v1", "default", "bookinfo-productpage", 11, POD_SIDECAR, 9080, {
        "/products ms=2-8 size=800 call=details:9080/details call=reviews:9080/reviews"
        " call=inventory:9080/stock,30",
        "/cart ms=3-10 fail=4,500 call=inventory:9080/reserve",
        "/slow ms=300-900 call=details:9080/details",
        "/broken ms=1-2 fail=100,500" } },
    { "details-v1", "details", "v1", "default", "bookinfo-details", 12, POD_SIDECAR, 9080, {
        "/details ms=1-3 size=300 call=catalog-db:9200/catalog/search" } },
    { "reviews-v1", "reviews", "v1", "default", "bookinfo-reviews", 13, POD_SIDECAR, 9080, {
        "/reviews ms=2-6 size=400" } },
    { "reviews-v2", "reviews", "v2", "default", "bookinfo-reviews", 14, POD_SIDECAR, 9080, {
        "/reviews ms=2-7 size=400 call=ratings:9080/ratings" } },
    { "reviews-v3", "reviews", "v3", "default", "bookinfo-reviews", 15, POD_SIDECAR, 9080, {
        "/reviews ms=4-30 size=400 call=ratings:9080/ratings" } },
    { "ratings-v1", "ratings", "v1", "default", "bookinfo-ratings", 16, POD_SIDECAR, 9080, {
        "/ratings ms=1-4 size=100" } },
    { "ratings-v1", "ratings", "v1", "default", "bookinfo-ratings", 17, POD_SIDECAR, 9080, {
        "/ratings ms=1-4 size=100" } },
    { "ratings-v1", "ratings", "v1", "default", "bookinfo-ratings", 18, POD_SIDECAR, 9080, {
        "/ratings ms=1-12 size=100 fail=20,503" } },
    { "app-v1", "app", "v1", "default", "app", 22, POD_SIDECAR, 9080, {
        "/feature ms=1-3 size=200" } },
    { "app-v2", "app", "v2", "default", "app", 23, POD_SIDECAR, 9080, {
        "/feature ms=1-3 size=250" } },
    { "backend-v1", "backend", "v1", "default", "backend", 24, POD_SIDECAR, 9080, {
        "/work ms=1-3 size=100 call=database:9080/api/query call=database:9080/api/data,10" } },
    { "database-v1", "database", "v1", "default", "database", 25, POD_SIDECAR, 9080, {
        "/api ms=1-4 size=100" } },
    { "inventory-v1", "inventory", "v1", "default", "inventory", 20, POD_PLAIN, 9080, {
        "/stock ms=5-15 size=50 call=ratings:9080/ratings,25",
        "/reserve ms=8-25 fail=3,503" } },
    { "catalog-db-v1", "catalog-db", "v1", "default", "catalog-db", 21, POD_PLAIN, 9200, {
        "/catalog ms=1-6 size=1000 fail=1,500" } },
};
/* What Ingresses lead to, and their gateways. */
static const struct pod_spec ingress[] = {
    { "ingress-v1", "ingress", "v1", "default", "ingress", 3, POD_GATEWAY, 0, { NULL } },
    { "ingress-tls-v1", "ingress-tls", "v1", "default", "ingress-tls", 4, POD_GATEWAY, 0, { NULL } },
    { "ingress-ab-v1", "ingress-ab", "v1", "default", "ingress-ab", 5, POD_GATEWAY, 0, { NULL } },
    { "user-service-v1", "user-service", "v1", "default", "user-service", 6, POD_SIDECAR, 9080, {
        "/users ms=1-4 size=300" } },
    { "order-service-v1", "order-service", "v1", "default", "order-service", 7, POD_SIDECAR, 9080, {
        "/orders ms=2-6 size=200 strict call=payments.production:9080/pay" } },
    { "order-service-v2", "order-service", "v2", "default", "order-service", 8, POD_SIDECAR, 9080, {
        "/orders ms=2-5 size=220 fail=8,503 call=payments.production:9080/pay" } },
    { "payments-v1", "payments", "v1", "production", "payments", 9, POD_SIDECAR, 9080, {
        "/pay ms=3-9 size=80" } },
    { "api-service-v1", "api-service", "v1", "default", "api-service", 26, POD_SIDECAR, 9080, {
        "/api ms=1-4 size=400", "/quotes ms=1-5 size=500 call=app:9080/feature,50" } },
    { "web-service-v1", "web-service", "v1", "default", "web-service", 27, POD_SIDECAR, 9080, {
        "/ready", /* what the demo asks before it begins calls nobody */
        "/ ms=1-3 size=2000 call=api-service:8080/quotes,40" } },
    { "admin-service-v1", "admin-service", "v1", "default", "admin-service", 28, POD_SIDECAR, 9080, {
        "/admin ms=2-5 size=300 call=user-service:8080/users/1" } },
};
/* clang-format on */

#define FIRST_REPLICA 30 /* the table's numbers end before */

const struct pod_spec *demo_pods = mesh;
size_t demo_pods_len = NELEMS(mesh);

void pods_scale(size_t sidecars, bool with_ingress)
{
    static struct pod_spec scaled[PODS_MAX];
    size_t rows = NELEMS(mesh), have = 0;
    memcpy(scaled, mesh, sizeof(mesh));
    if (with_ingress) {
        memcpy(scaled + rows, ingress, sizeof(ingress));
        rows += NELEMS(ingress);
    }
    for (size_t i = 0; i < rows; i++)
        have += scaled[i].kind == POD_SIDECAR;
    size_t len = rows;
    unsigned number = FIRST_REPLICA;
    for (size_t turn = 0; have < sidecars && len < PODS_MAX; turn++) {
        const struct pod_spec *p = &scaled[turn % rows];
        if (p->kind != POD_SIDECAR)
            continue;
        scaled[len] = *p;
        scaled[len++].number = number++;
        have++;
    }
    demo_pods = scaled;
    demo_pods_len = len;
}

const struct pod_spec *pod_by_workload(struct sv workload)
{
    for (size_t i = 0; i < demo_pods_len; i++)
        if (sv_eq(sv_z(demo_pods[i].workload), workload))
            return &demo_pods[i];
    return NULL;
}

struct sv pod_only_workload(struct sv service)
{
    struct sv app = sv_sub(service, 0, sv_index(service, ':')), only = SV_NONE;
    for (size_t i = 0; i < demo_pods_len; i++) {
        struct sv workload = sv_z(demo_pods[i].workload);
        if (!sv_eq(sv_z(demo_pods[i].app), app))
            continue;
        if (only.len && !sv_eq(only, workload))
            return service;
        only = workload;
    }
    return only.len ? only : service;
}

const char *pod_expected_tls(struct sv source, struct sv destination)
{
    const struct pod_spec *s = pod_by_workload(source), *d = pod_by_workload(destination);
    bool both = s && d && s->kind != POD_PLAIN && d->kind != POD_PLAIN;
    return both ? "mutual" : "plaintext";
}

void pods_yaml(const char *net, struct buf *out)
{
    for (size_t i = 0; i < demo_pods_len; i++) {
        const struct pod_spec *p = &demo_pods[i];
        buf_printf(out, "apiVersion: v1\nkind: Pod\nmetadata:\n");
        buf_printf(out, "  name: %s-7d4b9c-%02u\n", p->workload, p->number);
        buf_printf(out, "  namespace: %s\n", p->ns);
        buf_printf(out, "  labels:\n    app: %s\n    version: %s\n", p->app, p->version);
        buf_printf(out, "    pod-template-hash: 7d4b9c\n");
        if (p->kind != POD_PLAIN)
            buf_printf(out, "    security.istio.io/tlsMode: istio\n");
        if (folder_is_istio(p))
            buf_printf(out, "    istio: ingressgateway\n");
        buf_printf(out, "  ownerReferences:\n    - { apiVersion: apps/v1, kind: ReplicaSet, ");
        buf_printf(out, "name: %s-7d4b9c, controller: true }\n", p->workload);
        buf_printf(out, "spec:\n  serviceAccountName: %s\n  containers:\n", p->account);
        buf_printf(out, "    - { name: app, ports: [{ name: http, containerPort: %u }] }\n",
                   p->app_port ? p->app_port : GATEWAY_PORT);
        buf_printf(out, "status:\n  phase: Running\n  podIP: %s.%u\n---\n", net, p->number);
    }
}
