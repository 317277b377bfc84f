/* SPDX-License-Identifier: Apache-2.0
 * read_health_check.c - the annotation tulle.io/health-check of Services, ServiceEntries and
 * DestinationRules.
 *
 *     http /healthz port=8080 host=x interval=10s timeout=1s healthy=2 unhealthy=3
 *     tcp port=8080 ...
 *     grpc service=shop.v1 port=8080 host=x ...
 *
 * Istio has no field for what Envoy calls active health checks, so there is none to follow; names and
 * defaults are those of a kubelet's probes where it has them. Words stand between spaces, settings in
 * any order, each once. */
#include "base/clock.h"
#include "base/flag.h"
#include "proxy/config/catalog.h"
#include "wire/http_msg.h"

#define ANNOTATION      SV("tulle.io/health-check")
#define INTERVAL_MIN_NS (100 * NS_PER_MS) /* a check is to find out, not to load */
#define INTERVAL_MAX_NS (3600 * NS_PER_S)
#define TIMEOUT_MIN_NS  (10 * NS_PER_MS)
#define TIMEOUT_MAX_NS  (60 * NS_PER_S)
#define IN_A_ROW_MAX    100

enum setting {
    SET_PORT,
    SET_HOST,
    SET_SERVICE,
    SET_INTERVAL,
    SET_TIMEOUT,
    SET_HEALTHY,
    SET_UNHEALTHY,
    SETTINGS
};
static const char *const settings[SETTINGS] = { "port",    "host",    "service",  "interval",
                                                "timeout", "healthy", "unhealthy" };

static enum setting find_setting(struct sv name)
{
    size_t i = 0;
    while (i < SETTINGS && !sv_eq(name, sv_z(settings[i])))
        i++;
    return (enum setting)i;
}

static void read_count(struct reader *r, const struct node *n, struct sv v, uint64_t max,
                       const char *name, uint64_t *ret)
{
    uint64_t got;
    if (sv_to_u64(v, &got) && got >= 1 && got <= max)
        *ret = got;
    else
        finding_error(r->to, n, "%s: expected a number from 1 to %llu, found '%.*s'", name,
                      (unsigned long long)max, SV_ARG(sv_sub(v, 0, 40)));
}

static void read_time(struct reader *r, const struct node *n, struct sv v, bool is_interval,
                      int64_t *ret_ns)
{
    int64_t min_ns = is_interval ? INTERVAL_MIN_NS : TIMEOUT_MIN_NS;
    int64_t max_ns = is_interval ? INTERVAL_MAX_NS : TIMEOUT_MAX_NS, got_ns;
    if (duration_from_sv(v, &got_ns) && got_ns >= min_ns && got_ns <= max_ns)
        *ret_ns = got_ns;
    else
        finding_error(r->to, n, "%s: expected a duration from %s, found '%.*s'",
                      is_interval ? "interval" : "timeout",
                      is_interval ? "100ms to 1h" : "10ms to 1m", SV_ARG(sv_sub(v, 0, 40)));
}

static void read_setting(struct reader *r, const struct node *n, enum setting what, struct sv v,
                         struct health_check *to)
{
    uint64_t count = 1;
    switch (what) {
    case SET_PORT:
        read_count(r, n, v, UINT16_MAX, "port", &count);
        to->port = (uint16_t)count;
        return;
    case SET_HOST:
        to->host = v;
        if (!(to->is_http || to->is_grpc))
            finding_error(r->to, n, "host belongs to http and grpc");
        else if (!http_is_authority(v))
            finding_error(r->to, n, "host: expected a host, with or without a port");
        return;
    case SET_SERVICE:
        to->service = v;
        if (!to->is_grpc || !v.len)
            finding_error(r->to, n,
                          to->is_grpc ? "service: expected the name of a service"
                                      : "service belongs to grpc");
        return;
    case SET_INTERVAL: read_time(r, n, v, true, &to->interval_ns); return;
    case SET_TIMEOUT: read_time(r, n, v, false, &to->timeout_ns); return;
    case SET_HEALTHY:
        read_count(r, n, v, IN_A_ROW_MAX, "healthy", &count);
        to->healthy = (uint32_t)count;
        return;
    case SET_UNHEALTHY:
        read_count(r, n, v, IN_A_ROW_MAX, "unhealthy", &count);
        to->unhealthy = (uint32_t)count;
        return;
    default: return;
    }
}

static bool next_word(struct sv *rest, struct sv *ret)
{
    while (rest->len && sv_cut(rest, ' ', ret))
        if (ret->len)
            return true;
    return false;
}

static bool is_path(struct sv text)
{
    bool is_fine = sv_starts(text, SV("/"));
    for (size_t i = 0; i < text.len; i++)
        is_fine = is_fine && (unsigned char)text.p[i] > ' ' && text.p[i] != 0x7f &&
                  text.p[i] != '#';
    return is_fine;
}

/* "http PATH", "tcp" or "grpc". */
static bool read_kind(struct reader *r, const struct node *n, struct sv *rest,
                      struct health_check *to)
{
    struct sv kind = SV_NONE;
    (void)next_word(rest, &kind);
    to->is_http = sv_eq(kind, SV("http"));
    to->is_grpc = sv_eq(kind, SV("grpc"));
    if (!to->is_http && !to->is_grpc && !sv_eq(kind, SV("tcp"))) {
        finding_error(r->to, n, "expected 'http PATH', 'grpc' or 'tcp' first, found '%.*s'",
                      SV_ARG(sv_sub(kind, 0, 40)));
        return false;
    }
    if (to->is_http && (!next_word(rest, &to->path) || !is_path(to->path))) {
        finding_error(r->to, n, "expected a path that begins with '/' after http");
        return false;
    }
    return true;
}

static void read_settings(struct reader *r, const struct node *n, struct sv rest,
                          struct health_check *to)
{
    bool has[SETTINGS] = { false };
    for (struct sv word; next_word(&rest, &word);) {
        size_t eq = sv_index(word, '=');
        enum setting what = eq < word.len ? find_setting(sv_sub(word, 0, eq)) : SETTINGS;
        if (what == SETTINGS)
            finding_error(
                r->to, n,
                "expected port=, host=, service=, interval=, timeout=, healthy= or unhealthy=, "
                "found '%.*s'",
                SV_ARG(sv_sub(word, 0, 40)));
        else if (has[what])
            finding_error(r->to, n, "%s is given twice", settings[what]);
        else
            read_setting(r, n, what, sv_from(word, eq + 1), to);
        if (what < SETTINGS)
            has[what] = true;
    }
    if (to->timeout_ns > to->interval_ns && !has[SET_TIMEOUT])
        to->timeout_ns = to->interval_ns;
    if (to->timeout_ns > to->interval_ns)
        finding_error(r->to, n, "timeout is longer than interval: checks would overlap");
}

const struct health_check *read_health_check(struct catalog *c, struct node *root)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *list = field_map(&r, field_map(&r, root, "metadata"), "annotations");
    const struct node *n = list ? list->first : NULL;
    while (n && !sv_eq(n->key, ANNOTATION))
        n = n->next;
    struct health_check *to = n ? read_array(&r, 1, sizeof(*to)) : NULL;
    if (!to)
        return NULL;
    *to = (struct health_check){ .interval_ns = 10 * NS_PER_S,
                                 .timeout_ns = NS_PER_S,
                                 .healthy = 2,
                                 .unhealthy = 3,
                                 .text = sv_trim(node_text(&r, n)) };
    struct sv rest = to->text;
    if (!read_kind(&r, n, &rest, to))
        return NULL;
    read_settings(&r, n, rest, to);
    return to;
}
