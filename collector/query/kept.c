/* kept.c - a few large answers, made before they are asked for.
 *
 * The graph of thousands of edges is megabytes of text; writing and compressing it takes longer than adding it
 * up. A page asks for it every few seconds, several pages at the same time. So an answer that was slow stays
 * here as it was sent, and a thread makes it anew while somebody still asks: not when nothing was
 * counted since, and never more than a tenth of the time. The first one waits, the others do not.
 *
 * One that is too old is made anew by the first who asks, or by the thread; who asks meanwhile waits for
 * that one instead of making another, which under load would make all of them late.
 *
 * One lock; answers are made without it. At most KEPT_LEN answers and KEPT_BYTES_MAX bytes each; what nobody
 * asked for in FORGET_NS is forgotten, and the thread sleeps when nothing is kept. */
#include "query/kept.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdio.h>

#define FORGET_NS   (3 * NS_PER_S)
#define PACE_NS     (50 * NS_PER_MS)  /* between two looks of the thread */
#define RENEW_NS    (350 * NS_PER_MS) /* early enough to be there before the old one is too old */
#define PATIENCE_NS (2 * NS_PER_S) /* for one that is being made; then it is made a second time */

enum { KEPT_LEN = 4, KEPT_BYTES_MAX = 8 << 20, REST = 10 };

struct one {
    char *target; /* NULL: unused */
    size_t target_len;
    bool is_gzip_asked, is_being_made;
    struct answer answer;
    uint64_t generation;
    int64_t made_ns, took_ns, asked_ns; /* monotonic */
};
struct kept {
    const struct api *api;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something is kept now, or the end */
    pthread_cond_t made;    /* an answer was made anew, or could not be */
    struct one list[KEPT_LEN];
    bool is_over;
};

static void forget(struct one *x)
{
    mem_free(x->target);
    answer_done(&x->answer);
    *x = (struct one){ 0 };
}

static struct one *find(struct kept *k, const struct request *rq)
{
    for (size_t i = 0; i < KEPT_LEN; i++) {
        struct one *x = &k->list[i];
        if (x->target && sv_eq(sv_of(x->target, x->target_len), rq->target) &&
            x->is_gzip_asked == rq->accepts_gzip)
            return x;
    }
    return NULL;
}

static bool copy_answer(struct answer *to, const struct answer *from)
{
    *to = *from;
    to->body = (struct buf){ 0 };
    buf_put(&to->body, buf_sv(&from->body));
    return !to->body.failed;
}

/* Nothing was counted since, and it is still the same bucket of time; or it is young. */
static bool is_good(const struct one *x, uint64_t generation, int64_t mono_ns)
{
    int64_t age_ns = mono_ns - x->made_ns;
    return age_ns <= KEPT_MAX_AGE_NS || (x->generation == generation && age_ns <= BUCKET_NS);
}

/* Waits while it is being made, a while at most; NULL: it is not there any more, or still not good.
 * Under the lock. */
static struct one *wait_for(struct kept *k, const struct request *rq, struct one *x,
                            uint64_t generation)
{
    int64_t until_ns = clock_mono_ns() + PATIENCE_NS;
    struct timespec until = { until_ns / NS_PER_S, until_ns % NS_PER_S };
    while (x && x->is_being_made && !is_good(x, generation, clock_mono_ns())) {
        if (pthread_cond_timedwait(&k->made, &k->lock, &until) != 0)
            return NULL;
        x = find(k, rq);
    }
    return x && is_good(x, generation, clock_mono_ns()) ? x : NULL;
}

bool kept_get(struct kept *k, const struct request *rq, struct answer *ret_answer)
{
    uint64_t generation = fold_generation(k->api->fold);
    int64_t now_ns = clock_mono_ns();
    bool is_there = false;
    pthread_mutex_lock(&k->lock);
    struct one *x = find(k, rq);
    if (x)
        x->asked_ns = now_ns;
    struct one *good = wait_for(k, rq, x, generation);
    if (good) {
        is_there = copy_answer(ret_answer, &good->answer);
        if (!is_there)
            answer_done(ret_answer);
    } else if ((x = find(k, rq))) {
        x->is_being_made = true; /* by who asks; kept_offer() follows */
    }
    pthread_mutex_unlock(&k->lock);
    return is_there;
}

/* The answer's place: its own, an unused one, or that of the one not asked for longest. */
static struct one *place_of(struct kept *k, const struct request *rq)
{
    struct one *best = find(k, rq);
    if (best)
        return best;
    best = &k->list[0];
    for (size_t i = 1; i < KEPT_LEN; i++)
        if (k->list[i].asked_ns < best->asked_ns)
            best = &k->list[i];
    forget(best);
    best->target = mem_dup_z(rq->target.p, rq->target.len);
    best->target_len = rq->target.len;
    best->is_gzip_asked = rq->accepts_gzip;
    best->asked_ns = clock_mono_ns();
    return best->target ? best : NULL;
}

