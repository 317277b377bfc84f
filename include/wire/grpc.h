/* SPDX-License-Identifier: Apache-2.0
 * grpc.h - what a hop must know of gRPC over HTTP/2: statuses, deadlines, messages in fields.
 *
 * Source: gRPC's PROTOCOL-HTTP2.md and http-grpc-status-mapping.md. Pure functions. */
#ifndef WIRE_GRPC_H
#define WIRE_GRPC_H

#include "base/buf.h"
#include <stdint.h>

enum grpc_status {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
};

/* "application/grpc", also "+proto" and with parameters; gRPC-Web is another protocol. */
bool grpc_is_content_type(struct sv type);
/* "100m" and the like: at most 8 digits and a unit. False: it is none. */
bool grpc_timeout_parse(struct sv text, int64_t *ret_ns);
#define GRPC_TIMEOUT_SIZE 16
/* The shortest text that is not more than ns and at least 1 ns; looks into out. */
struct sv grpc_timeout_format(int64_t ns, char out[GRPC_TIMEOUT_SIZE]);
/* "UNAVAILABLE" or "14". False: it is none of the statuses above. */
bool grpc_status_parse(struct sv text, enum grpc_status *ret);
/* What a client makes of an answer without a grpc-status. */
enum grpc_status grpc_status_of_http(unsigned status);
/* The HTTP status that says the same, as Envoy counts it; above 16: 500. */
unsigned grpc_status_as_http(uint64_t status);
/* Messages of one direction, counted where they begin, whatever pieces their bytes come in. All-zero: none yet. */
struct grpc_count {
    uint64_t messages;
    uint32_t left; /* bytes of the message under way that are still to come */
    uint8_t
        head_len; /* of a frame's five first bytes, those that have come; 0: none is under way */
    bool is_over; /* what came is no frame of gRPC: nothing more is counted */
};
void grpc_count(struct grpc_count *c, struct sv part);
/* grpc-message: percent-encoded UTF-8. Decoding leaves what is no encoding as it is. */
void grpc_message_put(struct buf *to, struct sv text);
void grpc_message_decode(struct buf *to, struct sv field);

#endif
