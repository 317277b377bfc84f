/* SPDX-License-Identifier: Apache-2.0
 * read_upstream_notes.c - what annotations of ingress-nginx say of the way to endpoints: which one
 * (affinity, upstream-hash-by), and how it is spoken to (backend-protocol, proxy-ssl-...).
 *
 * As in nginx, TLS to an endpoint is not verified unless proxy-ssl-verify is on. The mesh's own mutual TLS and
 * what a DestinationRule says are stronger than backend-protocol. */
#include "proxy/config/catalog.h"

/* What follows name and value in Set-Cookie. */
static struct sv cookie_tail(struct reader *r, const struct ingress_notes *n)
{
    AUTO_DONE(buf) text = { 0 };
    buf_printf(&text, "; Path=%.*s", SV_ARG(n->cookie_path));
    if (n->cookie_max_age)
        buf_printf(&text, "; Max-Age=%llu", (unsigned long long)n->cookie_max_age);
    if (n->cookie_domain.len)
        buf_printf(&text, "; Domain=%.*s", SV_ARG(n->cookie_domain));
    if (n->cookie_same_site.len)
        buf_printf(&text, "; SameSite=%.*s", SV_ARG(n->cookie_same_site));
    buf_put(&text, n->cookie_secure ? SV("; Secure; HttpOnly") : SV("; HttpOnly"));
    struct sv copy = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!copy.p)
        r->to->is_nomem = true;
    return copy;
}

/* "$http_x_user" is the header x-user. */
static struct sv header_of_variable(struct reader *r, struct sv text)
{
    char *p = read_array(r, text.len + 1, 1);
    for (size_t i = 0; p && i < text.len; i++)
        p[i] = (char)(text.p[i] == '_' ? '-' : text.p[i]);
    return sv_of(p, p ? text.len : 0);
}

/* One of nginx' variables; false: it is another. */
static bool read_hash_by(struct reader *r, struct sv text, struct hash_policy *to)
{
    if (sv_starts(text, SV("${")) && sv_ends(text, SV("}")))
        text = sv_sub(text, 1, text.len - 1); /* "{name}" */
    struct sv name = sv_starts(text, SV("{")) ? sv_sub(text, 1, text.len - 2) : sv_from(text, 1);
    if (sv_eq(name, SV("remote_addr")) || sv_eq(name, SV("binary_remote_addr")))
        to->kind = HASH_SOURCE_IP;
    else if (sv_eq(name, SV("request_uri")))
        to->kind = HASH_URI;
    else if (sv_eq(name, SV("host")) || sv_eq(name, SV("http_host")))
        *to = (struct hash_policy){ .kind = HASH_HEADER, .name = SV("host") };
    else if (sv_starts(name, SV("arg_")))
        *to = (struct hash_policy){ .kind = HASH_QUERY, .name = sv_from(name, 4) };
    else if (sv_starts(name, SV("cookie_")))
        *to = (struct hash_policy){ .kind = HASH_COOKIE, .name = sv_from(name, 7) };
    else if (sv_starts(name, SV("http_")))
        *to = (struct hash_policy){ .kind = HASH_HEADER,
                                    .name = header_of_variable(r, sv_from(name, 5)) };
    else
        return false;
    bool has_name = to->kind == HASH_SOURCE_IP || to->kind == HASH_URI || read_is_token(to->name);
    return text.p[0] == '$' || sv_starts(text, SV("{")) ? has_name : false;
}

