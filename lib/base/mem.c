/* mem.c - malloc behind one name, so that tests can run every allocation-failure path.
 *
 * The sweep: run once counting allocations, then again failing the 1st, 2nd, n-th. The counter
 * costs one thread-local increment, so it stays in release builds. */
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t calls;
static _Thread_local uint64_t fail_at;

static int refused(void)
{
    calls++;
    return fail_at != 0 && calls == fail_at;
}

void *mem_alloc(size_t bytes)
{
    return refused() ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_zalloc(size_t bytes)
{
    return refused() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *mem_resize(void *p, size_t bytes)
{
    return refused() ? NULL : realloc(p, bytes ? bytes : 1);
}

void *mem_free(void *p)
{
    free(p);
    return NULL;
}

char *mem_dup_z(const char *p, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, p, len);
    copy[len] = '\0';
    return copy;
}

void mem_fail_nth(uint64_t nth)
{
    calls = 0;
    fail_at = nth;
}

uint64_t mem_count(void)
{
    return calls;
}
