/* digest.h - what a segment holds, in short: enough to tell that a search need not read it. Private
 * to store/sqlite/; docs/store-format.md has the bytes.
 *
 * A digest may say "perhaps" of what is not there, never "no" of what is. */
#ifndef SQLITE_DIGEST_H
#define SQLITE_DIGEST_H

#include "store/sqlite/segment.h"

/* Appends the digest of a segment, as segment_encode() wrote it, to out; as older programs wrote it
 * when it is to be compared with one of theirs (is_coarse, see digest_format.h). */
int digest_encode(struct segment_scratch *scratch, struct sv segment, bool is_coarse,
                  struct buf *out, struct err *err) MUST_USE;
/* The same from the segment in the making, while segment_finish() finishes it: that is the only
 * caller. Latches w->failed when memory is out. */
int digest_of_added(struct segment_w *w, struct buf *out, struct err *err) MUST_USE;
/* 0 when these are the bytes of a digest, else ERR_MALFORMED or ERR_UNSUPPORTED. The functions
 * below want bytes that were checked. */
int digest_check(struct sv digest, struct err *err) MUST_USE;

/* A query, hashed once for many digests. */
enum { DIGEST_WISHES_MAX = 32 }; /* the attributes that are looked at; more are not */
struct digest_query {
    const struct span_query *q;
    uint32_t service, operation;        /* hashes */
    uint8_t min_duration, max_duration; /* classes */
    uint32_t min_long;                  /* digest_long() */
    size_t wishes_len;
    struct {
        /* Hashes in the filter, for each level that will do: the pair; what is not in it. */
        uint64_t any[ATTR_LEVELS_LEN], unknown[2 * ATTR_LEVELS_LEN];
        size_t any_len, unknown_len;
    } wishes[DIGEST_WISHES_MAX];
};
struct digest_query digest_query_of(const struct span_query *q);
/* False: no span of the segment matches. */
bool digest_may_match(struct sv digest, const struct digest_query *q);

#endif
