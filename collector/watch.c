/* watch.c - one thread that looks at the last minute every ten seconds.
 *
 * Moments are whole tens of seconds of the wall clock, looked at SETTLE_NS later, when what proxies
 * send once a second has arrived. At start the moments of the last hour are gone through in the
 * stored history, each as it would have been live; so the list of changes survives a restart
 * without being stored itself. Whoever is told of changes is not told of those again. A read that
 * fails (the store is busy) skips a moment. */
#include "watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "query/api.h"
#include "tallies.h"
#include <pthread.h>
#include <stdlib.h>

#define SETTLE_NS   (3 * NS_PER_S)
#define LOOKBACK_NS (3600 * NS_PER_S)
#define UNREADY_NS  (200 * NS_PER_MS) /* between asking whether edges are complete */

struct watch {
    struct watch_conf conf;
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_over */
    pthread_cond_t ended;
    bool is_over;
    bool is_live;
};

static void on_event(void *to, const struct health_event *e)
{
    struct watch *w = to;
    if (!w->is_live)
        return;
    tally(TALLY_HEALTH_CHANGES, 1);
    if (w->conf.sink)
        w->conf.sink(w->conf.sink_to, e);
}

static void judge(struct watch *w, int64_t at_ns)
{
    struct api api = { .store = w->conf.store, .fold = w->conf.fold, .health = w->conf.rules };
    struct view_wish wish = { .window = { at_ns - HEALTH_WINDOW_NS, at_ns } };
    AUTO_DONE(view) v = { 0 };
    struct err err = { 0 };
    int rc = api_read_view(&api, &wish, &v, &err);
    if (rc == 0)
        rc = health_log_judge(w->conf.log, &v, at_ns, on_event, w, &err);
    if (rc < 0)
        LOG_EVERY(60 * NS_PER_S, LOG_WARN, "health.not_judged", KV_STR("why", err.why));
}

/* Waits until that moment of the wall clock, unless the clock has been set back by more than an hour;
 * false when watching is over. */
static bool wait_until(struct watch *w, int64_t wall_ns)
{
    bool goes_on;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        int64_t left_ns = wall_ns - clock_wall_ns();
        goes_on = !w->is_over;
        if (!goes_on || left_ns <= 0 || left_ns > LOOKBACK_NS)
            break;
        int64_t mono_ns = clock_mono_ns() + MIN(left_ns, HEALTH_STEP_NS); /* clocks get set */
        struct timespec until = { mono_ns / NS_PER_S, mono_ns % NS_PER_S };
        (void)pthread_cond_timedwait(&w->ended, &w->lock, &until);
    }
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static void *run(void *to)
{
    struct watch *w = to;
    while (!w->conf.may_judge(w->conf.may_judge_to))
        if (!wait_until(w, clock_wall_ns() + UNREADY_NS))
            return NULL;
    int64_t newest_ns = window_align_down(clock_wall_ns() - SETTLE_NS, HEALTH_STEP_NS);
    int64_t at_ns = newest_ns - LOOKBACK_NS;
    while (wait_until(w, at_ns + SETTLE_NS)) {
        int64_t began_ns = clock_mono_ns();
        w->is_live = at_ns > newest_ns;
        judge(w, at_ns);
        if (!w->is_live) /* the past can wait: half a core at most */
            (void)wait_until(w, clock_wall_ns() + clock_mono_ns() - began_ns);
        int64_t now_ns = window_align_down(clock_wall_ns() - SETTLE_NS, HEALTH_STEP_NS);
        at_ns += HEALTH_STEP_NS;
        if (w->is_live && llabs(now_ns - at_ns) > LOOKBACK_NS)
            at_ns = now_ns; /* the machine slept, or its clock was set */
    }
    return NULL;
}

struct watch *watch_open(const struct watch_conf *c, struct err *err)
{
    struct watch *w = mem_zalloc(sizeof(*w));
    if (w && pthread_mutex_init(&w->lock, NULL) == 0) {
        w->conf = *c;
        if (clock_cond_init(&w->ended) == 0) {
            if (pthread_create(&w->thread, NULL, run, w) == 0)
                return w;
            pthread_cond_destroy(&w->ended);
        }
        pthread_mutex_destroy(&w->lock);
    }
    err_set(err, ERR_NOMEM, "thread that watches health");
    return mem_free(w);
}

struct watch *watch_close(struct watch *w)
{
    if (!w)
        return NULL;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->ended);
    pthread_mutex_destroy(&w->lock);
    return mem_free(w);
}
