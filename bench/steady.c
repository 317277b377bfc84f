/* steady.c - requests at a steady rate, and how long each took: the load of ./dev bench proxy where latency counts.
 *
 * Open loop: request n is due at n / rate, whether those before it have been answered or not. It goes
 * out on the connection that has rested longest. Its time runs from when it is written; if all
 * connections were taken when it fell due, from when it was due, so that a server which stalls is charged
 * for all who wait. (From when it was due always would add the time this process takes to wake up, which
 * is the kernel's.) One thread, epoll, the finest timer the kernel has. The first --warm-up is not counted.
 * Anything but 200 is an error and ends the run: numbers of failing requests mean nothing.
 * Prints one line of JSON. */
#include "base/clock.h"
#include "base/flag.h"
#include "base/list.h"
#include "load.h"
#include "wire/h1.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REQUESTS_MAX = 10000000, ANSWER_BYTES = 16384, SLOTS = 64 };
enum { EVENTS_MAX = 64, HEAD_BYTES_MAX = 8192 };

struct conf {
    const char *to, *host;
    uint64_t rate, connections;
    int64_t time_ns, warm_ns;
};

#define OFF(field) offsetof(struct conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "to",          FLAG_STR,  OFF(to),          "",     "ADDRESS:PORT", NULL },
    { "host",        FLAG_STR,  OFF(host),        "host", "of the requests, GET /", NULL },
    { "rate",        FLAG_UINT, OFF(rate),        "1000", "requests a second", NULL },
    { "connections", FLAG_UINT, OFF(connections), "16",   "kept open, 1 to 256", NULL },
    { "time",        FLAG_NSEC, OFF(time_ns),     "3s",   "of requests that count", NULL },
    { "warm-up",     FLAG_NSEC, OFF(warm_ns),     "300ms", "before these", NULL },
};
/* clang-format on */

struct line {
    struct list node; /* in `resting` */
    int fd;
    bool is_busy, is_counted;
    int64_t from_ns;
    struct h1 h1;
    struct http_header slots[SLOTS];
    char in[ANSWER_BYTES]; /* of a head; bodies are passed over */
    size_t in_len;
};

struct load {
    struct conf conf;
    struct buf request;
    struct line *lines;
    struct list resting; /* the first has rested longest */
    int64_t *took_ns;
    size_t total, warm, sent, done, counted;
    int64_t start_ns, taken_until_ns; /* until then no connection was free */
    bool is_starved;
    int epoll;
};

static int64_t due_ns(const struct load *l, size_t nth)
{
    return l->start_ns + (int64_t)((double)nth * 1e9 / (double)l->conf.rate);
}

static int send_one(struct load *l, struct line *x)
{
    int64_t due = due_ns(l, l->sent);
    bool has_waited = due <= l->taken_until_ns;
    list_remove(&x->node);
    x->is_busy = true;
    x->is_counted = l->sent >= l->warm;
    x->in_len = 0;
    h1_begin(&x->h1, H1_RESPONSE, x->slots, SLOTS, HEAD_BYTES_MAX);
    l->sent++;
    x->from_ns = has_waited ? due : clock_mono_ns();
    /* a request of a few hundred bytes fits the buffer of a connection that rested */
    ssize_t n = send(x->fd, buf_sv(&l->request).p, l->request.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t)l->request.len ? 0 : -1;
}

/* Whatever is due and has a connection. */
static int send_due(struct load *l)
{
    int64_t now_ns = clock_mono_ns();
    while (l->sent < l->total && due_ns(l, l->sent) <= now_ns) {
        struct line *x = LIST_FIRST(&l->resting, struct line, node);
        l->is_starved = !x;
        if (!x)
            return 0;
        if (send_one(l, x) < 0)
            return -1;
    }
    return 0;
}

static void answered(struct load *l, struct line *x)
{
    int64_t now_ns = clock_mono_ns();
    x->is_busy = false;
    list_add_tail(&l->resting, &x->node);
    if (l->is_starved)
        l->taken_until_ns = now_ns;
    if (x->is_counted)
        l->took_ns[l->counted++] = now_ns - x->from_ns;
    l->done++;
}

static int bad(const char *what, struct sv text)
{
    fprintf(stderr, "bench-steady: %s: %.*s\n", what, (int)MIN(text.len, (size_t)300), text.p);
    errno = EPROTO;
    return -1;
}

static int parse(struct load *l, struct line *x)
{
    struct sv in = sv_of(x->in, x->in_len);
    for (;;) {
        switch (h1_next(&x->h1, &in)) {
        case H1_HEAD:
            if (x->h1.head.status != 200)
                return bad("not answered with 200", sv_of(x->in, x->in_len));
            break;
        case H1_BODY: break;
        case H1_END:
            if (in.len || !x->h1.head.is_keep_alive)
                return bad("not kept open", sv_of(x->in, x->in_len));
            answered(l, x);
            return 0;
        case H1_BAD: return bad(x->h1.err.why, sv_of(x->in, x->in_len));
        case H1_NEED_MORE:
            if (x->h1.is_head_done)
                x->in_len = 0; /* the rest is body */
            return 0;
        }
    }
}

