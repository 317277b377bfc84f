/* web.h - a small HTTP server for operators: whole answers, no bodies in, few connections. */
#ifndef PROXY_WEB_H
#define PROXY_WEB_H

#include "base/buf.h"
#include "net/listener.h"
#include "wire/http_msg.h"

struct web;

/* A request, valid until the answer() or later() it is given to returns. */
struct web_ask {
    struct sv path;    /* without query */
    struct sv query;   /* behind the question mark, as sent */
    bool is_from_here; /* the caller is on this machine or in this Pod */
};
struct web_reply;

/* One path and who answers it: answer() puts the body and returns the status, or later() keeps the
 * reply and calls web_reply_send() once, in this turn or another. */
struct web_route {
    const char *path; /* exact, without query; with a * at its end everything that begins so */
    const char *content_type;
    unsigned (*answer)(void *to, struct buf *body);
    void (*later)(void *to, const struct web_ask *ask, struct web_reply *reply);
    bool is_post; /* POST only; else GET and HEAD */
};
/* Takes reply; fine when the caller is gone. */
void web_reply_send(struct web_reply *reply, unsigned status, struct sv text);
struct web_routes {
    const struct web_route *list;
    size_t len;
};

/* Borrows loop and routes. NULL with err when the port cannot be had. Gives. */
struct web *web_open(struct loop *loop, struct sv host, uint16_t port, struct web_routes routes,
                     void *to, struct err *err) MUST_USE;
/* Every answer is the last on its connection, or no longer: for a process that is followed by another.
 * NULL is fine. */
void web_retire(struct web *w, bool is_retired);
/* Takes; open connections are closed. NULL is fine. Returns NULL. */
struct web *web_close(struct web *w);

#endif