static void add_affinity(struct reader *r, struct node *root, const struct ingress_notes *n,
                         struct route_actions *a)
{
    struct hash_policy *h = n->affinity.len || n->hash_by.len ? read_array(r, 1, sizeof(*h)) : NULL;
    if (!h)
        return;
    if (sv_eq(n->affinity, SV("cookie"))) {
        *h = (struct hash_policy){ .kind = HASH_COOKIE,
                                   .name = n->cookie_name,
                                   .makes_cookie = true,
                                   .cookie_tail = cookie_tail(r, n) };
        if (!read_is_token(n->cookie_name))
            finding_error(r->to, note_node(r, root, "session-cookie-name"), "is no cookie's name");
    } else if (n->affinity.len) {
        finding_error(r->to, note_node(r, root, "affinity"), "expected cookie");
    } else if (!read_hash_by(r, n->hash_by, h)) {
        finding_warn(r->to, note_node(r, root, "upstream-hash-by"),
                     "only one of $remote_addr, $request_uri, $host, $arg_NAME, $cookie_NAME, "
                     "$http_NAME is supported, ignored");
        return;
    }
    a->hash = h;
}

/* With the Secret NAMESPACE/NAME its certificate is shown and its ca.crt decides. */
static void add_backend_tls(struct reader *r, struct node *root, const struct ingress_notes *n,
                            struct route_actions *a)
{
    struct client_tls *t = read_array(r, 1, sizeof(*t));
    size_t slash = sv_index(n->ssl_secret, '/');
    if (!t)
        return;
    t->trusts_anybody = !sv_eq(n->ssl_verify, SV("on"));
    t->sni = n->ssl_name;
    t->namespace = sv_sub(n->ssl_secret, 0, slash);
    t->secret = sv_from(n->ssl_secret, slash + 1);
    if (n->ssl_name.len && !http_is_authority(n->ssl_name))
        finding_error(r->to, note_node(r, root, "proxy-ssl-name"), "expected a host");
    if (n->ssl_secret.len && (!t->namespace.len || !t->secret.len))
        finding_error(r->to, note_node(r, root, "proxy-ssl-secret"), "expected NAMESPACE/NAME");
    if (n->ssl_verify.len && t->trusts_anybody && !sv_eq(n->ssl_verify, SV("off")))
        finding_error(r->to, note_node(r, root, "proxy-ssl-verify"), "expected on or off");
    a->backend_tls = t;
}

static void add_protocol(struct reader *r, struct node *root, const struct ingress_notes *n,
                         struct route_actions *a)
{
    static const struct {
        const char *name;
        bool is_h2, is_tls;
    } rows[] = {
        { "HTTP", false, false }, { "AUTO_HTTP", false, false }, { "HTTPS", false, true },
        { "GRPC", true, false },  { "GRPCS", true, true },
    };
    for (size_t i = 0; i < NELEMS(rows); i++) {
        if (!sv_eq_nocase(n->backend_protocol, sv_z(rows[i].name)))
            continue;
        a->speaks_h2 = rows[i].is_h2;
        if (rows[i].is_tls)
            add_backend_tls(r, root, n, a);
        return;
    }
    if (n->backend_protocol.len)
        finding_warn(r->to, note_node(r, root, "backend-protocol"),
                     "expected HTTP, HTTPS, GRPC or GRPCS: taken as HTTP");
}

void read_upstream_notes(struct reader *r, struct node *root, const struct ingress_notes *n,
                         struct route_actions *a)
{
    add_affinity(r, root, n, a);
    add_protocol(r, root, n, a);
}

/* nginx repeats what is idempotent after an error; here only what an endpoint has provably not seen goes to
 * another one, whatever the method. So of proxy-next-upstream's conditions only their absence is in force. */
const struct retry_policy *read_retry_notes(struct reader *r, struct node *root,
                                            const struct ingress_notes *n)
{
    bool is_off = sv_eq(n->next_upstream, SV("off"));
    struct retry_policy *p = is_off || n->tries ? read_array(r, 1, sizeof(*p)) : NULL;
    if (n->next_upstream.len && !is_off)
        finding_warn(
            r->to, note_node(r, root, "proxy-next-upstream"),
            "only off is supported: what was provably not sent is sent again, nothing else");
    if (!p)
        return NULL;
    *p = retry_default;
    p->attempts = is_off ? 0 : (unsigned)MIN(n->tries - 1, (uint64_t)100);
    return p;
}
