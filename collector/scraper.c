/* scraper.c - GETs metrics with libcurl and hands over what edges have done since.
 *
 * One thread looks at one endpoint after the other. When all were looked at, what edges did is kept until the
 * writer comes for it (within a second). While it has not, no further round begins: counters
 * wait well where they are. Endpoints that do not answer cost a timeout; what they count is found
 * the next time, unless that is so late (AWAY_NS) that others may have told of it.
 *
 * Durability: nobody waits for an answer here, so there is nothing to promise. A round is stored with the
 * writer's next flush; one that was not, because the process died, is as if it had not been made. After a
 * start every endpoint is looked at for the first time. */
#include "scraper.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "scrape/growth.h"
#include "tallies.h"
#include "tulle_version.h"
#include <curl/curl.h>
#include <pthread.h>

#define AWAY_NS (500 * NS_PER_S) /* less than growth.c waits before it takes the callee's word */

struct target {
    char *url;       /* as given; libcurl sends no fragment */
    struct sv shown; /* in logs: without scheme, user and password */
    struct identity own;
    int64_t looked_ns; /* 0: never */
    bool is_failing;
};
struct found {
    struct found *next;
    const struct call *who; /* growth's, which forgets no edge; a.flags too */
    struct alike a;
};
struct scraper {
    struct scraper_conf conf;
    struct target targets[SCRAPE_TARGETS_MAX];
    uint32_t targets_len;
    /* the thread's own */
    struct growth *growth;
    CURL *curl;
    struct buf body;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct found *found;
    bool is_over;
};

static size_t take_body(char *p, size_t size, size_t n, void *to)
{
    struct buf *body = to;
    if (body->len + size * n > SCRAPE_BODY_MAX)
        return 0;
    buf_append(body, p, size * n);
    return body->failed ? 0 : size * n;
}

static int get(struct scraper *s, const struct target *t, char why[CURL_ERROR_SIZE])
{
    long status = 0;
    why[0] = '\0';
    buf_clear(&s->body);
    curl_easy_reset(s->curl);
    curl_easy_setopt(s->curl, CURLOPT_URL, t->url);
    curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT, (long)SCRAPE_CONNECT_S);
    curl_easy_setopt(s->curl, CURLOPT_TIMEOUT, (long)SCRAPE_TIMEOUT_S);
    curl_easy_setopt(s->curl, CURLOPT_USERAGENT, "tulle-collector/" TULLE_VERSION);
    curl_easy_setopt(s->curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, &s->body);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform(s->curl);
    if (rc != CURLE_OK) {
        if (rc == CURLE_WRITE_ERROR)
            snprintf(why, CURL_ERROR_SIZE, "more than %d bytes", SCRAPE_BODY_MAX);
        return -1;
    }
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        snprintf(why, CURL_ERROR_SIZE, "status %ld, want 200", status);
    return status == 200 ? 0 : -1;
}

static void note_result(const struct target *t, const struct growth_result *r)
{
    tally(TALLY_SCRAPE_MALFORMED, r->malformed);
    tally(TALLY_SCRAPE_REFUSED, r->refused);
    if (r->malformed)
        LOG_EVERY(60 * NS_PER_S, LOG_WARN, "scrape.malformed", KV_SV("from", t->shown),
                  KV_UINT("lines", r->malformed), KV_STR("why", r->first.why),
                  KV_UINT("at", r->first.at));
    if (r->refused)
        LOG_EVERY(60 * NS_PER_S, LOG_WARN, "scrape.limit", KV_SV("from", t->shown),
                  KV_UINT("samples", r->refused));
}

static void look_at(struct scraper *s, uint32_t i)
{
    struct target *t = &s->targets[i];
    struct growth_result r = { 0 };
    char why[CURL_ERROR_SIZE];
    int64_t now_ns = clock_wall_ns();
    if (get(s, t, why) < 0) {
        tally(TALLY_SCRAPES_FAILED, 1);
        if (!t->is_failing)
            LOG_WARN("scrape.failed", KV_SV("from", t->shown), KV_STR("why", why));
        t->is_failing = true;
        return;
    }
    struct growth_look look = { .target = i,
                                .own = &t->own,
                                .is_first = !t->looked_ns || now_ns - t->looked_ns > AWAY_NS,
                                .from_ns = t->looked_ns,
                                .to_ns = now_ns };
    if (growth_look(s->growth, &look, buf_sv(&s->body), &r) < 0)
        LOG_EVERY(60 * NS_PER_S, LOG_WARN, "scrape.memory", KV_SV("from", t->shown));
    note_result(t, &r);
    tally(TALLY_SCRAPES_DONE, 1);
    if (t->is_failing || !t->looked_ns)
        LOG_INFO("scrape.answers", KV_SV("from", t->shown), KV_UINT("samples", r.samples));
    t->is_failing = false;
    t->looked_ns = now_ns;
}

/* A growth_sink; under the lock. */
static void keep(void *to, const struct call *who, const struct alike *a)
{
    struct scraper *s = to;
    struct found *f = mem_alloc(sizeof(*f));
    struct hist latency;
    if (!f || hist_copy(&latency, &a->latency) < 0) {
        mem_free(f);
        LOG_EVERY(60 * NS_PER_S, LOG_WARN, "scrape.memory", KV_UINT("requests", a->times));
        return;
    }
    *f = (struct found){ .next = s->found, .who = who, .a = *a };
    f->a.latency = latency;
    s->found = f;
}

