/* certs.h - this workload's certificates: one set, loaded and checked as a whole. */
#ifndef PROXY_IDENTITY_CERTS_H
#define PROXY_IDENTITY_CERTS_H

#include "net/tls.h"

/* Immutable; a rotation makes another set, and connections keep the contexts they began with. */
struct certs {
    struct tls_ctx *server;     /* for callers: mutual TLS 1.3 */
    struct tls_ctx *client;     /* for endpoints of the mesh */
    struct tls_ctx *client_h2;  /* the same, to speak HTTP/2 */
    struct tls_ctx *client_tcp; /* the same, for what is no HTTP */
    struct sv spiffe;           /* our own id; lies in server */
    int64_t not_after_ns;       /* wall time */
};

/* dir holds cert-chain.pem, key.pem, root-cert.pem, or tls.crt, tls.key, ca.crt. Gives; NULL with err
 * naming the file and the fault. trust_domains: those of peers, as struct tls_conf has it. */
struct certs *certs_new(const char *dir, const char *trust_domains, struct err *err) MUST_USE;
struct certs *certs_free(struct certs *c); /* takes, NULL is fine; returns NULL */

#endif
