/* arena.h - one owner for many small pieces: allocate forward, free all at once.
 *
 * Not thread-safe; moves between threads as a whole. Pointers stay valid until arena_done() or
 * arena_reset(). An all-zero struct arena is valid and empty. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/auto.h"
#include "base/sv.h"
#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *at, *end;             /* free part of the newest chunk */
    size_t held_bytes;          /* memory held by all chunks */
};

void arena_done(struct arena *a);  /* frees everything; the arena is empty and usable again */
void arena_reset(struct arena *a); /* as arena_done, but keeps one chunk for reuse */
/* 16-byte aligned; NULL when memory is out. */
void *arena_alloc(struct arena *a, size_t bytes) MUST_USE;
void *arena_zalloc(struct arena *a, size_t bytes) MUST_USE;
/* n elements of size bytes each, zeroed; NULL on overflow or when memory is out. */
void *arena_array(struct arena *a, size_t n, size_t size) MUST_USE;
/* A copy of s; p is NULL when memory is out (an empty s gives a non-NULL empty view). */
struct sv arena_copy(struct arena *a, struct sv s) MUST_USE;
/* The same with ASCII letters in lower case. */
struct sv arena_lower(struct arena *a, struct sv s) MUST_USE;
/* Takes p (from mem_alloc) and frees it with the arena; -1 and p still the caller's on failure. */
int arena_adopt(struct arena *a, void *p, size_t bytes) MUST_USE;

DEFINE_AUTO_DONE(arena);

#endif
