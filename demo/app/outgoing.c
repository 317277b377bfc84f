/* outgoing.c - one blocking HTTP call at a time on a borrowed libcurl handle.
 *
 * Handles are kept in a stack, because each holds its connection: giving them out again is what
 * keeps connections alive between requests. Invariant: a handle is either on the stack or in use by
 * exactly one thread. The stack is as deep as the most calls that ever were under way at once. */
#include "demo/app/outgoing.h"
#include "base/mem.h"
#include <curl/curl.h>
#include <pthread.h>

enum { HANDLES_MAX = 256, ANSWER_BYTES_MAX = 1 << 20 };

struct outgoing {
    struct outgoing_conf conf;
    pthread_mutex_t lock; /* guards the rest */
    CURL *idle[HANDLES_MAX];
    size_t idle_len;
    size_t turn; /* round robin over the addresses of a host */
};

struct outgoing *outgoing_new(const struct outgoing_conf *conf)
{
    struct outgoing *o = mem_zalloc(sizeof(*o));
    if (!o)
        return NULL;
    o->conf = *conf;
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

struct outgoing *outgoing_free(struct outgoing *o)
{
    if (!o)
        return NULL;
    for (size_t i = 0; i < o->idle_len; i++)
        curl_easy_cleanup(o->idle[i]);
    pthread_mutex_destroy(&o->lock);
    return mem_free(o);
}

static CURL *handle_take(struct outgoing *o)
{
    CURL *h = NULL;
    pthread_mutex_lock(&o->lock);
    if (o->idle_len)
        h = o->idle[--o->idle_len];
    pthread_mutex_unlock(&o->lock);
    return h ? h : curl_easy_init();
}

static void handle_give(struct outgoing *o, CURL *h)
{
    curl_easy_reset(h); /* settings go, the connection stays */
    pthread_mutex_lock(&o->lock);
    bool fits = o->idle_len < HANDLES_MAX;
    if (fits)
        o->idle[o->idle_len++] = h;
    pthread_mutex_unlock(&o->lock);
    if (!fits)
        curl_easy_cleanup(h);
}

/* The next address of the authority, or the authority itself when the list does not have it. */
static struct sv resolve(struct outgoing *o, struct sv authority)
{
    struct sv rest = sv_z(o->conf.hosts), entry;
    while (sv_cut(&rest, ',', &entry)) {
        struct sv name, address = { 0 };
        sv_cut(&entry, '=', &name);
        if (!sv_eq(name, authority) || !entry.len)
            continue;
        size_t n = 1;
        for (size_t i = 0; i < entry.len; i++)
            n += entry.p[i] == '|';
        pthread_mutex_lock(&o->lock);
        size_t pick = o->turn++ % n;
        pthread_mutex_unlock(&o->lock);
        for (size_t i = 0; i <= pick; i++)
            sv_cut(&entry, '|', &address);
        return address;
    }
    return authority;
}

static size_t on_body(char *p, size_t size, size_t n, void *to)
{
    struct buf *b = to;
    if (b->len + size * n > ANSWER_BYTES_MAX)
        return 0;
    buf_append(b, p, size * n);
    return size * n;
}

static struct curl_slist *header_add(struct curl_slist *list, struct buf *text)
{
    buf_putc(text, '\0');
    struct curl_slist *more = text->failed ? NULL : curl_slist_append(list, buf_sv(text).p);
    buf_clear(text);
    return more ? more : list;
}

static struct curl_slist *headers_of(const struct outgoing_call *call)
{
    AUTO_DONE(buf) text = { 0 };
    struct curl_slist *list = NULL;
    buf_printf(&text, "Host: %.*s", SV_ARG(call->authority));
    list = header_add(list, &text);
    buf_printf(&text, "Expect:"); /* no 100-continue round trip */
    list = header_add(list, &text);
    for (size_t i = 0; i < call->headers_len; i++) {
        buf_put(&text, call->headers[i]);
        list = header_add(list, &text);
    }
    return list;
}

static void set_options(struct outgoing *o, CURL *h, const struct outgoing_call *call,
                        struct buf *url, struct buf *into)
{
    struct sv host = o->conf.proxy[0] ? call->authority : resolve(o, call->authority);
    buf_printf(url, "http://%.*s%.*s%c", SV_ARG(host), SV_ARG(call->path), 0);
    curl_easy_setopt(h, CURLOPT_URL, buf_sv(url).p);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, 15000L);
    curl_easy_setopt(h, CURLOPT_PROXY, o->conf.proxy);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "");
    if (o->conf.source[0])
        curl_easy_setopt(h, CURLOPT_INTERFACE, o->conf.source);
    if (sv_eq(call->method, SV("POST"))) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)call->body.len);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body.p ? call->body.p : "");
    }
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, into);
}

unsigned outgoing_send(struct outgoing *o, const struct outgoing_call *call, struct buf *into)
{
    AUTO_DONE(buf) url = { 0 };
    CURL *h = handle_take(o);
    if (!h)
        return 0;
    struct curl_slist *headers = headers_of(call);
    set_options(o, h, call, &url, into);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    long status = 0;
    if (curl_easy_perform(h) == CURLE_OK)
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    handle_give(o, h);
    curl_slist_free_all(headers);
    return (unsigned)status;
}