void kept_offer(struct kept *k, const struct request *rq, struct answer *a, uint64_t generation,
                int64_t took_ns)
{
    struct sv body = buf_sv(&a->body);
    pthread_mutex_lock(&k->lock);
    struct one *old = find(k, rq);
    bool is_worth_it = took_ns >= KEPT_MIN_NS || old;
    if (old)
        old->is_being_made = false;
    if (is_worth_it && a->status == 200 && body.len <= KEPT_BYTES_MAX && !a->fixed.len) {
        snprintf(a->etag, sizeof(a->etag), "\"%016llx\"", (unsigned long long)hash_sv(body));
        a->cache = "no-cache";
        struct one *x = place_of(k, rq);
        struct answer copy;
        if (x && copy_answer(&copy, a)) {
            answer_done(&x->answer);
            x->answer = copy;
            x->generation = generation;
            x->took_ns = took_ns;
            x->made_ns = clock_mono_ns();
            pthread_cond_signal(&k->changed);
        } else if (x) {
            answer_done(&copy);
            forget(x);
        }
    }
    pthread_cond_broadcast(&k->made);
    pthread_mutex_unlock(&k->lock);
}

/* Whether to make it anew; forgets it when nobody asks any more. Under the lock. */
static bool is_due(struct one *x, uint64_t generation, int64_t now_ns)
{
    if (x->target && (now_ns - x->asked_ns > FORGET_NS || x->took_ns < KEPT_MIN_NS / 2))
        forget(x);
    if (!x->target || x->is_being_made)
        return false;
    int64_t age_ns = now_ns - x->made_ns;
    bool is_stale = x->generation != generation || age_ns > BUCKET_NS / 2;
    return is_stale && age_ns >= MIN(x->took_ns * REST, RENEW_NS);
}

/* Makes the nth anew. Under the lock, which is let go meanwhile. */
static void renew(struct kept *k, struct one *x)
{
    struct request rq = { .method = SV("GET"), .accepts_gzip = x->is_gzip_asked };
    char *target = mem_dup_z(x->target, x->target_len);
    rq.target = sv_of(target, x->target_len);
    x->is_being_made = target != NULL;
    pthread_mutex_unlock(&k->lock);
    if (target) {
        AUTO_DONE(answer) a = { 0 };
        api_answer_anew(k->api, &rq, &a);
    }
    mem_free(target);
    pthread_mutex_lock(&k->lock);
}

static bool is_empty(const struct kept *k)
{
    for (size_t i = 0; i < KEPT_LEN; i++)
        if (k->list[i].target)
            return false;
    return true;
}

static void *run(void *to)
{
    struct kept *k = to;
    pthread_mutex_lock(&k->lock);
    while (!k->is_over) {
        if (is_empty(k)) {
            pthread_cond_wait(&k->changed, &k->lock);
            continue;
        }
        uint64_t generation = fold_generation(k->api->fold);
        for (size_t i = 0; i < KEPT_LEN && !k->is_over; i++)
            if (is_due(&k->list[i], generation, clock_mono_ns()))
                renew(k, &k->list[i]);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t ns = until.tv_nsec + PACE_NS;
        until.tv_sec += ns / NS_PER_S;
        until.tv_nsec = ns % NS_PER_S;
        if (!k->is_over)
            (void)pthread_cond_timedwait(&k->changed, &k->lock, &until);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

struct kept *kept_new(const struct api *api)
{
    struct kept *k = mem_zalloc(sizeof(*k));
    if (!k)
        return NULL;
    k->api = api;
    if (pthread_mutex_init(&k->lock, NULL) != 0)
        return mem_free(k);
    if (clock_cond_init(&k->made) == 0) {
        if (pthread_cond_init(&k->changed, NULL) == 0) {
            if (pthread_create(&k->thread, NULL, run, k) == 0)
                return k;
            pthread_cond_destroy(&k->changed);
        }
        pthread_cond_destroy(&k->made);
    }
    pthread_mutex_destroy(&k->lock);
    return mem_free(k);
}

struct kept *kept_free(struct kept *k)
{
    if (!k)
        return NULL;
    pthread_mutex_lock(&k->lock);
    k->is_over = true;
    pthread_cond_signal(&k->changed);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    for (size_t i = 0; i < KEPT_LEN; i++)
        forget(&k->list[i]);
    pthread_cond_destroy(&k->made);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    return mem_free(k);
}
