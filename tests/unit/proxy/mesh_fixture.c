/* mesh_fixture.c - writes texts into a fresh folder under /tmp, loads it and removes it again. */
#include "mesh_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POD(name, version, ip)                                                                     \
    "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " name "\n  labels: {app: reviews, "       \
    "version: " version ", security.istio.io/tlsMode: istio, pod-template-hash: 5d4f8c}\n"         \
    "  ownerReferences:\n  - {kind: ReplicaSet, name: reviews-" version "-5d4f8c, "                \
    "controller: true}\nspec: {serviceAccountName: bookinfo-reviews}\nstatus:\n  podIP: " ip "\n"

const char mesh_fixture_reviews[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec:\n  selector: {app: reviews}\n"
    "  ports:\n  - {name: http, port: 9080, targetPort: 15006}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: ratings}\nspec:\n"
    "  ports:\n  - {name: tcp-admin, port: 7000}\n  - {name: http, port: 9080}\n"
    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: ratings-1\n"
    "  labels: {kubernetes.io/service-name: ratings}\naddressType: IPv4\nports:\n"
    "- {name: http, port: 15006}\n- {name: tcp-admin, port: 7001}\nendpoints:\n"
    "- {addresses: [10.0.1.1], conditions: {ready: true}}\n"
    "- {addresses: [10.0.1.2], conditions: {ready: false}}\n- {addresses: [10.0.1.3]}\n" POD(
        "reviews-v1-5d4f8c-aaaaa", "v1", "10.0.0.1")
        POD("reviews-v2-5d4f8c-bbbbb", "v2", "10.0.0.2")
            POD("reviews-v3-5d4f8c-ccccc", "v3", "10.0.0.3");

struct mesh_conf mesh_fixture_conf(void)
{
    struct mesh_conf conf = { .self = identity_unknown(), .trust_domain = SV("cluster.local") };
    conf.self.cluster = SV("demo");
    conf.self.namespace = SV("default");
    conf.self.workload = SV("productpage-v1");
    return conf;
}

struct mesh *mesh_fixture_load_as(const struct mesh_conf *conf, const char *const *texts,
                                  struct err *err)
{
    char folder[] = "/tmp/tulle-mesh-XXXXXX", path[64];
    struct mesh_conf own = *conf;
    size_t len = 0;
    if (!mkdtemp(folder))
        return NULL;
    for (; texts[len]; len++) {
        snprintf(path, sizeof(path), "%s/%02zu.yaml", folder, len);
        FILE *f = fopen(path, "w");
        if (f) {
            fputs(texts[len], f);
            fclose(f);
        }
    }
    own.dir = folder;
    struct mesh *m = mesh_load(&own, err);
    for (size_t i = 0; i < len; i++) {
        snprintf(path, sizeof(path), "%s/%02zu.yaml", folder, i);
        unlink(path);
    }
    rmdir(folder);
    return m;
}

struct mesh *mesh_fixture_load(const char *const *texts, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    return mesh_fixture_load_as(&conf, texts, err);
}

struct http_head mesh_fixture_request(const char *authority, const char *path,
                                      struct http_header *slots)
{
    struct http_head head = { .method = SV("GET"),
                              .target = sv_z(path),
                              .path = sv_z(path),
                              .authority = sv_z(authority),
                              .headers = slots };
    while (slots && slots[head.headers_len].name.len)
        head.headers_len++;
    return head;
}

bool mesh_fixture_warns(const struct mesh *m, const char *part)
{
    const struct sv *list;
    size_t len = mesh_warnings(m, &list);
    for (size_t i = 0; i < len; i++)
        if (sv_contains(list[i], sv_z(part)))
            return true;
    return false;
}
