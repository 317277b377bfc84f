/* ingest.c - the load of ./dev bench ingest: exports over keep-alive connections, and how fast and
 * how soon they were acknowledged. bench.py starts it beside a collector and reads what that cost.
 *
 * One thread and poll(). Requests are made before the clock starts, up to --ahead bytes of them, so
 * that making them does not hold up the collector; what is sent beyond that is made on the way.
 * At a --rate an export is due at its time and waits for a free connection if there is none; its
 * latency counts from when it was due. A refused export (429, 503) is sent again after 50 ms.
 * Prints one line of JSON. */
#include "base/clock.h"
#include "base/flag.h"
#include "exports.h"
#include "load.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, ANSWER_BYTES_MAX = 4096 };
#define RETRY_NS (50 * NS_PER_MS)

struct conf {
    uint16_t port;
    uint64_t spans, connections, rate, seed, ahead_bytes;
    int64_t seconds_ns;
    bool gzip;
    const char *workload;
};

#define OFF(field) offsetof(struct conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "port",        FLAG_PORT,   OFF(port),        "4318",   "of the collector's OTLP/HTTP door on 127.0.0.1", NULL },
    { "spans",       FLAG_UINT,   OFF(spans),       "400000", "how many to send, rounded up to whole exports", NULL },
    { "time",        FLAG_NSEC,   OFF(seconds_ns),  "60s",    "stop then even if not all are sent", NULL },
    { "connections", FLAG_UINT,   OFF(connections), "16",     "kept open, 1 to 256", NULL },
    { "rate",        FLAG_UINT,   OFF(rate),        "0",      "spans a second; 0 as fast as they are taken", NULL },
    { "seed",        FLAG_UINT,   OFF(seed),        "1",      "of the generator", NULL },
    { "ahead",       FLAG_BYTES,  OFF(ahead_bytes), "512MiB", "of requests made before the clock starts", NULL },
    { "gzip",        FLAG_BOOL,   OFF(gzip),        "false",  "compress bodies, level 6", NULL },
    { "workload",    FLAG_CHOICE, OFF(workload),    "mesh",   "14 tags as Envoy sets them, or 30 with events and links", "mesh|rich" },
};
/* clang-format on */

struct line {
    int fd;
    bool is_busy;
    struct buf request;
    size_t sent;
    int64_t due_ns, retry_ns;
    char answer[ANSWER_BYTES_MAX];
    size_t answer_len;
};

struct load {
    struct conf conf;
    struct exports exports;
    struct buf *ahead;
    size_t ahead_at, ahead_len;
    struct line *lines;
    int64_t *latency_ns;
    size_t total, begun, acked;
    uint64_t refused;
    int64_t start_ns;
};

static int64_t due_ns(const struct load *l, size_t nth)
{
    if (l->conf.rate == 0)
        return 0;
    return l->start_ns + (int64_t)((double)nth * EXPORT_SPANS * 1e9 / (double)l->conf.rate);
}

static int begin(struct load *l, struct line *x, int64_t now_ns)
{
    if (l->ahead_at < l->ahead_len)
        x->request = l->ahead[l->ahead_at++];
    else if (exports_next(&l->exports, &x->request) < 0)
        return -1;
    x->due_ns = l->conf.rate ? due_ns(l, l->begun) : now_ns;
    x->is_busy = true;
    x->sent = x->answer_len = 0;
    x->retry_ns = 0;
    l->begun++;
    return 0;
}

