/* exporter.h - brings sealed batches to the collector, one after the other, until each is
 * acknowledged or refused for good. One thread: the loop's. */
#ifndef PROXY_TELEMETRY_EXPORTER_H
#define PROXY_TELEMETRY_EXPORTER_H

#include "base/list.h"
#include "net/loop.h"
#include "proxy/telemetry/collector_url.h"
#include "proxy/telemetry/otlp_out.h"

#define BATCH_KEY_SIZE 32 /* hex digits of 128 random bits */

/* One export request, ready to be sent as often as it takes. */
struct batch_out {
    struct list node;
    enum otlp_signal signal;
    uint32_t records;
    char key[BATCH_KEY_SIZE]; /* Idempotency-Key: the same in every attempt */
    struct buf body;          /* gzip */
};
struct batch_out *batch_out_free(struct batch_out *b);

enum batch_fate { BATCH_SENT, BATCH_REFUSED, BATCH_RETRIED };
/* Told of each answer; after SENT and REFUSED the batch is gone. */
typedef void exporter_fn(void *to, const struct batch_out *b, enum batch_fate fate);

struct exporter;
/* url is borrowed as long as the exporter. Gives. */
struct exporter *exporter_new(struct loop *loop, const struct collector_url *url, exporter_fn *fn,
                              void *to, struct err *err) MUST_USE;
struct exporter *exporter_free(struct exporter *e);          /* takes, with all batches */
void exporter_push(struct exporter *e, struct batch_out *b); /* takes */
bool exporter_is_empty(const struct exporter *e);
size_t exporter_bytes(const struct exporter *e); /* of all bodies */
/* Shutdown: attempts follow each other quickly, whatever the collector asks for. */
void exporter_hurry(struct exporter *e);

#endif
