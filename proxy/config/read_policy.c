/* SPDX-License-Identifier: Apache-2.0
 * read_policy.c - DestinationRule and PeerAuthentication.
 *
 * Of a DestinationRule every field that is not in force gets a warning. An unknown field of a PeerAuthentication
 * is an error: a misspelt mtls would leave the mesh PERMISSIVE. */
#include "proxy/config/catalog.h"

static const struct choice mtls_modes[] = {
    { "UNSET", MTLS_UNSET },
    { "DISABLE", MTLS_DISABLE },
    { "PERMISSIVE", MTLS_PERMISSIVE },
    { "STRICT", MTLS_STRICT },
};

static void read_subset(struct reader *r, struct node *n, struct subset *to)
{
    if (!node_is_map(r, n))
        return;
    to->name = field_text(r, n, "name");
    if (!to->name.len && !field_any(r, n, "name"))
        finding_error(r->to, n, "name is missing");
    to->labels = field_labels(r, n, "labels");
    read_traffic_policy(r, n, &to->policy);
    fields_finish(r, n, NULL);
}

void read_destination_rule(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "subsets");
    struct node *clients = field_map(&r, spec, "workloadSelector");
    struct destination_rule *d = read_array(&r, 1, sizeof(*d));
    struct subset *subsets = read_array(&r, (list ? list->len : 0) + 1, sizeof(*subsets));
    if (!d || !subsets)
        return;
    d->meta = *meta;
    d->host = field_text(&r, spec, "host");
    if (!d->host.len && !field_any(&r, spec, "host")) {
        finding_error(r.to, spec ? spec : root, "host is missing");
        return;
    }
    d->export_to = read_texts(&r, spec, "exportTo");
    d->for_clients = field_labels(&r, clients, "matchLabels");
    fields_finish(&r, clients, NULL);
    d->check = read_health_check(c, root);
    read_traffic_policy(&r, spec, &d->policy);
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_subset(&r, n, &subsets[d->subsets_len++]);
    d->subsets = subsets;
    fields_finish(&r, spec, NULL);
    CATALOG_ADD(&c->destination_rules, d);
}

static void read_port_modes(struct reader *r, struct node *map, struct peer_authentication *p)
{
    struct port_mtls *ports = map ? read_array(r, map->len + 1, sizeof(*ports)) : NULL;
    for (struct node *n = ports ? map->first : NULL; n; n = n->next) {
        uint64_t port;
        n->is_read = true;
        if (!sv_to_u64(n->key, &port) || port < 1 || port > 65535) {
            finding_error(r->to, n, "expected a port from 1 to 65535 as key, found '%.*s'",
                          SV_ARG(sv_sub(n->key, 0, 40)));
            continue;
        }
        ports[p->ports_len].port = (uint16_t)port;
        ports[p->ports_len++].mode = field_choice(r, n, "mode", mtls_modes, NELEMS(mtls_modes),
                                                  MTLS_UNSET);
        fields_refuse(r, n);
    }
    p->ports = ports;
}

void read_peer_authentication(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *mtls = field_map(&r, spec, "mtls");
    struct node *selector = field_map(&r, spec, "selector");
    struct node *ports = field_map(&r, spec, "portLevelMtls");
    struct peer_authentication *p = read_array(&r, 1, sizeof(*p));
    if (!p)
        return;
    p->meta = *meta;
    p->mode = field_choice(&r, mtls, "mode", mtls_modes, NELEMS(mtls_modes), MTLS_UNSET);
    p->selector = field_labels(&r, selector, "matchLabels");
    p->has_selector = p->selector.len > 0;
    if (ports && !p->has_selector)
        finding_warn_key(r.to, ports, "needs a selector, ignored");
    else
        read_port_modes(&r, ports, p);
    fields_refuse(&r, mtls);
    fields_refuse(&r, selector);
    fields_refuse(&r, spec);
    CATALOG_ADD(&c->peer_authentications, p);
}
