/* certs.c - a certificate authority that lives for one call.
 *
 * ECDSA on P-256, as Istio can be told to use; leaves carry exactly one URI SAN, critical because
 * the subject is empty (RFC 5280 4.2.1.6). The root lasts as long as its leaves: 24 hours. */
#include "demo/mesh/certs.h"
#include "base/buf.h"
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

static int make_leaf(const struct issued *root, const char *account, struct issued *ret_leaf)
{
    char san[256];
    struct issued i = { 0 };
    snprintf(san, sizeof(san), "critical,URI:spiffe://cluster.local/ns/default/sa/%s", account);
    if (begin(&i) == 0 && X509_set_issuer_name(i.cert, X509_get_subject_name(root->cert)) &&
        extend(i.cert, root->cert, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
        extend(i.cert, root->cert, NID_key_usage, "critical,digitalSignature") == 0 &&
        extend(i.cert, root->cert, NID_ext_key_usage, "serverAuth,clientAuth") == 0 &&
        extend(i.cert, root->cert, NID_authority_key_identifier, "keyid") == 0 &&
        extend(i.cert, root->cert, NID_subject_alt_name, san) == 0 &&
        X509_sign(i.cert, root->key, EVP_sha256())) {
        *ret_leaf = i;
        return 0;
    }
    issued_done(&i);
    return -1;
}

/* Opens DIR/ACCOUNT/NAME for writing, readable by its owner only. */
static FILE *create(const char *dir, const char *account, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s/%s", dir, account, name);
    FILE *f = fopen(path, "wxe");
    if (f)
        fchmod(fileno(f), 0600);
    return f;
}

static int finish(FILE *f, int written)
{
    return f && fclose(f) == 0 && written ? 0 : -1;
}

static int write_files(const char *dir, const char *account, const struct issued *leaf,
                       const struct issued *root)
{
    FILE *f = create(dir, account, "cert-chain.pem");
    if (finish(f, f && PEM_write_X509(f, leaf->cert)) < 0)
        return -1;
    f = create(dir, account, "key.pem");
    if (finish(f, f && PEM_write_PrivateKey(f, leaf->key, NULL, NULL, 0, NULL, NULL)) < 0)
        return -1;
    f = create(dir, account, "root-cert.pem");
    return finish(f, f && PEM_write_X509(f, root->cert));
}

static int make_account(const char *dir, const char *account, const struct issued *root)
{
    char path[512];
    struct issued leaf = { 0 };
    snprintf(path, sizeof(path), "%s/%s", dir, account);
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -1; /* a service account of several pods */
    int rc = make_leaf(root, account, &leaf);
    if (rc == 0)
        rc = write_files(dir, account, &leaf, root);
    issued_done(&leaf);
    return rc;
}

int certs_make(const char *dir, const char *const *accounts, size_t n, struct err *err)
{
    struct issued root = { 0 };
    if (make_root(&root) < 0)
        return err_set(err, ERR_TLS, "cannot make a root certificate");
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (make_account(dir, accounts[i], &root) < 0)
            rc = err_set(err, ERR_IO, "%s/%s: cannot write the certificate", dir, accounts[i]);
    issued_done(&root);
    return rc;
}
