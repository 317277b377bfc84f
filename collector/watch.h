/* watch.h - judges the health of everything every ten seconds, in a thread of its own. */
#ifndef COLLECTOR_WATCH_H
#define COLLECTOR_WATCH_H

#include "aggregate/fold.h"
#include "query/health_log.h"

struct watch_conf {
    struct store *store; /* all borrowed until watch_close() */
    struct fold *fold;
    struct health_log *log;
    struct health_rules rules;
    bool (*may_judge)(void *to); /* nothing is judged before it says yes; any thread */
    void *may_judge_to;
    health_event_sink *sink; /* what changes while we watch, on the watch's thread; NULL: nobody */
    void *sink_to;
};
struct watch;
/* Starts the thread, which first finds again the changes of the last hour in the stored history
 * (they go to the log, not to the sink). Gives; NULL with err set: ERR_NOMEM. */
struct watch *watch_open(const struct watch_conf *c, struct err *err) MUST_USE;
struct watch *watch_close(struct watch *w); /* takes; NULL is fine */

#endif
