/* fake_collector.h - an OTLP/HTTP server on the test's own loop that answers as told and decodes
 * what it acknowledges with the collector's own decoders. */
#ifndef TESTS_FAKE_COLLECTOR_H
#define TESTS_FAKE_COLLECTOR_H

#include "model/batch.h"
#include "net/loop.h"

#define FAKE_REQUESTS_MAX 64

struct fake_request {
    char key[40]; /* Idempotency-Key */
    bool is_logs;
    unsigned answer;
};
struct fake_collector;
/* answers: statuses of the first requests, 0 = close without an answer; from the end on 200. */
struct fake_collector *fake_collector_new(struct loop *l, uint16_t port, const unsigned *answers,
                                          size_t len);
struct fake_collector *fake_collector_free(struct fake_collector *f);
const char *fake_collector_url(struct fake_collector *f); /* "http://127.0.0.1:PORT" */
size_t fake_collector_requests(struct fake_collector *f, const struct fake_request **ret_list);
/* Everything acknowledged so far. */
size_t fake_collector_calls(struct fake_collector *f, const struct call **ret_list);
size_t fake_collector_spans(struct fake_collector *f, const struct span **ret_list);

#endif
