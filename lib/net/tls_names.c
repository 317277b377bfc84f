/* tls_names.c - one listening context, many certificates, chosen by the name the caller asks for.
 *
 * The choice is made while the ClientHello is read, before anything of it is used: from then on the
 * connection lives by the chosen context, its certificates, roots, versions and protocols. Sessions
 * are bound to it too (the session id context is the certificate's hash and what is asked of the
 * caller), so a ticket of one name opens no other. The listening context owns its names, so a
 * connection in the middle of a handshake needs nobody else to stay. */
#include "base/mem.h"
#include "tls_priv.h"
#include <ctype.h>

#define NAME_BYTES_MAX 253 /* DNS */

int tls_ctx_add_name(struct tls_ctx *c, struct sv host, struct tls_ctx *to, struct err *err)
{
    struct sv key = sv_starts(host, SV("*.")) ? sv_from(host, 1) : host;
    void *old = NULL;
    if (map_get(&c->names, key))
        return 0; /* the first one stays */
    if (map_put(&c->names, key, to, &old) < 0)
        return err_set(err, ERR_NOMEM, "server name");
    tls_ctx_ref(to);
    if (!c->first_name)
        c->first_name = to;
    return 0;
}

void tls_names_done(struct tls_ctx *c)
{
    void *value;
    for (size_t i = 0; map_next(&c->names, &i, NULL, &value);)
        tls_ctx_unref(value);
    map_done(&c->names);
}

static struct tls_ctx *find(const struct tls_ctx *c, struct sv name)
{
    char text[NAME_BYTES_MAX];
    if (!name.len || name.len > sizeof(text))
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        text[i] = (char)tolower((unsigned char)name.p[i]);
    struct sv host = sv_of(text, name.len);
    struct tls_ctx *to = map_get(&c->names, host);
    while (!to && sv_index(host, '.') < host.len) {
        struct sv suffix = sv_from(host, sv_index(host, '.'));
        to = map_get(&c->names, suffix);
        host = sv_from(suffix, 1);
    }
    return to ? to : map_get(&c->names, SV("*"));
}

static struct tls_ctx *chosen(const struct tls_ctx *c, struct sv name)
{
    struct tls_ctx *to = name.len ? find(c, name) : map_get(&c->names, SV("*"));
    return to || name.len ? to : c->first_name; /* without a name an address was asked for */
}

bool tls_ctx_serves(const struct tls_ctx *c, struct sv asked, struct sv host)
{
    const struct tls_ctx *want = find(c, host);
    return !want || want->peer == TLS_PEER_NONE || want == chosen(c, asked);
}

/* The host name in a server_name extension (RFC 6066 section 3), or an empty view. */
static struct sv asked_name(SSL *ssl)
{
    const unsigned char *p;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) != 1 || len < 5)
        return SV_NONE;
    size_t list = (size_t)p[0] << 8 | p[1], name = (size_t)p[3] << 8 | p[4];
    if (list + 2 != len || p[2] != TLSEXT_NAMETYPE_host_name || name + 5 > len)
        return SV_NONE;
    return sv_of(p + 5, name);
}

static void bind_sessions(SSL *ssl, const struct tls_ctx *to)
{
    char id[65] = "";
    X509 *leaf = SSL_CTX_get0_certificate(to->ssl);
    if (leaf)
        x509_hash(leaf, id);
    id[31] = (char)('0' + to->peer);
    SSL_set_session_id_context(ssl, (const unsigned char *)id, 32);
}

int tls_names_pick(SSL *ssl, int *alert, void *arg)
{
    struct tls_ctx *c = arg;
    struct tls_state *t = SSL_get_app_data(ssl);
    struct sv name = asked_name(ssl);
    struct tls_ctx *to = chosen(c, name);
    if (!to) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (!SSL_set_SSL_CTX(ssl, to->ssl)) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(to->ssl), NULL);
    SSL_set_min_proto_version(ssl, (int)SSL_CTX_get_min_proto_version(to->ssl));
    bind_sessions(ssl, to);
    /* c itself stays: SSL holds it as the context its tickets belong to, and t->door */
    t->door = t->ctx;
    t->ctx = tls_ctx_ref(to);
    return SSL_CLIENT_HELLO_SUCCESS;
}
