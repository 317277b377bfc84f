/* SPDX-License-Identifier: Apache-2.0
 * read_balancing.c - a DestinationRule's trafficPolicy: which endpoint, how many connections and
 * requests, and which TLS.
 *
 * Blocks override as a whole: a subset that has a connectionPool has nothing of its rule's.
 * portLevelSettings inherit nothing at all, as in Istio. Istio's proto cannot tell 0 from missing, so
 * a number that is 0 or missing means no bound. */
#include "base/clock.h"
#include "proxy/config/catalog.h"

static const char *const later_traffic[] = { "tunnel", "proxyProtocol", NULL };
static const char *const later_balancer[] = { "localityLbSetting", "warmup", "warmupDurationSecs",
                                              NULL };

static const struct choice tls_modes[] = {
    { "DISABLE", TLS_MODE_DISABLE },
    { "SIMPLE", TLS_MODE_SIMPLE },
    { "MUTUAL", TLS_MODE_MUTUAL },
    { "ISTIO_MUTUAL", TLS_MODE_ISTIO_MUTUAL },
};
enum { H2_DEFAULT, H2_DO_NOT_UPGRADE, H2_UPGRADE };
static const struct choice h2_policies[] = {
    { "DEFAULT", H2_DEFAULT },
    { "DO_NOT_UPGRADE", H2_DO_NOT_UPGRADE },
    { "UPGRADE", H2_UPGRADE },
};
#define LB_PASSTHROUGH (-2)
static const struct choice balancers[] = {
    { "UNSPECIFIED", LB_LEAST_REQUEST },
    { "LEAST_REQUEST", LB_LEAST_REQUEST },
    { "LEAST_CONN", LB_LEAST_REQUEST },
    { "ROUND_ROBIN", LB_ROUND_ROBIN },
    { "RANDOM", LB_RANDOM },
    { "PASSTHROUGH", LB_PASSTHROUGH },
};

/* httpCookie.attributes: "; SameSite=Strict". */
static void put_attributes(struct reader *r, struct node *n, struct buf *to)
{
    struct node *list = field_list(r, n, "attributes");
    for (struct node *at = list ? list->first : NULL; at; at = at->next) {
        if (!node_is_map(r, at))
            continue;
        struct sv name = field_text(r, at, "name"), value = field_text(r, at, "value");
        if (!read_is_token(name) || !http_is_field_value(value) || sv_contains(value, SV(";")))
            finding_error(r->to, at, "expected the name and value of a cookie's attribute");
        buf_printf(to, value.len ? "; %.*s=%.*s" : "; %.*s%.*s", SV_ARG(name), SV_ARG(value));
        fields_finish(r, at, NULL);
    }
}

/* "; Path=/x; Max-Age=60; SameSite=Strict; HttpOnly" */
static struct sv cookie_tail(struct reader *r, struct node *n, struct sv path, int64_t ttl_ns)
{
    AUTO_DONE(buf) text = { 0 };
    if (path.len)
        buf_printf(&text, "; Path=%.*s", SV_ARG(path));
    if (ttl_ns > 0)
        buf_printf(&text, "; Max-Age=%lld", (long long)(ttl_ns / NS_PER_S));
    put_attributes(r, n, &text);
    buf_put(&text, SV("; HttpOnly"));
    struct sv copy = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!copy.p)
        r->to->is_nomem = true;
    return copy;
}

static void read_cookie(struct reader *r, struct node *n, struct hash_policy *to)
{
    struct node *ttl = field_any(r, n, "ttl");
    struct sv path = read_path_text(r, n, "path");
    to->kind = HASH_COOKIE;
    to->name = field_text(r, n, "name");
    to->makes_cookie = ttl != NULL;
    to->cookie_tail = cookie_tail(r, n, path, field_duration(r, n, "ttl", 0));
    if (!read_is_token(to->name))
        finding_error(r->to, n, "expected a cookie's name");
    fields_finish(r, n, NULL);
}

