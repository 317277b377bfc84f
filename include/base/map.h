/* map.h - a hash map from bytes to a pointer; keys are copied in, values are the caller's.
 *
 * All-zero is the valid empty map. Open addressing with linear probing, at most 3/4 full. Not
 * thread-safe. Any change invalidates iteration, except map_remove_given(). */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/auto.h"
#include "base/sv.h"
#include <stdbool.h>
#include <stdint.h>

struct map_slot {
    uint64_t hash;
    char *key; /* owned copy, NULL when the slot is free */
    size_t key_len;
    void *value;
};
struct map {
    struct map_slot *slots;
    size_t cap; /* power of two or 0 */
    size_t len; /* entries */
};

void map_done(struct map *m); /* frees keys and slots, not values */
/* The value, or NULL when the key is missing. */
void *map_get(const struct map *m, struct sv key);
/* Sets or replaces; -1 when memory is out (the map is unchanged). ret_old may be NULL. */
int map_put(struct map *m, struct sv key, void *value, void **ret_old) MUST_USE;
/* The value that was there, or NULL. */
void *map_remove(struct map *m, struct sv key);
/* for (size_t i = 0; map_next(&m, &i, &key, &value);)   ret_key may be NULL. */
bool map_next(const struct map *m, size_t *at, struct sv *ret_key, void **ret_value);
/* Removes the entry that map_next() just gave, and its key; the iteration goes on and skips nothing, but
 * may give an entry it has given before. */
void map_remove_given(struct map *m, size_t *at);

DEFINE_AUTO_DONE(map);

#endif
