/* SPDX-License-Identifier: Apache-2.0
 * clusters.c - a Service port, or a subset of it, as something that can be sent to.
 *
 * Clusters are made when a route first names them, so a proxy holds what its routes use. Which
 * DestinationRules apply to a host: those of exactly this host, else of the longest wildcard; among
 * them the client's own namespace first, then the service's, then the rest, oldest first. The first
 * one that says something about TLS, the connect time-out or outliers decides; a subset is the first of its
 * name, and overrides its rule. */
#include "base/clock.h"
#include "proxy/config/resolve.h"

#define CONNECT_TIMEOUT_NS (10 * NS_PER_S) /* Istio's default */
#define RULES_MAX          4 /* told of one cluster; more than two never merge in practice */

static bool comes_before(struct resolve *r, const struct meta *a, const struct meta *b,
                         struct sv service_namespace)
{
    int rank_a = sv_eq(a->namespace, r->namespace)        ? 0
                 : sv_eq(a->namespace, service_namespace) ? 1
                                                          : 2;
    int rank_b = sv_eq(b->namespace, r->namespace)        ? 0
                 : sv_eq(b->namespace, service_namespace) ? 1
                                                          : 2;
    if (rank_a != rank_b)
        return rank_a < rank_b;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s;
    return a->order < b->order;
}

static struct sv namespace_of(struct sv fqdn)
{
    struct sv rest = sv_from(fqdn, sv_index(fqdn, '.') + 1);
    return sv_sub(rest, 0, sv_index(rest, '.'));
}

/* Keeps the list sorted by comes_before(). */
static struct rule_link *insert(struct resolve *r, struct rule_link *list,
                                const struct destination_rule *rule, struct sv service_namespace)
{
    struct rule_link *link = arena_zalloc(r->catalog->scratch, sizeof(*link));
    if (!link) {
        resolve_nomem(r);
        return list;
    }
    struct rule_link **at = &list;
    while (*at && !comes_before(r, &rule->meta, &(*at)->rule->meta, service_namespace))
        at = &(*at)->next;
    *link = (struct rule_link){ rule, *at };
    *at = link;
    return list;
}

/* workloadSelector: clients of the rule's own namespace that have these labels. */
static bool is_for_us(const struct resolve *r, const struct destination_rule *d)
{
    return !d->for_clients.len || r->role == ROLE_CHECK ||
           (sv_eq(d->meta.namespace, r->namespace) &&
            labels_match(&r->self_labels, &d->for_clients));
}

void resolve_rules(struct resolve *r)
{
    for (struct destination_rule *d = r->catalog->destination_rules.first; d; d = d->next) {
        struct sv host = resolve_host(r, d->host, d->meta.namespace);
        if (!resolve_is_exported(r, &d->export_to, d->meta.namespace) || !is_for_us(r, d))
            continue;
        if (sv_starts(host, SV("*"))) {
            r->wildcard_rules = insert(r, r->wildcard_rules, d, SV_NONE);
            continue;
        }
        if (r->catalog->services.len && !map_get(&r->services, host))
            finding_place(&r->catalog->findings, false, &d->meta.place,
                          "host '%.*s' names no Service here", SV_ARG(d->host));
        resolve_put(r, &r->rules, host, insert(r, map_get(&r->rules, host), d, namespace_of(host)));
    }
}

const struct rule_link *resolve_rules_of(struct resolve *r, struct service_entry *e)
{
    size_t longest = 0;
    if (e->has_rules)
        return e->rules;
    e->has_rules = true;
    e->rules = map_get(&r->rules, e->fqdn);
    if (e->rules)
        return e->rules;
    for (struct rule_link *at = r->wildcard_rules; at; at = at->next) {
        struct sv suffix = sv_from(at->rule->host, 1);
        if (at->rule->host.len <= longest || !sv_ends(e->fqdn, suffix))
            continue;
        struct rule_link *one = arena_zalloc(r->catalog->scratch, sizeof(*one));
        if (!one) {
            resolve_nomem(r);
            break;
        }
        one->rule = at->rule;
        e->rules = one;
        longest = at->rule->host.len;
    }
    return e->rules;
}

uint16_t resolve_default_port(const struct service_entry *e)
{
    if (!e->object || !e->object->ports_len)
        return 0;
    for (size_t i = 0; i < e->object->ports_len; i++)
        if (e->object->ports[i].is_http)
            return e->object->ports[i].port;
    return e->object->ports[0].port;
}

