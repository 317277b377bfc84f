/* SPDX-License-Identifier: Apache-2.0
 * original.h - where a connection was going before the rules of tulle-proxy init took it over. */
#ifndef PROXY_ORIGINAL_H
#define PROXY_ORIGINAL_H

#include "proxy/downstream.h"

/* Sets d->original and d->has_original, as --intercept says. False: the connection was for ourselves,
 * or would come back to us: it must be closed. */
bool original_find(struct down *d) MUST_USE;

#endif
