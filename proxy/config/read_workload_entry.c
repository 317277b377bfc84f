/* SPDX-License-Identifier: Apache-2.0
 * read_workload_entry.c - networking.istio.io WorkloadEntry, and the endpoints of ServiceEntries, which have
 * the same fields: a workload outside Kubernetes with an address and labels.
 *
 * Both are kept as Pods are, so that subsets, identities and mutual TLS (label
 * security.istio.io/tlsMode: istio) work alike. One that stands alone can be chosen by selectors; an endpoint
 * of a ServiceEntry belongs to that alone. */
#include "proxy/config/catalog.h"

static const char *const later[] = { "network", "locality", "weight", NULL };

/* The entry's own ports by the names that Services give theirs. */
static void read_ports(struct reader *r, struct node *n, struct pod *to)
{
    struct node *ports = field_map(r, n, "ports");
    to->ports = read_array(r, (ports ? ports->len : 0) + 1, sizeof(*to->ports));
    for (struct node *at = ports && to->ports ? ports->first : NULL; at; at = at->next) {
        uint64_t port = 0;
        at->is_read = true;
        if (node_uint(r, at, UINT16_MAX, &port) && port)
            to->ports[to->ports_len++] = (struct backend_port){ arena_copy(r->mem, at->key),
                                                                (uint16_t)port };
    }
}

struct pod *read_workload(struct reader *r, struct node *n, const struct meta *meta)
{
    struct pod *p = read_array(r, 1, sizeof(*p));
    if (!p)
        return NULL;
    p->meta = *meta;
    p->ip = field_text(r, n, "address");
    p->meta.labels = field_labels(r, n, "labels");
    p->service_account = field_text(r, n, "serviceAccount");
    p->is_ready = p->is_entry = true;
    p->has_sidecar = sv_eq(labels_get(&p->meta.labels, SV("security.istio.io/tlsMode")),
                           SV("istio"));
    read_ports(r, n, p);
    fields_finish(r, n, later);
    return p->ports ? p : NULL;
}

void read_workload_entry(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->scratch };
    struct node *spec = field_map(&r, root, "spec");
    struct pod *p = spec ? read_workload(&r, spec, meta) : NULL;
    if (!spec)
        finding_error(r.to, root, "spec is missing");
    else if (p && !ip_of_text(p->ip).is_known)
        finding_warn(r.to, spec, "'%.*s' is no address: names are not looked up here, ignored",
                     SV_ARG(sv_sub(p->ip, 0, 60)));
    else if (p)
        CATALOG_ADD(&c->pods, p);
}
