/* json_out.h - a streaming JSON writer (RFC 8259) into a buf.
 *
 *   json_open(&j, '{');  json_key(&j, SV("edges"));  json_open(&j, '[');  ...  json_close(&j);
 *
 * Commas are its own business. Strings that are not UTF-8 have each bad byte replaced by U+FFFD.
 * Errors: only the buf's `failed`. One thread. */
#ifndef BASE_JSON_OUT_H
#define BASE_JSON_OUT_H

#include "base/buf.h"
#include <stdbool.h>

/* Our own documents nest less than ten deep; attributes at most 32, two levels each. */
#define JSON_DEPTH_MAX 160

struct json_out {
    struct buf *to;
    unsigned depth;
    bool has_element[JSON_DEPTH_MAX]; /* a comma is due before the next one */
    bool is_after_key;
    char closers[JSON_DEPTH_MAX];
};

struct json_out json_out_of(struct buf *to);
void json_open(struct json_out *j, char bracket); /* '{' or '[' */
void json_close(struct json_out *j);
void json_key(struct json_out *j, struct sv key);
void json_str(struct json_out *j, struct sv s);
void json_u64(struct json_out *j, uint64_t v);
void json_i64(struct json_out *j, int64_t v);
void json_double(struct json_out *j, double v); /* null when not finite */
void json_bool(struct json_out *j, bool v);
void json_null(struct json_out *j);
/* Already JSON. */
void json_raw(struct json_out *j, struct sv text);

/* json_key() and a value in one. */
void json_kv_str(struct json_out *j, const char *key, struct sv s);
void json_kv_u64(struct json_out *j, const char *key, uint64_t v);
void json_kv_i64(struct json_out *j, const char *key, int64_t v);
void json_kv_double(struct json_out *j, const char *key, double v);
void json_kv_bool(struct json_out *j, const char *key, bool v);
/* json_key() and json_open(). */
void json_kv_open(struct json_out *j, const char *key, char bracket);
/* Appends what a writer wrote, over several lines: width blanks a level. Only for JSON that is known to be right. */
void json_put_indented(struct buf *to, struct sv json, size_t width);
/* Appends s as a quoted JSON string, outside any writer. */
void json_put_quoted(struct buf *to, struct sv s);

#endif
