/* request.h - "GET http://reviews:9080/1" and fields, as a request's head. */
#ifndef PROXY_EXPLAIN_REQUEST_H
#define PROXY_EXPLAIN_REQUEST_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/http_msg.h"

#define EXPLAIN_HEADERS_MAX 100 /* as many as a proxy takes */

struct explain_request {
    struct http_head head;
    struct http_header slots[EXPLAIN_HEADERS_MAX];
    bool is_https;
    uint16_t port; /* in the URL, 0: none */
};

/* text: "[METHOD ]http[s]://host[:port][/path]", or a path alone when one of headers is host. headers: a
 * line each, "name: value". Views look into both and into mem. Fails with ERR_USAGE or ERR_NOMEM. */
int explain_parse(struct explain_request *q, struct sv text, struct sv headers, struct arena *mem,
                  struct err *err) MUST_USE;

#endif
