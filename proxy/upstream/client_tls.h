/* client_tls.h - TLS to services outside the mesh's own: DestinationRule's modes SIMPLE and MUTUAL.
 *
 * Contexts are made when first needed and kept by what they are made of. One thread: the worker's. */
#ifndef PROXY_UPSTREAM_CLIENT_TLS_H
#define PROXY_UPSTREAM_CLIENT_TLS_H

#include "base/map.h"
#include "net/tls.h"
#include "proxy/config/mesh.h"

struct client_tls_cache {
    struct map contexts; /* text of files and secret to struct tls_ctx */
    bool is_tcp;         /* no HTTP follows: no ALPN is offered */
};

void client_tls_done(struct client_tls_cache *c);
/* Borrowed; NULL with err when files cannot be used. secrets: the folder, may be NULL. */
struct tls_ctx *client_tls_get(struct client_tls_cache *c, const struct client_tls *want,
                               bool is_mutual, bool is_h2, const char *secrets, struct err *err)
    MUST_USE;

#endif
