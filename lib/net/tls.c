/* tls.c - TLS contexts from files: everything that can be wrong with them is said when they are
 * loaded, not at the first handshake.
 *
 * A mesh context speaks TLS 1.3 only, so there is one key exchange, no renegotiation and encrypted
 * certificates; session tickets make the second connection to a peer cheap. Tickets carry the
 * peer's certificate along, so a resumed connection is judged by the same rules as a full one. */
#include "base/mem.h"
#include "tls_priv.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static int session_id_context(SSL_CTX *ctx)
{
    static const unsigned char name[] = "tulle";
    return SSL_CTX_set_session_id_context(ctx, name, sizeof(name) - 1);
}

int tls_failure(SSL *ssl, const char *doing, struct err *err)
{
    unsigned long code = ERR_peek_last_error();
    long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    if (verify != X509_V_OK)
        err_set(err, ERR_TLS, "%s: %s: %s", doing, why ? why : "failed",
                X509_verify_cert_error_string(verify));
    else
        err_set(err, ERR_TLS, "%s: %s", doing, why ? why : "failed");
    ERR_clear_error();
    return ERR_TLS;
}

/* "a,b" into OpenSSL's length-prefixed list. */
static int alpn_to_wire(struct tls_ctx *c, const char *list, struct err *err)
{
    struct sv rest = sv_z(list), name;
    while (sv_cut(&rest, ',', &name)) {
        if (name.len == 0 || name.len > 255 || c->alpn_len + 1 + name.len > sizeof(c->alpn))
            return err_set(err, ERR_USAGE, "ALPN list '%s'", list);
        c->alpn[c->alpn_len++] = (unsigned char)name.len;
        memcpy(c->alpn + c->alpn_len, name.p, name.len);
        c->alpn_len += name.len;
    }
    return 0;
}

/* The server's order decides; without a common name the connection goes on without one. */
static int pick_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_ctx *c = arg;
    (void)ssl;
    for (size_t i = 0; i < c->alpn_len; i += 1u + c->alpn[i])
        for (unsigned j = 0; j < in_len; j += 1u + in[j]) {
            bool is_same = in[j] == c->alpn[i] && j + 1 + in[j] <= in_len &&
                           memcmp(in + j + 1, c->alpn + i + 1, in[j]) == 0;
            if (is_same) {
                *out = in + j + 1;
                *out_len = in[j];
                return SSL_TLSEXT_ERR_OK;
            }
        }
    return SSL_TLSEXT_ERR_NOACK;
}

/* Keeps the newest ticket where the client asked for it. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_state *t = SSL_get_app_data(ssl);
    if (!t || !t->want.session)
        return 0;
    bool was_asked = t->was_asked || (SSL_session_reused(ssl) && t->want.session->was_asked);
    tls_session_done(t->want.session);
    *t->want.session = (struct tls_session){ .session = session, .was_asked = was_asked };
    return 1;
}

static BIO *bio_of(struct sv pem)
{
    return BIO_new_mem_buf(pem.p, (int)pem.len);
}

/* Leaf first, then what leads to the root. */
static bool use_chain(SSL_CTX *ctx, BIO *b)
{
    X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
    bool is_ok = cert && SSL_CTX_use_certificate(ctx, cert) == 1;
    X509_free(cert);
    while (is_ok && (cert = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
        is_ok = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
        if (!is_ok)
            X509_free(cert);
    }
    if (is_ok)
        ERR_clear_error(); /* the end of the text is told as an error */
    return is_ok;
}

static bool use_key(SSL_CTX *ctx, BIO *b)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    bool is_ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    return is_ok;
}

static bool use_roots(SSL_CTX *ctx, BIO *b)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    bool has_any = false;
    for (X509 *cert; (cert = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL; X509_free(cert))
        has_any = X509_STORE_add_cert(store, cert) == 1 || has_any;
    if (has_any)
        ERR_clear_error();
    return has_any;
}

