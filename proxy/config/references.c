/* SPDX-License-Identifier: Apache-2.0
 * references.c - what the Gateway API's objects may name, and in which namespaces.
 *
 * A route or a Gateway names objects of its own namespace; those of another only where a ReferenceGrant
 * in that namespace lets it (RefNotPermitted), so that nobody is sent traffic, or has his key used,
 * without his consent. What a route names that may not or cannot be had is still a share of its requests,
 * and these are answered 500. Which namespaces a listener takes routes from may be told by labels of
 * Namespace objects; the label kubernetes.io/metadata.name every namespace has.
 * Source: ReferenceGrant, HTTPBackendRef, RouteNamespaces in the Gateway API's reference. */
#include "proxy/config/resolve.h"

#define API_GROUP  SV("gateway.networking.k8s.io")
#define NAME_LABEL SV("kubernetes.io/metadata.name")

/* last: the third field, "namespace" of from[] and "name" of to[]. */
static size_t read_references(struct reader *r, struct node *spec, const char *name,
                              const char *last, const struct reference **ret)
{
    struct node *list = field_list(r, spec, name);
    struct reference *all = read_array(r, (list ? list->len : 0) + 1, sizeof(*all));
    size_t len = 0;
    for (struct node *n = list && all ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        struct reference *to = &all[len++];
        to->group = field_text(r, n, "group");
        to->kind = field_text(r, n, "kind");
        to->name = field_text(r, n, last);
        if (!to->kind.len)
            finding_error(r->to, n, "kind is missing");
        fields_finish(r, n, NULL);
    }
    *ret = all;
    return len;
}

void read_reference_grant(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->scratch };
    struct node *spec = field_map(&r, root, "spec");
    struct reference_grant *g = read_array(&r, 1, sizeof(*g));
    if (!g)
        return;
    g->meta = *meta;
    g->from_len = read_references(&r, spec, "from", "namespace", &g->from);
    g->to_len = read_references(&r, spec, "to", "name", &g->to);
    fields_finish(&r, spec, NULL);
    CATALOG_ADD(&c->reference_grants, g);
}

void read_namespace(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->scratch };
    struct namespace_object *n = read_array(&r, 1, sizeof(*n));
    (void)root;
    if (!n)
        return;
    n->meta = *meta;
    CATALOG_ADD(&c->namespaces, n);
}

static const struct choice operators[] = {
    { "In", LABEL_IN },
    { "NotIn", LABEL_NOT_IN },
    { "Exists", LABEL_EXISTS },
    { "DoesNotExist", LABEL_MISSING },
};

const struct label_selector *read_label_selector(struct reader *r, struct node *map,
                                                 const char *name)
{
    struct node *n = field_map(r, map, name), *list = field_list(r, n, "matchExpressions");
    struct label_selector *s = read_array(r, 1, sizeof(*s));
    struct label_expression *all = read_array(r, (list ? list->len : 0) + 1, sizeof(*all));
    if (!s || !all)
        return NULL;
    s->labels = field_labels(r, n, "matchLabels");
    for (struct node *at = list ? list->first : NULL; at; at = at->next) {
        if (!node_is_map(r, at))
            continue;
        struct label_expression *e = &all[s->expressions_len++];
        e->key = field_text(r, at, "key");
        e->operator= field_choice(r, at, "operator", operators, NELEMS(operators), LABEL_IN);
        e->values = read_texts(r, at, "values");
        if (!field_any(r, at, "operator"))
            finding_error(r->to, at, "operator is missing");
        fields_finish(r, at, NULL);
    }
    s->expressions = all;
    fields_finish(r, n, NULL);
    return s;
}

static struct sv label_of(const struct labels *labels, struct sv namespace, struct sv key)
{
    return sv_eq(key, NAME_LABEL) ? namespace : labels_get(labels, key);
}

static bool expression_holds(const struct label_expression *e, struct sv value)
{
    bool is_listed = false;
    for (size_t i = 0; value.p && i < e->values.len; i++)
        is_listed = is_listed || sv_eq(value, e->values.list[i]);
    switch (e->operator) {
    case LABEL_IN: return is_listed;
    case LABEL_NOT_IN: return !is_listed;
    case LABEL_EXISTS: return value.p != NULL;
    default: return value.p == NULL;
    }
}

bool resolve_selects_namespace(struct resolve *r, const struct label_selector *s,
                               struct sv namespace)
{
    static const struct labels none = { .len = 0 };
    const struct labels *labels = &none;
    for (const struct namespace_object *n = r->catalog->namespaces.first; n; n = n->next)
        if (sv_eq(n->meta.name, namespace))
            labels = &n->meta.labels;
    for (size_t i = 0; i < s->labels.len; i++) {
        struct sv value = label_of(labels, namespace, s->labels.list[i].key);
        if (!value.p || !sv_eq(value, s->labels.list[i].value))
            return false;
    }
    for (size_t i = 0; i < s->expressions_len; i++)
        if (!expression_holds(&s->expressions[i],
                              label_of(labels, namespace, s->expressions[i].key)))
            return false;
    return true;
}

