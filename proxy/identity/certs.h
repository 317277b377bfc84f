/* certs.h - this workload's certificates: one set, loaded and checked as a whole. */
#ifndef PROXY_IDENTITY_CERTS_H
#define PROXY_IDENTITY_CERTS_H

#include "net/tls.h"

/* Immutable; a rotation makes another set, and connections keep the contexts they began with. */
/* Two sidecars of ours that agree on it: the callee sends TCP_ANSWER before all else, once its application has taken the
 * connection or the caller may not have it. Without that byte nothing has happened, and another endpoint may be asked
 * (docs/adr/0036). Istio's know nothing of it and are spoken to as ever. */
#define TCP_ANSWERED_ALPN "tulle-tcp-1"
#define TCP_ANSWER        SV("+")

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