static bool use_crl(SSL_CTX *ctx, BIO *b)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    bool has_any = false;
    for (X509_CRL *crl; (crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)) != NULL;
         X509_CRL_free(crl))
        has_any = X509_STORE_add_crl(store, crl) == 1 || has_any;
    if (has_any)
        ERR_clear_error();
    return has_any &&
           X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

static int load_crl_file(struct tls_ctx *c, const struct tls_conf *conf, struct err *err)
{
    BIO *b = conf->crl_file ? BIO_new_file(conf->crl_file, "r") : NULL;
    bool is_ok = !conf->crl_file || (b && use_crl(c->ssl, b));
    BIO_free(b);
    return is_ok ? 0 : tls_failure(NULL, conf->crl_file, err);
}

static int load_text(struct tls_ctx *c, const struct tls_conf *conf, struct err *err)
{
    const struct {
        struct sv pem;
        bool (*use)(SSL_CTX *, BIO *);
        const char *what;
    } rows[] = {
        { conf->cert_pem, use_chain, "certificate" },
        { conf->key_pem, use_key, "private key" },
        { conf->ca_pem, use_roots, "CA certificates" },
        { conf->crl_pem, use_crl, "list of revoked certificates" },
    };
    for (size_t i = 0; i < NELEMS(rows); i++) {
        BIO *b = rows[i].pem.len ? bio_of(rows[i].pem) : NULL;
        bool is_ok = !rows[i].pem.len || (b && rows[i].use(c->ssl, b));
        BIO_free(b);
        if (!is_ok)
            return tls_failure(NULL, rows[i].what, err);
    }
    if (!conf->cert_pem.len)
        return 0;
    c->has_cert = true;
    if (SSL_CTX_check_private_key(c->ssl) != 1)
        return tls_failure(NULL, "the key does not belong to the certificate", err);
    return 0;
}

static int load_files(struct tls_ctx *c, const struct tls_conf *conf, struct err *err)
{
    if (conf->cert_file) {
        if (SSL_CTX_use_certificate_chain_file(c->ssl, conf->cert_file) != 1)
            return tls_failure(NULL, conf->cert_file, err);
        if (SSL_CTX_use_PrivateKey_file(c->ssl, conf->key_file, SSL_FILETYPE_PEM) != 1)
            return tls_failure(NULL, conf->key_file, err);
        if (SSL_CTX_check_private_key(c->ssl) != 1)
            return tls_failure(NULL, "the key does not belong to the certificate", err);
        c->has_cert = true;
    }
    if (conf->ca_file && SSL_CTX_load_verify_locations(c->ssl, conf->ca_file, NULL) != 1)
        return tls_failure(NULL, conf->ca_file, err);
    if (!conf->ca_file && !conf->ca_pem.len && conf->peer != TLS_PEER_NONE)
        SSL_CTX_set_default_verify_paths(c->ssl);
    return load_crl_file(c, conf, err);
}

/* Our own certificate must be one that our own roots would accept. */
static int check_own_chain(struct tls_ctx *c, X509 *leaf, struct err *err)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(c->ssl, &chain);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    int rc = ERR_NOMEM;
    if (check && X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(c->ssl), leaf, chain) == 1) {
        rc = X509_verify_cert(check) == 1 ? 0 : ERR_TLS;
        if (rc < 0)
            err_set(err, ERR_TLS, "own certificate: %s",
                    X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
    }
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return rc == ERR_NOMEM ? err_set(err, ERR_NOMEM, "certificate check") : rc;
}

static int check_own(struct tls_ctx *c, struct err *err)
{
    X509 *leaf = SSL_CTX_get0_certificate(c->ssl);
    if (!leaf)
        return 0;
    c->not_after_ns = x509_not_after_ns(leaf);
    if (!c->is_mesh)
        return 0;
    int rc = check_own_chain(c, leaf, err);
    if (rc < 0)
        return rc;
    rc = x509_spiffe(leaf, &c->spiffe, err);
    if (rc < 0)
        err_context(err, "own certificate");
    return rc;
}

