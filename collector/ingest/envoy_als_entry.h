/* envoy_als_entry.h - one entry of Envoy's access log service, taken apart.
 *
 * Text points into the body; custom tags lie on the gather's pile of attributes. */
#ifndef INGEST_ENVOY_ALS_ENTRY_H
#define INGEST_ENVOY_ALS_ENTRY_H

#include "ingest/envoy_node.h"
#include "ingest/gather.h"

enum als_end {
    ALS_DOWNSTREAM_REMOTE,
    ALS_DOWNSTREAM_LOCAL,
    ALS_DOWNSTREAM_DIRECT,
    ALS_UPSTREAM_REMOTE,
    ALS_UPSTREAM_LOCAL,
    ALS_ENDS_LEN
};
struct als_address {
    struct sv ip; /* or the path of a pipe, with port 0 */
    uint32_t port;
};
/* Of the connection that came in. */
struct als_tls {
    bool is_there, has_cipher;
    uint64_t version, cipher;
    struct sv sni;
    struct sv own, peer; /* URI of each certificate, the SPIFFE id where there are several */
};
struct als_entry {
    size_t at; /* byte offset in the body */
    bool is_http, is_intermediate;
    uint64_t type; /* AccessLogType; 0 of Envoys that do not tell */
    struct als_address address[ALS_ENDS_LEN];
    struct als_tls tls;
    uint32_t flags; /* bit n: field n of ResponseFlags */
    int64_t start_ns, duration_ns, last_byte_ns;
    struct sv cluster, route, details, termination, transport_failure;
    uint64_t http_version, method, code, bytes_received, bytes_sent;
    struct sv authority, path, original_path, user_agent, request_id;
    struct sv grpc_status; /* of the trailers, else of the headers */
    bool has_grpc_type;    /* a content-type that was logged says gRPC */
    struct trace_id trace_id;
    struct envoy_node downstream_peer, upstream_peer;
    bool has_downstream_peer, has_upstream_peer;
};

/* An HTTPAccessLogEntry (is_http) or a TCPAccessLogEntry, up to r's end. Failures of its format are latched in
 * r, values that cannot be are told by gather_bad(). */
void als_entry_read(struct rd *r, struct gather *g, bool is_http, struct als_entry *ret_e);

#endif
