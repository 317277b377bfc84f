/* SPDX-License-Identifier: Apache-2.0
 * read_core.c - Service, EndpointSlice, Endpoints and Pod: who is where.
 *
 * Of these kinds only what a proxy needs is read and nothing else is looked at: a Pod has hundreds of
 * fields that are none of our business, so unknown ones are no finding. */
#include "proxy/config/catalog.h"

static struct reader reader_of(struct catalog *c)
{
    return (struct reader){ .to = &c->findings, .mem = c->scratch };
}

/* "http", "http-web", "http2", "grpc-api": Istio's rule for the protocol of a port. */
static bool names_http(struct sv name)
{
    static const char *const prefixes[] = { "http", "http2", "grpc", "grpc-web", "https" };
    struct sv head = sv_sub(name, 0, sv_index(name, '-'));
    for (size_t i = 0; i < NELEMS(prefixes); i++)
        if (sv_eq(head, sv_z(prefixes[i])))
            return true;
    return false;
}

static bool is_tcp(struct reader *r, struct node *port)
{
    struct sv protocol = field_text(r, port, "protocol");
    return protocol.len == 0 || sv_eq(protocol, SV("TCP"));
}

static void read_service_port(struct reader *r, struct node *n, struct service *s)
{
    if (!node_is_map(r, n) || !is_tcp(r, n))
        return;
    struct service_port p = { .name = field_text(r, n, "name"), .port = field_port(r, n, "port") };
    struct sv app_protocol = field_text(r, n, "appProtocol");
    struct node *target = field_any(r, n, "targetPort");
    bool is_name = target && target->kind == NODE_TEXT &&
                   (target->is_quoted || target->text.len == 0 || target->text.p[0] > '9');
    if (is_name)
        p.target_name = node_text(r, target);
    else
        p.target = field_port(r, n, "targetPort");
    p.protocol = port_protocol_of(app_protocol, p.name);
    p.is_http = names_http(app_protocol.len ? app_protocol : p.name);
    if (!field_any(r, n, "port")) {
        finding_error(r->to, n, "port is missing");
        return;
    }
    if (!target)
        p.target = p.port;
    s->ports[s->ports_len++] = p;
}

static struct text_list one_text(struct reader *r, struct sv text)
{
    struct sv *one = text.len ? read_array(r, 1, sizeof(*one)) : NULL;
    if (!one)
        return (struct text_list){ 0 };
    *one = text;
    return (struct text_list){ one, 1 };
}

/* "a, b" of an annotation. */
static struct text_list split_texts(struct reader *r, struct sv text)
{
    struct text_list t = { 0 };
    size_t max = 1;
    for (size_t i = 0; i < text.len; i++)
        max += text.p[i] == ',';
    struct sv *list = text.len ? read_array(r, max, sizeof(*list)) : NULL;
    for (struct sv part; list && sv_cut(&text, ',', &part);)
        if (sv_trim(part).len)
            list[t.len++] = sv_trim(part);
    t.list = list;
    return t;
}

void read_service(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = reader_of(c);
    struct service *s = read_array(&r, 1, sizeof(*s));
    struct node *spec = field_map(&r, root, "spec");
    struct node *ports = field_list(&r, spec, "ports");
    if (!s)
        return;
    s->meta = *meta;
    s->check = read_health_check(c, root);
    s->selector = field_labels(&r, spec, "selector");
    s->ports = read_array(&r, (ports ? ports->len : 0) + 1, sizeof(*s->ports));
    s->addresses = read_texts(&r, spec, "clusterIPs");
    if (!s->addresses.len)
        s->addresses = one_text(&r, field_text(&r, spec, "clusterIP"));
    s->export_to = split_texts(&r,
                               labels_get(&meta->annotations, SV("networking.istio.io/exportTo")));
    struct sv type = field_text(&r, spec, "type");
    if (sv_eq(type, SV("ExternalName")))
        finding_warn(r.to, field_any(&r, spec, "type"),
                     "ExternalName is not supported yet: the service has no endpoints");
    for (struct node *n = ports && s->ports ? ports->first : NULL; n; n = n->next)
        read_service_port(&r, n, s);
    CATALOG_ADD(&c->services, s);
}

static void read_backend_ports(struct reader *r, struct node *map, struct backends *b)
{
    struct node *ports = field_list(r, map, "ports");
    b->ports = read_array(r, (ports ? ports->len : 0) + 1, sizeof(*b->ports));
    for (struct node *n = ports && b->ports ? ports->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n) || !is_tcp(r, n))
            continue;
        struct backend_port p = { .name = field_text(r, n, "name"),
                                  .port = field_port(r, n, "port") };
        if (p.port)
            b->ports[b->ports_len++] = p;
    }
}

static struct sv target_pod(struct reader *r, struct node *map)
{
    struct node *ref = field_map(r, map, "targetRef");
    struct sv kind = field_text(r, ref, "kind"), name = field_text(r, ref, "name");
    return kind.len == 0 || sv_eq(kind, SV("Pod")) ? name : SV_NONE;
}

