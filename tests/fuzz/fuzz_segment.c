/* fuzz_segment.c - properties: a segment that decodes is written again to one that decodes to the
 * same spans and calls, in an order that no longer changes; a scan finds what looking at each span
 * does, and the digest does not deny it.
 *
 * The input is what stands behind the checksum, which is put in front here. */
#include "base/hash.h"
#include "base/varint.h"
#include "store/match.h"
#include "store/sqlite/digest.h"
#include "store/sqlite/segment_format.h"

/* b as a segment and back; NULL when a value nests to the very limit. */
static struct batch *through_a_segment(struct batch *b)
{
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    AUTO_FREE(batch) back = batch_new();
    if (segment_encode(w, &b, 1, &out, NULL) < 0)
        return NULL;
    struct segment_origins o;
    char *kept = arena_alloc(&back->mem, out.len); /* the spans point into the bytes */
    memcpy(kept, buf_sv(&out).p, out.len);
    INVARIANT(segment_decode(sv_of(kept, out.len), back, &o, NULL) == 0);
    INVARIANT(o.batches_len == 1);
    return TAKE(back);
}

static int count_hit(void *to, struct trace_id id, int64_t match_ns)
{
    (void)id;
    (void)match_ns;
    ++*(size_t *)to;
    return 0;
}

/* Asks for what the n-th span is, at a level chosen by n. */
static void scan(struct sv segment, const struct batch *b, size_t n)
{
    AUTO_DONE(segment_scratch) scratch = { 0 };
    const struct span *s = &b->spans[n];
    const struct attrs *at[ATTR_LEVELS_LEN] = { &s->attrs, &s->attrs, &s->resource->attrs,
                                                &s->scope->attrs };
    at[ATTR_ANYWHERE] = &s->attrs;
    if (s->events_len)
        at[ATTR_OF_EVENT] = &s->events[0].attrs;
    if (s->links_len)
        at[ATTR_OF_LINK] = &s->links[0].attrs;
    enum attr_level level = (enum attr_level)(n % ATTR_LEVELS_LEN);
    struct attr_wish wish = { .level = level };
    struct span_query q = { .operation = s->name, .service = span_service(s), .attrs = &wish };
    q.min_duration_ns = n % 2 ? span_duration_ns(s) : 0;
    if (at[level] && at[level]->len) {
        wish.attr = at[level]->list[n % at[level]->len];
        q.attrs_len = 1;
    }
    AUTO_DONE(buf) digest = { 0 };
    struct digest_query asked = digest_query_of(&q);
    for (int is_coarse = 0; is_coarse < 2; is_coarse++) {
        buf_clear(&digest);
        if (digest_encode(&scratch, segment, is_coarse, &digest, NULL) < 0)
            break;
        INVARIANT(digest_check(buf_sv(&digest), NULL) == 0);
        INVARIANT(!query_matches(&q, s) || digest_may_match(buf_sv(&digest), &asked));
    }
    size_t found = 0, expected = 0;
    if (segment_scan(&scratch, segment, &q, count_hit, &found, NULL) < 0)
        return; /* a part that whole reading passes over was bad */
    const struct span *hit = NULL;
    for (size_t i = 0; i < b->spans_len; i++)
        if (query_matches(&q, &b->spans[i]) &&
            (!hit || !trace_id_eq(hit->trace_id, b->spans[i].trace_id))) {
            hit = &b->spans[i];
            expected++;
        }
    INVARIANT(found >= expected); /* more when two traces side by side have one id */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_DONE(buf) in = { 0 };
    AUTO_FREE(batch) b = batch_new();
    struct segment_origins o;
    buf_put(&in, SEGMENT_MAGIC);
    buf_putc(&in, SEGMENT_VERSION);
    buf_put_le64(&in, hash_bytes(data, size, 0));
    buf_append(&in, data, size);
    if (segment_decode(buf_sv(&in), b, &o, NULL) < 0) {
        INVARIANT(b->spans_len == 0 && b->calls_len == 0);
        return 0;
    }
    if (b->spans_len) { /* one trace read alone: refused when something passed over was bad */
        AUTO_FREE(batch) one = batch_new();
        struct trace_id id = b->spans[b->spans_len - 1].trace_id;
        if (segment_decode_traces(buf_sv(&in), &id, 1, false, one, NULL) == 0)
            INVARIANT(one->spans_len > 0 && trace_id_eq(one->spans[0].trace_id, id));
    }
    for (size_t i = 0; i < MIN(b->spans_len, (size_t)6); i++)
        scan(buf_sv(&in), b, i);
    AUTO_FREE(batch) once = through_a_segment(b);
    AUTO_FREE(batch) twice = once ? through_a_segment(once) : NULL;
    if (!twice)
        return 0;
    INVARIANT(b->spans_len == once->spans_len && b->calls_len == once->calls_len);
    INVARIANT(once->spans_len == twice->spans_len && once->calls_len == twice->calls_len);
    for (size_t i = 0; i < once->spans_len; i++)
        INVARIANT(span_eq(&once->spans[i], &twice->spans[i]));
    for (size_t i = 0; i < once->calls_len; i++)
        INVARIANT(sv_eq(b->calls[i].path, twice->calls[i].path) &&
                  b->calls[i].start_ns == twice->calls[i].start_ns &&
                  trace_id_eq(b->calls[i].trace_id, twice->calls[i].trace_id));
    return 0;
}
