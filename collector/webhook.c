/* webhook.c - POSTs events as JSON with libcurl.
 *
 * Whoever watches health hands events over and goes on; one thread sends what waits, at most
 * WEBHOOK_BATCH_MAX in one request, in order. 2xx is done. No answer, 408, 429 and 5xx are tried
 * again later, twice as late each time; after WEBHOOK_TRIES_MAX, and for any other status at once,
 * the batch is dropped and counted, because a receiver that says 400 will say it again. Redirects
 * are not followed: whom to tell is the operator's word. An event may arrive twice (the answer was
 * lost); its id tells. */
#include "webhook.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "tallies.h"
#include "tulle_version.h"
#include <curl/curl.h>
#include <pthread.h>

struct webhook {
    struct webhook_conf conf;
    char *url;
    CURL *curl; /* the thread's own */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    char *queue[WEBHOOK_QUEUE_MAX]; /* texts of events, a ring */
    size_t first, len;
    bool is_over;
};

/* The oldest events as one body; returns how many. Under the lock. */
static size_t write_body(const struct webhook *w, struct buf *out)
{
    char now[CLOCK_RFC3339_SIZE];
    size_t n = MIN(w->len, (size_t)WEBHOOK_BATCH_MAX);
    struct json_out j = json_out_of(out);
    json_open(&j, '{');
    json_kv_u64(&j, "version", 1);
    json_kv_str(&j, "sent", sv_z(clock_rfc3339(clock_wall_ns(), now)));
    json_kv_open(&j, "events", '[');
    for (size_t i = 0; i < n; i++)
        json_raw(&j, sv_z(w->queue[(w->first + i) % WEBHOOK_QUEUE_MAX]));
    json_close(&j);
    json_close(&j);
    return n;
}

static void drop_first(struct webhook *w, size_t n)
{
    for (; n > 0; n--) {
        w->queue[w->first] = mem_free(w->queue[w->first]);
        w->first = (w->first + 1) % WEBHOOK_QUEUE_MAX;
        w->len--;
    }
}

static size_t ignore_answer(char *p, size_t size, size_t n, void *to)
{
    (void)p;
    (void)to;
    return size * n;
}

/* The status, 0 when no answer came. */
static long post(struct webhook *w, const struct buf *body, char why[CURL_ERROR_SIZE])
{
    long status = 0;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    why[0] = '\0';
    if (!headers)
        return 0;
    curl_easy_reset(w->curl);
    curl_easy_setopt(w->curl, CURLOPT_URL, w->url);
    curl_easy_setopt(w->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT, (long)WEBHOOK_TIMEOUT_S);
    curl_easy_setopt(w->curl, CURLOPT_USERAGENT, "tulle-collector/" TULLE_VERSION);
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, buf_sv(body).p);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, ignore_answer);
    curl_easy_setopt(w->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform(w->curl);
    if (rc == CURLE_OK)
        curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    return status;
}

static bool is_worth_retrying(long status)
{
    return status == 0 || status == 408 || status == 429 || status >= 500;
}

/* Under the lock: until that moment of the monotonic clock, or the end. */
static void sleep_until(struct webhook *w, int64_t mono_ns)
{
    struct timespec until = { mono_ns / NS_PER_S, mono_ns % NS_PER_S };
    while (!w->is_over && clock_mono_ns() < mono_ns)
        (void)pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

/* Sends the oldest events until they are taken or given up. Under the lock, let go while sending. */
static void deliver(struct webhook *w)
{
    AUTO_DONE(buf) body = { 0 };
    char why[CURL_ERROR_SIZE];
    int64_t wait_ns = w->conf.first_retry_ns;
    size_t n = write_body(w, &body);
    for (unsigned tries = 1; !body.failed; tries++, wait_ns *= 2) {
        bool is_last = w->is_over || tries == WEBHOOK_TRIES_MAX;
        pthread_mutex_unlock(&w->lock);
        long status = post(w, &body, why);
        pthread_mutex_lock(&w->lock);
        if (status / 100 == 2) {
            tally(TALLY_WEBHOOK_SENT, n);
            drop_first(w, n);
            return;
        }
        LOG_EVERY(10 * NS_PER_S, LOG_WARN, "webhook.refused", KV_INT("status", status),
                  KV_STR("why", why), KV_UINT("try", tries));
        if (is_last || !is_worth_retrying(status))
            break;
        tally(TALLY_WEBHOOK_RETRIES, 1);
        sleep_until(w, clock_mono_ns() + wait_ns);
    }
    tally(TALLY_WEBHOOK_DROPPED, n);
    drop_first(w, n);
}

static void *run(void *to)
{
    struct webhook *w = to;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->is_over && w->len == 0)
            pthread_cond_wait(&w->changed, &w->lock);
        if (w->len == 0)
            break;
        bool was_over = w->is_over;
        deliver(w);
        if (was_over) { /* one request at the end, not ten timeouts */
            tally(TALLY_WEBHOOK_DROPPED, w->len);
            drop_first(w, w->len);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int check_url(const char *text, struct err *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    if (!u)
        return err_set(err, ERR_NOMEM, "webhook");
    bool is_url = curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
                  curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                  (sv_eq(sv_z(scheme), SV("http")) || sv_eq(sv_z(scheme), SV("https")));
    curl_free(scheme);
    curl_url_cleanup(u);
    return is_url ? 0 : err_set(err, ERR_USAGE, "%s: want a URL, http or https", text);
}

/* 0, or -1 with nothing left to undo but curl and url. */
static int start(struct webhook *w)
{
    if (pthread_mutex_init(&w->lock, NULL) != 0)
        return -1;
    if (clock_cond_init(&w->changed) == 0) {
        if (pthread_create(&w->thread, NULL, run, w) == 0)
            return 0;
        pthread_cond_destroy(&w->changed);
    }
    pthread_mutex_destroy(&w->lock);
    return -1;
}

struct webhook *webhook_open(const struct webhook_conf *c, struct err *err)
{
    if (check_url(c->url, err) < 0)
        return NULL;
    struct webhook *w = mem_zalloc(sizeof(*w));
    if (w) {
        w->conf = *c;
        w->url = mem_dup_z(c->url, sv_z(c->url).len);
        w->curl = curl_easy_init();
        if (w->url && w->curl && start(w) == 0)
            return w;
        curl_easy_cleanup(w->curl);
        mem_free(w->url);
    }
    err_set(err, ERR_NOMEM, "webhook");
    return mem_free(w);
}

void webhook_push(void *to, const struct health_event *e)
{
    struct webhook *w = to;
    char *text = mem_dup_z(e->json.p, e->json.len);
    pthread_mutex_lock(&w->lock);
    bool has_room = text && w->len < WEBHOOK_QUEUE_MAX && !w->is_over;
    if (has_room) {
        w->queue[(w->first + w->len++) % WEBHOOK_QUEUE_MAX] = text;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    if (has_room)
        return;
    mem_free(text);
    tally(TALLY_WEBHOOK_DROPPED, 1);
}

struct webhook *webhook_close(struct webhook *w)
{
    if (!w)
        return NULL;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    curl_easy_cleanup(w->curl);
    mem_free(w->url);
    return mem_free(w);
}
