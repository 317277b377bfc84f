/* chunks.c - the index in memory: time ranges of every chunk, fingerprints and digests of the newest.
 *
 * A trace is looked up by 4 bytes of its id's hash, which lie sorted in each chunk's line: no
 * B-tree keyed by random ids has to be kept, and a false match only costs reading a chunk in vain
 * (about one in four hundred thousand for a chunk of 10,000 traces). Cost: 4 bytes a trace and
 * chunk; a probe is a guess and a few steps in each.
 *
 * Digests tell a search which segments to pass over. Both are read from the file when they are
 * first wanted, or by the sealing thread before that, and kept up to a bound: when new segments
 * need the room the oldest digests go, then the oldest fingerprints. */
#include "store/sqlite/chunks.h"
#include "base/hash.h"
#include "base/mem.h"

enum { FEW_FINGERPRINTS = 32 }; /* sorted in place */

void chunks_init(struct chunks *c)
{
    *c = (struct chunks){ .segment_records = SEGMENT_RECORDS, .held_max = CHUNKS_HELD_MAX };
    pthread_mutex_init(&c->lock, NULL);
}

static void forget_traces(struct chunks *c, struct chunk *chunk)
{
    c->held_bytes -= chunk->traces_len * sizeof(*chunk->traces);
    chunk->traces = mem_free(chunk->traces);
    chunk->traces_len = 0;
    chunk->has_traces = false;
}

static void forget_digest(struct chunks *c, struct chunk *chunk)
{
    c->held_bytes -= chunk->digest.len;
    mem_free((char *)chunk->digest.p);
    chunk->digest = SV_NONE;
}

static void forget(struct chunks *c, struct chunk *chunk)
{
    forget_traces(c, chunk);
    forget_digest(c, chunk);
}

static uint64_t held_by(const struct chunk *chunk)
{
    return chunk->traces_len * sizeof(*chunk->traces) + chunk->digest.len;
}

void chunks_fit(struct chunks *c)
{
    size_t segments = c->len - c->rows;
    for (size_t i = 0; i < segments && c->held_bytes > c->held_max; i++)
        forget_digest(c, &c->list[i]);
    for (size_t i = 0; i < segments && c->held_bytes > c->held_max; i++)
        forget_traces(c, &c->list[i]);
}