/* Tables of any size lead to the same: each endpoint its share, and few moves when one goes. */
static void read_tables(struct reader *r, struct node *n)
{
    struct node *ring = field_map(r, n, "ringHash"), *maglev = field_map(r, n, "maglev");
    (void)field_uint(r, n, "minimumRingSize", UINT32_MAX, 0);
    (void)field_uint(r, ring, "minimumRingSize", UINT32_MAX, 0);
    (void)field_uint(r, maglev, "tableSize", UINT32_MAX, 0);
    fields_finish(r, ring, NULL);
    fields_finish(r, maglev, NULL);
}

static const struct hash_policy *read_hash(struct reader *r, struct node *n)
{
    struct hash_policy *h = read_array(r, 1, sizeof(*h));
    struct node *cookie = field_map(r, n, "httpCookie");
    struct sv header = field_text(r, n, "httpHeaderName");
    struct sv parameter = field_text(r, n, "httpQueryParameterName");
    bool is_ip = field_bool(r, n, "useSourceIp", false);
    read_tables(r, n);
    if (!h)
        return NULL;
    if ((cookie != NULL) + (header.len > 0) + (parameter.len > 0) + is_ip != 1)
        finding_error(r->to, n,
                      "expected one of httpHeaderName, httpCookie, useSourceIp, "
                      "httpQueryParameterName");
    if (cookie)
        read_cookie(r, cookie, h);
    else if (header.len)
        *h = (struct hash_policy){ .kind = HASH_HEADER, .name = header };
    else if (parameter.len)
        *h = (struct hash_policy){ .kind = HASH_QUERY, .name = parameter };
    else
        *h = (struct hash_policy){ .kind = HASH_SOURCE_IP };
    fields_finish(r, n, NULL);
    return h;
}

static void read_balancer(struct reader *r, struct node *policy, struct traffic_policy *to)
{
    struct node *n = field_map(r, policy, "loadBalancer"), *simple = field_any(r, n, "simple");
    struct node *hash = field_map(r, n, "consistentHash");
    to->lb = -1;
    if (!n)
        return;
    to->lb = field_choice(r, n, "simple", balancers, NELEMS(balancers), LB_LEAST_REQUEST);
    if (to->lb == LB_PASSTHROUGH) {
        finding_warn(r->to, simple, "PASSTHROUGH is not supported: LEAST_REQUEST");
        to->lb = LB_LEAST_REQUEST;
    }
    if (hash && simple)
        finding_error(r->to, n, "expected one of simple, consistentHash, found both");
    if (hash)
        to->hash = read_hash(r, hash);
    fields_finish(r, n, later_balancer);
}

static uint32_t read_bound(struct reader *r, struct node *map, const char *name)
{
    uint64_t v = field_uint(r, map, name, INT32_MAX, 0);
    return v ? (uint32_t)v : UINT32_MAX;
}

static void read_keepalive(struct reader *r, struct node *tcp, struct keepalive *to)
{
    struct node *n = field_map(r, tcp, "tcpKeepalive");
    to->is_on = field_any(r, tcp, "tcpKeepalive") != NULL;
    to->probes = (unsigned)field_uint(r, n, "probes", UINT32_MAX, 0);
    to->idle_ns = field_duration(r, n, "time", 0);
    to->interval_ns = field_duration(r, n, "interval", 0);
    fields_finish(r, n, NULL);
}

static void read_pool(struct reader *r, struct node *policy, struct traffic_policy *to)
{
    struct node *n = field_map(r, policy, "connectionPool"), *tcp = field_map(r, n, "tcp");
    struct node *http = field_map(r, n, "http");
    struct pool_limits *p = n ? read_array(r, 1, sizeof(*p)) : NULL;
    if (!p)
        return;
    p->connections_max = read_bound(r, tcp, "maxConnections");
    p->connect_timeout_ns = field_duration(r, tcp, "connectTimeout", 0);
    p->tcp_idle_ns = field_duration(r, tcp, "idleTimeout", 0);
    p->lifetime_ns = field_duration(r, tcp, "maxConnectionDuration", 0);
    read_keepalive(r, tcp, &p->keepalive);
    p->pending_max = read_bound(r, http, "http1MaxPendingRequests");
    p->requests_max = read_bound(r, http, "http2MaxRequests");
    p->retries_max = read_bound(r, http, "maxRetries");
    p->per_connection_max = read_bound(r, http, "maxRequestsPerConnection");
    p->idle_ns = field_duration(r, http, "idleTimeout", 0);
    p->streams_max = read_bound(r, http, "maxConcurrentStreams");
    p->follows_caller = field_bool(r, http, "useClientProtocol", false);
    int upgrade = field_choice(r, http, "h2UpgradePolicy", h2_policies, NELEMS(h2_policies), 0);
    p->upgrades_h2 = upgrade == H2_UPGRADE;
    p->stays_h1 = upgrade == H2_DO_NOT_UPGRADE;
    to->pool = p;
    fields_finish(r, tcp, NULL);
    fields_finish(r, http, NULL);
    fields_finish(r, n, NULL);
}

