/* arena.c - a chunked bump allocator.
 *
 * A batch of spans or a proxied request makes many small pieces that die together. Chunks double
 * from 1 KiB up to 256 KiB, so a small owner stays small and a large one makes few calls. Pieces
 * over half a chunk get a chunk of their own, behind the current one, so its rest is not lost. */
#include "base/arena.h"
#include "base/mem.h"

#define CHUNK_MIN_BYTES ((size_t)1024)
#define CHUNK_MAX_BYTES ((size_t)256 * 1024)
#define ALIGNMENT       ((size_t)16)

struct arena_chunk {
    struct arena_chunk *next;
    void *adopted; /* memory that lives and dies with this chunk */
    size_t bytes;  /* of data[] */
    _Alignas(16) char data[];
};

static struct arena_chunk *chunk_new(struct arena *a, size_t bytes)
{
    struct arena_chunk *c = mem_alloc(sizeof(*c) + bytes);
    if (!c)
        return NULL;
    c->adopted = NULL;
    c->bytes = bytes;
    a->held_bytes += sizeof(*c) + bytes;
    return c;
}

static void chunks_free(struct arena_chunk *c)
{
    while (c) {
        struct arena_chunk *next = c->next;
        mem_free(c->adopted);
        mem_free(c);
        c = next;
    }
}

void arena_done(struct arena *a)
{
    chunks_free(a->chunks);
    *a = (struct arena){ 0 };
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->chunks;
    if (!keep || keep->adopted) {
        arena_done(a);
        return;
    }
    chunks_free(keep->next);
    keep->next = NULL;
    a->at = keep->data;
    a->end = keep->data + keep->bytes;
    a->held_bytes = sizeof(*keep) + keep->bytes;
}

/* Behind the current chunk, so that its free part stays in use. */
static void link_behind(struct arena *a, struct arena_chunk *c)
{
    if (a->chunks) {
        c->next = a->chunks->next;
        a->chunks->next = c;
    } else {
        c->next = NULL;
        a->chunks = c;
        a->at = a->end = c->data + c->bytes;
    }
}

static void *alloc_slow(struct arena *a, size_t bytes)
{
    size_t grown = MAX(CHUNK_MIN_BYTES, MIN(CHUNK_MAX_BYTES, a->held_bytes));
    bool is_large = bytes > grown / 2;
    struct arena_chunk *c = chunk_new(a, is_large ? bytes : grown);
    if (!c)
        return NULL;
    if (is_large) {
        link_behind(a, c);
        return c->data;
    }
    c->next = a->chunks;
    a->chunks = c;
    a->at = c->data + bytes;
    a->end = c->data + c->bytes;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (MAX(bytes, 1) + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if ((size_t)(a->end - a->at) < bytes)
        return alloc_slow(a, bytes);
    void *p = a->at;
    a->at += bytes;
    return p;
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
    void *p = arena_alloc(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return arena_zalloc(a, bytes);
}

struct sv arena_copy(struct arena *a, struct sv s)
{
    char *p = arena_alloc(a, s.len);
    if (!p)
        return SV_NONE;
    if (s.len)
        memcpy(p, s.p, s.len);
    return sv_of(p, s.len);
}

struct sv arena_lower(struct arena *a, struct sv s)
{
    char *p = arena_alloc(a, s.len);
    if (!p)
        return SV_NONE;
    for (size_t i = 0; i < s.len; i++)
        p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] - 'A' + 'a') : s.p[i];
    return sv_of(p, s.len);
}

int arena_adopt(struct arena *a, void *p, size_t bytes)
{
    struct arena_chunk *c = chunk_new(a, 0);
    if (!c)
        return -1;
    c->adopted = p;
    a->held_bytes += bytes;
    link_behind(a, c);
    return 0;
}