static int pull(struct load *l, struct line *x)
{
    ssize_t n = recv(x->fd, x->in + x->in_len, sizeof(x->in) - x->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0 || !x->is_busy)
        return bad("connection", SV("closed, or an answer nobody asked for"));
    x->in_len += (size_t)n;
    return parse(l, x);
}

static int run(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    l->start_ns = clock_mono_ns();
    while (l->done < l->total) {
        if (send_due(l) < 0)
            return -1;
        int64_t wait_ns = NS_PER_S, now_ns = clock_mono_ns();
        if (l->sent < l->total && !l->is_starved)
            wait_ns = MAX(due_ns(l, l->sent) - now_ns, 0);
        struct timespec wait = { .tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S };
        int n = epoll_pwait2(l->epoll, events, EVENTS_MAX, &wait, NULL);
        if (n < 0 && errno != EINTR)
            return -1;
        for (int i = 0; i < n; i++)
            if (pull(l, events[i].data.ptr) < 0)
                return -1;
    }
    return 0;
}

static int open_line(struct load *l, struct line *x, const struct addr *to)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = x };
    x->fd = load_dial(to);
    if (x->fd < 0)
        return -1;
    list_add_tail(&l->resting, &x->node);
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, x->fd, &ev);
}

static int set_up(struct load *l, const struct addr *to)
{
    const struct conf *c = &l->conf;
    l->warm = (size_t)((double)c->warm_ns / 1e9 * (double)c->rate);
    l->total = l->warm + (size_t)((double)c->time_ns / 1e9 * (double)c->rate);
    list_init(&l->resting);
    h1_put_request_line(&l->request, SV("GET"), SV("/"));
    h1_put_field(&l->request, SV("Host"), sv_z(c->host));
    h1_put_end(&l->request);
    l->took_ns = calloc(l->total + 1, sizeof(*l->took_ns));
    l->lines = calloc(c->connections, sizeof(*l->lines));
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->request.failed || !l->took_ns || !l->lines || l->epoll < 0)
        return -1;
    /* 50 us by default: half of what is to be measured */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    for (size_t i = 0; i < c->connections; i++)
        if (open_line(l, &l->lines[i], to) < 0)
            return -1;
    return 0;
}

static void load_done(struct load *l)
{
    for (size_t i = 0; l->lines && i < l->conf.connections; i++)
        h1_done(&l->lines[i].h1);
    buf_done(&l->request);
    free(l->lines);
    free(l->took_ns);
}

static int check(const struct conf *c, struct addr *ret_to, struct err *err)
{
    double requests = (double)(c->time_ns + c->warm_ns) / 1e9 * (double)c->rate;
    if (c->connections == 0 || c->connections > CONNECTIONS_MAX)
        return err_set(err, ERR_USAGE, "--connections: 1 to %d", CONNECTIONS_MAX);
    if (c->rate == 0 || requests > REQUESTS_MAX)
        return err_set(err, ERR_USAGE, "--rate, --time: 1 to %d requests", REQUESTS_MAX);
    int rc = addr_parse_host_port(sv_z(c->to), ret_to, err);
    if (rc < 0)
        err_context(err, "--to");
    return rc;
}

int main(int argc, char **argv)
{
    struct load l = { 0 };
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    struct addr to;
    const struct flag_table table = { "bench-steady", "sends requests at a steady rate", NULL, rows,
                                      NELEMS(rows) };
    int rc = flag_parse(&table, &l.conf, &mem, argc, argv, NULL, &err);
    if (rc == FLAG_EXIT)
        return 0;
    if (rc < 0 || check(&l.conf, &to, &err) < 0) {
        fprintf(stderr, "bench-steady: %s\n", err.why);
        return 2;
    }
    if (set_up(&l, &to) < 0 || run(&l) < 0) {
        fprintf(stderr, "bench-steady: %s: %s\n", l.conf.to, strerror(errno));
        load_done(&l);
        return 1;
    }
    double wall_s = (double)(clock_mono_ns() - l.start_ns) / 1e9;
    load_sort(l.took_ns, l.counted);
    printf("{\"requests\":%zu,\"rate\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", l.counted,
           (double)l.total / wall_s, (double)load_quantile_ns(l.took_ns, l.counted, 0.5) / 1e3,
           (double)load_quantile_ns(l.took_ns, l.counted, 0.99) / 1e3);
    load_done(&l);
    return 0;
}
