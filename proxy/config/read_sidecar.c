/* SPDX-License-Identifier: Apache-2.0
 * read_sidecar.c - networking.istio.io Sidecar: which hosts the workloads of a namespace know, and whether
 * they may leave for others.
 *
 * Istio's other use of this object, listeners by hand (ingress, egress with port, bind), is not served and
 * gets a warning: ports here are the proxy's options. */
#include "proxy/config/catalog.h"

static const char *const later_egress[] = { "port", "bind", "captureMode", NULL };
static const char *const later_policy[] = { "egressProxy", NULL };
static const char *const later_spec[] = { "ingress", "inboundConnectionPool", NULL };
static const struct choice modes[] = {
    { "REGISTRY_ONLY", OUTBOUND_REGISTRY_ONLY },
    { "ALLOW_ANY", OUTBOUND_ALLOW_ANY },
};

/* "ns/host": both parts are needed. */
static void read_host(struct reader *r, struct node *n, struct sidecar_host *to)
{
    struct sv text = node_text(r, n);
    size_t slash = sv_index(text, '/');
    to->namespace = sv_sub(text, 0, slash);
    to->host = sv_from(text, slash + 1);
    if (!to->namespace.len || !to->host.len)
        finding_error(r->to, n,
                      "expected NAMESPACE/HOST such as ./* or istio-system/*, found '%.*s'",
                      SV_ARG(sv_sub(text, 0, 60)));
}

static void read_egress(struct reader *r, struct node *list, struct sidecar *to)
{
    size_t max = 0;
    for (struct node *n = list->first; n; n = n->next) {
        struct node *hosts = field_list(r, n, "hosts");
        max += hosts ? hosts->len : 0;
    }
    struct sidecar_host *all = read_array(r, max + 1, sizeof(*all));
    for (struct node *n = all ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        struct node *hosts = field_list(r, n, "hosts");
        if (!hosts || !hosts->len)
            finding_error(r->to, n, "hosts is missing: which ones?");
        for (struct node *h = hosts ? hosts->first : NULL; h; h = h->next)
            read_host(r, h, &all[to->hosts_len++]);
        fields_finish(r, n, later_egress);
    }
    to->hosts = all;
    to->has_egress = true;
}

void read_sidecar(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->scratch };
    struct node *spec = field_map(&r, root, "spec");
    struct node *selector = field_map(&r, spec, "workloadSelector");
    struct node *egress = field_list(&r, spec, "egress");
    struct node *policy = field_map(&r, spec, "outboundTrafficPolicy");
    struct sidecar *s = read_array(&r, 1, sizeof(*s));
    if (!s)
        return;
    s->meta = *meta;
    s->selector = field_labels(&r, selector, "labels");
    if (egress)
        read_egress(&r, egress, s);
    if (policy) /* without mode: Istio's zero value */
        s->outbound = (enum outbound_policy)field_choice(&r, policy, "mode", modes, NELEMS(modes),
                                                         OUTBOUND_REGISTRY_ONLY);
    fields_finish(&r, policy, later_policy);
    fields_finish(&r, selector, NULL);
    fields_finish(&r, spec, later_spec);
    CATALOG_ADD(&c->sidecars, s);
}
