/* tls_peer.c - who is at the other end of a handshake, and what it proved.
 *
 * A mesh identity is the one URI name of the leaf certificate. None, two, or one that is no SPIFFE
 * id is a failed handshake: an identity that can be read in two ways is none. The check runs after
 * OpenSSL's own, for full and resumed handshakes alike. */
#include "base/clock.h"
#include "base/mem.h"
#include "tls_priv.h"
#include <openssl/x509v3.h>
#include <stdio.h>

bool tls_looks_like_hello(struct sv first)
{
    /* Record type handshake, major version 3; the handshake's own type follows at offset 5. */
    static const uint8_t hello[] = { 0x16, 0x03 };
    if (first.len > 5 && (uint8_t)first.p[5] != 0x01)
        return false;
    return memcmp(first.p, hello, MIN(first.len, sizeof(hello))) == 0;
}

static bool is_path_segment(struct sv s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool is_ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_';
        if (!is_ok)
            return false;
    }
    return s.len > 0;
}

bool spiffe_parse(struct sv id, struct sv *ret_domain, struct sv *ret_ns, struct sv *ret_sa)
{
    struct sv parts[5], rest;
    if (!sv_starts(id, SV("spiffe://")))
        return false;
    rest = sv_from(id, SV("spiffe://").len);
    for (size_t i = 0; i < NELEMS(parts); i++)
        if (!sv_cut(&rest, '/', &parts[i]) || !is_path_segment(parts[i]))
            return false;
    if (rest.len || sv_ends(id, SV("/")) || !sv_eq(parts[1], SV("ns")) ||
        !sv_eq(parts[3], SV("sa")))
        return false;
    *ret_domain = parts[0];
    *ret_ns = parts[2];
    *ret_sa = parts[4];
    return true;
}

static bool is_among(struct sv domain, struct sv domains)
{
    for (struct sv one; sv_cut(&domains, ',', &one);)
        if (one.len && sv_eq(one, domain))
            return true;
    return false;
}

/* The same account of a domain that is another name of ours. */
static bool is_alias(struct sv id, struct sv want, struct sv domains)
{
    struct sv domain, ns, sa, want_domain, want_ns, want_sa;
    return domains.len && spiffe_parse(id, &domain, &ns, &sa) &&
           spiffe_parse(want, &want_domain, &want_ns, &want_sa) && is_among(want_domain, domains) &&
           sv_eq(ns, want_ns) && sv_eq(sa, want_sa);
}

int spiffe_check(struct sv id, struct sv want, struct sv domains, struct err *err)
{
    struct sv domain, ns, sa, rest = want;
    bool is_id = spiffe_parse(id, &domain, &ns, &sa);
    if (domains.len && !(is_id && is_among(domain, domains)))
        return err_set(err, ERR_TLS, "the peer is %.*s, of none of the trust domains %.*s",
                       SV_ARG(sv_sub(id, 0, 100)), SV_ARG(sv_sub(domains, 0, 100)));
    if (!want.len)
        return 0;
    for (struct sv one; sv_cut(&rest, ',', &one);)
        if (sv_eq(one, id) || is_alias(id, one, domains))
            return 0;
    return err_set(err, ERR_TLS, "the peer is %.*s, expected %.*s", SV_ARG(id), SV_ARG(want));
}

static int take_uri(GENERAL_NAMES *names, char **ret_text, struct err *err)
{
    struct sv found = SV_NONE, domain, ns, sa;
    int uris = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_URI)
            continue;
        uris++;
        found = sv_of(ASN1_STRING_get0_data(n->d.uniformResourceIdentifier),
                      (size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier));
    }
    if (uris != 1)
        return err_set(err, ERR_TLS, "certificate has %d URI names, want one", uris);
    if (!spiffe_parse(found, &domain, &ns, &sa))
        return err_set(err, ERR_TLS, "certificate's URI name '%.*s' is no SPIFFE id",
                       (int)MIN(found.len, (size_t)80), found.p);
    char *text = mem_dup_z(found.p, found.len);
    if (!text)
        return err_set(err, ERR_NOMEM, "SPIFFE id");
    *ret_text = text;
    return 0;
}

int x509_spiffe(X509 *cert, char **ret_text, struct err *err)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (!names)
        return err_set(err, ERR_TLS, "certificate has no URI name");
    int rc = take_uri(names, ret_text, err);
    GENERAL_NAMES_free(names);
    return rc;
}