/* --- grants --- */

static bool has_from(const struct reference_grant *g, struct sv kind, struct sv namespace)
{
    for (size_t i = 0; i < g->from_len; i++)
        if (sv_eq(g->from[i].group, API_GROUP) && sv_eq(g->from[i].kind, kind) &&
            sv_eq(g->from[i].name, namespace))
            return true;
    return false;
}

/* Services and Secrets are of the core group, which is the empty one. */
static bool has_to(const struct reference_grant *g, struct sv kind, struct sv name)
{
    for (size_t i = 0; i < g->to_len; i++)
        if (!g->to[i].group.len && sv_eq(g->to[i].kind, kind) &&
            (!g->to[i].name.len || sv_eq(g->to[i].name, name)))
            return true;
    return false;
}

struct wish {
    struct sv from_kind, from_namespace, kind, namespace, name;
};

static bool is_granted(struct resolve *r, const struct wish *w)
{
    if (!w->namespace.len || sv_eq(w->namespace, w->from_namespace))
        return true;
    for (const struct reference_grant *g = r->catalog->reference_grants.first; g; g = g->next)
        if (sv_eq(g->meta.namespace, w->namespace) &&
            has_from(g, w->from_kind, w->from_namespace) && has_to(g, w->kind, w->name))
            return true;
    return false;
}

static struct sv kind_name(enum route_kind kind)
{
    switch (kind) {
    case ROUTES_GRPC: return SV("GRPCRoute");
    case ROUTES_TLS: return SV("TLSRoute");
    case ROUTES_TCP: return SV("TCPRoute");
    default: return SV("HTTPRoute");
    }
}

static struct wish of_route(const struct virtual_service *v, const struct destination *d)
{
    return (struct wish){ .from_kind = kind_name(v->kind),
                          .from_namespace = v->meta.namespace,
                          .kind = SV("Service"),
                          .namespace = d->namespace,
                          .name = sv_sub(d->host, 0, sv_index(d->host, '.')) };
}

static struct wish of_gateway(const struct gateway *g, const struct gateway_server *s)
{
    return (struct wish){ .from_kind = SV("Gateway"),
                          .from_namespace = g->meta.namespace,
                          .kind = SV("Secret"),
                          .namespace = s->cert.namespace,
                          .name = s->cert.secret };
}

bool resolve_may_send(struct resolve *r, const struct virtual_service *v,
                      const struct destination *d)
{
    struct wish w = of_route(v, d);
    return !v->is_k8s || (!d->is_broken && (v->is_mesh || is_granted(r, &w)));
}

bool resolve_may_show(struct resolve *r, const struct gateway *g, const struct gateway_server *s)
{
    struct wish w = of_gateway(g, s);
    return is_granted(r, &w);
}

static void warn(struct resolve *r, const struct wish *w, const struct place *at, const char *so)
{
    if (is_granted(r, w))
        return;
    finding_place(
        &r->catalog->findings, false, at,
        "RefNotPermitted: no ReferenceGrant in namespace %.*s lets %.*ss of namespace %.*s "
        "name the %.*s %.*s: %s",
        SV_ARG(sv_sub(w->namespace, 0, 63)), SV_ARG(w->from_kind),
        SV_ARG(sv_sub(w->from_namespace, 0, 63)), SV_ARG(w->kind), SV_ARG(sv_sub(w->name, 0, 63)),
        so);
}

static void warn_of_rule(struct resolve *r, const struct virtual_service *v,
                         const struct http_rule *rule)
{
    for (size_t i = 0; i < rule->targets_len; i++) {
        struct wish w = of_route(v, &rule->targets[i]);
        warn(r, &w, &rule->targets[i].place,
             v->tcp_len ? "its connections are closed" : "its requests are answered 500");
    }
    for (size_t i = 0; i < rule->mirrors_len; i++) {
        struct wish w = of_route(v, &rule->mirrors[i].to);
        warn(r, &w, &rule->mirrors[i].to.place, "nothing is copied to it");
    }
}

static void warn_of_route(struct resolve *r, const struct virtual_service *v)
{
    for (size_t i = 0; i < v->rules_len; i++)
        warn_of_rule(r, v, &v->rules[i]);
    for (size_t i = 0; i < v->tcp_len; i++)
        warn_of_rule(r, v, &v->tcp[i].rule);
}

void resolve_references(struct resolve *r)
{
    for (const struct virtual_service *v = r->catalog->virtual_services.first;
         v && r->role != ROLE_SIDECAR; v = v->next)
        if (v->is_k8s && !v->is_mesh)
            warn_of_route(r, v);
    for (const struct gateway *g = r->catalog->gateways.first; g && r->role != ROLE_SIDECAR;
         g = g->next)
        for (size_t i = 0; g->is_k8s && i < g->servers_len; i++) {
            struct wish w = of_gateway(g, &g->servers[i]);
            warn(r, &w, &g->meta.place, "its listener is not opened");
        }
}
