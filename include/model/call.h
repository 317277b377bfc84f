/* call.h - one request as one reporter saw it, and how the reporter knows. */
#ifndef MODEL_CALL_H
#define MODEL_CALL_H

#include "model/identity.h"
#include "model/span.h"

/* Order is the order of evidence, best first: a view takes the first column that has something. */
enum reporter {
    REPORTER_SOURCE,      /* access record of the client-side proxy */
    REPORTER_DESTINATION, /* access record of the server-side proxy */
    REPORTER_PAIR,        /* a client span and its server span, joined */
    REPORTER_SPAN,        /* one span alone: client or server half, database or external peer */
    REPORTER_SCRAPE,      /* counters that a proxy's metrics endpoint shows; never of one call */
    REPORTERS_LEN,
    CALL_REPORTERS_LEN = REPORTER_SCRAPE /* those that tell of single calls */
};
enum protocol { PROTOCOL_HTTP, PROTOCOL_GRPC, PROTOCOL_TCP, PROTOCOLS_LEN };
enum tls_state {
    TLS_UNKNOWN,   /* never shown as safe or as unsafe */
    TLS_PLAINTEXT, /* no TLS on the wire */
    TLS_ONE_WAY,   /* server proven, client not */
    TLS_MUTUAL,    /* both identities proven */
    TLS_STATES_LEN
};

/* How a TLS state is known; the surer, the later. */
enum tls_basis {
    TLS_BASIS_NONE,      /* the state is unknown */
    TLS_BASIS_INFERRED,  /* follows from a name: the SNI of a mesh, a principal beside the call */
    TLS_BASIS_FORWARDED, /* a header that the proxy in front handed on: x-forwarded-client-cert */
    TLS_BASIS_REPORTED,  /* the verdict of the proxy that ended TLS: connection_security_policy */
    TLS_BASIS_HANDSHAKE, /* by one of the two that shook hands, with what was agreed on */
    TLS_BASES_LEN
};

/* A long connection is told of while it lives, in parts. What is counted of each: */
enum call_part {
    CALL_WHOLE, /* everything: it is over (each HTTP request) */
    CALL_BEGIN, /* that there is one, and its bytes so far */
    CALL_BYTES, /* bytes since the part before, at start_ns */
    CALL_END,   /* how long it was and whether it failed; bytes since the part before */
    CALL_PARTS_LEN
};

const char *reporter_name(enum reporter r); /* "source", "destination", "pair", "span", "scrape" */
const char *protocol_name(enum protocol p); /* "http", "grpc", "tcp" */
const char *tls_state_name(enum tls_state t); /* "unknown", "plaintext", "tls", "mutual" */
/* "inferred", "forwarded", "reported", "handshake"; "none" */
const char *tls_basis_name(enum tls_basis b);
const char *call_part_name(enum call_part p); /* "whole", "begin", "bytes", "end" */
bool reporter_from_sv(struct sv name, enum reporter *ret);
bool protocol_from_sv(struct sv name, enum protocol *ret);
bool tls_state_from_sv(struct sv name, enum tls_state *ret);
bool call_part_from_sv(struct sv name, enum call_part *ret);

/* All text is borrowed from the batch the call lies in. Absent text is an empty view. What counting needs
 * stands first: records of large batches are read one after the other, each once. */
struct call {
    enum reporter reporter;
    enum protocol protocol;
    enum tls_state tls;
    enum tls_basis tls_basis; /* as it was said; see call_tls_basis() */
    enum call_part part;
    uint32_t resends;       /* of spans: how often it was sent again; not stored */
    uint16_t response_code; /* HTTP status; 0 when no response came */
    int16_t grpc_status;    /* -1 when there is none */
    struct identity source, destination;
    int64_t start_ns, duration_ns;
    uint64_t bytes_received, bytes_sent; /* request and response body as the reporter saw them */
    struct trace_id trace_id;
    struct span_id span_id;
    int64_t peer_cert_expiry_ns;   /* 0 when unknown */
    struct sv response_flags;      /* Envoy's short codes joined by ','; empty for none */
    struct sv destination_service; /* host that was asked for, FQDN where known */
    struct sv tls_version, tls_cipher;
    struct sv source_principal_seen, destination_principal_seen; /* as proven on this connection */
    struct sv response_code_details;
    struct sv method, path, authority, route_name, request_id, user_agent;
    struct sv upstream_host; /* "ip:port" */
    struct sv own_address,
        peer_address; /* "ip:port" of the reporter and of the other end, where the
                                            latter is not named otherwise; not stored */
    uint64_t bytes_received_before, bytes_sent_before; /* on the wire, of an END: told in parts
                                                          before; decoders take them off */
};

/* The called half of a pair, by its own clock. */
struct called_half {
    int64_t start_ns, duration_ns;
};

/* No response at all, 5xx, or a gRPC status other than OK: what counts as an error on an edge.
 * TCP never has a response: there, any response flag is an error. */
bool call_is_error(const struct call *c);

/* Our proxies say nothing of how they know the TLS state of a record: they did the handshake themselves. */
static inline enum tls_basis call_tls_basis(const struct call *c)
{
    if (c->tls == TLS_UNKNOWN)
        return TLS_BASIS_NONE;
    return c->tls_basis == TLS_BASIS_NONE && c->reporter <= REPORTER_DESTINATION
               ? TLS_BASIS_HANDSHAKE
               : c->tls_basis;
}

static inline bool call_has_begin(const struct call *c)
{
    return c->part <= CALL_BEGIN;
}
static inline bool call_has_end(const struct call *c)
{
    return c->part == CALL_WHOLE || c->part == CALL_END;
}

#endif
