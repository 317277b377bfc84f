/* webhook.h - tells a URL of changes of health, from a bounded queue, in a thread of its own. */
#ifndef COLLECTOR_WEBHOOK_H
#define COLLECTOR_WEBHOOK_H

#include "query/health_log.h"

struct webhook_conf {
    const char *url;        /* http or https; a user and password in it are sent as basic auth */
    int64_t first_retry_ns; /* doubled with every further try */
};
enum {
    WEBHOOK_QUEUE_MAX = 1000, /* events that wait; about 1 KiB each */
    WEBHOOK_BATCH_MAX = 100,  /* in one request */
    WEBHOOK_TRIES_MAX = 8,    /* with retries doubled from 1 s on: two minutes */
    WEBHOOK_TIMEOUT_S = 10,
};
struct webhook;
/* Gives; NULL with err set: ERR_USAGE (url), ERR_NOMEM. */
struct webhook *webhook_open(const struct webhook_conf *c, struct err *err) MUST_USE;
/* A health_event_sink; to is the webhook. A full queue drops the event and counts it. */
void webhook_push(void *to, const struct health_event *e);
/* Ends within a request's timeout: what waits is tried once more, then dropped. Takes. */
struct webhook *webhook_close(struct webhook *w);

#endif