static int push(struct line *x)
{
    while (x->sent < x->request.len) {
        struct sv all = buf_sv(&x->request);
        ssize_t n = send(x->fd, all.p + x->sent, all.len - x->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        x->sent += (size_t)n;
    }
    return 0;
}

/* 0: not whole yet; else its status; -1: no answer we understand. */
static int answer_status(const struct line *x)
{
    struct sv all = sv_of(x->answer, x->answer_len);
    const char *end = memmem(all.p, all.len, "\r\n\r\n", 4);
    const char *field = memmem(all.p, all.len, "Content-Length: ", 16);
    if (!end)
        return 0;
    if (!field || field > end || all.len < 12)
        return -1;
    size_t head = (size_t)(end - all.p) + 4, body = strtoul(field + 16, NULL, 10);
    if (all.len < head + body)
        return 0;
    return all.len == head + body ? (int)strtol(all.p + 9, NULL, 10) : -1;
}

static int pull(struct load *l, struct line *x)
{
    size_t room = sizeof(x->answer) - 1 - x->answer_len;
    ssize_t n = recv(x->fd, x->answer + x->answer_len, room, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    x->answer_len += (size_t)n;
    x->answer[x->answer_len] = 0;
    int status = answer_status(x);
    if (status == 0)
        return 0;
    int64_t now_ns = clock_mono_ns();
    if (status == 429 || status == 503) {
        l->refused++;
        x->retry_ns = now_ns + RETRY_NS;
        x->sent = x->answer_len = 0;
        return 0;
    }
    if (status != 200) {
        fprintf(stderr, "bench-ingest: answered %.*s\n", (int)x->answer_len, x->answer);
        return -1;
    }
    l->latency_ns[l->acked++] = now_ns - x->due_ns;
    buf_done(&x->request);
    x->is_busy = false;
    return 0;
}

/* What each connection waits for; *ret_wait_ns is when something falls due by itself. */
static int prepare(struct load *l, struct pollfd *polls, bool may_begin, int64_t *ret_wait_ns)
{
    int64_t now_ns = clock_mono_ns();
    for (size_t i = 0; i < l->conf.connections; i++) {
        struct line *x = &l->lines[i];
        bool is_due = may_begin && l->begun < l->total && due_ns(l, l->begun) <= now_ns;
        if (!x->is_busy && is_due && begin(l, x, now_ns) < 0)
            return -1;
        if (x->is_busy && x->sent < x->request.len && x->retry_ns <= now_ns && push(x) < 0)
            return -1;
        bool is_waiting = x->is_busy && x->retry_ns > now_ns;
        bool is_sending = x->is_busy && x->sent < x->request.len && !is_waiting;
        polls[i] = (struct pollfd){ .fd = x->is_busy && !is_waiting ? x->fd : -1,
                                    .events = is_sending ? POLLIN | POLLOUT : POLLIN };
        if (is_waiting)
            *ret_wait_ns = MIN(*ret_wait_ns, x->retry_ns - now_ns);
    }
    if (may_begin && l->conf.rate && l->begun < l->total)
        *ret_wait_ns = MIN(*ret_wait_ns, MAX(due_ns(l, l->begun) - now_ns, INT64_C(0)));
    return 0;
}

static int run(struct load *l)
{
    struct pollfd polls[CONNECTIONS_MAX];
    l->start_ns = clock_mono_ns();
    for (;;) {
        bool may_begin = clock_mono_ns() - l->start_ns < l->conf.seconds_ns;
        if (l->acked == l->begun && (l->begun == l->total || !may_begin))
            return 0;
        int64_t wait_ns = NS_PER_S;
        if (prepare(l, polls, may_begin, &wait_ns) < 0)
            return -1;
        struct timespec wait = { .tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S };
        if (ppoll(polls, l->conf.connections, &wait, NULL) < 0 && errno != EINTR)
            return -1;
        for (size_t i = 0; i < l->conf.connections; i++)
            if (polls[i].fd >= 0 && polls[i].revents & ~POLLOUT && pull(l, &l->lines[i]) < 0)
                return -1;
    }
}

static int set_up(struct load *l)
{
    const struct conf *c = &l->conf;
    l->total = (size_t)((c->spans + EXPORT_SPANS - 1) / EXPORT_SPANS);
    l->exports = (struct exports){ .random = { c->seed },
                                   .is_rich = strcmp(c->workload, "rich") == 0,
                                   .is_gzip = c->gzip };
    l->ahead = calloc(l->total + 1, sizeof(*l->ahead));
    l->latency_ns = calloc(l->total + 1, sizeof(*l->latency_ns));
    l->lines = calloc(c->connections, sizeof(*l->lines));
    if (!l->ahead || !l->latency_ns || !l->lines)
        return -1;
    for (uint64_t bytes = 0; l->ahead_len < l->total && bytes < c->ahead_bytes; l->ahead_len++) {
        if (exports_next(&l->exports, &l->ahead[l->ahead_len]) < 0)
            return -1;
        bytes += l->ahead[l->ahead_len].len;
    }
    struct addr to;
    if (addr_parse(SV("127.0.0.1"), c->port, &to, NULL) < 0)
        return -1;
    for (size_t i = 0; i < c->connections; i++)
        if ((l->lines[i].fd = load_dial(&to)) < 0)
            return -1;
    return 0;
}

static void load_done(struct load *l)
{
    for (size_t i = l->ahead_at; l->ahead && i < l->ahead_len; i++)
        buf_done(&l->ahead[i]);
    exports_done(&l->exports);
    free(l->ahead);
    free(l->latency_ns);
    free(l->lines);
}

static double quantile_ms(const struct load *l, double q)
{
    return (double)load_quantile_ns(l->latency_ns, l->acked, q) / 1e6;
}

int main(int argc, char **argv)
{
    struct load l = { 0 };
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    const struct flag_table table = { "bench-ingest", "sends mesh spans over OTLP/HTTP", NULL, rows,
                                      NELEMS(rows) };
    int rc = flag_parse(&table, &l.conf, &mem, argc, argv, NULL, &err);
    if (rc == FLAG_EXIT)
        return 0;
    if (rc < 0 || l.conf.connections == 0 || l.conf.connections > CONNECTIONS_MAX) {
        fprintf(stderr, "bench-ingest: %s\n", rc < 0 ? err.why : "--connections: 1 to 256");
        return 2;
    }
    if (set_up(&l) < 0 || run(&l) < 0) {
        fprintf(stderr, "bench-ingest: %s\n", strerror(errno));
        load_done(&l);
        return 1;
    }
    double wall_s = (double)(clock_mono_ns() - l.start_ns) / 1e9;
    load_sort(l.latency_ns, l.acked);
    printf(
        "{\"spans\":%zu,\"wall_s\":%.3f,\"ack_p50_ms\":%.2f,\"ack_p99_ms\":%.2f,\"refused\":%llu,"
        "\"body_bytes_per_span\":%.1f}\n",
        l.acked * EXPORT_SPANS, wall_s, quantile_ms(&l, 0.5), quantile_ms(&l, 0.99),
        (unsigned long long)l.refused, (double)l.exports.body_bytes / (double)l.exports.spans);
    load_done(&l);
    return 0;
}