static void read_tls(struct reader *r, struct node *policy, struct traffic_policy *to)
{
    struct node *n = field_map(r, policy, "tls");
    struct client_tls *t = n ? read_array(r, 1, sizeof(*t)) : NULL;
    to->tls = -1;
    if (!t)
        return;
    to->tls = field_choice(r, n, "mode", tls_modes, NELEMS(tls_modes), TLS_MODE_DISABLE);
    t->sni = read_host_text(r, n, "sni");
    t->names = read_peer_names(r, n, to->tls == TLS_MODE_ISTIO_MUTUAL);
    t->cert_file = field_text(r, n, "clientCertificate");
    t->key_file = field_text(r, n, "privateKey");
    t->ca_file = field_text(r, n, "caCertificates");
    t->crl_file = field_text(r, n, "caCrl");
    t->secret = field_text(r, n, "credentialName");
    t->trusts_anybody = field_bool(r, n, "insecureSkipVerify", false);
    if (to->tls == TLS_MODE_MUTUAL && !t->secret.len && (!t->cert_file.len || !t->key_file.len))
        finding_error(r->to, n, "MUTUAL needs clientCertificate and privateKey, or credentialName");
    to->client = t;
    fields_finish(r, n, NULL);
}

/* retryBudget: percent of the requests at once, and what may always run. budgetInterval is for proxies
 * that remember requests which are over. */
static void read_budget(struct reader *r, struct node *policy, struct traffic_policy *to)
{
    struct node *n = field_map(r, policy, "retryBudget"), *percent = field_any(r, n, "percent");
    struct pool_limits *p = n ? read_array(r, 1, sizeof(*p)) : NULL;
    if (!p)
        return;
    p->has_budget = true;
    p->budget_percent = 20;
    p->budget_min = (uint32_t)field_uint(r, n, "minRetryConcurrency", INT32_MAX, 3);
    if (percent &&
        !(percent->kind == NODE_TEXT && sv_to_double(percent->text, &p->budget_percent) &&
          p->budget_percent >= 0 && p->budget_percent <= 100))
        finding_error(r->to, percent, "expected a percentage from 0 to 100");
    to->budget = p;
    (void)field_duration(r, n, "budgetInterval", 0);
    fields_finish(r, n, NULL);
}

static void read_blocks(struct reader *r, struct node *policy, struct traffic_policy *to)
{
    read_balancer(r, policy, to);
    read_pool(r, policy, to);
    read_budget(r, policy, to);
    read_tls(r, policy, to);
    to->outlier = read_outlier(r, policy);
}

static void read_port_level(struct reader *r, struct node *policy, struct traffic_policy *to)
{
    struct node *list = field_list(r, policy, "portLevelSettings");
    struct port_policy *ports = list ? read_array(r, list->len + 1, sizeof(*ports)) : NULL;
    for (struct node *n = ports ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        struct node *port = field_map(r, n, "port");
        struct port_policy *p = &ports[to->ports_len++];
        p->port = field_port(r, port, "number");
        if (!p->port)
            finding_error(r->to, n, "port.number is missing");
        read_blocks(r, n, &p->policy);
        fields_finish(r, port, NULL);
        fields_finish(r, n, later_traffic);
    }
    to->ports = ports;
}

void read_traffic_policy(struct reader *r, struct node *map, struct traffic_policy *to)
{
    struct node *policy = field_map(r, map, "trafficPolicy");
    read_blocks(r, policy, to);
    read_port_level(r, policy, to);
    fields_finish(r, policy, later_traffic);
}
