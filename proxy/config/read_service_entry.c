/* SPDX-License-Identifier: Apache-2.0
 * read_service_entry.c - networking.istio.io ServiceEntry: hosts that no Service stands for.
 *
 * Each host becomes a service of its full name, with the endpoints that the entry lists (resolution
 * STATIC), the Pods that its workloadSelector chooses, or what names mean (DNS): those of its endpoints, or
 * the host itself when it lists none. A name that is not known yet has no address; the mesh is made anew when
 * it is. NONE means the address that the caller asked for. Of a connection that was taken over that is
 * known; a proxy that is asked by HTTP does not know it: there the host is looked up as well. */
#include "proxy/config/catalog.h"

enum resolution { RESOLVE_NONE, RESOLVE_STATIC, RESOLVE_DNS };
static const struct choice resolutions[] = {
    { "NONE", RESOLVE_NONE },           { "STATIC", RESOLVE_STATIC },   { "DNS", RESOLVE_DNS },
    { "DNS_ROUND_ROBIN", RESOLVE_DNS }, { "DYNAMIC_DNS", RESOLVE_DNS },
};
static const struct choice locations[] = { { "MESH_EXTERNAL", 0 }, { "MESH_INTERNAL", 1 } };

struct sv read_peer_names(struct reader *r, struct node *map, bool is_mesh)
{
    AUTO_DONE(buf) text = { 0 };
    struct text_list list = read_texts(r, map, "subjectAltNames");
    for (size_t i = 0; i < list.len; i++) {
        struct sv name = list.list[i];
        bool is_uri = sv_contains(name, SV("://"));
        if (sv_contains(name, SV(",")) ||
            (is_mesh ? !sv_starts(name, SV("spiffe://")) : !is_uri && !http_is_authority(name)))
            finding_error(r->to, field_any(r, map, "subjectAltNames"), "expected %s, found '%.*s'",
                          is_mesh ? "SPIFFE ids" : "DNS names or URIs",
                          SV_ARG(sv_sub(name, 0, 60)));
        buf_printf(&text, "%s%.*s", i ? "," : "", SV_ARG(name));
    }
    struct sv copy = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!copy.p)
        r->to->is_nomem = true;
    return copy;
}

static bool speaks_http(struct sv protocol)
{
    return sv_starts(protocol, SV("HTTP")) || sv_starts(protocol, SV("GRPC"));
}

static void read_ports(struct reader *r, struct node *spec, struct service *to)
{
    struct node *list = field_list(r, spec, "ports");
    to->ports = read_array(r, (list ? list->len : 0) + 1, sizeof(*to->ports));
    for (struct node *n = list && to->ports ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        struct service_port *p = &to->ports[to->ports_len];
        p->name = field_text(r, n, "name");
        p->port = field_port(r, n, "number");
        p->target = field_port(r, n, "targetPort");
        struct sv protocol = field_text(r, n, "protocol");
        p->is_http = speaks_http(protocol);
        p->protocol = port_protocol_named(protocol);
        if (!p->target)
            p->target = p->port;
        if (p->port)
            to->ports_len++;
        else
            finding_error(r->to, n, "number is missing");
        fields_finish(r, n, NULL);
    }
}

/* Remembers that the name is to be looked up; false when there is no room. */
static bool want_name(struct catalog *c, struct reader *r, struct node *at, struct sv name)
{
    for (size_t i = 0; i < c->wanted_len; i++)
        if (sv_eq(c->wanted[i], name))
            return true;
    if (c->wanted_len == MESH_NAMES_MAX) {
        finding_warn(r->to, at, "more than %d names to look up: this one is ignored",
                     MESH_NAMES_MAX);
        return false;
    }
    if (!c->wanted)
        c->wanted = arena_array(c->mem, MESH_NAMES_MAX, sizeof(*c->wanted));
    struct sv copy = c->wanted ? arena_copy(c->mem, name) : SV_NONE;
    if (!copy.p) {
        r->to->is_nomem = true;
        return false;
    }
    c->wanted[c->wanted_len++] = copy;
    return true;
}

/* The addresses that a name means now, as those of an endpoint. */
static struct backend_address *look_up(struct catalog *c, struct reader *r, struct node *at,
                                       struct sv name, size_t *ret_len)
{
    const struct sv *known = NULL;
    size_t len = want_name(c, r, at, name) && c->names
                     ? c->names->addresses(c->names->to, name, &known)
                     : 0;
    struct backend_address *list = read_array(r, len + 1, sizeof(*list));
    for (size_t i = 0; list && i < len; i++) {
        list[i].ip = arena_copy(r->mem, known[i]);
        r->to->is_nomem = r->to->is_nomem || !list[i].ip.p;
    }
    *ret_len = list ? len : 0;
    return list;
}

/* Labels make more of an address than a number: who is there, of which version. */
static void add_inline(struct catalog *c, struct reader *r, const struct pod *like,
                       const struct backend_address *list, size_t len)
{
    for (size_t i = 0; like->meta.labels.len && list && i < len; i++) {
        struct pod *p = read_array(r, 1, sizeof(*p));
        if (!p)
            return;
        *p = *like;
        p->ip = list[i].ip;
        p->is_inline = true;
        CATALOG_ADD(&c->pods, p);
    }
}