static const struct port_backends *backends_of(const struct service_entry *e, uint16_t port)
{
    for (size_t i = 0; e->object && i < e->object->ports_len; i++)
        if (e->object->ports[i].port == port)
            return &e->ports[i];
    return NULL;
}

bool resolve_has_port(const struct service_entry *e, uint16_t port)
{
    return backends_of(e, port) != NULL;
}

/* The subset's labels and the traffic policy in force for it. */
struct policy {
    struct labels labels;
    struct traffic_policy traffic;
    bool is_defined;
    const struct destination_rule *by[RULES_MAX]; /* those that had a say */
    size_t by_len;
};

static void note_rule(struct policy *p, const struct destination_rule *d)
{
    if (p->by_len < RULES_MAX && (!p->by_len || p->by[p->by_len - 1] != d))
        p->by[p->by_len++] = d;
}

/* Blocks that are not there yet; false when it has none of them. */
static bool inherit(struct traffic_policy *to, const struct traffic_policy *from)
{
    const struct traffic_policy before = *to;
    if (to->tls < 0) {
        to->tls = from->tls;
        to->client = from->client;
    }
    if (to->lb < 0) {
        to->lb = from->lb;
        to->hash = from->hash;
    }
    to->pool = to->pool ? to->pool : from->pool;
    to->budget = to->budget ? to->budget : from->budget;
    to->outlier = to->outlier ? to->outlier : from->outlier;
    return to->tls != before.tls || to->lb != before.lb || to->pool != before.pool ||
           to->outlier != before.outlier || to->budget != before.budget;
}

static const struct traffic_policy *port_level(const struct traffic_policy *p, uint16_t port)
{
    for (size_t i = 0; i < p->ports_len; i++)
        if (p->ports[i].port == port)
            return &p->ports[i].policy;
    return NULL;
}

static struct policy policy_of(struct resolve *r, struct service_entry *e, struct sv subset,
                               uint16_t port)
{
    struct policy p = { .traffic = { .tls = -1, .lb = -1 } };
    const struct traffic_policy *only = NULL;
    for (const struct rule_link *at = resolve_rules_of(r, e); at; at = at->next) {
        const struct destination_rule *d = at->rule;
        for (size_t i = 0; subset.len && !p.is_defined && i < d->subsets_len; i++) {
            if (!sv_eq(d->subsets[i].name, subset))
                continue;
            p.is_defined = true;
            p.labels = d->subsets[i].labels;
            (void)inherit(&p.traffic, &d->subsets[i].policy);
            note_rule(&p, d);
            only = port_level(&d->subsets[i].policy, port);
        }
    }
    for (const struct rule_link *at = resolve_rules_of(r, e); at; at = at->next) {
        bool has_say = inherit(&p.traffic, &at->rule->policy);
        const struct traffic_policy *of_port = only ? NULL : port_level(&at->rule->policy, port);
        only = only ? only : of_port;
        if (has_say || of_port)
            note_rule(&p, at->rule);
    }
    if (only)
        p.traffic = *only;
    return p;
}

/* The document's own canary names subsets without defining them: the label "version" is what
 * everybody means by them. */
static struct labels labels_of_undefined(struct resolve *r, struct service_entry *e,
                                         struct sv subset, const struct place *at)
{
    struct label *one = arena_zalloc(r->catalog->scratch, sizeof(*one));
    if (!one) {
        resolve_nomem(r);
        return (struct labels){ 0 };
    }
    *one = (struct label){ SV("version"), subset };
    if (at)
        finding_place(&r->catalog->findings, false, at,
                      "subset '%.*s' of %.*s is defined by no DestinationRule: "
                      "routed by the label version=%.*s",
                      SV_ARG(subset), SV_ARG(e->fqdn), SV_ARG(subset));
    return (struct labels){ one, 1 };
}

static void choose_endpoints(struct resolve *r, struct service_entry *e, struct cluster *c,
                             const struct labels *want)
{
    const struct port_backends *all = backends_of(e, c->port);
    const struct endpoint **list = arena_array(&r->mesh->mem, all && all->len ? all->len : 1,
                                               sizeof(struct endpoint *));
    if (!list) {
        resolve_nomem(r);
        return;
    }
    for (size_t i = 0; all && i < all->len; i++)
        if (!want->len || (all->list[i].pod && labels_match(&all->list[i].pod->meta.labels, want)))
            list[c->endpoints_len++] = all->list[i].endpoint;
    c->endpoints = list;
}

