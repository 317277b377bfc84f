/* SPDX-License-Identifier: Apache-2.0
 * probe_ask.h - one question by gRPC's health checking protocol, on a connection that is there for it alone.
 *
 * One thread, the loop's. The connection stays its owner's. */
#ifndef PROXY_PROBE_ASK_H
#define PROXY_PROBE_ASK_H

#include "net/conn.h"
#include "wire/h2.h"

/* status 200: SERVING; else 503 with the reason. Called once, perhaps from inside a function below; the connection
 * is not touched afterwards. */
typedef void probe_ask_fn(void *owner, unsigned status, const char *why);

struct probe_ask {
    probe_ask_fn *done;
    void *owner;

    /* private */
    struct conn *conn; /* borrowed */
    struct h2 *h2;     /* NULL: nothing was asked yet */
    struct buf body;   /* of the answer */
    bool is_over;
};

/* c is open: asks. head: as HTTP/1 has it; message: as probe_grpc_put() makes it. */
void probe_ask_begin(struct probe_ask *q, struct conn *c, struct sv head, struct sv message);
/* The connection has something to read. */
void probe_ask_readable(struct probe_ask *q, int64_t now_ns);
void probe_ask_done(struct probe_ask *q); /* not from inside `done`; all-zero is fine */

#endif
