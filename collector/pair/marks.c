/* marks.c - a set with a fixed number of places that forgets.
 *
 * Two questions are asked of it. An application with an SDK behind a sidecar reports each hop
 * twice: its own client span and, as that span's child, the sidecar's. Only the sidecar's can be
 * paired; the application's would wait, expire and become an edge to an invented peer. So a proxy's
 * span marks its neighbour. And an SDK that got no answer sends its spans once more; so each span
 * that was counted is marked.
 *
 * What is asked for comes within seconds, so a mark has to live for seconds only. A place is a hash
 * of 64 bits; eight places that share a cache line take the marks that fall on them in turn, the
 * newest first. With n marks after it a mark is still there for certain while n is small against
 * the places, and with one chance in a hundred gone when n is a third of them. A forgotten mark
 * costs a needless edge or a request counted twice; two spans with equal hashes would lose one,
 * about once in 10^14. */
#include "pair/marks.h"
#include "base/hash.h"
#include "base/lines.h"
#include "base/mem.h"

enum { WAYS = MARKS_PLACES_MIN };

void marks_init(struct marks *m, size_t places)
{
    INVARIANT(places >= WAYS && (places & (places - 1)) == 0);
    *m = (struct marks){ .places = places };
}

void marks_done(struct marks *m)
{
    m->slots = mem_free(m->slots);
    m->who = mem_free(m->who);
}

static uint64_t mark_of(const struct trace_id *trace, const struct span_id *id, bool is_calling)
{
    uint64_t seed;
    memcpy(&seed, id->b, sizeof(seed));
    uint64_t mark = hash_ids(trace->b, is_calling ? seed : ~seed);
    return mark ? mark : 1; /* 0 is an empty place */
}

static size_t group_of(const struct marks *m, uint64_t mark)
{
    return mark & (m->places - WAYS);
}

int marks_note(struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling, bool *ret_was_there)
{
    if (!m->slots)
        m->slots = mem_zalloc(m->places * sizeof(*m->slots));
    if (!m->slots)
        return -1;
    uint64_t mark = mark_of(trace, id, is_calling);
    uint64_t *group = m->slots + group_of(m, mark);
    bool was_there = false;
    for (size_t i = 0; i < WAYS; i++)
        was_there |= group[i] == mark;
    *ret_was_there = was_there;
    if (was_there)
        return 0;
    memmove(group + 1, group, (WAYS - 1) * sizeof(*group));
    group[0] = mark;
    return 0;
}

void marks_ask(const struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling)
{
    if (m->slots)
        lines_ask(m->slots + group_of(m, mark_of(trace, id, is_calling)), WAYS * sizeof(*m->slots));
}

int marks_put(struct marks *m, const struct trace_id *trace, const struct span_id *id,
              bool is_calling, const struct identity *who)
{
    if (!m->slots)
        m->slots = mem_zalloc(m->places * sizeof(*m->slots));
    if (who && !m->who)
        m->who = mem_zalloc(m->places * sizeof(*m->who));
    if (!m->slots || (who && !m->who))
        return -1;
    uint64_t mark = mark_of(trace, id, is_calling);
    uint64_t *group = m->slots + group_of(m, mark);
    memmove(group + 1, group, (WAYS - 1) * sizeof(*group));
    group[0] = mark;
    if (m->who) {
        const struct identity **names = m->who + group_of(m, mark);
        memmove(names + 1, names, (WAYS - 1) * sizeof(*names));
        names[0] = who;
    }
    return 0;
}

bool marks_has(const struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling, const struct identity **ret_who)
{
    if (!m->slots)
        return false;
    uint64_t mark = mark_of(trace, id, is_calling);
    size_t group = group_of(m, mark);
    for (size_t i = group; i < group + WAYS; i++)
        if (m->slots[i] == mark) {
            if (ret_who)
                *ret_who = m->who ? m->who[i] : NULL;
            return true;
        }
    return false;
}
