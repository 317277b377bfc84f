/* SPDX-License-Identifier: Apache-2.0
 * detect.h - what a port is declared to speak, and what the first bytes of a connection say. */
#ifndef PROXY_DETECT_H
#define PROXY_DETECT_H

#include "base/sv.h"

/* What a Service's port says of itself; Istio's and Kubernetes' names for it. */
enum port_protocol {
    PORT_UNNAMED, /* nothing that we know: the first bytes decide */
    PORT_HTTP,    /* http, grpc-web, kubernetes.io/ws */
    PORT_HTTP2,   /* http2, kubernetes.io/h2c */
    PORT_GRPC,    /* grpc */
    PORT_TLS,     /* tls, https: the application's own TLS, passed on unopened */
    PORT_TCP, /* tcp, and protocols in which the server may speak first: mysql, mongo, redis ... */
    PORT_PROTOCOLS_LEN
};
/* app_protocol decides, else the port's name up to its first '-'. Case does not matter. */
enum port_protocol port_protocol_of(struct sv app_protocol, struct sv name);
/* A ServiceEntry's or Gateway's: "HTTP", "TCP", "TLS", "MONGO" ... */
enum port_protocol port_protocol_named(struct sv protocol);
const char *port_protocol_text(enum port_protocol p); /* "http", "unnamed" ... */
static inline bool port_protocol_is_http(enum port_protocol p)
{
    return p == PORT_HTTP || p == PORT_HTTP2 || p == PORT_GRPC;
}

enum speech {
    SPEECH_UNDECIDED, /* more bytes are needed */
    SPEECH_TLS,       /* a record with a ClientHello begins: hello.h reads it */
    SPEECH_HTTP1,     /* a request line */
    SPEECH_HTTP2,     /* the connection preface */
    SPEECH_OTHER,     /* none of these, and more bytes will not change that */
};
/* Looks at the beginning of a connection. Never undecided from DETECT_MAX bytes on, and never changes
 * its mind when more bytes come. */
enum speech detect_speech(struct sv first);
#define DETECT_MAX 4096 /* a longer request line counts as one, if it was one so far */

#endif
