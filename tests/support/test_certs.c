/* test_certs.c - certificates with SPIFFE ids, made on the spot for tests of TLS. */
#include "test_certs.h"
#include "base/mem.h"
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct test_ca {
    char dir[64];
    EVP_PKEY *key;
    X509 *cert;
    long serial;
    char made[16][32];
    size_t made_len;
};

static void set_name(X509 *cert, const char *cn)
{
    X509_NAME *name = X509_get_subject_name(cert);
    INVARIANT(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
                                         -1, 0) == 1);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    INVARIANT(e && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static X509 *new_cert(struct test_ca *ca, EVP_PKEY *key, const char *cn, long ends_in_s)
{
    X509 *cert = X509_new();
    INVARIANT(cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++ca->serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), ends_in_s);
    X509_set_pubkey(cert, key);
    set_name(cert, cn);
    return cert;
}

static void write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    INVARIANT(f);
    if (cert)
        INVARIANT(PEM_write_X509(f, cert) == 1);
    if (key)
        INVARIANT(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
}

struct test_ca *test_ca_new(void)
{
    struct test_ca *ca = mem_zalloc(sizeof(*ca));
    INVARIANT(ca);
    snprintf(ca->dir, sizeof(ca->dir), "/tmp/tulle-certs-XXXXXX");
    INVARIANT(mkdtemp(ca->dir));
    ca->key = EVP_EC_gen("P-256");
    INVARIANT(ca->key);
    ca->cert = new_cert(ca, ca->key, "test root", 86400);
    X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert));
    add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE");
    INVARIANT(X509_sign(ca->cert, ca->key, EVP_sha256()) > 0);
    return ca;
}

const char *test_ca_path(const struct test_ca *ca, const char *name, const char *file)
{
    static char texts[8][160];
    static size_t next;
    char *out = texts[next++ % NELEMS(texts)];
    snprintf(out, sizeof(texts[0]), "%s/%s/%s", ca->dir, name, file);
    return out;
}

void test_ca_leaf(struct test_ca *ca, const char *name, const char *names, long ends_in_s)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    INVARIANT(key && ca->made_len < NELEMS(ca->made));
    X509 *cert = new_cert(ca, key, name, ends_in_s);
    X509_set_issuer_name(cert, X509_get_subject_name(ca->cert));
    if (names)
        add_extension(cert, ca->cert, NID_subject_alt_name, names);
    INVARIANT(X509_sign(cert, ca->key, EVP_sha256()) > 0);
    INVARIANT(mkdir(test_ca_path(ca, name, ""), 0700) == 0);
    write_pem(test_ca_path(ca, name, "cert-chain.pem"), cert, NULL);
    write_pem(test_ca_path(ca, name, "key.pem"), NULL, key);
    write_pem(test_ca_path(ca, name, "root-cert.pem"), ca->cert, NULL);
    snprintf(ca->made[ca->made_len++], sizeof(ca->made[0]), "%s", name);
    X509_free(cert);
    EVP_PKEY_free(key);
}

struct test_ca *test_ca_free(struct test_ca *ca)
{
    static const char *files[] = { "cert-chain.pem", "key.pem", "root-cert.pem" };
    for (size_t i = 0; i < ca->made_len; i++) {
        for (size_t f = 0; f < NELEMS(files); f++)
            (void)unlink(test_ca_path(ca, ca->made[i], files[f]));
        (void)rmdir(test_ca_path(ca, ca->made[i], ""));
    }
    (void)rmdir(ca->dir);
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    return mem_free(ca);
}
