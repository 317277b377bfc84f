/* SPDX-License-Identifier: Apache-2.0
 * read.c - from a text's documents to objects of known kinds.
 *
 * A document is one object or a List of them. Which reader takes it is a row of kinds[]; apiVersion
 * decides only its group, so v1, v1beta1 and v1alpha3 of one kind are read alike. Kinds without a
 * row get a warning and are skipped: a folder may hold a Deployment or a ConfigMap beside ours. */
#include "proxy/config/catalog.h"

typedef void read_fn(struct catalog *c, struct node *root, const struct meta *meta);
enum life { SCRATCH, MESH };
/* What becomes of unknown fields beside spec: of others' kinds they are none of our business. */
enum strictness { LOOSE, WARNS, REFUSES };
/* clang-format off */
static const struct kind {
    const char *group, *name;
    enum life life;
    enum strictness strictness;
    read_fn *read;
} kinds[] = {
    { "",                    "Service",             SCRATCH, LOOSE,   read_service },
    { "discovery.k8s.io",    "EndpointSlice",       SCRATCH, LOOSE,   read_endpoint_slice },
    { "",                    "Endpoints",           SCRATCH, LOOSE,   read_endpoints },
    { "",                    "Pod",                 SCRATCH, LOOSE,   read_pod },
    { "networking.istio.io", "VirtualService",      MESH,    WARNS,   read_virtual_service },
    { "networking.istio.io", "WorkloadEntry",       SCRATCH, WARNS,   read_workload_entry },
    { "networking.istio.io", "ServiceEntry",        SCRATCH, WARNS,   read_service_entry },
    { "networking.istio.io", "DestinationRule",     MESH,    WARNS,   read_destination_rule },
    { "networking.istio.io", "Sidecar",             SCRATCH, WARNS,   read_sidecar },
    { "telemetry.istio.io",  "Telemetry",           SCRATCH, WARNS,   read_telemetry },
    { "networking.istio.io", "Gateway",             MESH,    WARNS,   read_gateway },
    { "gateway.networking.k8s.io", "Gateway",       MESH,    WARNS,   read_k8s_gateway },
    { "gateway.networking.k8s.io", "HTTPRoute",     MESH,    WARNS,   read_http_route },
    { "gateway.networking.k8s.io", "GRPCRoute",     MESH,    WARNS,   read_grpc_route },
    { "gateway.networking.k8s.io", "TLSRoute",      MESH,    WARNS,   read_tls_route },
    { "gateway.networking.k8s.io", "TCPRoute",      MESH,    WARNS,   read_tcp_route },
    { "gateway.networking.k8s.io", "ReferenceGrant", SCRATCH, WARNS,  read_reference_grant },
    { "",                    "Namespace",           SCRATCH, LOOSE,   read_namespace },
    { "networking.k8s.io",   "Ingress",             MESH,    WARNS,   read_ingress },
    { "",                    "Secret",              MESH,    LOOSE,   read_secret },
    { "security.istio.io",   "PeerAuthentication",  MESH,    REFUSES, read_peer_authentication },
    { "security.istio.io",   "AuthorizationPolicy", SCRATCH, REFUSES, read_authorization_policy },
};
/* clang-format on */

void *read_array(struct reader *r, size_t n, size_t size)
{
    void *p = arena_array(r->mem, n, size);
    if (!p)
        r->to->is_nomem = true;
    return p;
}

struct sv read_lower(struct reader *r, struct sv text)
{
    struct sv lower = arena_lower(r->mem, text);
    if (!lower.p)
        r->to->is_nomem = true;
    return lower;
}

struct text_list read_texts(struct reader *r, struct node *map, const char *name)
{
    struct text_list t = { 0 };
    struct node *list = field_list(r, map, name);
    struct sv *texts = list ? read_array(r, list->len + 1, sizeof(*texts)) : NULL;
    if (!texts)
        return t;
    for (struct node *n = list->first; n; n = n->next) {
        struct sv text = node_text(r, n);
        if (text.p)
            texts[t.len++] = text;
    }
    t.list = texts;
    return t;
}