/* Segments stand in order of id, which is their first_seq. */
struct chunk *chunks_find(struct chunks *c, int64_t id)
{
    for (size_t from = 0, to = c->len - c->rows; from < to;) {
        size_t at = from + (to - from) / 2;
        if (c->list[at].id == id)
            return &c->list[at];
        if (c->list[at].id < id)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

static char *copy_if_room(struct chunks *c, struct sv bytes, bool is_needed)
{
    if (!is_needed && c->held_bytes + bytes.len > c->held_max)
        return NULL;
    char *copy = mem_alloc(bytes.len);
    if (copy && bytes.len)
        memcpy(copy, bytes.p, bytes.len);
    if (copy)
        c->held_bytes += bytes.len;
    return copy;
}

void chunks_keep_traces(struct chunks *c, int64_t id, struct sv traces, bool is_needed)
{
    struct chunk *chunk = chunks_find(c, id);
    char *copy = chunk && !chunk->has_traces ? copy_if_room(c, traces, is_needed) : NULL;
    if (!copy)
        return;
    chunk->traces = (uint32_t *)(void *)copy;
    chunk->traces_len = traces.len / sizeof(*chunk->traces);
    chunk->has_traces = true;
}

void chunks_keep_digest(struct chunks *c, int64_t id, struct sv digest)
{
    struct chunk *chunk = chunks_find(c, id);
    char *copy = chunk && !chunk->digest.p ? copy_if_room(c, digest, false) : NULL;
    if (!copy)
        return;
    chunk->digest = sv_of(copy, digest.len);
    chunk->lacks_digest = false;
}

void chunks_clear(struct chunks *c)
{
    for (size_t i = 0; i < c->len; i++)
        forget(c, &c->list[i]);
    c->len = c->rows = 0;
    c->row_spans = c->row_calls = 0;
}

void chunks_done(struct chunks *c)
{
    chunks_clear(c);
    mem_free(c->list);
    pthread_mutex_destroy(&c->lock);
}

int chunks_reserve(struct chunks *c, size_t n)
{
    if (c->cap - c->len >= n)
        return 0;
    size_t cap = MAX(c->cap * 2, c->len + n);
    struct chunk *list = mem_resize(c->list, cap * sizeof(*list));
    if (!list)
        return -1;
    c->list = list;
    c->cap = cap;
    return 0;
}

void chunks_add(struct chunks *c, const struct chunk *chunk)
{
    INVARIANT(c->len < c->cap);
    c->list[c->len++] = *chunk;
    c->held_bytes += held_by(chunk);
    if (chunk->kind == CHUNK_JOURNAL) {
        c->rows++;
        c->row_spans += chunk->spans;
        c->row_calls += chunk->calls;
    }
}

uint32_t trace_fingerprint(struct trace_id id)
{
    return (uint32_t)hash_bytes(id.b, sizeof(id.b), 0);
}

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static void swap_in_order(uint32_t *list, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        uint32_t moving = list[i];
        size_t at = i;
        for (; at && list[at - 1] > moving; at--)
            list[at] = list[at - 1];
        list[at] = moving;
    }
}

/* By one byte after the other, the lowest first. Fingerprints are hashes, so every byte varies. */
static void sort_by_bytes(uint32_t *list, uint32_t *other, size_t len)
{
    for (unsigned shift = 0; shift < 32; shift += 8) {
        size_t next[257] = { 0 };
        for (size_t i = 0; i < len; i++)
            next[(list[i] >> shift & 0xff) + 1]++;
        for (size_t v = 1; v < 256; v++)
            next[v] += next[v - 1];
        for (size_t i = 0; i < len; i++)
            other[next[list[i] >> shift & 0xff]++] = list[i];
        uint32_t *sorted = other;
        other = list;
        list = sorted;
    }
}

size_t fingerprints_sort(uint32_t *list, size_t len)
{
    if (len == 0)
        return 0;
    uint32_t *other = len > FEW_FINGERPRINTS ? mem_alloc(len * sizeof(*other)) : NULL;
    if (len <= FEW_FINGERPRINTS)
        swap_in_order(list, len);
    else if (other)
        sort_by_bytes(list, other, len);
    else
        qsort(list, len, sizeof(*list), u32_cmp); /* slower, and needs no memory */
    mem_free(other);
    size_t kept = 1;
    for (size_t i = 1; i < len; i++)
        if (list[i] != list[kept - 1])
            list[kept++] = list[i];
    return kept;
}

static void widen(struct chunk_range *r, int64_t t_ns)
{
    r->from_ns = MIN(r->from_ns, t_ns);
    r->to_ns = MAX(r->to_ns, t_ns);
}

int chunk_of_batch(const struct batch *b, uint64_t seq, struct chunk *ret_c)
{
    struct chunk c = { .kind = CHUNK_JOURNAL,
                       .id = (int64_t)seq,
                       .first_seq = seq,
                       .last_seq = seq,
                       .batches = 1,
                       .spans = b->spans_len,
                       .calls = b->calls_len,
                       .received_to_ns = b->received_ns,
                       .has_traces = true };
    c.span_range = c.call_range = (struct chunk_range){ INT64_MAX, INT64_MIN };
    c.traces = mem_alloc(b->spans_len * sizeof(*c.traces));
    if (!c.traces)
        return -1;
    const struct trace_id *before = NULL;
    for (size_t i = 0; i < b->spans_len; i++) {
        const struct span *s = &b->spans[i];
        widen(&c.span_range, s->start_ns);
        if (!before || !trace_id_eq(*before, s->trace_id))
            c.traces[c.traces_len++] = trace_fingerprint(s->trace_id);
        before = &s->trace_id;
    }
    for (size_t i = 0; i < b->calls_len; i++)
        widen(&c.call_range, b->calls[i].start_ns);
    c.traces_len = fingerprints_sort(c.traces, c.traces_len);
    *ret_c = c;
    return 0;
}

bool chunks_is_seal_due(const struct chunks *c)
{
    return c->row_spans >= c->segment_records || c->row_calls >= c->segment_records ||
           c->rows >= SEGMENT_ROWS;
}

bool chunks_is_aged(const struct chunks *c, int64_t before_ns)
{
    return c->rows && c->list[c->len - c->rows].received_to_ns < before_ns;
}

bool chunks_are_near(const struct chunk *a, const struct chunk *b, int64_t within_ns)
{
    int64_t apart_ns;
    return !__builtin_sub_overflow(b->received_to_ns, a->received_to_ns, &apart_ns) &&
           apart_ns <= within_ns && apart_ns >= -within_ns;
}

size_t chunks_aged(const struct chunks *c, uint64_t before_seq, int64_t before_ns,
                   int64_t within_ns)
{
    uint64_t spans = 0, calls = 0;
    size_t n = 0;
    if (!c->rows)
        return 0;
    const struct chunk *rows = c->list + (c->len - c->rows);
    while (n < c->rows && n < SEGMENT_ROWS && rows[n].first_seq < before_seq &&
           rows[n].received_to_ns < before_ns && chunks_are_near(&rows[0], &rows[n], within_ns) &&
           spans < c->segment_records && calls < c->segment_records) {
        spans += rows[n].spans;
        calls += rows[n].calls;
        n++;
    }
    return n;
}

size_t chunks_to_seal(const struct chunks *c, uint64_t before_seq, bool is_all, size_t *ret_first)
{
    size_t n = 0;
    uint64_t spans = 0, calls = 0;
    *ret_first = c->len - c->rows;
    while (n < c->rows && c->list[*ret_first + n].first_seq < before_seq) {
        const struct chunk *row = &c->list[*ret_first + n++];
        spans += row->spans;
        calls += row->calls;
        if (spans >= c->segment_records || calls >= c->segment_records || n == SEGMENT_ROWS)
            return n;
    }
    return is_all ? n : 0;
}

static void widen_by(struct chunk_range *r, struct chunk_range more)
{
    r->from_ns = MIN(r->from_ns, more.from_ns);
    r->to_ns = MAX(r->to_ns, more.to_ns);
}

int chunk_of_chunks(const struct chunks *c, size_t first, size_t n, int64_t id, struct chunk *ret_c)
{
    const struct chunk *list = c->list + first;
    struct chunk one = { .kind = CHUNK_SEGMENT,
                         .id = id,
                         .first_seq = list[0].first_seq,
                         .last_seq = list[n - 1].last_seq,
                         .received_to_ns = INT64_MIN,
                         .has_traces = true };
    one.span_range = one.call_range = (struct chunk_range){ INT64_MAX, INT64_MIN };
    size_t traces = 0;
    for (size_t i = 0; i < n; i++)
        traces += list[i].traces_len;
    one.traces = mem_alloc(traces * sizeof(*one.traces));
    if (!one.traces)
        return -1;
    for (size_t i = 0; i < n; i++) {
        one.batches += list[i].batches;
        one.spans += list[i].spans;
        one.calls += list[i].calls;
        one.received_to_ns = MAX(one.received_to_ns, list[i].received_to_ns);
        widen_by(&one.span_range, list[i].span_range);
        widen_by(&one.call_range, list[i].call_range);
        if (list[i].traces_len)
            memcpy(one.traces + one.traces_len, list[i].traces,
                   list[i].traces_len * sizeof(*one.traces));
        one.traces_len += list[i].traces_len;
    }
    one.traces_len = fingerprints_sort(one.traces, one.traces_len);
    *ret_c = one;
    return 0;
}

void chunks_replace(struct chunks *c, size_t first, size_t n, const struct chunk *one)
{
    bool are_rows = first == c->len - c->rows;
    INVARIANT(are_rows ? n <= c->rows : first + n <= c->len - c->rows);
    for (size_t i = first; i < first + n; i++)
        forget(c, &c->list[i]);
    c->held_bytes += held_by(one);
    if (are_rows) {
        c->rows -= n;
        c->row_spans -= one->spans;
        c->row_calls -= one->calls;
    }
    c->list[first] = *one;
    memmove(c->list + first + 1, c->list + first + n, (c->len - first - n) * sizeof(*c->list));
    c->len -= n - 1;
    chunks_fit(c);
}

void chunks_remove(struct chunks *c, size_t first, size_t n)
{
    INVARIANT(first + n <= c->len);
    for (size_t i = first; i < first + n; i++) {
        struct chunk *at = &c->list[i];
        if (at->kind == CHUNK_JOURNAL) {
            c->rows--;
            c->row_spans -= at->spans;
            c->row_calls -= at->calls;
        }
        forget(c, at);
    }
    memmove(c->list + first, c->list + first + n, (c->len - first - n) * sizeof(*c->list));
    c->len -= n;
}

/* Hashes are spread evenly, so a fingerprint stands near where its size says: the search begins
 * with that neighbourhood, which is a few cache lines, and widens to everything if it must. */
#define FINGERPRINTS_NEAR ((size_t)64)

static bool has_fingerprint(const uint32_t *list, size_t len, uint32_t want)
{
    size_t guess = (size_t)((uint64_t)want * len >> 32);
    size_t from = guess > FINGERPRINTS_NEAR ? guess - FINGERPRINTS_NEAR : 0;
    size_t to = MIN(len, guess + FINGERPRINTS_NEAR);
    if (from > 0 && list[from] > want)
        from = 0;
    if (to < len && list[to - 1] < want)
        to = len;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (list[at] == want)
            return true;
        if (list[at] < want)
            from = at + 1;
        else
            to = at;
    }
    return false;
}