static void warn_of_nothing(struct resolve *r, const struct service_entry *e,
                            const struct cluster *c, const struct place *at)
{
    struct findings *f = &r->catalog->findings;
    if (!at || !r->catalog->services.len || c->endpoints_len)
        return; /* a file checked by itself names services that are elsewhere */
    if (!e->object)
        finding_place(f, false, at, "host %.*s names no Service here", SV_ARG(e->fqdn));
    else if (!resolve_has_port(e, c->port))
        finding_place(f, false, at, "Service %.*s has no port %u", SV_ARG(e->fqdn), c->port);
    else if (c->subset.len && (r->catalog->pods.len || r->catalog->backends.len))
        finding_place(f, false, at, "subset '%.*s' of %.*s has no endpoints", SV_ARG(c->subset),
                      SV_ARG(e->fqdn));
}

/* Envoy's two spellings of the same four facts: a name with '|', a server name with "_." */
static void name_cluster(struct resolve *r, struct cluster *c)
{
    AUTO_DONE(buf) name = { 0 };
    AUTO_DONE(buf) sni = { 0 };
    buf_printf(&name, "outbound|%u|%.*s|%.*s", c->port, SV_ARG(c->subset), SV_ARG(c->host));
    buf_printf(&sni, "outbound_.%u_.%.*s_.%.*s", c->port, SV_ARG(c->subset), SV_ARG(c->host));
    c->name = arena_copy(&r->mesh->mem, buf_sv(&name));
    c->sni = arena_copy(&r->mesh->mem, buf_sv(&sni));
    if (name.failed || sni.failed || !c->name.p || !c->sni.p)
        resolve_nomem(r);
}

static void keep_rules(struct resolve *r, const struct policy *p, struct cluster *c)
{
    const struct origin **list = p->by_len ? arena_array(&r->mesh->mem, p->by_len, sizeof(*list))
                                           : NULL;
    if (!p->by_len)
        return;
    for (size_t i = 0; list && i < p->by_len; i++)
        list[c->rules_len++] = resolve_origin(r, &p->by[i]->meta, &p->by[i]->meta.place);
    c->rules = list;
    if (!list)
        resolve_nomem(r);
}

/* The strongest DestinationRule that names a check, else the Service. */
static void choose_check(struct resolve *r, struct service_entry *e, struct cluster *c)
{
    AUTO_DONE(buf) key = { 0 };
    c->check = e->object ? e->object->check : NULL;
    for (const struct rule_link *at = resolve_rules_of(r, e); at; at = at->next)
        if (at->rule->check) {
            c->check = at->rule->check;
            break;
        }
    if (!c->check)
        return;
    buf_printf(&key, "%.*s|%d|%.*s|", SV_ARG(c->host), (int)c->tls, SV_ARG(c->check->text));
    c->check_key = arena_copy(&r->mesh->mem, buf_sv(&key));
    if (key.failed || !c->check_key.p)
        resolve_nomem(r);
}

/* A connection has no header, cookie or parameter. */
static void warn_of_hash(struct resolve *r, const struct policy *p, const struct cluster *c)
{
    bool is_tcp = c->protocol == PORT_TCP || c->protocol == PORT_TLS;
    if (is_tcp && c->hash && c->hash->kind != HASH_SOURCE_IP && p->by_len)
        finding_place(&r->catalog->findings, false, &p->by[0]->meta.place,
                      "port %u of %.*s carries connections, of which consistentHash only knows "
                      "useSourceIp: they go to any endpoint, at random",
                      c->port, SV_ARG(c->host));
}

static void choose_tls(struct resolve *r, const struct service_entry *e,
                       const struct traffic_policy *t, struct cluster *c)
{
    c->tls = t->tls >= 0 ? (enum tls_mode)t->tls : TLS_MODE_AUTO;
    c->client_tls = t->client ? resolve_client_tls(r, t->client) : NULL;
    c->identities = e->object ? resolve_name(r, e->object->identities) : SV_NONE;
    if (c->tls != TLS_MODE_ISTIO_MUTUAL || !t->client)
        return;
    if (t->client->sni.len)
        c->sni = t->client->sni;
    if (t->client->names.len)
        c->identities = t->client->names;
}

