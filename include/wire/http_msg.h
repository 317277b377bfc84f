/* http_msg.h - the head of an HTTP message, whatever version carried it.
 *
 * Views point into the memory the codec names (a receive buffer or an arena); the struct owns
 * nothing. Source: RFC 9110, RFC 9112. */
#ifndef WIRE_HTTP_MSG_H
#define WIRE_HTTP_MSG_H

#include "base/sv.h"
#include <stdbool.h>
#include <stdint.h>

struct http_header {
    struct sv name; /* as sent; compare with sv_eq_nocase() */
    struct sv value;
};
struct http_head {
    struct sv method;    /* requests; empty in responses */
    struct sv target;    /* as sent: origin-form or absolute-form */
    struct sv authority; /* from the absolute-form target, else Host; may be empty in HTTP/1.0 */
    struct sv path;      /* with query, always starts with '/' (or is "*") */
    uint16_t status;     /* responses; 0 in requests */
    struct sv reason;
    uint8_t minor; /* of HTTP/1.x */
    bool is_keep_alive;
    bool is_chunked;
    bool has_length;
    bool is_upgrade;
    uint64_t content_length; /* when has_length */
    struct http_header *headers;
    size_t headers_len;
};

/* The first header of that name, or an empty view with p == NULL. */
struct sv http_get(const struct http_head *h, struct sv name);
/* The comma-separated list in value has this token (any case). */
bool http_list_has(struct sv value, struct sv token);
/* Characters a field value may have: no control characters but tab, no NUL, CR, LF. */
bool http_is_field_value(struct sv value);
/* A host with an optional port as Host and :authority carry it. */
bool http_is_authority(struct sv text);
/* The path without its query. */
struct sv http_path_only(const struct http_head *h);
/* Standard reason phrase, "Unknown" for others; static. */
const char *http_reason(unsigned status);

#endif