static const struct kind *kind_of(struct sv api_version, struct sv name)
{
    size_t slash = sv_index(api_version, '/');
    struct sv group = slash < api_version.len ? sv_sub(api_version, 0, slash) : SV("");
    for (size_t i = 0; i < NELEMS(kinds); i++)
        if (sv_eq(sv_z(kinds[i].group), group) && sv_eq(sv_z(kinds[i].name), name))
            return &kinds[i];
    return NULL;
}

static void read_meta(struct catalog *c, struct reader *r, struct node *root, struct meta *ret)
{
    struct node *map = field_map(r, root, "metadata");
    ret->name = field_text(r, map, "name");
    c->findings.name = ret->name;
    ret->namespace = field_text(r, map, "namespace");
    if (!ret->namespace.len)
        ret->namespace = SV("default");
    ret->labels = field_labels(r, map, "labels");
    ret->annotations = field_labels(r, map, "annotations");
    ret->created_s = field_time(r, map, "creationTimestamp");
    ret->order = c->objects++;
    if (!ret->name.len && !(map && field_any(r, map, "name")))
        finding_error(r->to, map ? map : root, "metadata.name is missing");
    ret->place = place_of(&c->findings, root);
}

static void read_object(struct catalog *c, struct node *root);

static void read_items(struct catalog *c, struct reader *r, struct node *root)
{
    struct node *items = field_list(r, root, "items");
    for (struct node *n = items ? items->first : NULL; n; n = n->next)
        if (node_is_map(r, n))
            read_object(c, n);
}

static void check_root(struct reader *r, struct node *root, const struct kind *kind)
{
    static const char *const usual[] = { "apiVersion", "kind", "metadata", "spec", "status" };
    for (size_t i = 0; i < NELEMS(usual); i++)
        (void)field_any(r, root, usual[i]);
    if (kind->strictness == REFUSES)
        fields_refuse(r, root);
    else if (kind->strictness == WARNS)
        fields_finish(r, root, NULL);
}

static void read_object(struct catalog *c, struct node *root)
{
    struct findings *f = &c->findings;
    struct findings outer = *f; /* a List's own place comes back after each item */
    struct reader r = { .to = f, .mem = c->scratch };
    f->object = root;
    f->kind = f->name = SV_NONE;
    struct sv api_version = field_text(&r, root, "apiVersion");
    struct sv name = field_text(&r, root, "kind");
    const struct kind *kind = kind_of(api_version, name);
    struct meta meta = { 0 };
    f->kind = name;
    if (!name.len) {
        finding_error(f, root, "this is no Kubernetes object: kind is missing");
    } else if (sv_ends(name, SV("List")) && root->kind == NODE_MAP &&
               field_any(&r, root, "items")) {
        read_items(c, &r, root);
    } else if (!kind) {
        f->name = field_text(&r, field_map(&r, root, "metadata"), "name");
        finding_warn(f, root, "this kind of '%.*s' is not supported yet, ignored",
                     SV_ARG(api_version));
    } else {
        r.mem = kind->life == MESH ? c->mem : c->scratch;
        read_meta(c, &r, root, &meta);
        if (meta.name.len)
            kind->read(c, root, &meta);
        check_root(&r, root, kind);
    }
    f->object = outer.object;
    f->kind = outer.kind;
    f->name = outer.name;
}

void catalog_read_text(struct catalog *c, const char *name, struct sv text)
{
    struct err why = { 0 };
    struct place at = { .file = name };
    AUTO_DONE(arena) mem = { 0 };
    AUTO_FREE(yaml_stream) stream = yaml_stream_new(text);
    c->findings.file = name;
    if (!stream)
        c->findings.is_nomem = true;
    for (struct node *root; stream; arena_reset(&mem)) {
        if (yaml_next(stream, &mem, &root, &at.line, &at.column, &why) < 0) {
            c->findings.is_nomem = c->findings.is_nomem || why.code == ERR_NOMEM;
            finding_place(&c->findings, true, &at, "%s", why.why);
            return;
        }
        if (!root)
            return;
        struct reader r = { .to = &c->findings, .mem = c->scratch };
        c->findings.object = root;
        c->findings.kind = SV_NONE;
        if (root->kind != NODE_NULL && node_is_map(&r, root))
            read_object(c, root);
    }
}
