/* base64.h - RFC 4648, standard and URL-safe alphabet. Pure functions. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/arena.h"
#include "base/buf.h"

/* Appends to mem: both alphabets are read, padding may be missing, anything else is refused (white
 * space too). False when text is no base64 or memory is out; the two are told apart by
 * base64_is_valid(). */
bool base64_decode(struct arena *mem, struct sv text, struct sv *ret_bytes) MUST_USE;
bool base64_is_valid(struct sv text);
/* Appends bytes in the standard alphabet, padded. */
void base64_put(struct buf *to, struct sv bytes);

#endif
