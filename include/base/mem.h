/* mem.h - the allocator behind every other container, with a hook that makes the n-th call fail.
 *
 * Thread-safe; the hook is per thread, for tests only. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/auto.h"
#include <stddef.h>
#include <stdint.h>

/* As malloc/calloc/realloc/free; NULL when memory is out (or the hook says so). Gives. */
void *mem_alloc(size_t bytes) MUST_USE;
void *mem_zalloc(size_t bytes) MUST_USE;
void *mem_resize(void *p, size_t bytes) MUST_USE;
/* Takes p, which may be NULL; returns NULL so that callers can write p = mem_free(p). */
void *mem_free(void *p);
/* A NUL-terminated copy of len bytes. Gives. */
char *mem_dup_z(const char *p, size_t len) MUST_USE;

/* Tests: the nth allocation of this thread from now on (1 = the next) fails; 0 turns it off. */
void mem_fail_nth(uint64_t nth);
/* Tests: allocations of this thread since the last mem_fail_nth(). */
uint64_t mem_count(void);

#endif