int64_t x509_not_after_ns(X509 *cert)
{
    struct tm tm;
    memset(&tm, 0, sizeof(tm));
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * NS_PER_S;
}

void x509_subject(X509 *cert, char *out, size_t size)
{
    BIO *b = BIO_new(BIO_s_mem());
    out[0] = '\0';
    if (!b)
        return;
    char *text = NULL;
    long len = X509_NAME_print_ex(b, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0
                   ? BIO_get_mem_data(b, &text)
                   : 0;
    if (len > 0)
        (void)sv_to_z(sv_of(text, (size_t)len), out, size);
    BIO_free(b);
}

void x509_hash(X509 *cert, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    out[0] = '\0';
    if (X509_digest(cert, EVP_sha256(), digest, &len) == 1 && len == 32) {
        hex_encode(out, digest, 32);
        out[64] = '\0';
    }
}

/* The server asks for our certificate. */
static int on_cert_asked(SSL *ssl, void *arg)
{
    struct tls_state *t = arg;
    (void)ssl;
    t->was_asked = true;
    return 1;
}

/* The caller's text may go before the handshake ends, so keep our own. */
static int copy_wants(struct tls_state *t, const struct tls_client *client)
{
    size_t total = client->sni.len + client->spiffe.len + client->dns_name.len + 3;
    char *at = t->want_text = mem_alloc(total);
    if (!at)
        return ERR_NOMEM;
    const struct sv from[] = { client->sni, client->spiffe, client->dns_name };
    struct sv *to[] = { &t->want.sni, &t->want.spiffe, &t->want.dns_name };
    for (size_t i = 0; i < NELEMS(from); i++) {
        if (from[i].len)
            memcpy(at, from[i].p, from[i].len);
        at[from[i].len] = '\0';
        *to[i] = sv_of(at, from[i].len);
        at += from[i].len + 1;
    }
    t->want.session = client->session;
    return 0;
}

static bool has_uri(struct sv names)
{
    return sv_contains(names, SV("://"));
}

/* Any of the names will do. OpenSSL looks for DNS names by itself; with an URI among them has_name() does. */
static int want_names(struct tls_state *t)
{
    struct sv rest = has_uri(t->want.dns_name) ? SV_NONE : t->want.dns_name;
    char text[256]; /* a DNS name has 253 */
    for (struct sv name; sv_cut(&rest, ',', &name);) {
        bool is_set = name.len && sv_to_z(name, text, sizeof(text)) &&
                      SSL_add1_host(t->ssl, text) == 1;
        if (name.len && !is_set)
            return ERR_NOMEM;
    }
    return 0;
}

static int prepare_client(struct tls_state *t, const struct tls_client *client)
{
    static const struct tls_client nothing;
    if (copy_wants(t, client ? client : &nothing) < 0)
        return ERR_NOMEM;
    if (t->want.sni.len && SSL_set_tlsext_host_name(t->ssl, t->want.sni.p) != 1)
        return ERR_NOMEM;
    if (want_names(t) < 0)
        return ERR_NOMEM;
    if (t->want.session && t->want.session->session)
        (void)SSL_set_session(t->ssl, t->want.session->session);
    SSL_set_cert_cb(t->ssl, on_cert_asked, t);
    SSL_set_connect_state(t->ssl);
    return 0;
}

int tls_state_init(struct tls_state *t, struct tls_ctx *ctx, const struct tls_client *client,
                   int fd, struct err *err)
{
    *t = (struct tls_state){ .ctx = tls_ctx_ref(ctx), .ssl = SSL_new(ctx->ssl) };
    int rc = t->ssl && tls_use_socket(t->ssl, fd) ? 0 : ERR_NOMEM;
    if (rc == 0) {
        SSL_set_app_data(t->ssl, t);
        if (ctx->is_server)
            SSL_set_accept_state(t->ssl);
        else
            rc = prepare_client(t, client);
    }
    if (rc == 0)
        return 0;
    tls_state_done(t);
    return err_set(err, ERR_NOMEM, "TLS connection");
}

void tls_state_done(struct tls_state *t)
{
    SSL_free(t->ssl);
    tls_ctx_unref(t->ctx);
    tls_ctx_unref(t->door);
    mem_free(t->want_text);
    mem_free(t->info_text);
    *t = (struct tls_state){ 0 };
}

static bool has_uri_name(X509 *cert, struct sv name)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool is_there = false;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *uri = n->type == GEN_URI ? n->d.uniformResourceIdentifier : NULL;
        is_there = is_there || (uri && sv_eq(name, sv_of(ASN1_STRING_get0_data(uri),
                                                         (size_t)ASN1_STRING_length(uri))));
    }
    GENERAL_NAMES_free(names);
    return is_there;
}

