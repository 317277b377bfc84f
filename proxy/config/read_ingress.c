/* SPDX-License-Identifier: Apache-2.0
 * read_ingress.c - networking.k8s.io Ingress: host and path to Service.
 *
 * pathType and the backend's port are required by the API but missing in many files that circulate:
 * both get a warning and their obvious meaning (Prefix; the Service's only port). What annotations
 * say is read in read_annotations.c. */
#include "proxy/config/catalog.h"
#include <ctype.h>

static const struct choice path_types[] = {
    { "Prefix", PATH_PREFIX },
    { "Exact", PATH_EXACT },
    { "ImplementationSpecific", PATH_SPECIFIC },
};

static void read_backend(struct reader *r, struct node *n, struct ingress_backend *to)
{
    struct node *service = field_map(r, n, "service"), *port = field_map(r, service, "port");
    struct node *resource = field_any(r, n, "resource");
    to->place = place_of(r->to, service ? service : n);
    to->service = field_text(r, service, "name");
    to->port = field_port(r, port, "number");
    to->port_name = field_text(r, port, "name");
    if (resource)
        finding_warn_key(r->to, resource, "is not supported: answered 503");
    else if (!to->service.len)
        finding_error(r->to, service ? service : n, "the backend names no service");
    else if (!to->port && !to->port_name.len)
        finding_warn(r->to, service, "port is missing: the Service's only port is meant");
    fields_finish(r, port, NULL);
    fields_finish(r, service, NULL);
    fields_finish(r, n, NULL);
}

/* A dollar and a digit in rewrite-target mean that paths are patterns with groups. */
static bool has_groups(struct sv target)
{
    for (size_t i = 0; i + 1 < target.len; i++)
        if (target.p[i] == '$' && isdigit((unsigned char)target.p[i + 1]))
            return true;
    return false;
}

static void read_path(struct catalog *c, struct reader *r, struct node *n, const struct ingress *in,
                      struct ingress_path *to)
{
    struct node *type = field_any(r, n, "pathType"), *path = field_any(r, n, "path");
    struct node *backend = field_map(r, n, "backend");
    to->path = read_path_text(r, n, "path");
    if (!to->path.len)
        to->path = SV("/");
    else if (to->path.p[0] != '/')
        finding_error(r->to, path, "a path begins with a slash");
    to->type = (enum path_type)field_choice(r, n, "pathType", path_types, NELEMS(path_types),
                                            PATH_PREFIX);
    if (!type)
        finding_warn(r->to, n, "pathType is missing: taken as Prefix");
    bool is_pattern = in->notes.uses_regex || has_groups(in->notes.rewrite_target);
    if (is_pattern && to->type != PATH_EXACT)
        to->regex = read_regex(c, r, path ? path : n, to->path, REGEX_AT_START_NOCASE);
    if (backend)
        read_backend(r, backend, &to->backend);
    else
        finding_error(r->to, n, "backend is missing");
    fields_finish(r, n, NULL);
}

static bool is_host_pattern(struct sv host)
{
    struct sv rest = sv_starts(host, SV("*.")) ? sv_from(host, 2) : host;
    return rest.len && http_is_authority(rest) && sv_index(rest, ':') == rest.len;
}

static size_t read_rule(struct catalog *c, struct reader *r, struct node *n,
                        const struct ingress *in, struct ingress_path *to)
{
    if (!node_is_map(r, n))
        return 0;
    struct node *http = field_map(r, n, "http"), *paths = field_list(r, http, "paths");
    struct node *at = field_any(r, n, "host");
    struct sv host = field_text(r, n, "host");
    struct sv lowered = read_lower(r, host);
    size_t len = 0;
    if (host.len && !is_host_pattern(host))
        finding_error(r->to, at, "expected a host name or '*.suffix'");
    for (struct node *p = paths ? paths->first : NULL; p; p = p->next) {
        if (!node_is_map(r, p))
            continue;
        to[len].host = lowered;
        read_path(c, r, p, in, &to[len++]);
    }
    if (!paths)
        finding_warn(r->to, n, "has no http.paths: matches nothing");
    fields_finish(r, http, NULL);
    fields_finish(r, n, NULL);
    return len;
}

