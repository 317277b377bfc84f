/* outgoing.h - calls from one demo application to another.
 *
 * With a proxy every call goes to it, as an http_proxy setting makes any HTTP client do; that is
 * the only thing the application knows of the mesh. Without one (a legacy program) hosts are looked
 * up in a list of addresses. Thread-safe. */
#ifndef DEMO_APP_OUTGOING_H
#define DEMO_APP_OUTGOING_H

#include "base/buf.h"
#include "base/sv.h"

struct outgoing_conf {
    const char *proxy;  /* "127.1.0.14:15001", empty: none */
    const char *hosts;  /* "ratings:9080=127.1.0.16:15006|127.1.0.17:15006,..." without a proxy */
    const char *source; /* address the connections come from, empty: the system's choice */
};
struct outgoing;
struct outgoing *outgoing_new(const struct outgoing_conf *conf) MUST_USE; /* gives; NULL: memory */
struct outgoing *outgoing_free(struct outgoing *o);                       /* takes */

struct outgoing_call {
    struct sv authority, path;
    struct sv method; /* "GET", "POST" */
    struct sv body;
    const struct sv *headers; /* whole lines "name: value" */
    size_t headers_len;
};
/* The HTTP status, 0 when no answer came; the answer's body is appended to into. */
unsigned outgoing_send(struct outgoing *o, const struct outgoing_call *call, struct buf *into);

#endif
