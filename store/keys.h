/* keys.h - the idempotency keys of the newest batches, oldest forgotten first. Private to store/.
 *
 * All-zero is valid and empty. The writer adds the keys of a group, commits, and then either
 * settles them or takes them back. Not thread-safe. */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "base/list.h"
#include "base/map.h"

struct keys {
    struct map by_key;  /* key -> struct key_node */
    struct list oldest; /* head of the nodes in order of arrival; set up by the first add */
    size_t unsettled;   /* newest nodes whose commit is not known yet */
};

void keys_done(struct keys *k);
bool keys_has(const struct keys *k, struct sv key);
/* -1 when memory is out. */
int keys_add(struct keys *k, struct sv key) MUST_USE;
void keys_settle(struct keys *k, size_t kept); /* committed: forgets all but the newest kept */
void keys_take_back(struct keys *k);           /* rolled back: forgets what is unsettled */

#endif
