/* SPDX-License-Identifier: Apache-2.0
 * grpc_priv.h - what the gRPC door's files share: the door, a peer (one connection), a call (one stream). */
#ifndef COLLECTOR_GRPC_PRIV_H
#define COLLECTOR_GRPC_PRIV_H

#include "base/clock.h"
#include "base/list.h"
#include "grpc_door.h"
#include "ingest/answer.h"
#include "intake.h"
#include "net/conn.h"
#include "net/listener.h"
#include "tallies.h"
#include "wire/grpc.h"
#include "wire/h2.h"

#define GRPC_FIELDS_MAX     64
#define GRPC_HEAD_BYTES_MAX 16384 /* metadata of an exporter is under 1 KiB; tokens may be long */
#define GRPC_IDLE_NS                                                                               \
    (15 * 60 * NS_PER_S) /* without a call; exporters connect again by themselves */
#define GRPC_MESSAGE_NS           (60 * NS_PER_S) /* for a message that has begun: 8 MiB at 140 KB/s */
#define GRPC_AGAIN_NS             (50 * NS_PER_MS) /* between tries to hand over what a stream has brought */
#define GRPC_PREFIX_BYTES         5                /* compressed or not, and the length */
/* Envoy's node with its metadata; it is put in front of each message of a stream. */
#define GRPC_IDENTIFIER_BYTES_MAX 65536

enum grpc_kind { GRPC_EXPORT, GRPC_STREAM, GRPC_HEALTH };
struct grpc_method {
    struct sv path;
    enum grpc_kind kind;
    enum wire_signal signal;
    decode_fn *decode;
};

struct grpc_door {
    struct door_conf conf;
    struct listener *listener;
    struct list peers;
    size_t peers_len, committing_len;
    bool is_stopping;
    struct buf out; /* frames on their way to a connection, reused */
    struct timer give_up;
    struct defer drained;
    door_drained_fn *on_drained;
    void *on_drained_to;
};

struct grpc_peer {
    struct list node; /* in door->peers */
    struct grpc_door *door;
    struct conn *conn;
    struct h2 *h2;
    struct list calls;
    size_t calls_len;
    struct defer flush, last; /* what is to be sent; frees it */
    bool is_over;             /* the engine takes nothing more */
    bool is_closed;
};

/* A batch on its way through the pipeline; outlives its call when the peer hangs up. */
struct grpc_parcel {
    struct parcel parcel;
    struct grpc_door *door;
    struct grpc_call *call; /* NULL: nobody waits any more */
    enum wire_signal signal;
    size_t rejected;
    struct err first_rejection;
};

struct grpc_call {
    struct list node; /* in peer->calls */
    struct grpc_peer *peer;
    struct h2_stream *st;
    const struct grpc_method *method; /* NULL once it is answered */
    enum { GRPC_IDENTITY, GRPC_GZIP, GRPC_DEFLATE } coding;
    uint8_t prefix[GRPC_PREFIX_BYTES];
    size_t prefix_len;
    size_t left; /* bytes of the message still to come */
    bool is_compressed, has_message;
    struct intake in;
    struct buf identifier;      /* of a stream: the field as it came, with its tag */
    struct batch *waiting;      /* of a stream: decoded, but too much is in flight */
    struct grpc_parcel *parcel; /* while it is committed */
    struct timer timer;         /* for the message to arrive, or to try again */
};

/* grpc_door.c */
void grpc_peer_gone(struct grpc_door *d);
void grpc_check_drained(struct grpc_door *d);

/* grpc_peer.c */
struct grpc_peer *grpc_peer_new(struct grpc_door *d, int fd, const struct addr *peer) MUST_USE;
void grpc_peer_close(struct grpc_peer *p, int64_t linger_ns); /* takes; 0: at once */
void grpc_peer_drain(struct grpc_peer *p);
/* Something is to be sent at the end of the turn. */
void grpc_peer_later(struct grpc_peer *p);

/* grpc_call.c */
/* st's head is there. NULL: it has been answered, or memory is out and it was reset. */
struct grpc_call *grpc_call_new(struct grpc_peer *p, struct h2_stream *st);
/* There may be more of the body, or its end. The call may be gone afterwards. */
void grpc_call_read(struct grpc_call *c);
/* Ends it without an answer: the stream is broken or the connection goes. Takes. */
void grpc_call_drop(struct grpc_call *c);
/* Answers with UNAVAILABLE unless the pipeline has its batch. */
void grpc_call_stop(struct grpc_call *c);

#endif