/* Has the certificate one of the names "a.b,spiffe://..."? */
static bool has_name(X509 *cert, struct sv names)
{
    for (struct sv name; sv_cut(&names, ',', &name);)
        if (has_uri(name) ? has_uri_name(cert, name)
                          : name.len && X509_check_host(cert, name.p, name.len, 0, NULL) == 1)
            return true;
    return false;
}

static int judge(struct tls_state *t, X509 *cert, char **ret_spiffe, struct err *err)
{
    if (!cert)
        return t->ctx->is_mesh && t->ctx->peer == TLS_PEER_REQUIRE
                   ? err_set(err, ERR_TLS, "the peer showed no certificate")
                   : 0;
    if (x509_not_after_ns(cert) < clock_wall_ns() && t->ctx->peer != TLS_PEER_NONE)
        return err_set(err, ERR_TLS, "the peer's certificate has expired");
    if (t->ctx->peer_names && !has_name(cert, sv_z(t->ctx->peer_names)))
        return err_set(err, ERR_TLS, "the caller's certificate has none of the names %.100s",
                       t->ctx->peer_names);
    if (has_uri(t->want.dns_name) && !has_name(cert, t->want.dns_name))
        return err_set(err, ERR_TLS, "the peer's certificate has none of the names %.*s",
                       SV_ARG(sv_sub(t->want.dns_name, 0, 100)));
    if (!t->ctx->is_mesh)
        return 0;
    int rc = x509_spiffe(cert, ret_spiffe, err);
    if (rc == 0)
        rc = spiffe_check(sv_z(*ret_spiffe), t->want.spiffe,
                          t->ctx->trust_domains ? sv_z(t->ctx->trust_domains) : SV_NONE, err);
    if (rc < 0)
        err_context(err, "peer");
    return rc;
}

static void fill_info(struct tls_state *t, X509 *cert, const char *spiffe, char *text)
{
    struct tls_info *i = &t->info;
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    size_t spiffe_len = spiffe ? strlen(spiffe) : 0;
    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_len);
    i->version = sv_z(SSL_get_version(t->ssl));
    i->cipher = sv_z(SSL_get_cipher_name(t->ssl));
    i->alpn = sv_of(alpn, alpn_len);
    i->sni = sv_z(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
    i->is_resumed = SSL_session_reused(t->ssl) != 0;
    if (!cert)
        return;
    x509_hash(cert, text);
    x509_subject(cert, text + 65, 512);
    memcpy(text + 577, spiffe ? spiffe : "", spiffe_len + 1);
    i->peer_hash = sv_z(text);
    i->peer_subject = sv_z(text + 65);
    i->peer_spiffe = sv_of(text + 577, spiffe_len);
    (void)spiffe_parse(i->peer_spiffe, &i->peer_trust_domain, &i->peer_namespace, &i->peer_account);
    i->peer_not_after_ns = x509_not_after_ns(cert);
    bool is_verified = t->ctx->peer != TLS_PEER_NONE && SSL_get_verify_result(t->ssl) == X509_V_OK;
    bool was_asked = t->was_asked ||
                     (i->is_resumed && t->want.session && t->want.session->was_asked);
    i->is_mutual = is_verified && t->ctx->has_cert && (t->ctx->is_server || was_asked);
}

int tls_state_accept_peer(struct tls_state *t, struct err *err)
{
    char *spiffe = NULL;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    int rc = judge(t, cert, &spiffe, err);
    if (rc == 0) {
        t->info_text = mem_zalloc(577 + (spiffe ? strlen(spiffe) : 0) + 1);
        if (t->info_text)
            fill_info(t, cert, spiffe, t->info_text);
        else
            rc = err_set(err, ERR_NOMEM, "TLS facts");
    }
    mem_free(spiffe);
    return rc;
}
