/* ring.h - a bounded hand-over of pointers between threads.
 *
 * Any thread may push or pop; order is first in, first out. A full ring answers false at once:
 * pressure goes back to the sender. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include "base/auto.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;
struct ring *ring_new(size_t cap) MUST_USE; /* gives; NULL when memory is out */
struct ring *ring_free(struct ring *r);     /* takes; what is still inside is the caller's loss */
bool ring_push(struct ring *r, void *item) MUST_USE; /* takes item only when it answers true */
/* Waits up to wait_ns (0: not at all; <0: for ever) and moves up to max items into items;
 * returns how many, 0 on time-out or when the ring was closed and is empty. */
size_t ring_pop(struct ring *r, void **items, size_t max, int64_t wait_ns);
/* No more pushes; waiting poppers wake. */
void ring_close(struct ring *r);
bool ring_is_closed(struct ring *r);
/* Wakes one waiting popper with nothing. */
void ring_wake(struct ring *r);
size_t ring_len(struct ring *r);

#endif
