/* gateway_tls.h - the TLS of a gateway's ports: which certificate is shown to whom.
 *
 * Made of a mesh and a folder of secrets, then immutable; made anew when either changes. One thread,
 * but connections keep the contexts they began with. */
#ifndef PROXY_GATEWAY_TLS_H
#define PROXY_GATEWAY_TLS_H

#include "net/tls.h"
#include "proxy/config/mesh.h"

struct gateway_tls;

typedef void gateway_tls_warn_fn(void *to, const struct gateway_cert *cert, const char *why,
                                 bool is_kept);
struct gateway_tls_from {
    const char *
        secrets; /* folder with NAMESPACE/NAME/tls.crt, tls.key and perhaps ca.crt; NULL or "": none */
    struct tls_ctx *own; /* the mesh's certificates, for ISTIO_MUTUAL; NULL: there are none */
    const struct gateway_tls *before; /* what was in force; NULL: nothing */
    gateway_tls_warn_fn *warn;        /* told of what cannot be loaded */
    void *to;
};
/* Borrows from. What cannot be loaded leaves in force what `before` has for the same Secret or file (is_kept), unless
 * that is gone; else its hosts are refused. Gives; NULL when memory is out. */
struct gateway_tls *gateway_tls_new(const struct mesh *m, const struct gateway_tls_from *from,
                                    struct err *err) MUST_USE;
struct gateway_tls *gateway_tls_free(struct gateway_tls *t); /* takes; NULL is fine */
/* The context for connections to this listening port, borrowed; NULL: none is ended there. */
struct tls_ctx *gateway_tls_port(struct gateway_tls *t, uint16_t listen);

#endif
