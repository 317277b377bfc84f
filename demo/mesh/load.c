/* load.c - users at a steady rate, and the book-keeping that makes the demo checkable.
 *
 * The schedule is open: the n-th request is due at start + n / rate, whichever thread is free takes
 * it, so a slow answer delays nobody (until all threads wait). Every answer is a tree of the calls
 * that were made below it, written by the applications themselves; walking it gives, for each edge,
 * the exact number of requests and errors that the mesh must report. */
#include "demo/mesh/load.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "demo/mesh/pods.h"
#include <curl/curl.h>
#include <jansson.h>
#include <stdatomic.h>

enum { THREADS = 24, POST_BYTES_MAX = 64 * 1024, TIMEOUT_MS = 30000 };

struct load {
    struct load_conf conf;
    pthread_t threads[THREADS];
    size_t threads_len;
    int64_t started_ns;
    unsigned weights; /* of all wishes together */
    _Atomic uint64_t turn;
    _Atomic bool is_stopping;
    _Atomic uint64_t sent, failed, unanswered;
};

/* What users do: one row a kind of request. weight: how often, beside the others. app: who is meant below the
 * gateway, NULL: nobody. */
static const struct wish {
    unsigned weight;
    const char *gateway, *url, *app;
    bool is_post;
} wishes[] = {
    { 10, "gateway-v1", "http://shop.example.com/home", "frontend", false },
    { 58, "gateway-v1", "http://shop.example.com/products/%u", "frontend", false },
    { 16, "gateway-v1", "http://shop.example.com/cart", "frontend", true },
    { 5, "gateway-v1", "http://shop.example.com/slow", "frontend", false },
    { 4, "gateway-v1", "http://shop.example.com/broken", "frontend", false },
    { 7, "gateway-v1", "http://shop.example.com/no-such-page", "frontend", false },
    /* 01-ingress-basic, 02-ingress-hosts, 03-ingress-paths */
    { 5, "ingress-v1", "http://api.example.com/users/%u", "user-service", false },
    { 4, "ingress-v1", "http://shop.example.com/products/%u", "frontend", false },
    { 4, "ingress-v1", "http://api.example.com/quotes/%u", "api-service", false },
    { 3, "ingress-v1", "http://web.example.com/", "web-service", false },
    { 3, "ingress-v1", "http://example.com/api/v1/stock", "api-service", false },
    { 2, "ingress-v1", "http://example.com/admin/users", "admin-service", false },
    { 3, "ingress-v1", "http://example.com/home", "frontend", false },
    { 2, "ingress-v1", "http://nobody.example.com/", NULL, false },
    /* 04-ingress-tls, 11-ingress-gateway-canary */
    { 4, "ingress-tls-v1", "https://example.com/", "web-service", false },
    { 4, "ingress-tls-v1", "https://api.example.com/users/%u", "user-service", false },
    { 5, "ingress-tls-v1", "https://api.example.com/orders/%u", "order-service", true },
    { 1, "ingress-tls-v1", "https://api.example.com/invoices", NULL, false },
    /* 09-ingress-canary-annotations */
    { 5, "ingress-ab-v1", "http://example.com/feature", "app", false },
};

static void count_node(struct counts *to, struct sv source, struct sv name, int64_t status,
                       json_t *answer);

static struct sv text_of(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return sv_of(json_string_value(v), json_string_length(v));
}

static void count_calls(struct counts *to, json_t *answer)
{
    size_t i;
    json_t *call;
    json_array_foreach(json_object_get(answer, "calls"), i, call)
    {
        count_node(to, text_of(answer, "workload"), text_of(call, "to"),
                   json_integer_value(json_object_get(call, "status")),
                   json_object_get(call, "answer"));
    }
}

/* One call and all below it. An application did not answer when a policy denied the call (database), and
 * then it is its only workload that was meant; where there are several nobody knows, the name that was
 * called stands in, and the comparison will show it. */
static void count_node(struct counts *to, struct sv source, struct sv name, int64_t status,
                       json_t *answer)
{
    bool is_error = status == 0 || status >= 500;
    struct sv who = json_is_object(answer) ? text_of(answer, "workload") : pod_only_workload(name);
    counts_add(to, source, who, sv_z(pod_expected_tls(source, who)), 1, is_error);
    if (json_is_object(answer))
        count_calls(to, answer);
}

static size_t on_body(char *p, size_t size, size_t n, void *to)
{
    buf_append(to, p, size * n);
    return size * n;
}

/* A limit's 429 is the gateway's own answer, and so is what it has no route for. */
static void count_answer(struct load *l, const struct wish *w, long status, struct sv body)
{
    json_t *answer = json_loadb(body.p ? body.p : "", body.len, 0, NULL);
    bool is_error = status == 0 || status >= 500, is_tls = sv_starts(sv_z(w->url), SV("https:"));
    atomic_fetch_add(&l->sent, 1);
    atomic_fetch_add(&l->failed, is_error);
    atomic_fetch_add(&l->unanswered, status == 0);
    counts_add(l->conf.to, SV(USER_NAME), sv_z(w->gateway), is_tls ? SV("tls") : SV("plaintext"), 1,
               is_error);
    if (json_is_object(answer) || (w->app && status != 429))
        count_node(l->conf.to, sv_z(w->gateway), sv_z(w->app ? w->app : w->gateway), status,
                   answer);
    json_decref(answer);
}