static struct found *found_free(struct found *f)
{
    while (f) {
        struct found *next = f->next;
        hist_done(&f->a.latency);
        mem_free(f);
        f = next;
    }
    return NULL;
}

static void wait_for(struct scraper *s, int64_t until_ns)
{
    struct timespec until = { until_ns / NS_PER_S, until_ns % NS_PER_S };
    while (!s->is_over && (clock_mono_ns() < until_ns || s->found)) {
        if (clock_mono_ns() >= until_ns)
            pthread_cond_wait(&s->changed, &s->lock);
        else
            (void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
    }
}

static void *run(void *to)
{
    struct scraper *s = to;
    pthread_mutex_lock(&s->lock);
    while (!s->is_over) {
        int64_t next_ns = clock_mono_ns() + s->conf.interval_ns;
        for (uint32_t i = 0; i < s->targets_len && !s->is_over; i++) {
            pthread_mutex_unlock(&s->lock);
            look_at(s, i);
            pthread_mutex_lock(&s->lock);
        }
        growth_round(s->growth, keep, s);
        tally_set(TALLY_SCRAPE_SERIES, growth_series(s->growth));
        wait_for(s, next_ns);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void scraper_fold(void *to)
{
    struct scraper *s = to;
    pthread_mutex_lock(&s->lock);
    struct found *list = TAKE(s->found);
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    int64_t now_ns = clock_wall_ns();
    for (const struct found *f = list; f; f = f->next) {
        int rc = fold_scraped(s->conf.fold, f->who, &f->a, now_ns);
        if (rc >= 0 && !f->a.is_beside)
            tally(rc == FOLD_TOLD_BETTER ? TALLY_SCRAPE_SUPERSEDED : TALLY_SCRAPE_REQUESTS,
                  f->a.times);
    }
    found_free(list);
}

static struct sv without_secrets(struct sv url)
{
    struct sv rest = sv_starts(url, SV("https://")) ? sv_from(url, 8) : sv_from(url, 7);
    struct sv authority = sv_sub(rest, 0, sv_index(rest, '/'));
    size_t at = sv_rindex(authority, '@');
    return at < authority.len ? sv_from(rest, at + 1) : rest;
}

/* URL[#NAMESPACE/WORKLOAD]; whose texts are the url's. */
static int add_target(struct scraper *s, struct sv text, struct err *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    if (s->targets_len == SCRAPE_TARGETS_MAX) {
        curl_url_cleanup(u);
        return err_set(err, ERR_USAGE, "more than %d endpoints", SCRAPE_TARGETS_MAX);
    }
    struct target *t = &s->targets[s->targets_len];
    t->url = mem_dup_z(text.p, text.len);
    if (!u || !t->url) {
        curl_url_cleanup(u);
        return err_set(err, ERR_NOMEM, "endpoints");
    }
    s->targets_len++;
    bool is_url = curl_url_set(u, CURLUPART_URL, t->url, 0) == CURLUE_OK &&
                  curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                  (sv_eq(sv_z(scheme), SV("http")) || sv_eq(sv_z(scheme), SV("https")));
    curl_free(scheme);
    curl_url_cleanup(u);
    struct sv all = sv_z(t->url), own = sv_from(all, sv_index(all, '#') + 1);
    size_t slash = sv_index(own, '/');
    if (!is_url || (own.len && (slash == 0 || slash + 1 >= own.len)))
        return err_set(err, ERR_USAGE,
                       "%.*s: want a URL, http or https, then #NAMESPACE/WORKLOAD or nothing",
                       SV_ARG(text));
    t->shown = without_secrets(all);
    if (own.len)
        t->own = (struct identity){ .namespace = sv_sub(own, 0, slash),
                                    .workload = sv_from(own, slash + 1) };
    return 0;
}

static int start(struct scraper *s)
{
    if (pthread_mutex_init(&s->lock, NULL) != 0)
        return -1;
    if (clock_cond_init(&s->changed) == 0) {
        if (pthread_create(&s->thread, NULL, run, s) == 0)
            return 0;
        pthread_cond_destroy(&s->changed);
    }
    pthread_mutex_destroy(&s->lock);
    return -1;
}

static struct scraper *scraper_free(struct scraper *s)
{
    for (uint32_t i = 0; i < s->targets_len; i++)
        mem_free(s->targets[i].url);
    found_free(s->found);
    growth_free(s->growth);
    curl_easy_cleanup(s->curl);
    buf_done(&s->body);
    return mem_free(s);
}

struct scraper *scraper_open(const struct scraper_conf *c, struct err *err)
{
    struct sv list = sv_z(c->targets);
    struct scraper *s = mem_zalloc(sizeof(*s));
    int rc = s ? 0 : ERR_NOMEM;
    if (s) {
        s->conf = *c;
        s->growth = growth_new();
        s->curl = curl_easy_init();
        for (struct sv text; rc == 0 && sv_cut(&list, ',', &text);)
            rc = add_target(s, sv_trim(text), err);
        if (rc == 0 && s->growth && s->curl && start(s) == 0)
            return s;
        scraper_free(s);
    }
    if (rc == 0 || rc == ERR_NOMEM)
        err_set(err, ERR_NOMEM, "scraping");
    return NULL;
}

struct scraper *scraper_close(struct scraper *s)
{
    if (!s)
        return NULL;
    pthread_mutex_lock(&s->lock);
    s->is_over = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    return scraper_free(s);
}
