/* SPDX-License-Identifier: Apache-2.0
 * read_tcp_routes.c - a VirtualService's tls[] and tcp[]: connections by server name, address and port.
 *
 * Istio asks tls[] for ports that speak TLS and tcp[] for the others; here they are one list, tls[]
 * first, whose entries say whether they need a ClientHello. */
#include "proxy/config/catalog.h"

static const char *const later_match[] = { "sourceSubnet", NULL };

static void read_sni_hosts(struct reader *r, struct node *n, struct tcp_match *to)
{
    struct node *list = field_list(r, n, "sniHosts");
    struct sv *hosts = read_array(r, (list ? list->len : 0) + 1, sizeof(*hosts));
    for (struct node *at = list && hosts ? list->first : NULL; at; at = at->next) {
        struct sv host = read_lower(r, node_text(r, at));
        size_t star = sv_rindex(host, '*');
        bool is_fine = sv_eq(host, SV("*")) || star == host.len ||
                       (star == 0 && sv_starts(host, SV("*.")) && host.len > 2);
        if (!is_fine || !host.len)
            finding_error(r->to, at, "expected a server name, '*' or '*.suffix'");
        else
            hosts[to->sni_len++] = host;
    }
    if (!list || !list->len)
        finding_error(r->to, n, "sniHosts is missing: which server names?");
    to->sni_hosts = hosts;
}

static void read_subnets(struct reader *r, struct node *n, struct tcp_match *to)
{
    struct node *list = field_list(r, n, "destinationSubnets");
    struct ip_block *blocks = read_array(r, (list ? list->len : 0) + 1, sizeof(*blocks));
    for (struct node *at = list && blocks ? list->first : NULL; at; at = at->next) {
        struct err why = { 0 };
        if (ip_block_parse(node_text(r, at), &blocks[to->subnets_len], &why) < 0)
            finding_error(r->to, at, "%s", why.why);
        else
            to->subnets_len++;
    }
    to->subnets = blocks;
}

static void read_block(struct reader *r, struct node *n, bool is_tls, struct tcp_block *to)
{
    if (!node_is_map(r, n))
        return;
    if (is_tls)
        read_sni_hosts(r, n, &to->match);
    read_subnets(r, n, &to->match);
    to->match.port = field_port(r, n, "port");
    to->source_labels = field_labels(r, n, "sourceLabels");
    to->source_namespace = field_text(r, n, "sourceNamespace");
    to->gateways = read_texts(r, n, "gateways");
    fields_finish(r, n, later_match);
}

static void read_rule(struct reader *r, struct node *n, bool is_tls, struct tcp_rule *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *list = field_list(r, n, "match");
    struct tcp_block *blocks = read_array(r, (list ? list->len : 0) + 1, sizeof(*blocks));
    to->is_tls = is_tls;
    to->rule.place = place_of(r->to, n);
    for (struct node *at = list && blocks ? list->first : NULL; at; at = at->next)
        read_block(r, at, is_tls, &blocks[to->blocks_len++]);
    to->blocks = blocks;
    if (is_tls && !to->blocks_len)
        finding_error(r->to, n, "match is missing: tls routes go by sniHosts");
    read_route_targets(r, n, &to->rule);
    if (!to->rule.targets_len)
        finding_error(r->to, n, "route is missing");
    fields_finish(r, n, NULL);
}

void read_tcp_rules(struct reader *r, struct node *spec, struct virtual_service *to)
{
    struct node *tls = field_list(r, spec, "tls"), *tcp = field_list(r, spec, "tcp");
    size_t max = (tls ? tls->len : 0) + (tcp ? tcp->len : 0);
    struct tcp_rule *rules = read_array(r, max + 1, sizeof(*rules));
    for (struct node *n = tls && rules ? tls->first : NULL; n; n = n->next)
        read_rule(r, n, true, &rules[to->tcp_len++]);
    for (struct node *n = tcp && rules ? tcp->first : NULL; n; n = n->next)
        read_rule(r, n, false, &rules[to->tcp_len++]);
    to->tcp = rules;
}
