/* door_priv.h - what the door's files share: the door, a caller (one connection), its request. */
#ifndef COLLECTOR_DOOR_PRIV_H
#define COLLECTOR_DOOR_PRIV_H

#include "base/clock.h"
#include "base/list.h"
#include "door.h"
#include "ingest/answer.h"
#include "intake.h"
#include "net/conn.h"
#include "net/listener.h"
#include "wire/h1.h"

#define DOOR_HEAD_BYTES_MAX 16384 /* an exporter's head is under 1 KiB; tokens may be long */
#define DOOR_HEADERS_MAX    64
#define DOOR_READ_BYTES     ((size_t)65536)
#define DOOR_BODY_READ_BYTES                                                                       \
    ((size_t)262144) /* at once, where it stays: an export of 512 spans with one call */
#define DOOR_DROP_BYTES_MAX                                                                        \
    ((uint64_t)1 << 20)                /* a refused body up to this is read and dropped to
                                                    keep the connection */
#define DOOR_IDLE_NS   (75 * NS_PER_S) /* between requests: longer than exporters' own keep-alive */
#define DOOR_HEAD_NS   (10 * NS_PER_S) /* slow-header attacks */
#define DOOR_BODY_NS   (60 * NS_PER_S) /* 8 MiB at 140 KB/s */
#define DOOR_LINGER_NS (2 * NS_PER_S)  /* for an error answer to arrive before the reset */

enum caller_state {
    CALLER_HEAD,       /* -> body | drop | gone */
    CALLER_BODY,       /* -> committing | head | gone */
    CALLER_DROP,       /* refused; the rest of the body is read and dropped -> head | gone */
    CALLER_COMMITTING, /* the pipeline has the batch -> head | gone */
    CALLER_GONE,       /* closed; freed at the end of the turn */
};

/* An answer without a batch. */
struct refusal {
    unsigned status;
    enum rpc_code code;
    char text[256];
};

/* One request, from its head to its answer. */
struct export_request {
    const struct decoder *decoder; /* NULL when refused */
    enum wire_format answer_format;
    enum export_coding { CODING_IDENTITY, CODING_GZIP, CODING_ZLIB } coding;
    bool is_head_method, is_keep_alive;
    struct intake in;
    struct buf idempotency_key;
    struct refusal refusal; /* status 0 while the request is good */
};

struct caller {
    struct list node; /* in door->callers */
    struct door *door;
    struct conn *conn;
    enum caller_state state;
    struct h1 h1;
    struct http_header slots[DOOR_HEADERS_MAX];
    struct buf in; /* read and not yet looked at; holds no memory between requests */
    struct timer deadline;
    struct defer last; /* frees it */
    struct export_request req;
    struct export_parcel *parcel; /* while COMMITTING */
};

/* A batch on its way through the pipeline; outlives the connection when the peer hangs up. */
struct export_parcel {
    struct parcel parcel;
    struct door *door;
    struct caller *caller; /* NULL: nobody waits any more */
    enum wire_signal signal;
    enum wire_format format;
    size_t rejected;
    struct err first_rejection;
};

struct door {
    struct door_conf conf;
    struct listener *listener;
    struct list callers;
    size_t callers_len, committing_len;
    bool is_stopping;
    struct timer give_up; /* while draining */
    struct defer drained;
    door_drained_fn *on_drained;
    void *on_drained_to;
};

/* door_conn.c */
struct caller *caller_new(struct door *d, int fd, const struct addr *peer) MUST_USE;
void caller_close(struct caller *c, int64_t linger_ns); /* takes; 0: at once */
/* The request is answered; goes on with the next one on the connection. */
void caller_next(struct caller *c);
/* Sends head and body; extra: further header lines, each with CR LF. Closes when it must. */
void caller_reply(struct caller *c, unsigned status, struct sv content_type, struct sv extra,
                  struct sv body);

/* door_export.c */
void export_begin(struct caller *c); /* h1.head is there: accept or refuse */
/* Where the next bytes of the body may be read to and told by export_body() afterwards: *bytes of them,
 * none behind the body. NULL, with *bytes as it was: nowhere. */
char *export_room(struct caller *c, size_t *bytes);
void export_body(struct caller *c, struct sv part); /* one more piece */
void export_end(struct caller *c);                  /* decode, submit, or answer */
void export_refuse(struct caller *c, unsigned status, enum rpc_code code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void export_send_refusal(struct caller *c);
void export_done(struct caller *c);          /* gives back what the request holds */
void export_orphan(struct export_parcel *p); /* its caller goes away */

/* door.c */
void door_caller_gone(struct door *d);
void door_check_drained(struct door *d);

#endif
