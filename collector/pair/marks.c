/* marks.c - a set with a fixed number of places that forgets.
 *
 * An application with an SDK behind a sidecar reports each hop twice: its own client span and,
 * as that span's child, the sidecar's. Only the sidecar's can be paired; the application's would
 * wait, expire and become an edge to an invented peer. So a proxy's span marks its neighbour.
 *
 * The neighbour comes within seconds, later ones are found waiting in the table, so a mark has to
 * live for seconds only: 65,536 places, each holding the hash of the last span that fell on it
 * (512 KiB, taken at the first mark). A forgotten mark costs a needless virtual edge, never a lost
 * one; two spans with equal 64-bit hashes would lose one edge, about once in 10^14 spans. */
#include "pair/marks.h"
#include "base/hash.h"
#include "base/mem.h"

enum { MARKS_LEN = 65536 };

void marks_done(struct marks *m)
{
    m->slots = mem_free(m->slots);
}

static uint64_t mark_of(const struct trace_id *trace, const struct span_id *id, bool is_calling)
{
    uint64_t seed;
    memcpy(&seed, id->b, sizeof(seed));
    uint64_t mark = hash_bytes(trace->b, sizeof(trace->b), is_calling ? seed : ~seed);
    return mark ? mark : 1; /* 0 is an empty place */
}

int marks_put(struct marks *m, const struct trace_id *trace, const struct span_id *id,
              bool is_calling)
{
    if (!m->slots)
        m->slots = mem_zalloc(MARKS_LEN * sizeof(*m->slots));
    if (!m->slots)
        return -1;
    uint64_t mark = mark_of(trace, id, is_calling);
    m->slots[mark % MARKS_LEN] = mark;
    return 0;
}

bool marks_has(const struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling)
{
    uint64_t mark = mark_of(trace, id, is_calling);
    return m->slots && m->slots[mark % MARKS_LEN] == mark;
}
