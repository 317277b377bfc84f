/* certs.h - a certificate authority for one run of the demo: SPIFFE identities of service accounts and
 * certificates of hosts, all of one root and valid for 24 hours. Nothing outlives the run's folder; the
 * root's key is never written. One thread. */
#ifndef DEMO_MESH_CERTS_H
#define DEMO_MESH_CERTS_H

#include "base/err.h"

struct certs;
struct certs *certs_new(void) MUST_USE;    /* gives; NULL: memory, or OpenSSL failed */
struct certs *certs_free(struct certs *c); /* takes */

/* Makes the folder with cert-chain.pem, key.pem and root-cert.pem for spiffe://cluster.local/ns/NS/sa/ACCOUNT,
 * as Istio's agent does; one that exists is left alone. ERR_IO. */
int certs_identity(const struct certs *c, const char *folder, const char *ns, const char *account,
                   struct err *err) MUST_USE;
/* Makes the folder with tls.crt and tls.key for the host, as a mounted Secret. ERR_IO. */
int certs_host(const struct certs *c, const char *folder, const char *host, struct err *err)
    MUST_USE;

#endif