/* Most contexts have no names, and go on as they are. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_ctx *c = arg;
    return c->names.len ? tls_names_pick(ssl, alert, arg) : SSL_CLIENT_HELLO_SUCCESS;
}

static void set_options(struct tls_ctx *c, const struct tls_conf *conf)
{
    bool is_13 = conf->is_mesh || conf->version_min >= TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(c->ssl, is_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (conf->is_server)
        SSL_CTX_set_client_hello_cb(c->ssl, on_hello, c);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c->ssl, 1); /* one read() a record instead of two */
    /* AES-128 first: a third cheaper than AES-256, and its margin is not what would fail. */
    (void)SSL_CTX_set_ciphersuites(c->ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                           "TLS_CHACHA20_POLY1305_SHA256");
    int verify = conf->peer == TLS_PEER_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (conf->peer == TLS_PEER_REQUIRE)
        verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(c->ssl, verify, NULL);
    if (conf->is_server) {
        SSL_CTX_set_num_tickets(c->ssl, 1);
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
        if (c->alpn_len)
            SSL_CTX_set_alpn_select_cb(c->ssl, pick_alpn, c);
    } else {
        SSL_CTX_set_session_cache_mode(c->ssl,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(c->ssl, on_session);
        if (c->alpn_len)
            (void)SSL_CTX_set_alpn_protos(c->ssl, c->alpn, (unsigned)c->alpn_len);
    }
}

struct tls_ctx *tls_ctx_new(const struct tls_conf *conf, struct err *err)
{
    struct tls_ctx *c = mem_zalloc(sizeof(*c));
    if (!c) {
        err_set(err, ERR_NOMEM, "TLS context");
        return NULL;
    }
    c->refs = 1;
    c->is_server = conf->is_server;
    c->is_mesh = conf->is_mesh;
    c->peer = conf->peer;
    c->ssl = SSL_CTX_new(conf->is_server ? TLS_server_method() : TLS_client_method());
    int rc = c->ssl && session_id_context(c->ssl) == 1 ? 0 : err_set(err, ERR_NOMEM, "SSL_CTX");
    if (rc == 0 && conf->trust_domains) {
        c->trust_domains = mem_dup_z(conf->trust_domains, strlen(conf->trust_domains));
        rc = c->trust_domains ? 0 : err_set(err, ERR_NOMEM, "trust domains");
    }
    if (rc == 0 && conf->peer_names.len) {
        c->peer_names = mem_dup_z(conf->peer_names.p, conf->peer_names.len);
        rc = c->peer_names ? 0 : err_set(err, ERR_NOMEM, "peer names");
    }
    if (rc == 0 && conf->alpn)
        rc = alpn_to_wire(c, conf->alpn, err);
    if (rc == 0) {
        set_options(c, conf);
        rc = load_files(c, conf, err);
        if (rc == 0)
            rc = load_text(c, conf, err);
    }
    if (rc == 0)
        rc = check_own(c, err);
    return rc == 0 ? c : tls_ctx_unref(c);
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

struct tls_ctx *tls_ctx_unref(struct tls_ctx *c)
{
    if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    tls_names_done(c);
    SSL_CTX_free(c->ssl);
    mem_free(c->spiffe);
    mem_free(c->peer_names);
    mem_free(c->trust_domains);
    return mem_free(c);
}

struct sv tls_ctx_spiffe(const struct tls_ctx *c)
{
    return sv_z(c->spiffe);
}

int64_t tls_ctx_not_after_ns(const struct tls_ctx *c)
{
    return c->not_after_ns;
}

void tls_session_done(struct tls_session *s)
{
    if (s->session)
        SSL_SESSION_free(s->session);
    *s = (struct tls_session){ 0 };
}
