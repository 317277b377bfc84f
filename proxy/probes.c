/* SPDX-License-Identifier: Apache-2.0
 * probes.c - reads what the probes of a Pod were before they were pointed at us.
 *
 * Ports must be numbers: names are resolved by whoever wrote the JSON, because only the Pod's spec
 * has them. An httpGet or grpc becomes the bytes of its request here, once, so that asking is sending. */
#include "proxy/probes.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json_in.h"
#include "proxy/probe_grpc.h"
#include "wire/h1.h"
#include "wire/http_msg.h"

#define DEPTH_MAX     8 /* map, probe, httpGet, headers, header */
#define TIMEOUT_MAX_S 3600
#define PROBE_AGENT   "kube-probe/tulle"

struct http_get {
    struct sv path, host, scheme;
    struct buf fields;
    uint64_t port;
    bool has_host, has_agent;
};

static bool is_name(struct sv s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
              (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' || s.p[i] == '_'))
            return false;
    return s.len > 0;
}

static void read_header(struct json_in *j, struct http_get *g)
{
    struct sv name = SV_NONE, value = SV_NONE;
    jin_object(j);
    for (struct sv key; jin_key(j, &key);) {
        if (sv_eq(key, SV("name")))
            name = jin_str(j);
        else if (sv_eq(key, SV("value")))
            value = jin_str(j);
        else
            jin_skip(j);
    }
    if (!jin_ok(j))
        return;
    if (!is_name(name) || !http_is_field_value(value)) {
        jin_fail(j, ERR_USAGE, "httpHeaders: not a header's name and value");
        return;
    }
    if (sv_eq_nocase(name, SV("host"))) {
        g->host = value;
        return;
    }
    if (sv_eq_nocase(name, SV("content-length")) || sv_eq_nocase(name, SV("transfer-encoding")) ||
        sv_eq_nocase(name, SV("connection")))
        return; /* a probe has no body, and its connection is ours */
    g->has_agent |= sv_eq_nocase(name, SV("user-agent"));
    h1_put_field(&g->fields, name, value);
}

static uint64_t read_port(struct json_in *j)
{
    enum json_kind kind = jin_kind(j);
    uint64_t port = kind == JSON_NUMBER || kind == JSON_STRING ? jin_u64(j) : 0;
    if (kind != JSON_NUMBER && kind != JSON_STRING)
        jin_skip(j);
    if (jin_ok(j) && (port == 0 || port > UINT16_MAX))
        jin_fail(j, ERR_USAGE, "port: want a number from 1 to 65535");
    return port;
}

static void read_http_get(struct json_in *j, struct http_get *g)
{
    jin_object(j);
    for (struct sv key; jin_key(j, &key);) {
        if (sv_eq(key, SV("path")))
            g->path = jin_str(j);
        else if (sv_eq(key, SV("port")))
            g->port = read_port(j);
        else if (sv_eq(key, SV("scheme")))
            g->scheme = jin_str(j);
        else if (sv_eq(key, SV("httpHeaders")) && !jin_null(j))
            for (jin_array(j); jin_element(j);)
                read_header(j, g);
        else if (!sv_eq(key, SV("httpHeaders")))
            jin_skip(j); /* host: the application is where we are */
    }
}

/* A path is sent as it was written, so nothing in it may end the request line. */
static bool is_target(struct sv path)
{
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.p[i] <= ' ' || path.p[i] == 0x7f)
            return false;
    return true;
}

static void make_request(struct json_in *j, struct http_get *g, struct arena *mem, struct probe *to)
{
    AUTO_DONE(buf) out = { 0 };
    char host[32];
    bool has_slash = g->path.len && g->path.p[0] == '/';
    if (!jin_ok(j))
        return;
    to->is_tls = sv_eq_nocase(g->scheme, SV("HTTPS"));
    if (g->port == 0)
        jin_fail(j, ERR_USAGE, "httpGet: without port");
    else if (!is_target(g->path))
        jin_fail(j, ERR_USAGE, "httpGet: white space or control characters in path");
    else if (g->scheme.len && !to->is_tls && !sv_eq_nocase(g->scheme, SV("HTTP")))
        jin_fail(j, ERR_USAGE, "httpGet: scheme is neither HTTP nor HTTPS");
    to->port = (uint16_t)g->port;
    snprintf(host, sizeof(host), "localhost:%u", to->port);
    buf_put(&out, has_slash ? SV("GET ") : SV("GET /"));
    buf_put(&out, g->path);
    buf_put(&out, SV(" HTTP/1.1\r\n"));
    h1_put_field(&out, SV("host"), g->host.len ? g->host : sv_z(host));
    if (!g->has_agent)
        h1_put_field(&out, SV("user-agent"), SV(PROBE_AGENT));
    buf_put(&out, buf_sv(&g->fields));
    buf_put(&out, SV("connection: close\r\n\r\n"));
    to->request = arena_copy(mem, buf_sv(&out));
    if (out.failed || g->fields.failed || !to->request.p)
        jin_fail(j, ERR_NOMEM, "probes");
}

