/* SPDX-License-Identifier: Apache-2.0
 * reload.c - looks, waits until a change holds still, takes it.
 *
 * A folder is looked at twice a second. A change is taken when a second look, a moment later, finds
 * nothing newer: files are seldom written in one go. What is refused is said once, with its place,
 * and not tried again until the folder changes again. */
#include "proxy/reload.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/current.h"
#include "proxy/fingerprint.h"
#include "proxy/tallies.h"

#define STILL_NS (50 * NS_PER_MS)

typedef int take_fn(struct worker *w, struct err *err);

/* True when the folder changed and has held still since the last look, or anyway. */
static bool has_changed(struct watched *f, const char *path, bool is_urgent, bool *ret_is_coming)
{
    if (!path[0])
        return false;
    uint64_t now = fingerprint_of(path);
    bool is_still = now == f->coming || is_urgent;
    f->coming = 0;
    if (now == f->seen)
        return false;
    if (is_still) {
        f->seen = now;
        return true;
    }
    f->coming = now;
    *ret_is_coming = true;
    return false;
}

/* Takes one; counts, logs and notes how it went. */
static bool try_take(struct worker *w, take_fn *take, const char *what, struct err *ret_refused)
{
    *ret_refused = (struct err){ 0 };
    if (take(w, ret_refused) == 0) {
        LOG_INFO("reload.applied", KV_STR("what", what));
        return true;
    }
    LOG_ERROR("reload.refused", KV_STR("what", what), KV_STR("why", ret_refused->why),
              KV_STR("so", "what was in force before goes on"));
    return false;
}

static void look(struct reload *r, bool is_urgent)
{
    struct worker *w = r->worker;
    const struct options *o = w->opt;
    bool is_coming = false;
    if (has_changed(&r->certs, o->certs, is_urgent, &is_coming)) {
        bool ok = try_take(w, current_take_certs, "certificates", &r->certs_refused);
        tally(ok ? TALLY_CERTS_APPLIED : TALLY_CERTS_REFUSED);
        r->certs_at_ns = ok ? clock_wall_ns() : r->certs_at_ns;
    }
    if (has_changed(&r->config, o->config, is_urgent, &is_coming)) {
        bool ok = try_take(w, current_take_config, "configuration", &r->config_refused);
        tally(ok ? TALLY_CONFIG_APPLIED : TALLY_CONFIG_REFUSED);
        r->config_at_ns = ok ? clock_wall_ns() : r->config_at_ns;
    }
    if (has_changed(&r->secrets, o->secrets, is_urgent, &is_coming)) {
        struct err refused;
        bool ok = try_take(w, current_take_secrets, "secrets", &refused);
        tally(ok ? TALLY_CERTS_APPLIED : TALLY_CERTS_REFUSED);
    }
    if (o->reload_interval_ns || is_coming)
        timer_after(&r->timer, is_coming ? STILL_NS : o->reload_interval_ns);
}

static void on_timer(struct timer *t)
{
    look(CONTAINER_OF(t, struct reload, timer), false);
}

void reload_start(struct worker *w)
{
    struct reload *r = &w->reload;
    const struct options *o = w->opt;
    r->worker = w;
    r->config_at_ns = r->certs_at_ns = clock_wall_ns();
    timer_init(&r->timer, w->loop, on_timer);
    r->config.seen = fingerprint_of(o->config);
    r->certs.seen = fingerprint_of(o->certs);
    r->secrets.seen = fingerprint_of(o->secrets);
    if (o->reload_interval_ns)
        timer_after(&r->timer, o->reload_interval_ns);
}

void reload_now(struct worker *w)
{
    look(&w->reload, true);
}

void reload_resume(struct worker *w)
{
    if (w->opt->reload_interval_ns)
        timer_after(&w->reload.timer, w->opt->reload_interval_ns);
}

void reload_stop(struct worker *w)
{
    timer_stop(&w->reload.timer);
}
