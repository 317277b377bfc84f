/* answer.h - one reply of the query door, before it meets the network. */
#ifndef COLLECTOR_QUERY_ANSWER_H
#define COLLECTOR_QUERY_ANSWER_H

#include "aggregate/node.h"
#include "base/buf.h"
#include "base/err.h"
#include "query/params.h"

struct answer {
    unsigned status;          /* 200 when a handler says nothing else */
    const char *content_type; /* static */
    const char *cache;        /* Cache-Control; static */
    const char *csp;          /* Content-Security-Policy; static */
    const char *allow;        /* with 405; static or NULL */
    char etag[40];            /* with its quotes; empty: none */
    unsigned retry_after_s;   /* 0: none */
    bool is_gzip;             /* the body is compressed */
    int gzip_level;           /* 0: the usual one */
    struct buf body;
    struct sv fixed;      /* instead of body: bytes that live as long as the program */
    bool is_live;         /* a stream of events instead of a body */
    struct sv live_query; /* the stream's parameters; borrowed from the request */
};

void answer_done(struct answer *a);
/* {"error":{...}}; replaces what the body held. parameter may be empty. */
void answer_error(struct answer *a, unsigned status, struct sv parameter, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* 400 with the fault that p holds. */
void answer_fault(struct answer *a, const struct params *p);
/* The status that fits what a library said: 404, 503 (busy, out of memory), 500. */
void answer_failure(struct answer *a, const struct err *err);

DEFINE_AUTO_DONE(answer);

#endif
