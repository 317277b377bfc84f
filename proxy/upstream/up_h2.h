/* SPDX-License-Identifier: Apache-2.0
 * up_h2.h - an upstream connection that speaks HTTP/2: many requests at once. */
#ifndef PROXY_UPSTREAM_UP_H2_H
#define PROXY_UPSTREAM_UP_H2_H

#include "proxy/upstream/pool.h"

/* False: out of memory. */
bool up_h2_init(struct up *up) MUST_USE;
/* How many more requests it can take now. */
size_t up_h2_room(const struct up *up, uint32_t streams_max);
/* s is one of those it carries from now on. */
void up_h2_attach(struct up *up, struct stream *s);
/* Sends s's head; s->up_h2 is set. False: the connection takes none. */
bool up_h2_send_head(struct stream *s, struct sv head, bool is_end) MUST_USE;
/* s has no more to do with it. */
void up_h2_detach(struct stream *s);
void up_h2_on_event(struct up *up, enum conn_event ev);
/* What streams have written leaves at the end of the turn. */
void up_h2_later(struct up *up);

#endif
