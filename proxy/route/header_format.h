/* header_format.h - values of header edits with operators in them: "%REQ(x-a)% from %PROTOCOL%".
 *
 * Envoy's "Custom request/response headers", as far as they are known when a head is written. The text is
 * taken apart where it is used; it was checked when the configuration was read. */
#ifndef PROXY_ROUTE_HEADER_FORMAT_H
#define PROXY_ROUTE_HEADER_FORMAT_H

#include "base/err.h"
#include "base/sv.h"

enum header_op {
    HEADER_OP_TEXT,      /* as it is */
    HEADER_OP_REMOTE,    /* who called, as far as X-Forwarded-For is believed, with port */
    HEADER_OP_REMOTE_IP, /* without */
    HEADER_OP_DIRECT,    /* the peer of the connection */
    HEADER_OP_DIRECT_IP,
    HEADER_OP_LOCAL, /* where he connected to */
    HEADER_OP_LOCAL_IP,
    HEADER_OP_LOCAL_PORT,
    HEADER_OP_PROTOCOL, /* "HTTP/1.1" */
    HEADER_OP_REQ,      /* a field of the request, argument "A" or "A?B": B when A is missing */
    HEADER_OP_HOSTNAME, /* of this machine: the Pod */
    HEADER_OP_SNI,      /* what the caller's handshake asked for */
    HEADER_OP_PEER_URI, /* SPIFFE id, subject and SHA-256 of his certificate */
    HEADER_OP_PEER_SUBJECT,
    HEADER_OP_PEER_HASH,
    HEADER_OP_TLS_VERSION,
    HEADER_OP_TLS_CIPHER,
    HEADER_OP_UPSTREAM, /* the endpoint */
    HEADER_OP_CLUSTER,
    HEADER_OP_START_TIME, /* "2026-01-02T03:04:05.678Z" */
    HEADER_OP_TRACE_ID,
    HEADER_OPS_LEN
};
struct header_part {
    enum header_op op;
    struct sv text; /* of HEADER_OP_TEXT; else the argument */
};
/* The next part; false at the end, and at what is no operator (*rest begins with it). */
bool header_format_next(struct sv *rest, struct header_part *ret);
/* ERR_USAGE with err->at for what is no operator here. *ret: there is anything but plain text. */
int header_format_check(struct sv text, bool *ret, struct err *err) MUST_USE;

#endif
