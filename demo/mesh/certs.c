/* certs.c - a certificate authority that lives as long as the demo makes files.
 *
 * ECDSA on P-256, as Istio can be told to use; leaves carry exactly one SAN, a URI or a host, critical
 * because the subject is empty (RFC 5280 4.2.1.6). The root lasts as long as its leaves: 24 hours. */
#include "demo/mesh/certs.h"
#include "base/buf.h"
#include "base/mem.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

enum { VALID_S = 24 * 3600, SKEW_S = 60 };

struct issued {
    X509 *cert;
    EVP_PKEY *key;
};

static void issued_done(struct issued *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
    *i = (struct issued){ 0 };
}

static int extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = e && X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
    return ok ? 0 : -1;
}

static int set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -1;
    bytes[0] &= 0x7f; /* a serial number is positive */
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    int ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok ? 0 : -1;
}

/* A fresh key and a certificate without extensions; unsigned. */
static int begin(struct issued *i)
{
    i->key = EVP_EC_gen("P-256");
    i->cert = X509_new();
    if (!i->key || !i->cert)
        return -1;
    X509_set_version(i->cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(i->cert), -SKEW_S);
    X509_gmtime_adj(X509_getm_notAfter(i->cert), VALID_S);
    return set_serial(i->cert) == 0 && X509_set_pubkey(i->cert, i->key) ? 0 : -1;
}

static int make_root(struct issued *ret_root)
{
    static const unsigned char organization[] = "cluster.local";
    struct issued i = { 0 };
    if (begin(&i) == 0) {
        X509_NAME *name = X509_get_subject_name(i.cert);
        X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, organization, -1, -1, 0);
        X509_set_issuer_name(i.cert, name);
        if (extend(i.cert, i.cert, NID_basic_constraints, "critical,CA:TRUE") == 0 &&
            extend(i.cert, i.cert, NID_key_usage, "critical,keyCertSign,cRLSign") == 0 &&
            extend(i.cert, i.cert, NID_subject_key_identifier, "hash") == 0 &&
            X509_sign(i.cert, i.key, EVP_sha256())) {
            *ret_root = i;
            return 0;
        }
    }
    issued_done(&i);
    return -1;
}

/* san: "URI:..." or "DNS:..." */
static int make_leaf(const struct issued *root, const char *san, struct issued *ret_leaf)
{
    char value[300];
    struct issued i = { 0 };
    snprintf(value, sizeof(value), "critical,%s", san);
    if (begin(&i) == 0 && X509_set_issuer_name(i.cert, X509_get_subject_name(root->cert)) &&
        extend(i.cert, root->cert, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
        extend(i.cert, root->cert, NID_key_usage, "critical,digitalSignature") == 0 &&
        extend(i.cert, root->cert, NID_ext_key_usage, "serverAuth,clientAuth") == 0 &&
        extend(i.cert, root->cert, NID_authority_key_identifier, "keyid") == 0 &&
        extend(i.cert, root->cert, NID_subject_alt_name, value) == 0 &&
        X509_sign(i.cert, root->key, EVP_sha256())) {
        *ret_leaf = i;
        return 0;
    }
    issued_done(&i);
    return -1;
}

/* Opens FOLDER/NAME for writing, readable by its owner only. */
static FILE *create(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wxe");
    if (f)
        fchmod(fileno(f), 0600);
    return f;
}

static int finish(FILE *f, int written)
{
    return f && fclose(f) == 0 && written ? 0 : -1;
}

static int write_cert(const char *folder, const char *name, const struct issued *of)
{
    FILE *f = create(folder, name);
    return finish(f, f && PEM_write_X509(f, of->cert));
}

static int write_key(const char *folder, const char *name, const struct issued *of)
{
    FILE *f = create(folder, name);
    return finish(f, f && PEM_write_PrivateKey(f, of->key, NULL, NULL, 0, NULL, NULL));
}

struct certs {
    struct issued root;
};

struct certs *certs_new(void)
{
    struct certs *c = mem_zalloc(sizeof(*c));
    return c && make_root(&c->root) < 0 ? mem_free(c) : c;
}

struct certs *certs_free(struct certs *c)
{
    if (c)
        issued_done(&c->root);
    return mem_free(c);
}

static int cannot(const char *folder, struct err *err)
{
    return err_set(err, ERR_IO, "%s: cannot write the certificate", folder);
}

int certs_identity(const struct certs *c, const char *folder, const char *ns, const char *account,
                   struct err *err)
{
    char san[256];
    struct issued leaf = { 0 };
    if (mkdir(folder, 0700) < 0)
        return errno == EEXIST ? 0 : cannot(folder, err); /* a service account of several pods */
    snprintf(san, sizeof(san), "URI:spiffe://cluster.local/ns/%s/sa/%s", ns, account);
    bool ok = make_leaf(&c->root, san, &leaf) == 0 &&
              write_cert(folder, "cert-chain.pem", &leaf) == 0 &&
              write_key(folder, "key.pem", &leaf) == 0 &&
              write_cert(folder, "root-cert.pem", &c->root) == 0;
    issued_done(&leaf);
    return ok ? 0 : cannot(folder, err);
}

int certs_host(const struct certs *c, const char *folder, const char *host, struct err *err)
{
    char san[256];
    struct issued leaf = { 0 };
    snprintf(san, sizeof(san), "DNS:%s", host);
    bool ok = mkdir(folder, 0700) == 0 && make_leaf(&c->root, san, &leaf) == 0 &&
              write_cert(folder, "tls.crt", &leaf) == 0 && write_key(folder, "tls.key", &leaf) == 0;
    issued_done(&leaf);
    return ok ? 0 : cannot(folder, err);
}
