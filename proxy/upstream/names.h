/* names.h - host names that ServiceEntries send to, and what they mean now.
 *
 * Looked up beside the loop, again and again. A name keeps its last good answer while newer lookups
 * fail. One thread: the loop's. */
#ifndef PROXY_UPSTREAM_NAMES_H
#define PROXY_UPSTREAM_NAMES_H

#include "base/arena.h"
#include "base/map.h"
#include "net/loop.h"

typedef void names_changed_fn(void *to);
struct names {
    struct loop *loop;
    struct map map; /* name to struct name */
    int64_t refresh_ns;
    names_changed_fn *changed;
    void *to;
    struct timer tell; /* answers that come together are told together */
};

/* changed is called from the loop when some name means other addresses than before. */
void names_init(struct names *n, struct loop *loop, int64_t refresh_ns, names_changed_fn *changed,
                void *to);
void names_done(struct names *n); /* fine on an all-zero one */
/* From now on these are looked up, new ones at once; all others are forgotten. */
void names_want(struct names *n, const struct sv *list, size_t len);
/* As struct mesh_names has it; to: a struct names. */
size_t names_addresses(void *to, struct sv name, const struct sv **ret_list);

#endif
