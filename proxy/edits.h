/* edits.h - changes to a head's fields, from several places at once: the route and its destination
 * say what is set, added and removed. Borrowed lists, in order of application. */
#ifndef PROXY_EDITS_H
#define PROXY_EDITS_H

#include "base/buf.h"
#include "proxy/route/action.h"

struct stream;

#define EDITS_MAX 3 /* Ingress, the route behind it, the destination */

struct edits {
    const struct header_edits *lists[EDITS_MAX];
    size_t len;
};

/* NULL and empty lists are left out. */
void edits_push(struct edits *e, const struct header_edits *list);
/* A field of this name in the original head does not go on. */
bool edits_hide(const struct edits *e, struct sv name);
/* What is set and added. s: whose request it is, for values that are made of it; not looked at otherwise. */
void edits_put(const struct edits *e, struct stream *s, struct buf *to);

#endif