/* server-alias: more hosts for the paths of every rule that has one. */
static void add_aliases(struct reader *r, struct node *root, struct ingress *in)
{
    struct sv text = in->notes.server_alias;
    size_t max = in->paths_len, own = in->paths_len;
    for (size_t i = 0; i <= text.len; i++)
        max += i == text.len || text.p[i] == ',' ? own : 0;
    struct ingress_path *list = text.len ? read_array(r, max + 1, sizeof(*list)) : NULL;
    if (!list)
        return;
    if (own)
        memcpy(list, in->paths, own * sizeof(*list));
    for (struct sv part; sv_cut(&text, ',', &part);) {
        struct sv host = sv_trim(part);
        if (host.len && !is_host_pattern(host))
            finding_warn(r->to, note_node(r, root, "server-alias"),
                         "'%.*s' is no host or '*.suffix', ignored", SV_ARG(sv_sub(host, 0, 60)));
        for (size_t i = 0; i < own && host.len && is_host_pattern(host); i++) {
            if (!in->paths[i].host.len)
                continue;
            list[in->paths_len] = list[i];
            list[in->paths_len++].host = read_lower(r, host);
        }
    }
    in->paths = list;
}

static void read_rules(struct catalog *c, struct reader *r, struct node *spec, struct ingress *in)
{
    struct node *rules = field_list(r, spec, "rules");
    size_t max = 0;
    for (struct node *n = rules ? rules->first : NULL; n; n = n->next) {
        struct node *http = n->kind == NODE_MAP ? field_map(r, n, "http") : NULL;
        struct node *paths = http ? field_list(r, http, "paths") : NULL;
        max += paths ? paths->len : 0;
    }
    struct ingress_path *list = read_array(r, max + 1, sizeof(*list));
    for (struct node *n = rules && list ? rules->first : NULL; n; n = n->next)
        in->paths_len += read_rule(c, r, n, in, list + in->paths_len);
    in->paths = list;
}

static void read_tls(struct reader *r, struct node *spec, struct ingress *in)
{
    struct node *list = field_list(r, spec, "tls");
    struct ingress_tls *all = read_array(r, (list ? list->len : 0) + 1, sizeof(*all));
    for (struct node *n = list && all ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        struct text_list hosts = read_texts(r, n, "hosts");
        struct ingress_tls *t = &all[in->tls_len++];
        *t = (struct ingress_tls){ hosts.list, hosts.len, field_text(r, n, "secretName") };
        if (!t->secret.len)
            finding_warn(r->to, n, "secretName is missing: there is no certificate to show");
        fields_finish(r, n, NULL);
    }
    in->tls = all;
}

void read_ingress(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *fallback;
    struct ingress *in = read_array(&r, 1, sizeof(*in));
    if (!in)
        return;
    in->meta = *meta;
    in->notes = read_notes(&r, root);
    in->class = field_text(&r, spec, "ingressClassName");
    if (!in->class.len)
        in->class = labels_get(&meta->annotations, SV("kubernetes.io/ingress.class"));
    fallback = field_map(&r, spec, "defaultBackend");
    if (fallback)
        read_backend(&r, fallback, &in->fallback);
    read_rules(c, &r, spec, in);
    add_aliases(&r, root, in);
    read_tls(&r, spec, in);
    read_note_actions(c, &r, root, &in->notes, in);
    if (!in->paths_len && !in->fallback.service.len)
        finding_warn(r.to, spec ? spec : root, "has neither rules nor defaultBackend");
    fields_finish(&r, spec, NULL);
    CATALOG_ADD(&c->ingresses, in);
}