static bool has_any(const uint32_t *list, size_t len, const uint32_t *prints, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_fingerprint(list, len, prints[i]))
            return true;
    return false;
}

bool fingerprints_have(const uint32_t *list, size_t len, const struct trace_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_fingerprint(list, len, trace_fingerprint(ids[i])))
            return true;
    return false;
}

static struct chunk_ref ref_of(const struct chunk *at, int64_t newest_ns)
{
    return (struct chunk_ref){ .kind = at->kind,
                               .id = at->id,
                               .newest_ns = newest_ns,
                               .first_seq = at->first_seq,
                               .spans = at->spans,
                               .is_unsure = !at->has_traces,
                               .lacks_digest = at->lacks_digest || at->kind == CHUNK_JOURNAL };
}

int chunks_with_traces(struct chunks *c, const struct trace_id *ids, size_t n,
                       struct chunk_ref **ret_refs, size_t *ret_len)
{
    uint32_t *prints = mem_alloc(n * sizeof(*prints));
    struct chunk_ref *refs = prints ? mem_alloc(c->len * sizeof(*refs)) : NULL;
    if (!refs) {
        mem_free(prints);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        prints[i] = trace_fingerprint(ids[i]);
    size_t len = 0;
    for (size_t i = 0; i < c->len; i++) {
        const struct chunk *at = &c->list[i];
        if (!at->has_traces || has_any(at->traces, at->traces_len, prints, n))
            refs[len++] = ref_of(at, at->span_range.to_ns);
    }
    mem_free(prints);
    *ret_refs = refs;
    *ret_len = len;
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct chunk_ref *x = a, *y = b;
    if (x->newest_ns != y->newest_ns)
        return x->newest_ns > y->newest_ns ? -1 : 1;
    return x->first_seq < y->first_seq ? -1 : x->first_seq > y->first_seq;
}

int chunks_in_window(struct chunks *c, struct window w, bool of_calls, const struct digest_query *q,
                     struct chunk_ref **ret_refs, size_t *ret_len)
{
    struct chunk_ref *refs = mem_alloc(c->len * sizeof(*refs));
    if (!refs)
        return -1;
    size_t len = 0;
    for (size_t i = 0; i < c->len; i++) {
        const struct chunk *at = &c->list[i];
        const struct chunk_range *r = of_calls ? &at->call_range : &at->span_range;
        if (r->from_ns > r->to_ns || r->from_ns >= w.to_ns || r->to_ns < w.from_ns)
            continue;
        if (q && at->digest.p && !digest_may_match(at->digest, q))
            continue;
        refs[len] = ref_of(at, MIN(r->to_ns, w.to_ns - 1));
        refs[len++].has_asked = q && at->digest.p;
    }
    if (len)
        qsort(refs, len, sizeof(*refs), newest_first);
    *ret_refs = refs;
    *ret_len = len;
    return 0;
}
