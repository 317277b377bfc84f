/* SPDX-License-Identifier: Apache-2.0
 * health.c - active health checks: when who is asked, and what many answers in a row mean.
 *
 * Each endpoint has a timer of its own, its first check somewhere within the first second (or the
 * interval), every later one an interval after the last answer, give or take a tenth, so that neither
 * endpoints nor proxies keep step. One check of an endpoint is under way at a time, ASKING_MAX
 * altogether: who finds no room comes again shortly. Cost: what is not annotated has no entry, and
 * balancing looks nothing up while all are well. Bound: CHECKED_MAX endpoints; the rest counts as
 * well and is warned of. */
#include "proxy/upstream/health.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/tallies.h"
#include "wire/trace_ctx.h"

#define CHECKED_MAX 4096 /* 1 MiB; at 10 s each 400 checks a second, more is a load of its own */
#define ASKING_MAX  64   /* descriptors that checks may hold at once */
#define NO_ROOM_NS  (50 * NS_PER_MS)
#define KEY_MAX     1024 /* check_key and address; the annotation is the longest part */

void health_init(struct health *h, struct loop *l, struct worker *w)
{
    *h = (struct health){ .loop = l, .worker = w };
}

/* Empty: too long to be one. */
static struct sv key_of(const struct cluster *c, const struct endpoint *e, char text[KEY_MAX])
{
    size_t len = c->check_key.len + e->text.len;
    if (len > KEY_MAX)
        return SV_NONE;
    memcpy(text, c->check_key.p, c->check_key.len);
    memcpy(text + c->check_key.len, e->text.p, e->text.len);
    return sv_of(text, len);
}

struct health_checked *health_find(const struct health *h, const struct cluster *c,
                                   const struct endpoint *e)
{
    char text[KEY_MAX];
    struct sv key = c->check ? key_of(c, e, text) : SV_NONE;
    return key.len ? map_get(&h->checked, key) : NULL;
}

bool health_is_down(const struct health *h, const struct cluster *c, const struct endpoint *e)
{
    const struct health_checked *k = h->down_len ? health_find(h, c, e) : NULL;
    return k && k->is_down;
}

/* --- when --- */

/* From 90 to 110 % of it. */
static int64_t jittered(int64_t ns)
{
    return ns - ns / 10 + (int64_t)(random_u64() % (uint64_t)(ns / 5 + 1));
}

static void schedule_first(struct health_checked *k)
{
    int64_t within_ns = MIN(k->cluster->check->interval_ns, NS_PER_S);
    timer_after(&k->timer, 1 + (int64_t)(random_u64() % (uint64_t)within_ns));
}

static void on_timer(struct timer *t)
{
    struct health_checked *k = CONTAINER_OF(t, struct health_checked, timer);
    struct err err = { 0 };
    if (k->health->asking_len >= ASKING_MAX)
        timer_after(&k->timer, jittered(NO_ROOM_NS));
    else if (health_ask(k, &err) < 0)
        health_report(k, false, err.why);
}

void health_stop(struct health *h)
{
    void *value;
    h->is_stopped = true;
    for (size_t i = 0; map_next(&h->checked, &i, NULL, &value);) {
        struct health_checked *k = value;
        timer_stop(&k->timer);
        health_cancel(k);
    }
}

void health_resume(struct health *h)
{
    void *value;
    h->is_stopped = false;
    for (size_t i = 0; map_next(&h->checked, &i, NULL, &value);)
        if (!((struct health_checked *)value)->asking)
            schedule_first(value);
}

/* --- what it means --- */

static void change(struct health_checked *k)
{
    const struct endpoint *e = k->endpoint;
    k->is_down = !k->is_down;
    k->health->down_len += k->is_down ? 1 : (size_t)-1;
    tally(k->is_down ? TALLY_HEALTH_LOST : TALLY_HEALTH_REGAINED);
    if (k->is_down)
        LOG_WARN("endpoint.unhealthy", KV_SV("cluster", k->cluster->name),
                 KV_SV("endpoint", e->text), KV_SV("pod", e->pod), KV_STR("why", k->why),
                 KV_UINT("in_a_row", k->bad));
    else
        LOG_INFO("endpoint.healthy", KV_SV("cluster", k->cluster->name), KV_SV("endpoint", e->text),
                 KV_SV("pod", e->pod), KV_UINT("in_a_row", k->good));
}

void health_report(struct health_checked *k, bool is_ok, const char *why)
{
    const struct health_check *p = k->cluster->check;
    tally(is_ok ? TALLY_HEALTH_OK : TALLY_HEALTH_FAILED);
    snprintf(k->why, sizeof(k->why), "%s", why);
    k->told_ns = loop_now_ns(k->health->loop);
    k->good = is_ok ? k->good + (k->good < UINT32_MAX) : 0;
    k->bad = is_ok ? 0 : k->bad + (k->bad < UINT32_MAX);
    if (k->is_down ? k->good >= p->healthy : k->bad >= p->unhealthy)
        change(k);
    if (!k->health->is_stopped)
        timer_after(&k->timer, jittered(p->interval_ns));
}

/* --- who --- */

static void forget(struct health_checked *k)
{
    timer_stop(&k->timer);
    health_cancel(k);
    k->health->down_len -= k->is_down;
    mem_free(k);
}

static bool add(struct health *h, struct sv key, const struct cluster *c, const struct endpoint *e)
{
    struct health_checked *k = key.len && h->checked.len < CHECKED_MAX ? mem_zalloc(sizeof(*k))
                                                                       : NULL;
    if (!k || map_put(&h->checked, key, k, NULL) < 0) {
        mem_free(k);
        return false;
    }
    k->health = h;
    k->cluster = c;
    k->endpoint = e;
    k->is_wanted = true;
    timer_init(&k->timer, h->loop, on_timer);
    if (!h->is_stopped)
        schedule_first(k);
    return true;
}

/* How many of its endpoints found no place. */
static size_t want(struct health *h, const struct cluster *c)
{
    char text[KEY_MAX];
    size_t left = 0;
    for (size_t i = 0; c->check && i < c->endpoints_len; i++) {
        struct sv key = key_of(c, c->endpoints[i], text);
        struct health_checked *k = key.len ? map_get(&h->checked, key) : NULL;
        if (!k) {
            left += !add(h, key, c, c->endpoints[i]);
            continue;
        }
        k->is_wanted = true;
        k->cluster = c;
        k->endpoint = c->endpoints[i];
    }
    return left;
}

void health_follow(struct health *h, const struct mesh *m)
{
    const struct cluster *const *list;
    size_t n = mesh_clusters(m, &list), left = 0;
    void *value;
    for (size_t i = 0; map_next(&h->checked, &i, NULL, &value);)
        ((struct health_checked *)value)->is_wanted = false;
    for (size_t i = 0; i < n; i++)
        left += want(h, list[i]);
    for (size_t i = 0; map_next(&h->checked, &i, NULL, &value);) {
        struct health_checked *k = value;
        if (k->is_wanted)
            continue;
        map_remove_given(&h->checked, &i);
        forget(k);
    }
    if (left)
        LOG_WARN("health.unchecked", KV_UINT("endpoints", left), KV_UINT("at_most", CHECKED_MAX),
                 KV_STR("so", "they count as healthy"));
}

void health_done(struct health *h)
{
    void *value;
    for (size_t i = 0; map_next(&h->checked, &i, NULL, &value);)
        forget(value);
    map_done(&h->checked);
    *h = (struct health){ 0 };
}
