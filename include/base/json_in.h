/* json_in.h - a pull reader of JSON (RFC 8259): the caller asks for what it expects, nothing is
 * built in between.
 *
 *   struct json_in j = json_in_of(body, &arena, 64);
 *   jin_object(&j);
 *   for (struct sv key; jin_key(&j, &key);) {
 *       if (sv_eq(key, SV("spans")))
 *           for (jin_array(&j); jin_element(&j);)
 *               read_span(&j);
 *       else
 *           jin_skip(&j);
 *   }
 *   return jin_finish(&j, err);
 *
 * Exactly one value has to be read (or skipped) after each jin_key() and each jin_element() that
 * answered true. Failures stick as in rd.h: loops end, values read afterwards are empty, the first
 * cause stays with its byte offset. Errors: ERR_TRUNCATED, ERR_MALFORMED, ERR_LIMIT (depth),
 * ERR_NOMEM. Every key is reported, a repeated one too: what that means is the caller's choice.
 *
 * Text without escapes is a view into the input, other text is copied to the arena. It is always
 * UTF-8; a \u escape of half a surrogate pair becomes U+FFFD. One thread. */
#ifndef BASE_JSON_IN_H
#define BASE_JSON_IN_H

#include "base/arena.h"
#include "base/rd.h"

enum json_kind {
    JSON_NOTHING, /* the input is exhausted or failed, or no value begins here */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_BOOL,
    JSON_NULL,
};

struct json_in {
    struct rd in;
    struct arena *mem;
    unsigned depth, depth_max;
    bool needs_comma; /* a value of the container we are in was read before */
};

struct json_in json_in_of(struct sv text, struct arena *mem, unsigned depth_max);

/* What the next value is, judged by its first character; reads nothing but white space. */
enum json_kind jin_kind(struct json_in *j);
/* Enters an object or array; anything else fails. */
void jin_object(struct json_in *j);
void jin_array(struct json_in *j);
/* The next key, or false behind the closing brace. */
bool jin_key(struct json_in *j, struct sv *ret_key);
/* Whether there is another element; false behind the closing bracket. */
bool jin_element(struct json_in *j);

struct sv jin_str(struct json_in *j);
bool jin_bool(struct json_in *j);
/* The number as it is written. */
struct sv jin_number(struct json_in *j);
/* Integers as protobuf's JSON mapping has them: a number, or a string that holds one; 1e3 and 2.0
 * are integers, 2.5 and what does not fit are malformed. */
int64_t jin_i64(struct json_in *j);
uint64_t jin_u64(struct json_in *j);
/* A number, a string that holds one, or "NaN", "Infinity", "-Infinity". */
double jin_double(struct json_in *j);
/* Reads a null and answers true; otherwise leaves the value alone. */
bool jin_null(struct json_in *j);
void jin_skip(struct json_in *j);

/* Byte offset of what is read next, for messages. */
size_t jin_offset(const struct json_in *j);
bool jin_ok(const struct json_in *j);
/* The caller's own refusal, at the current offset. */
void jin_fail(struct json_in *j, enum err_code code, const char *why);
/* 0 when one value was read and only white space follows. */
int jin_finish(struct json_in *j, struct err *err) MUST_USE;

#endif