static void read_slice_endpoint(struct reader *r, struct node *n, struct backends *b, size_t *room)
{
    if (!node_is_map(r, n))
        return;
    struct node *conditions = field_map(r, n, "conditions");
    struct node *addresses = field_list(r, n, "addresses");
    if (!field_bool(r, conditions, "ready", true))
        return;
    /* addresses of one endpoint are interchangeable: the first is used */
    if (addresses && addresses->first && *room) {
        b->addresses[b->addresses_len++] = (struct backend_address){
            .ip = node_text(r, addresses->first), .pod = target_pod(r, n)
        };
        --*room;
    }
}

void read_endpoint_slice(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = reader_of(c);
    struct backends *b = read_array(&r, 1, sizeof(*b));
    struct node *list = field_list(&r, root, "endpoints");
    size_t room = list ? list->len : 0;
    if (!b)
        return;
    b->meta = *meta;
    b->service = labels_get(&meta->labels, SV("kubernetes.io/service-name"));
    if (!b->service.len) {
        finding_warn(r.to, root,
                     "has no label kubernetes.io/service-name: belongs to no service, ignored");
        return;
    }
    b->addresses = read_array(&r, room + 1, sizeof(*b->addresses));
    for (struct node *n = list && b->addresses ? list->first : NULL; n; n = n->next)
        read_slice_endpoint(&r, n, b, &room);
    read_backend_ports(&r, root, b);
    CATALOG_ADD(&c->backends, b);
}

void read_endpoints(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = reader_of(c);
    struct node *subsets = field_list(&r, root, "subsets");
    for (struct node *n = subsets ? subsets->first : NULL; n; n = n->next) {
        struct backends *b = node_is_map(&r, n) ? read_array(&r, 1, sizeof(*b)) : NULL;
        struct node *list = b ? field_list(&r, n, "addresses") : NULL;
        if (!b)
            continue;
        b->meta = *meta;
        b->service = meta->name;
        b->addresses = read_array(&r, (list ? list->len : 0) + 1, sizeof(*b->addresses));
        for (struct node *a = list && b->addresses ? list->first : NULL; a; a = a->next)
            if (node_is_map(&r, a))
                b->addresses[b->addresses_len++] = (struct backend_address){
                    .ip = field_text(&r, a, "ip"), .pod = target_pod(&r, a)
                };
        read_backend_ports(&r, n, b);
        CATALOG_ADD(&c->backends, b);
    }
}

static bool pod_is_ready(struct reader *r, struct node *root, struct node *status)
{
    struct sv phase = field_text(r, status, "phase");
    struct node *conditions = field_list(r, status, "conditions");
    bool is_ready = !sv_eq(phase, SV("Succeeded")) && !sv_eq(phase, SV("Failed")) &&
                    !sv_eq(phase, SV("Pending"));
    for (struct node *n = conditions ? conditions->first : NULL; n; n = n->next)
        if (node_is_map(r, n) && sv_eq(field_text(r, n, "type"), SV("Ready")))
            is_ready = sv_eq(n->kind == NODE_MAP && field_any(r, n, "status")
                                 ? field_any(r, n, "status")->text
                                 : SV(""),
                             SV("True"));
    return is_ready && !field_any(r, field_map(r, root, "metadata"), "deletionTimestamp");
}

static void read_container_ports(struct reader *r, struct node *spec, struct pod *p)
{
    struct node *containers = field_list(r, spec, "containers");
    size_t room = 0;
    for (struct node *n = containers ? containers->first : NULL; n; n = n->next) {
        struct node *ports = node_is_map(r, n) ? field_list(r, n, "ports") : NULL;
        room += ports ? ports->len : 0;
    }
    p->ports = read_array(r, room + 1, sizeof(*p->ports));
    for (struct node *n = containers && p->ports ? containers->first : NULL; n; n = n->next) {
        struct node *ports = field_list(r, n, "ports");
        for (struct node *at = ports ? ports->first : NULL; at; at = at->next) {
            struct backend_port port = { .name = field_text(r, at, "name"),
                                         .port = field_port(r, at, "containerPort") };
            if (port.name.len && port.port)
                p->ports[p->ports_len++] = port;
        }
    }
}

/* The controller that made the pod, else its first owner. */
static void read_owner(struct reader *r, struct node *root, struct pod *p)
{
    struct node *owners = field_list(r, field_map(r, root, "metadata"), "ownerReferences");
    for (struct node *n = owners ? owners->first : NULL; n; n = n->next) {
        bool is_controller = node_is_map(r, n) && field_bool(r, n, "controller", false);
        if (n->kind != NODE_MAP || (p->owner_name.len && !is_controller))
            continue;
        p->owner_kind = field_text(r, n, "kind");
        p->owner_name = field_text(r, n, "name");
    }
}

void read_pod(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = reader_of(c);
    struct pod *p = read_array(&r, 1, sizeof(*p));
    struct node *spec = field_map(&r, root, "spec"), *status = field_map(&r, root, "status");
    if (!p)
        return;
    p->meta = *meta;
    p->ip = field_text(&r, status, "podIP");
    p->service_account = field_text(&r, spec, "serviceAccountName");
    if (!p->service_account.len)
        p->service_account = SV("default");
    p->is_ready = pod_is_ready(&r, root, status);
    p->has_sidecar = sv_eq(labels_get(&meta->labels, SV("security.istio.io/tlsMode")), SV("istio"));
    read_container_ports(&r, spec, p);
    read_owner(&r, root, p);
    CATALOG_ADD(&c->pods, p);
}
