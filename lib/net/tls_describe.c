/* SPDX-License-Identifier: Apache-2.0
 * tls_describe.c - what certificates a context holds, as text. */
#include "base/clock.h"
#include "base/mem.h"
#include "tls_priv.h"
#include <openssl/x509v3.h>
#include <time.h>

#define SUBJECT_BYTES 512
#define SERIAL_BYTES  64 /* at most 20 bytes are allowed (RFC 5280), some are longer */

static int64_t wall_ns(const ASN1_TIME *at)
{
    struct tm tm = { 0 };
    return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) * NS_PER_S : 0;
}

static struct sv serial_of(X509 *cert, char text[SERIAL_BYTES])
{
    const ASN1_INTEGER *n = X509_get0_serialNumber(cert);
    size_t len = MIN((size_t)MAX(ASN1_STRING_length(n), 0), (size_t)(SERIAL_BYTES - 1) / 2);
    hex_encode(text, ASN1_STRING_get0_data(n), len);
    return sv_of(text, len * 2);
}

static void describe(X509 *cert, bool is_root, tls_cert_fn *each, void *to)
{
    char subject[SUBJECT_BYTES] = "", serial[SERIAL_BYTES];
    char *spiffe = NULL;
    x509_subject(cert, subject, sizeof(subject));
    bool has_id = x509_spiffe(cert, &spiffe, NULL) == 0;
    const struct tls_cert_text text = { .is_root = is_root,
                                        .subject = sv_z(subject),
                                        .serial = serial_of(cert, serial),
                                        .spiffe = has_id ? sv_z(spiffe) : SV_NONE,
                                        .not_before_ns = wall_ns(X509_get0_notBefore(cert)),
                                        .not_after_ns = wall_ns(X509_get0_notAfter(cert)) };
    each(to, &text);
    mem_free(spiffe);
}

void tls_ctx_each_cert(const struct tls_ctx *c, tls_cert_fn *each, void *to)
{
    X509 *leaf = SSL_CTX_get0_certificate(c->ssl);
    STACK_OF(X509) *chain = NULL;
    STACK_OF(X509_OBJECT) *roots = X509_STORE_get0_objects(SSL_CTX_get_cert_store(c->ssl));
    if (leaf)
        describe(leaf, false, each, to);
    if (SSL_CTX_get0_chain_certs(c->ssl, &chain))
        for (int i = 0; i < sk_X509_num(chain); i++)
            describe(sk_X509_value(chain, i), false, each, to);
    for (int i = 0; i < sk_X509_OBJECT_num(roots); i++) {
        X509 *root = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(roots, i));
        if (root)
            describe(root, true, each, to);
    }
}
