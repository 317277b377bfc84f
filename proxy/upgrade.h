/* SPDX-License-Identifier: Apache-2.0
 * upgrade.h - does a request ask for another protocol on its connection, and was that agreed to?
 *
 * Source: RFC 9110, 7.8. */
#ifndef PROXY_UPGRADE_H
#define PROXY_UPGRADE_H

#include "wire/http_msg.h"

/* The one protocol that the request asks for and that we carry; empty: none, the request is an
 * ordinary one. A view into req. */
struct sv upgrade_wanted(const struct http_head *req);
/* The response is a 101 to the very protocol that was wanted. An empty one is never agreed to. */
bool upgrade_is_agreed(const struct http_head *response, struct sv wanted);

#endif
