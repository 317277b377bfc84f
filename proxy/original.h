/* SPDX-License-Identifier: Apache-2.0
 * original.h - where a connection was going before the rules of tulle-proxy init took it over. */
#ifndef PROXY_ORIGINAL_H
#define PROXY_ORIGINAL_H

#include "proxy/downstream.h"

/* Sets d->original and d->has_original, as --intercept says. False: the connection was for ourselves,
 * or would come back to us: it must be closed. */
bool original_find(struct down *d) MUST_USE;
/* The route of a request on this connection: mesh_route(), as far as the address it was sent to has no
 * say. named: the port its Host names. */
const struct route *original_route(const struct down *d, const struct mesh *m,
                                   const struct http_head *req, uint16_t named);
/* The endpoint of c that was called by its own address, or NULL. */
const struct endpoint *original_endpoint(const struct down *d, const struct cluster *c);
/* With the caller's own address as source, the caller's ports are taken: chooses one that none of its
 * connections here has. Does nothing for other sources. */
void original_choose_port(const struct worker *w, struct conn_from *from);
/* Where it was going, whoever that is. */
extern const struct cluster passthrough_cluster, black_hole_cluster;

#endif