/* One address with its own ports: those of the entry, unless it names others. */
static struct backends *read_endpoint(struct catalog *c, struct reader *r, struct node *n,
                                      const struct service *s)
{
    struct meta meta = { .name = s->host, .namespace = s->meta.namespace, .place = s->meta.place };
    struct pod *p = read_workload(r, n, &meta);
    struct backends *b = read_array(r, 1, sizeof(*b));
    struct backend_address *address = read_array(r, 1, sizeof(*address));
    struct backend_port *list = read_array(r, s->ports_len + 1, sizeof(*list));
    size_t addresses_len = 1;
    if (!p || !b || !address || !list)
        return NULL;
    address->ip = p->ip;
    if (!ip_of_text(p->ip).is_known && !s->is_looked_up) {
        finding_warn(r->to, n, "'%.*s' is no address, and resolution is STATIC: ignored",
                     SV_ARG(sv_sub(p->ip, 0, 60)));
        return NULL;
    }
    if (!ip_of_text(p->ip).is_known)
        address = look_up(c, r, n, p->ip, &addresses_len);
    for (size_t i = 0; i < s->ports_len; i++) {
        list[i] = (struct backend_port){ s->ports[i].name, s->ports[i].target };
        for (size_t k = 0; k < p->ports_len; k++)
            if (sv_eq(p->ports[k].name, s->ports[i].name))
                list[i].port = p->ports[k].port;
    }
    add_inline(c, r, p, address, addresses_len);
    *b = (struct backends){ .meta = s->meta,
                            .service = s->host,
                            .addresses = address,
                            .addresses_len = addresses_len,
                            .ports = list,
                            .ports_len = s->ports_len };
    return b;
}

/* The host itself, behind each of its ports. */
static struct backends *own_name(struct catalog *c, struct reader *r, struct node *at,
                                 const struct service *s)
{
    struct backends *b = read_array(r, 1, sizeof(*b));
    struct backend_port *list = read_array(r, s->ports_len + 1, sizeof(*list));
    size_t len = 0;
    struct backend_address *addresses = b && list ? look_up(c, r, at, s->host, &len) : NULL;
    if (!addresses)
        return NULL;
    for (size_t i = 0; i < s->ports_len; i++)
        list[i] = (struct backend_port){ s->ports[i].name, s->ports[i].target };
    *b = (struct backends){ .meta = s->meta,
                            .service = s->host,
                            .addresses = addresses,
                            .addresses_len = len,
                            .ports = list,
                            .ports_len = s->ports_len };
    return b;
}

static bool has_http(const struct service *s)
{
    for (size_t i = 0; i < s->ports_len; i++)
        if (s->ports[i].protocol != PORT_TCP && s->ports[i].protocol != PORT_TLS)
            return true;
    return false;
}

static void add_host(struct catalog *c, struct reader *r, struct node *spec, struct sv host,
                     const struct service *like)
{
    struct node *list = field_list(r, spec, "endpoints");
    struct service *s = read_array(r, 1, sizeof(*s));
    struct sv lower = read_lower(r, host);
    if (!s || !lower.p)
        return;
    *s = *like;
    s->host = lower;
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        struct backends *b = node_is_map(r, n) ? read_endpoint(c, r, n, s) : NULL;
        if (!b)
            continue;
        b->next_of_service = s->own;
        s->own = b;
    }
    bool goes_on = s->is_as_meant && c->knows_original && !has_http(s);
    if (s->is_looked_up && !list && !goes_on)
        s->own = own_name(c, r, spec, s);
    CATALOG_ADD(&c->services, s);
}

/* "*.wikipedia.org" has no addresses of its own: callers that were taken over go on to theirs. */
static void add_wild_host(struct catalog *c, struct reader *r, struct node *n, struct sv host,
                          const struct service *like, enum resolution how)
{
    struct wild_host *h = read_array(r, 1, sizeof(*h));
    if (!h)
        return;
    if (how != RESOLVE_NONE)
        finding_warn(r->to, n,
                     "hosts with a star are not looked up: callers go where they were going");
    *h = (struct wild_host){ .meta = like->meta,
                             .host = host,
                             .ports = like->ports,
                             .ports_len = like->ports_len,
                             .export_to = like->export_to };
    CATALOG_ADD(&c->wild_hosts, h);
}

static bool is_plain(struct sv host)
{
    return http_is_authority(host) && !sv_contains(host, SV(":")) && !sv_contains(host, SV("*"));
}

static void read_addresses(struct reader *r, struct node *spec, struct service *to)
{
    struct node *list = field_list(r, spec, "addresses");
    to->addresses = read_texts(r, spec, "addresses");
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        struct ip_block block;
        struct err why = { 0 };
        if (ip_block_parse(n->text, &block, &why) < 0)
            finding_error(r->to, n, "%s", why.why);
    }
}

void read_service_entry(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->scratch };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "hosts");
    struct node *selector = field_map(&r, spec, "workloadSelector");
    struct service like = { .meta = *meta, .check = read_health_check(c, root) };
    like.selector = field_labels(&r, selector, "labels");
    read_ports(&r, spec, &like);
    read_addresses(&r, spec, &like);
    int how = field_choice(&r, spec, "resolution", resolutions, NELEMS(resolutions), RESOLVE_NONE);
    (void)field_choice(&r, spec, "location", locations, NELEMS(locations), 0);
    like.identities = read_peer_names(&r, spec, true);
    like.export_to = read_texts(&r, spec, "exportTo");
    like.is_looked_up = how != RESOLVE_STATIC && !like.selector.len;
    like.is_as_meant = how == RESOLVE_NONE && !like.selector.len &&
                       !field_any(&r, spec, "endpoints");
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        struct sv host = node_text(&r, n);
        bool is_wild = sv_starts(host, SV("*.")) && is_plain(sv_from(host, 2));
        if (is_plain(host))
            add_host(c, &r, spec, host, &like);
        else if (is_wild)
            add_wild_host(c, &r, n, host, &like, (enum resolution)how);
        else
            finding_warn(r.to, n, "expected a host or '*.suffix', ignored");
    }
    if (!list)
        finding_error(r.to, spec ? spec : root, "hosts is missing");
    fields_finish(&r, selector, NULL);
    fields_finish(&r, spec, NULL);
}
