/* SPDX-License-Identifier: Apache-2.0
 * read_k8s_gateway.c - the Gateway API's Gateway: listeners become the servers that its Istio cousin has.
 *
 * Source: gateway.networking.k8s.io/v1 Gateway, Listener, AllowedRoutes in the Gateway API's reference. */
#include "proxy/config/catalog.h"

#define PORT_HTTP  SV("HTTP")
#define PORT_HTTPS SV("HTTPS")

static const char *const later_gateway[] = { "addresses", "infrastructure",   "backendTLS",
                                             "tls",       "allowedListeners", NULL };
static const char *const later_tls[] = { "frontendValidation", "options", NULL };

enum route_namespaces { ROUTES_SAME, ROUTES_ALL, ROUTES_SELECTED };
static const struct choice namespace_choices[] = {
    { "Same", ROUTES_SAME },
    { "All", ROUTES_ALL },
    { "Selector", ROUTES_SELECTED },
};
static const struct choice tls_choices[] = { { "Terminate", 0 }, { "Passthrough", 1 } };

static bool is_l4_tls(const struct gateway_server *s)
{
    return sv_eq(s->port.protocol, SV("TLS"));
}

/* What a listener of this protocol can lead; its tls is read already. */
static unsigned usual_kinds(const struct gateway_server *s)
{
    if (s->is_passed_on)
        return ROUTES_TLS;
    return s->port.is_tcp || is_l4_tls(s) ? ROUTES_TCP : ROUTES_HTTP | ROUTES_GRPC;
}

static void read_kinds(struct reader *r, struct node *allowed, struct gateway_server *to)
{
    static const struct choice names[] = { { "HTTPRoute", ROUTES_HTTP },
                                           { "GRPCRoute", ROUTES_GRPC },
                                           { "TLSRoute", ROUTES_TLS },
                                           { "TCPRoute", ROUTES_TCP } };
    unsigned usual = usual_kinds(to);
    struct node *list = field_list(r, allowed, "kinds");
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        (void)field_any(r, n, "group");
        to->kinds |= (unsigned)field_choice(r, n, "kind", names, NELEMS(names), 0);
        fields_finish(r, n, NULL);
    }
    to->kinds = list && list->len ? to->kinds & usual : usual;
}

/* "./HOST" for routes of the Gateway's own namespace, "*" "/HOST" for those of all, or of all that a selector
 * takes. */
static void read_listener_host(struct reader *r, struct node *n, struct gateway_server *to)
{
    struct node *allowed = field_map(r, n, "allowedRoutes");
    struct node *from = field_map(r, allowed, "namespaces");
    int which = field_choice(r, from, "from", namespace_choices, NELEMS(namespace_choices),
                             ROUTES_SAME);
    AUTO_DONE(buf) text = { 0 };
    struct sv host = field_text(r, n, "hostname");
    struct sv *hosts = read_array(r, 1, sizeof(*hosts));
    buf_printf(&text, "%s/%.*s", which == ROUTES_SAME ? "." : "*",
               SV_ARG(host.len ? host : SV("*")));
    const struct label_selector *selector = read_label_selector(r, from, "selector");
    to->namespaces = which == ROUTES_SELECTED ? selector : NULL;
    if (which == ROUTES_SELECTED && !field_any(r, from, "selector"))
        finding_error(r->to, from, "selector is missing");
    read_kinds(r, allowed, to);
    if (hosts)
        hosts[0] = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!hosts || !hosts[0].p) {
        r->to->is_nomem = true;
        return;
    }
    to->hosts = (struct text_list){ hosts, 1 };
    fields_finish(r, from, NULL);
    fields_finish(r, allowed, NULL);
}

static void read_listener_tls(struct reader *r, struct node *n, struct gateway_server *to)
{
    struct node *tls = field_map(r, n, "tls"), *refs = field_list(r, tls, "certificateRefs");
    int mode = field_choice(r, tls, "mode", tls_choices, NELEMS(tls_choices), 0);
    to->cert.tls_min = 0x0303;
    for (struct node *at = refs ? refs->first : NULL; at; at = at->next) {
        if (!node_is_map(r, at))
            continue;
        (void)field_any(r, at, "group");
        (void)field_any(r, at, "kind");
        struct sv namespace = field_text(r, at, "namespace"), name = field_text(r, at, "name");
        if (to->cert.secret.len) {
            finding_warn(r->to, at, "only the first certificate is used");
        } else {
            to->cert.secret = name;
            to->cert.namespace = namespace;
        }
        fields_finish(r, at, NULL);
    }
    to->is_passed_on = mode == 1 && is_l4_tls(to);
    bool lacks_cert = to->port.is_tls && !to->is_passed_on && !to->cert.secret.len;
    if (mode == 1 && !to->is_passed_on)
        finding_warn(r->to, tls, "Passthrough is for protocol TLS: this listener is not opened");
    else if (lacks_cert)
        finding_warn(r->to, n, "tls.certificateRefs is missing: this listener is not opened");
    to->is_served = to->port.number && (mode == 0 || to->is_passed_on) && !lacks_cert;
    fields_finish(r, tls, later_tls);
}

static void read_listener(struct reader *r, struct node *n, struct gateway_server *to)
{
    if (!node_is_map(r, n))
        return;
    to->port.name = field_text(r, n, "name");
    to->port.number = field_port(r, n, "port");
    to->port.protocol = field_text(r, n, "protocol");
    to->port.is_tls = sv_eq(to->port.protocol, PORT_HTTPS) || is_l4_tls(to);
    to->port.is_tcp = sv_eq(to->port.protocol, SV("TCP"));
    if (!to->port.number)
        finding_error(r->to, n, "port is missing");
    read_listener_tls(r, n, to);
    read_listener_host(r, n, to);
    if (!to->port.is_tls && !to->port.is_tcp && !sv_eq(to->port.protocol, PORT_HTTP)) {
        finding_warn(r->to, n,
                     "only HTTP, HTTPS, TLS and TCP are served: this listener is not opened");
        to->is_served = false;
    }
    fields_finish(r, n, NULL);
}

void read_k8s_gateway(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "listeners");
    struct gateway *g = read_array(&r, 1, sizeof(*g));
    struct gateway_server *servers = read_array(&r, (list ? list->len : 0) + 1, sizeof(*servers));
    if (!g || !servers)
        return;
    g->meta = *meta;
    g->is_k8s = true;
    g->class = field_text(&r, spec, "gatewayClassName");
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_listener(&r, n, &servers[g->servers_len++]);
    g->servers = servers;
    if (!g->servers_len)
        finding_error(r.to, spec ? spec : root, "listeners is empty");
    fields_finish(&r, spec, later_gateway);
    CATALOG_ADD(&c->gateways, g);
}
