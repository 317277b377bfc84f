/* scripted_store.h - a store that is filled by a script, so that a test knows what must be in it.
 *
 * Batch i is always the same, is put as number i, and counts as one request on one edge. One
 * thread. */
#ifndef TESTS_SCRIPTED_STORE_H
#define TESTS_SCRIPTED_STORE_H

#include "base/clock.h"
#include "random_batch.h"
#include "store/sqlite/sqlite.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SCRIPT_SEGMENT = 16, SCRIPT_CHECKPOINT_PAGES = 40 };

struct store *script_open(const char *file, enum store_durability durability,
                          struct store_keep keep);
struct batch *script_batch(uint64_t i); /* gives; with an idempotency key */
/* Counts the batches behind `from` up to and including `to`, and notes the progress. */
int script_put_edges(struct store *s, uint64_t from, uint64_t to, struct err *err) MUST_USE;

struct script_held {
    uint64_t first, last; /* batches that are there, none missing between; 0: none */
    uint64_t folded;      /* progress */
};
/* Fails the test unless the store is sound, holds whole batches of the script without a gap or a
 * repeat, and edges at every width that count exactly what the progress says. */
struct script_held script_check(struct store *s);

#endif
