/* gateway_tls.h - the TLS of a gateway's ports: which certificate is shown to whom.
 *
 * Made of a mesh and a folder of secrets, then immutable; made anew when either changes. One thread,
 * but connections keep the contexts they began with. */
#ifndef PROXY_GATEWAY_TLS_H
#define PROXY_GATEWAY_TLS_H

#include "net/tls.h"
#include "proxy/config/mesh.h"

struct gateway_tls;

/* secrets: folder with NAMESPACE/NAME/tls.crt, tls.key and perhaps ca.crt; NULL or "": none. own: the
 * mesh's certificates, for ISTIO_MUTUAL; NULL: there are none. What cannot be loaded is told to `warn` and
 * left out: its hosts are refused. Gives; NULL when memory is out. */
typedef void gateway_tls_warn_fn(void *to, const struct gateway_cert *cert, const char *why);
struct gateway_tls *gateway_tls_new(const struct mesh *m, const char *secrets, struct tls_ctx *own,
                                    gateway_tls_warn_fn *warn, void *to, struct err *err) MUST_USE;
struct gateway_tls *gateway_tls_free(struct gateway_tls *t); /* takes; NULL is fine */
/* The context for connections to this listening port, borrowed; NULL: none is ended there. */
struct tls_ctx *gateway_tls_port(struct gateway_tls *t, uint16_t listen);

#endif
