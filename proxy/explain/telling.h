/* telling.h - one walk over facts, told as JSON or as indented text for people.
 *
 * The text reads like YAML: a key's underscores are blanks, an element of a list begins with "- ".
 * Errors: only the buf's `failed`. One thread. */
#ifndef PROXY_EXPLAIN_TELLING_H
#define PROXY_EXPLAIN_TELLING_H

#include "base/json_out.h"

#define TELLING_DEPTH_MAX 16 /* an explanation has nine */

struct telling {
    struct buf *to;
    bool is_json;
    struct json_out json; /* of is_json */
    unsigned depth;       /* of the text */
    bool is_item_due;     /* the next line begins an element */
    size_t opened[TELLING_DEPTH_MAX],
        filled[TELLING_DEPTH_MAX]; /* text before and behind a key's line */
};

struct telling telling_of(struct buf *to, bool is_json);
/* key NULL: the document itself, or an element of a list. bracket: '{' or '['. */
void tell_open(struct telling *t, const char *key, char bracket);
void tell_close(struct telling *t);
void tell_str(struct telling *t, const char *key, struct sv value);
void tell_u64(struct telling *t, const char *key, uint64_t value);
void tell_double(struct telling *t, const char *key, double value);
void tell_bool(struct telling *t, const char *key, bool value);
void tell_printf(struct telling *t, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* 1500000000 as "1.5s". */
void tell_ns(struct telling *t, const char *key, int64_t ns);

#endif
