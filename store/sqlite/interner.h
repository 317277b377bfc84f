/* interner.h - texts numbered in order of first appearance. Private to store/sqlite/.
 *
 * Borrows every text until the next interner_start(). All-zero is valid; not thread-safe. */
#ifndef SQLITE_INTERNER_H
#define SQLITE_INTERNER_H

#include "base/auto.h"
#include "base/sv.h"
#include <stdint.h>

struct interner_slot {
    uint32_t round; /* of interner_start(); older ones are free */
    uint32_t index;
    uint32_t tag; /* upper half of the hash: texts are compared when theirs agree */
};
struct interner {
    struct interner_slot *slots; /* open addressing, at most half full */
    size_t slots_cap;
    struct sv *list; /* by number */
    size_t len, cap;
    uint32_t round;
};

#define INTERNER_FULL UINT32_MAX

void interner_done(struct interner *t);
void interner_start(struct interner *t); /* forgets all texts, keeps the memory */
/* The number of s; when it is new it gets the next one (the list has grown then). INTERNER_FULL
 * when memory is out. */
uint32_t interner_add(struct interner *t, struct sv s);

#endif
