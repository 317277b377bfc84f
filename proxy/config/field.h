/* field.h - typed reading of a mapping's fields, telling what was found and what was expected.
 *
 * A reader never fails: a wrong value becomes a finding and the fallback is returned. A missing
 * field, and one whose value is null, give the fallback silently. `map` may be NULL (everything is
 * missing). Text is copied into the reader's arena. */
#ifndef PROXY_CONFIG_FIELD_H
#define PROXY_CONFIG_FIELD_H

#include "proxy/config/findings.h"

struct reader {
    struct findings *to;
    struct arena *mem; /* where text goes; outlives the document */
};
struct label {
    struct sv key, value;
};
struct labels {
    const struct label *list;
    size_t len;
};
struct choice {
    const char *name;
    int value;
};

/* Marks the field as known. NULL when missing or null, or (field_map, field_list) of another
 * kind. */
struct node *field_any(struct reader *r, struct node *map, const char *name);
struct node *field_map(struct reader *r, struct node *map, const char *name);
struct node *field_list(struct reader *r, struct node *map, const char *name);

struct sv field_text(struct reader *r, struct node *map, const char *name);
uint64_t field_uint(struct reader *r, struct node *map, const char *name, uint64_t max,
                    uint64_t fallback);
uint16_t field_port(struct reader *r, struct node *map, const char *name); /* 0: missing */
bool field_bool(struct reader *r, struct node *map, const char *name, bool fallback);
int64_t field_duration(struct reader *r, struct node *map, const char *name, int64_t fallback_ns);
/* RFC 3339 as metadata.creationTimestamp is, in seconds since the epoch; INT64_MAX when missing. */
int64_t field_time(struct reader *r, struct node *map, const char *name);
int field_choice(struct reader *r, struct node *map, const char *name, const struct choice *list,
                 size_t len, int fallback);
struct labels field_labels(struct reader *r, struct node *map, const char *name);

/* One value instead of a field. */
struct sv node_text(struct reader *r, const struct node *n);
bool node_uint(struct reader *r, const struct node *n, uint64_t max, uint64_t *ret_v);
/* True for a mapping; else a finding. */
bool node_is_map(struct reader *r, const struct node *n);

/* Warns of every field nobody asked for: "not supported yet" for those in later[] (a NULL-ended
 * list), "unknown field" for the others. */
void fields_finish(struct reader *r, struct node *map, const char *const *later);

/* The same as errors, for policies that might mean something else without the field. */
void fields_refuse(struct reader *r, const struct node *map);

struct sv labels_get(const struct labels *l, struct sv key); /* p NULL when missing */
/* Every label of want is in l. */
bool labels_match(const struct labels *l, const struct labels *want);

#endif
