/* request.h - "GET http://reviews:9080/1" and fields as a request's head; "tcp://db:3306" as a connection. */
#ifndef PROXY_EXPLAIN_REQUEST_H
#define PROXY_EXPLAIN_REQUEST_H

#include "base/arena.h"
#include "base/err.h"
#include "proxy/authz/ip_block.h"
#include "wire/http_msg.h"

#define EXPLAIN_HEADERS_MAX 100 /* as many as a proxy takes */

struct explain_request {
    struct http_head head;
    struct http_header slots[EXPLAIN_HEADERS_MAX];
    bool is_tls;        /* https:// or tls:// */
    bool is_connection; /* tcp:// or tls://: bytes that are no HTTP */
    struct sv host;     /* of a connection: a Service's name */
    struct ip address;  /* ... or an address */
    struct sv sni;      /* of one that begins with a ClientHello; an address is none */
    uint16_t port;      /* in the URL, 0: none */
};

/* text: "[METHOD ]http[s]://host[:port][/path]", or a path alone when one of headers is host;
 * "tcp://host:port", "tls://server-name[:port]" (443), neither with headers. headers: a line each, "name: value". Views look into both and into mem. Fails with ERR_USAGE or ERR_NOMEM. */
int explain_parse(struct explain_request *q, struct sv text, struct sv headers, struct arena *mem,
                  struct err *err) MUST_USE;

#endif