static void read_tcp(struct json_in *j, struct probe *to)
{
    jin_object(j);
    for (struct sv key; jin_key(j, &key);) {
        if (sv_eq(key, SV("port")))
            to->port = (uint16_t)read_port(j);
        else
            jin_skip(j);
    }
    if (jin_ok(j) && to->port == 0)
        jin_fail(j, ERR_USAGE, "tcpSocket: without port");
}

/* {"port": 50051, "service": "shop"}, both as Kubernetes has them. */
static void read_grpc(struct json_in *j, struct arena *mem, struct probe *to)
{
    AUTO_DONE(buf) head = { 0 };
    AUTO_DONE(buf) message = { 0 };
    struct sv service = SV_NONE;
    jin_object(j);
    for (struct sv key; jin_key(j, &key);) {
        if (sv_eq(key, SV("port")))
            to->port = (uint16_t)read_port(j);
        else if (sv_eq(key, SV("service")) && !jin_null(j))
            service = jin_str(j);
        else if (!sv_eq(key, SV("service")))
            jin_skip(j);
    }
    if (!jin_ok(j))
        return;
    if (to->port == 0) {
        jin_fail(j, ERR_USAGE, "grpc: without port");
        return;
    }
    buf_printf(&head, "POST " PROBE_GRPC_PATH " HTTP/1.1\r\nhost: localhost:%u\r\n", to->port);
    buf_put(&head, SV("user-agent: " PROBE_AGENT "\r\ncontent-type: application/grpc\r\n"
                      "te: trailers\r\n\r\n"));
    probe_grpc_put(&message, service);
    to->request = arena_copy(mem, buf_sv(&head));
    to->message = arena_copy(mem, buf_sv(&message));
    if (head.failed || message.failed || !to->request.p || !to->message.p)
        jin_fail(j, ERR_NOMEM, "probes");
}

static void read_timeout(struct json_in *j, struct probe *to)
{
    int64_t s = jin_i64(j);
    if (jin_ok(j) && (s < 0 || s > TIMEOUT_MAX_S))
        jin_fail(j, ERR_USAGE, "timeoutSeconds: want 0 to 3600");
    else if (s > 0) /* 0 is the default, as in Kubernetes */
        to->timeout_ns = s * NS_PER_S;
}

static bool is_way(struct sv key)
{
    return sv_eq(key, SV("httpGet")) || sv_eq(key, SV("tcpSocket")) || sv_eq(key, SV("grpc"));
}

static void read_probe(struct json_in *j, struct arena *mem, struct probe *to)
{
    unsigned ways = 0;
    to->timeout_ns = NS_PER_S;
    jin_object(j);
    for (struct sv key; jin_key(j, &key);) {
        if (sv_eq(key, SV("httpGet")) && !jin_null(j)) {
            struct http_get g = { .path = SV("/") };
            read_http_get(j, &g);
            make_request(j, &g, mem, to);
            buf_done(&g.fields);
            ways++;
        } else if (sv_eq(key, SV("tcpSocket")) && !jin_null(j)) {
            read_tcp(j, to);
            ways++;
        } else if (sv_eq(key, SV("grpc")) && !jin_null(j)) {
            read_grpc(j, mem, to);
            ways++;
        } else if (sv_eq(key, SV("timeoutSeconds"))) {
            read_timeout(j, to);
        } else if (sv_eq(key, SV("exec"))) {
            jin_fail(j, ERR_UNSUPPORTED, "exec cannot be asked by the proxy");
        } else if (!is_way(key)) {
            jin_skip(j);
        }
    }
    if (jin_ok(j) && ways != 1)
        jin_fail(j, ERR_USAGE, "a probe has one of httpGet, tcpSocket and grpc");
}

int probes_parse(struct sv json, struct arena *mem, struct probes *ret, struct err *err)
{
    struct json_in j = json_in_of(json, mem, DEPTH_MAX);
    struct probes p = { .list = arena_zalloc(mem, sizeof(*p.list) * PROBES_MAX) };
    if (!p.list)
        return err_set(err, ERR_NOMEM, "probes");
    jin_object(&j);
    for (struct sv key; jin_key(&j, &key);) {
        if (!sv_starts(key, SV("/app-health/")))
            jin_fail(&j, ERR_USAGE, "a probe's path begins with /app-health/");
        else if (p.len == PROBES_MAX)
            jin_fail(&j, ERR_LIMIT, "more than 64 probes");
        if (!jin_ok(&j))
            break;
        p.list[p.len].path = arena_copy(mem, key);
        if (!p.list[p.len].path.p)
            jin_fail(&j, ERR_NOMEM, "probes");
        read_probe(&j, mem, &p.list[p.len++]);
    }
    int rc = jin_finish(&j, err);
    if (rc < 0)
        return rc;
    *ret = p;
    return 0;
}

const struct probe *probes_find(const struct probes *p, struct sv path)
{
    for (size_t i = 0; i < p->len; i++)
        if (sv_eq(p->list[i].path, path))
            return &p->list[i];
    return NULL;
}