/* A health check would be asked in the clear, so nobody is asked. */
static void leave_unopened(struct cluster *c)
{
    c->name = c->sni;
    c->tls = TLS_MODE_DISABLE;
}

/* The pool's limits, or none, and the retry budget. */
static const struct pool_limits *with_budget(struct resolve *r, const struct pool_limits *pool,
                                             const struct pool_limits *budget)
{
    struct pool_limits *both = arena_zalloc(&r->mesh->mem, sizeof(*both));
    if (!both) {
        resolve_nomem(r);
        return pool;
    }
    *both = pool ? *pool
                 : (struct pool_limits){ .connections_max = UINT32_MAX,
                                         .pending_max = UINT32_MAX,
                                         .requests_max = UINT32_MAX,
                                         .retries_max = UINT32_MAX,
                                         .per_connection_max = UINT32_MAX,
                                         .streams_max = UINT32_MAX };
    both->has_budget = true;
    both->budget_percent = budget->budget_percent;
    both->budget_min = budget->budget_min;
    return both;
}

static struct cluster_entry *make(struct resolve *r, struct service_entry *e, uint16_t port,
                                  struct sv subset, const struct place *at, bool is_unopened)
{
    struct cluster_entry *entry = arena_zalloc(&r->mesh->mem, sizeof(*entry));
    struct policy p = policy_of(r, e, subset, port);
    const struct traffic_policy *t = &p.traffic;
    if (!entry) {
        resolve_nomem(r);
        return NULL;
    }
    struct cluster *c = &entry->cluster;
    c->host = resolve_name(r, e->fqdn);
    c->subset = resolve_name(r, subset);
    c->port = port;
    name_cluster(r, c);
    for (size_t i = 0; e->object && i < e->object->ports_len; i++)
        if (e->object->ports[i].port == port)
            c->protocol = e->object->ports[i].protocol;
    entry->is_unopened = is_unopened;
    if (is_unopened)
        leave_unopened(c);
    else
        choose_tls(r, e, t, c);
    c->lb = t->lb >= 0 ? (enum lb_kind)t->lb : LB_LEAST_REQUEST;
    c->hash = t->hash;
    warn_of_hash(r, &p, c);
    c->limits = t->budget ? with_budget(r, t->pool, t->budget) : t->pool;
    c->connect_timeout_ns = t->pool && t->pool->connect_timeout_ns ? t->pool->connect_timeout_ns
                                                                   : CONNECT_TIMEOUT_NS;
    c->outlier = t->outlier;
    if (!is_unopened)
        choose_check(r, e, c);
    c->is_looked_up = e->object && e->object->is_looked_up;
    c->is_as_meant = e->object && e->object->is_as_meant;
    c->id = (uint32_t)r->clusters.len;
    keep_rules(r, &p, c);
    if (subset.len && !p.is_defined)
        p.labels = labels_of_undefined(r, e, subset, at);
    choose_endpoints(r, e, c, &p.labels);
    warn_of_nothing(r, e, c, at);
    entry->next_of_service = e->clusters;
    e->clusters = entry;
    CATALOG_ADD(&r->clusters, entry);
    return entry;
}

static const struct cluster *find_or_make(struct resolve *r, struct service_entry *e, uint16_t port,
                                          struct sv subset, const struct place *at,
                                          bool is_unopened)
{
    for (struct cluster_entry *c = e->clusters; c; c = c->next_of_service)
        if (c->cluster.port == port && sv_eq(c->cluster.subset, subset) &&
            c->is_unopened == is_unopened)
            return &c->cluster;
    struct cluster_entry *made = make(r, e, port, subset, at, is_unopened);
    return made ? &made->cluster : NULL;
}

const struct cluster *resolve_cluster(struct resolve *r, struct service_entry *e, uint16_t port,
                                      struct sv subset, const struct place *at)
{
    return find_or_make(r, e, port, subset, at, false);
}

const struct cluster *resolve_unopened_cluster(struct resolve *r, struct service_entry *e,
                                               uint16_t port, struct sv subset)
{
    return find_or_make(r, e, port, subset, NULL, true);
}
