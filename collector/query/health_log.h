/* health_log.h - changes of health, the newest of them kept as the JSON that is told of them.
 *
 * One thread adds; any thread may read at the same time. */
#ifndef COLLECTOR_QUERY_HEALTH_LOG_H
#define COLLECTOR_QUERY_HEALTH_LOG_H

#include "aggregate/health.h"

enum {
    HEALTH_EVENTS_MAX = 1000,    /* kept; about 1 KiB each */
    HEALTH_SUBJECTS_MAX = 50000, /* nodes and edges whose state is remembered, 40 bytes each */
};
#define HEALTH_WINDOW_NS (60 * NS_PER_S) /* what a state is judged by */
#define HEALTH_STEP_NS   (10 * NS_PER_S) /* from one judgement to the next */

struct health_event {
    uint64_t id;      /* the same whenever it is found again */
    int64_t at_ns;    /* end of the window it was seen in */
    uint64_t subject; /* id of the node or edge */
    bool is_edge;
    enum health to;
    struct sv json; /* the event as an object, as docs/api.md has it */
};
/* e is borrowed until return. */
typedef void health_event_sink(void *to, const struct health_event *e);

struct health_log;
struct health_log *health_log_new(void) MUST_USE; /* gives; NULL when memory is out */
struct health_log *health_log_free(struct health_log *l);
/* Judges every node and edge of a view whose window ends at at_ns, later than the one before. Each
 * change goes to the log and to sink (which may be NULL). ERR_NOMEM: some changes may be found a step
 * later. */
int health_log_judge(struct health_log *l, const struct view *v, int64_t at_ns,
                     health_event_sink *sink, void *to, struct err *err) MUST_USE;
/* Newest first, under the log's lock: keep the sink short. */
void health_log_read(struct health_log *l, health_event_sink *sink, void *to);

DEFINE_AUTO_FREE(health_log);

#endif