/* Wishes whose gateway does not run have no weight. */
static unsigned weight_of(const struct wish *w)
{
    return pod_by_workload(sv_z(w->gateway)) ? w->weight : 0;
}

static const struct wish *choose(const struct load *l, uint64_t dice)
{
    unsigned at = (unsigned)(dice % l->weights);
    for (size_t i = 0; i < NELEMS(wishes); i++) {
        if (at < weight_of(&wishes[i]))
            return &wishes[i];
        at -= weight_of(&wishes[i]);
    }
    return &wishes[0];
}

/* The curl option CONNECT_TO: whatever the URL's host, the connection goes to the gateway. */
static struct curl_slist *connect_to(const struct load *l, const struct wish *w)
{
    char text[128];
    unsigned port = sv_starts(sv_z(w->url), SV("https:")) ? GATEWAY_TLS_PORT : GATEWAY_PORT;
    snprintf(text, sizeof(text), "::%s.%u:%u", l->conf.net,
             pod_by_workload(sv_z(w->gateway))->number, port);
    return curl_slist_append(NULL, text);
}

static void send_one(struct load *l, CURL *h, uint64_t turn)
{
    static const char body[POST_BYTES_MAX]; /* zeros will do: only their number matters */
    static const char *const users[] = { "jason", "ada", "grace", "linus" };
    AUTO_DONE(buf) answer = { 0 };
    char url[256], user[64];
    uint64_t dice = hash_bytes(&turn, sizeof(turn), (uint64_t)l->started_ns);
    const struct wish *w = choose(l, dice);
    long status = 0;
    curl_easy_reset(h);
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:"), *to = connect_to(l, w);
    if (dice >> 32 & 3) { /* one in four is not logged in */
        snprintf(user, sizeof(user), "end-user: %s", users[dice >> 40 & 3]);
        headers = curl_slist_append(headers, user);
    }
    snprintf(url, sizeof(url), w->url, (unsigned)(dice >> 16 & 1023)); /* NOLINT */
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_CONNECT_TO, to);
    curl_easy_setopt(h, CURLOPT_CAINFO, l->conf.ca_file);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &answer);
    if (w->is_post) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)(dice >> 44) % POST_BYTES_MAX);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
    }
    if (curl_easy_perform(h) == CURLE_OK)
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    count_answer(l, w, status, buf_sv(&answer));
    curl_slist_free_all(headers);
    curl_slist_free_all(to);
}

/* Waits for the moment the turn is due; false when the load stops before. */
static bool wait_for(struct load *l, uint64_t turn)
{
    int64_t due_ns = l->started_ns + (int64_t)(turn * (uint64_t)NS_PER_S / l->conf.rate);
    for (int64_t now_ns; (now_ns = clock_mono_ns()) < due_ns;) {
        if (atomic_load(&l->is_stopping))
            return false;
        int64_t nap_ns = MIN(due_ns - now_ns, 50 * NS_PER_MS);
        nanosleep(&(struct timespec){ .tv_nsec = nap_ns }, NULL);
    }
    return !atomic_load(&l->is_stopping);
}

static void *run(void *arg)
{
    struct load *l = arg;
    CURL *h = curl_easy_init();
    while (h) {
        uint64_t turn = atomic_fetch_add(&l->turn, 1);
        if (!wait_for(l, turn))
            break;
        send_one(l, h, turn);
    }
    curl_easy_cleanup(h);
    return NULL;
}

struct load *load_new(const struct load_conf *conf)
{
    struct load *l = mem_zalloc(sizeof(*l));
    if (!l)
        return NULL;
    l->conf = *conf;
    l->started_ns = clock_mono_ns();
    for (size_t i = 0; i < NELEMS(wishes); i++)
        l->weights += weight_of(&wishes[i]);
    while (l->threads_len < THREADS &&
           pthread_create(&l->threads[l->threads_len], NULL, run, l) == 0)
        l->threads_len++;
    return l->threads_len ? l : mem_free(l);
}

void load_stop(struct load *l)
{
    atomic_store(&l->is_stopping, true);
    while (l->threads_len)
        pthread_join(l->threads[--l->threads_len], NULL);
}

struct load_stats load_get_stats(struct load *l)
{
    return (struct load_stats){ .sent = atomic_load(&l->sent),
                                .failed = atomic_load(&l->failed),
                                .unanswered = atomic_load(&l->unanswered) };
}

struct load *load_free(struct load *l)
{
    if (!l)
        return NULL;
    load_stop(l);
    return mem_free(l);
}
