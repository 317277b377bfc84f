/* digest_build.h - making a digest. Private to store/sqlite/digest*.c.
 *
 * Items come source by source: digest_begin_source(), digest_add_item() ..., digest_end_source().
 * Then the groups: digest_begin_groups(), digest_add_to_group() for every span; then digest_put().
 * Out of memory latches in is_out_of_memory. */
#ifndef SQLITE_DIGEST_BUILD_H
#define SQLITE_DIGEST_BUILD_H

#include "base/arena.h"
#include "base/buf.h"
#include "store/store.h"

/* The items of one column, or of a whole level. */
struct digest_source {
    uint64_t unknown; /* the mark in its place */
    size_t from, len; /* in items[] */
    bool is_dropped;
};
struct digest_group {
    uint32_t service, name;
    uint32_t most;
    uint8_t kind, status, least;
};
struct digest_build {
    struct arena *mem;
    uint64_t spans;
    uint64_t *items; /* distinct, in order of their sources */
    size_t items_len, items_cap;
    uint64_t *slots; /* a set of the items; 0 is free */
    size_t slots_cap;
    struct digest_source *sources;
    size_t sources_len;
    struct digest_group *groups; /* open addressing, by the fields before the durations */
    uint8_t *group_used;
    size_t groups_len;
    bool has_names;
    bool is_coarse; /* as version 1 is */
    bool is_out_of_memory;
};

/* sources and groups lie in mem. */
void digest_build_init(struct digest_build *b, struct arena *mem, uint64_t spans,
                       size_t sources_max);
void digest_build_done(struct digest_build *b);
void digest_begin_source(struct digest_build *b, uint64_t unknown);
void digest_add_item(struct digest_build *b, uint64_t hash);
void digest_add_attrs(struct digest_build *b, enum attr_level level, const struct attrs *a);
void digest_end_source(struct digest_build *b);

/* What a group needs of a span; service and name are hashes. */
struct digest_span {
    uint32_t service, name;
    unsigned kind, status;
    int64_t duration_ns;
};
/* Forgets all groups. Without names there are fewer. */
void digest_begin_groups(struct digest_build *b, bool has_names);
bool digest_add_to_group(struct digest_build *b, const struct digest_span *s); /* false: too many */
void digest_put(struct digest_build *b, struct buf *out);

#endif
