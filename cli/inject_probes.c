/* SPDX-License-Identifier: Apache-2.0
 * inject_probes.c - a Pod's probes, asked by the proxy from now on, and what they were as JSON.
 *
 * httpGet, tcpSocket and grpc move; names of ports become numbers here, because only the Pod has the names.
 * exec runs in the container and stays. */
#include "base/json_out.h"
#include "cli/inject.h"

static struct sv port_of(struct pod_edit *p, int container, struct sv port)
{
    uint64_t number;
    if (sv_to_u64(port, &number))
        return port;
    int ports = ye_get(p->y, container, "ports");
    for (size_t i = 0; i < ye_len(p->y, ports); i++) {
        int one = ye_item(p->y, ports, i);
        if (sv_eq(ye_get_text(p->y, one, "name"), port))
            return ye_get_text(p->y, one, "containerPort");
    }
    return SV_NONE;
}

static void put_headers(struct yaml_edit *y, int headers, struct json_out *j)
{
    json_kv_open(j, "httpHeaders", '[');
    for (size_t i = 0; i < ye_len(y, headers); i++) {
        json_open(j, '{');
        json_kv_str(j, "name", ye_get_text(y, ye_item(y, headers, i), "name"));
        json_kv_str(j, "value", ye_get_text(y, ye_item(y, headers, i), "value"));
        json_close(j);
    }
    json_close(j);
}

static void put_action(struct yaml_edit *y, int action, const char *what, uint64_t port,
                       struct json_out *j)
{
    json_kv_open(j, what, '{');
    if (ye_get(y, action, "path"))
        json_kv_str(j, "path", ye_get_text(y, action, "path"));
    json_kv_u64(j, "port", port);
    if (ye_get(y, action, "scheme"))
        json_kv_str(j, "scheme", ye_get_text(y, action, "scheme"));
    if (ye_get(y, action, "httpHeaders"))
        put_headers(y, ye_get(y, action, "httpHeaders"), j);
    if (ye_get_text(y, action, "service").len)
        json_kv_str(j, "service", ye_get_text(y, action, "service"));
    json_close(j);
}

static void move_probe(struct pod_edit *p, int container, const char *probe, const char *leaf,
                       struct json_out *j)
{
    struct yaml_edit *y = p->y;
    char path[160], port[8];
    uint64_t number = 0, seconds = 0;
    struct sv name = ye_get_text(y, container, "name");
    int at = ye_get(y, container, probe);
    const char *what = ye_get(y, at, "httpGet") ? "httpGet"
                       : ye_get(y, at, "grpc")  ? "grpc"
                                                : "tcpSocket";
    int action = ye_get(y, at, what);
    if (!action)
        return;
    if (!sv_to_u64(port_of(p, container, ye_get_text(y, action, "port")), &number)) {
        fprintf(stderr, "tulle inject: %.*s: %s: no port of that name; it stays as it is\n",
                SV_ARG(name), probe);
        return;
    }
    snprintf(path, sizeof(path), "/app-health/%.*s/%s", SV_ARG(name), leaf);
    json_kv_open(j, path, '{');
    put_action(y, action, what, number, j);
    if (sv_to_u64(ye_get_text(y, at, "timeoutSeconds"), &seconds))
        json_kv_u64(j, "timeoutSeconds", seconds);
    json_close(j);
    ye_drop(y, at, what);
    int now = ye_need_map(y, at, "httpGet");
    snprintf(port, sizeof(port), "%d", STATUS_PORT);
    ye_set_str(y, now, "path", sv_z(path));
    ye_set_plain(y, now, "port", port);
}

void inject_probes(struct pod_edit *p, struct buf *json)
{
    struct json_out j = json_out_of(json);
    int containers = ye_get(p->y, p->spec, "containers");
    bool is_wanted = !sv_eq(inject_annotation(p, "sidecar.istio.io/rewriteAppHTTPProbers", "true"),
                            SV("false"));
    json_open(&j, '{');
    for (size_t i = 0; is_wanted && i < ye_len(p->y, containers); i++) {
        int container = ye_item(p->y, containers, i);
        move_probe(p, container, "livenessProbe", "livez", &j);
        move_probe(p, container, "readinessProbe", "readyz", &j);
        move_probe(p, container, "startupProbe", "startupz", &j);
    }
    json_close(&j);
}
