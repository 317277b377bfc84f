/* scraper.h - looks at metrics endpoints every few seconds, in a thread of its own. */
#ifndef COLLECTOR_SCRAPER_H
#define COLLECTOR_SCRAPER_H

#include "aggregate/fold.h"

enum {
    SCRAPE_TARGETS_MAX = 256,   /* one after the other, so some ms each */
    SCRAPE_BODY_MAX = 16 << 20, /* a sidecar of a large mesh shows some MB */
    SCRAPE_CONNECT_S = 1,       /* so that many pods that are gone do not stop a round */
    SCRAPE_TIMEOUT_S = 5,       /* for all of an answer */
};
struct scraper_conf {
    struct fold *fold;   /* borrowed until scraper_close() */
    const char *targets; /* URL[#NAMESPACE/WORKLOAD],... */
    int64_t interval_ns;
};
struct scraper;
/* Gives; NULL with err set: ERR_USAGE (targets), ERR_NOMEM. */
struct scraper *scraper_open(const struct scraper_conf *c, struct err *err) MUST_USE;
/* Folds what the last round found. The fold's writer thread; to is the scraper. */
void scraper_fold(void *to);
/* After the writer has ended. Takes; NULL is fine. */
struct scraper *scraper_close(struct scraper *s);

#endif
