/* mirror.h - copies of requests to other clusters, sent and forgotten.
 *
 * A stream begins its copies when its head goes upstream and passes its body's parts on; a copy then
 * goes its own way. Owned by the worker. */
#ifndef PROXY_MIRROR_H
#define PROXY_MIRROR_H

#include "base/sv.h"

#define MIRRORS_MAX 4 /* copies of one request; more only multiply load */

struct mirror_copy;
struct stream;
struct worker;

/* head: the request's head as it goes upstream. Once a stream, whatever its retries. A copy speaks what its
 * endpoint does, whatever the request is. */
void mirror_begin(struct stream *s, struct sv head);
/* A piece of the body; its end. */
void mirror_body(struct stream *s, struct sv body);
void mirror_end(struct stream *s);
/* The stream lets its copies go: whole ones are answered to nobody, half ones are cut. */
void mirror_leave(struct stream *s);
/* At the end of the worker. */
void mirrors_close(struct worker *w);

#endif
