/* exchange.h - what the stream engine hands to telemetry when a request is over.
 *
 * All text is borrowed until telemetry_record() returns. */
#ifndef PROXY_TELEMETRY_EXCHANGE_H
#define PROXY_TELEMETRY_EXCHANGE_H

#include "model/call.h"
#include "wire/http_msg.h"

struct authz_decision; /* proxy/authz/authz.h */

struct exchange {
    struct call call; /* reporter SOURCE (outbound) or DESTINATION (inbound); its span_id is this
                         proxy's span */
    struct span_id parent_id; /* zero: this span is the root */
    struct sv trace_state;
    bool is_log_silent;  /* no line in the access log */
    bool is_span_silent; /* no span although it is sampled */
    unsigned log_from;   /* a line only from this status on, or without any; 0: see the option */
    bool is_sampled;     /* traceparent's flag; records are always sent, spans only
                                          when sampled */
    struct sv protocol_text; /* "HTTP/1.1" */
    struct sv x_forwarded_for, requested_server_name;
    struct sv upstream_cluster; /* "outbound|9080|v1|..." or "inbound|9080||" */
    struct sv upstream_local_address, downstream_local_address, downstream_remote_address;
    struct sv connection_termination_details, upstream_transport_failure_reason;
    struct sv reason;                /* of an answer of the proxy's own, for people; empty: none */
    const struct http_head *request; /* NULL: fields that are not named above are not known */
    const struct authz_decision *authz;           /* NULL: nobody was asked */
    unsigned resends;                             /* how often it was sent again upstream */
    uint64_t request_messages, response_messages; /* of gRPC; not those that were told before */
    bool is_front; /* a gateway's caller side: destination is the gateway itself */
    bool has_back; /* of is_front: an exchange for the way to the upstream is told as well */
    int64_t upstream_service_time_ns; /* request sent .. response head; -1 when none */
};

#endif
