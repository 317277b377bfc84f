/* SPDX-License-Identifier: Apache-2.0
 * wait.c - asks a proxy's readiness port until it says yes; for a postStart hook, which holds the
 * application's container back as long as it runs.
 *
 * Blocking sockets and a sleep: there is nothing else to do. */
#include "proxy/wait.h"
#include "base/clock.h"
#include "base/flag.h"
#include "base/sv.h"
#include "net/addr.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ASK_S 1

struct wait_conf {
    const char *host;
    uint16_t port;
    int64_t timeout_ns, every_ns;
};
#define OFF(field) offsetof(struct wait_conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "listen",         FLAG_STR,  OFF(host),       "127.0.0.1", "address of the proxy", NULL },
    { "readiness-port", FLAG_PORT, OFF(port),       "15021",     "its readiness port", NULL },
    { "timeout",        FLAG_NSEC, OFF(timeout_ns), "60s",       "how long to wait", NULL },
    { "every",          FLAG_NSEC, OFF(every_ns),   "50ms",      "time between two questions", NULL },
};
/* clang-format on */
static const struct flag_table table = {
    "tulle-proxy wait", "waits until the proxy is ready", NULL, rows, NELEMS(rows),
};

/* 200, another status, or 0 with err. */
static unsigned ask(const struct addr *at, struct err *err)
{
    static const char question[] = "GET /healthz/ready HTTP/1.1\r\nhost: proxy\r\n"
                                   "connection: close\r\n\r\n";
    const struct timeval t = { .tv_sec = ASK_S };
    char answer[64] = "";
    unsigned status = 0;
    *err = (struct err){ 0 };
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set(err, ERR_IO, "socket: %s", strerror(errno));
        return 0;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    if (connect(fd, &at->sa, addr_len(at)) != 0 ||
        send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0 ||
        recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) <= 0)
        err_set(err, ERR_IO, "%s", strerror(errno));
    else if (sscanf(answer, "HTTP/1.1 %3u", &status) != 1)
        err_set(err, ERR_MALFORMED, "it does not speak HTTP/1.1");
    close(fd);
    return status;
}

static int wait_for(const struct wait_conf *c, const struct addr *at)
{
    struct err err = { 0 };
    const struct timespec nap = { .tv_sec = c->every_ns / NS_PER_S,
                                  .tv_nsec = c->every_ns % NS_PER_S };
    char text[ADDR_TEXT_SIZE];
    int64_t deadline_ns = clock_mono_ns() + c->timeout_ns;
    unsigned status = 0;
    for (;;) {
        status = ask(at, &err);
        if (status == 200)
            return 0;
        if (clock_mono_ns() + c->every_ns >= deadline_ns)
            break;
        nanosleep(&nap, NULL);
    }
    fprintf(stderr, "tulle-proxy wait: %.*s is not ready: ", SV_ARG(addr_text(at, text)));
    if (status)
        fprintf(stderr, "it answers %u\n", status);
    else
        fprintf(stderr, "%s\n", err.why);
    return 1;
}

int wait_main(int argc, char **argv)
{
    AUTO_DONE(arena) mem = { 0 };
    struct wait_conf c = { 0 };
    struct addr at = { 0 };
    struct err err = { 0 };
    int rc = flag_parse(&table, &c, &mem, argc, argv, NULL, &err);
    if (rc == FLAG_EXIT)
        return 0;
    bool is_any = rc == FLAG_RUN && (strcmp(c.host, "0.0.0.0") == 0 || strcmp(c.host, "::") == 0);
    if (rc == FLAG_RUN)
        rc = addr_parse(is_any ? SV("127.0.0.1") : sv_z(c.host), c.port, &at, &err);
    if (rc < 0) {
        fprintf(stderr, "tulle-proxy wait: %s\n", err.why);
        return 2;
    }
    return wait_for(&c, &at);
}
