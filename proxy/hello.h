/* SPDX-License-Identifier: Apache-2.0
 * hello.h - what a TLS client asks for in its first message, read without taking part.
 *
 * Source: RFC 8446 4.1.2 and 5.1 (records), RFC 6066 3 (server_name), RFC 7301 3.1 (ALPN). */
#ifndef PROXY_HELLO_H
#define PROXY_HELLO_H

#include "base/sv.h"

/* A ClientHello with post-quantum key shares has about 2 KiB; one record's worth is more than enough,
 * and it is what we are ready to look at before a caller has proven anything. */
#define HELLO_MAX 16384
#define SNI_MAX   255

struct hello {
    char
        sni[SNI_MAX + 1]; /* lower case, without a final dot; empty: none, or none that is a name */
    struct sv alpn;       /* as sent: length, name, length, name ...; a view into the bytes */
    bool is_mesh;         /* ALPN of Istio's proxies: mutual TLS of the mesh */
    bool is_http;         /* it says that HTTP follows, mesh or not */
};
enum hello_state {
    HELLO_MORE, /* not complete yet */
    HELLO_DONE,
    HELLO_BAD, /* no ClientHello, or longer than HELLO_MAX */
};
/* The first bytes of a connection. When the message comes in several records, their headers are
 * squeezed out in place. */
enum hello_state hello_read(char *bytes, size_t len, struct hello *ret);

#endif
