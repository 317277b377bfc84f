/* SPDX-License-Identifier: Apache-2.0
 * handover.c - the conversation of two processes about their listening sockets.
 *
 *   successor                         the one before
 *   "tulle-handover 1 ..."     ->
 *                              <-     "sockets N" and N descriptors, or "no: why"
 *   (reads files, opens ports)
 *   "ready"                    ->     stops accepting, drains
 *                              <-     "yours"
 *   (listens at PATH itself)
 *
 * Both hold the same sockets from then on, so a caller waits in one queue whoever accepts. Until
 * "ready" the one before serves as if nobody had come. After it, it keeps its sockets, deaf, to its
 * end: a successor that dies without having said "leaving" is seen as an end of stream, and the one
 * before listens again. Only one successor is spoken to at a time, of the same user (or root), and it
 * has READY_NS to be ready. */
#include "proxy/handover.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/supervisor.h"
#include "proxy/tallies.h"
#include "proxy/worker.h"
#include "tulle_version.h"
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELLO     "tulle-handover 1"
#define ANSWER_NS (5 * NS_PER_S)  /* for a loop that is busy with a reload to answer */
#define READY_NS  (60 * NS_PER_S) /* to read a large configuration on a loaded machine */

extern char **environ;

static struct sv text_of(const struct fdpass_msg *m)
{
    return sv_of(m->text, m->text_len);
}

/* A message after which nothing is expected; whoever is gone need not hear it. */
static void send_last(int fd, struct sv text)
{
    int rc = fdpass_send(fd, text, NULL, 0, NULL);
    (void)rc;
}

/* ---- the successor ---- */

/* The other's sockets, or why not. */
static int ask(int fd, struct fdpass_msg *m, struct err *err)
{
    char hello[FDPASS_TEXT_BYTES];
    int n = snprintf(hello, sizeof(hello), HELLO " pid=%ld version=%s", (long)getpid(),
                     TULLE_VERSION);
    int rc = fdpass_send(fd, sv_of(hello, (size_t)n), NULL, 0, err);
    if (rc == 0)
        rc = fdpass_recv(fd, m, err);
    if (rc == 0 && !sv_starts(text_of(m), SV("sockets "))) {
        fdpass_drop(m);
        rc = err_set(err, ERR_CONFLICT, "it answered '%.*s'", SV_ARG(text_of(m)));
    }
    return rc;
}

void handover_begin(struct worker *w)
{
    struct handover *h = &w->handover;
    struct fdpass_msg m;
    struct err err = { 0 };
    const char *path = w->opt->handover;
    h->worker = w;
    h->before_fd = -1;
    m.fds_len = supervisor_sockets(m.fds, FDPASS_MAX);
    if (m.fds_len)
        LOG_INFO("handover.activated",
                 KV_UINT("sockets", listeners_inherit(w->loop, m.fds, m.fds_len)));
    if (!path[0])
        return;
    int fd = fdpass_connect(path, ANSWER_NS, &err);
    if (fd == ERR_NOT_FOUND)
        return;
    int rc = fd < 0 ? fd : ask(fd, &m, &err);
    if (rc < 0) {
        LOG_WARN("handover.refused", KV_STR("path", path), KV_STR("why", err.why),
                 KV_STR("so", "the ports are opened without it"));
        if (fd >= 0)
            close(fd);
        return;
    }
    h->before_fd = fd;
    LOG_INFO("handover.begun", KV_STR("path", path),
             KV_UINT("sockets", listeners_inherit(w->loop, m.fds, m.fds_len)));
}

static void on_before(void *owner)
{
    struct handover *h = owner;
    struct fdpass_msg m;
    int rc = fdpass_recv(fd_watch_fd(h->before), &m, NULL);
    if (rc == 0)
        fdpass_drop(&m);
    if (rc == 0 || rc == ERR_BUSY)
        return;
    LOG_INFO("handover.finished", KV_STR("what", "the process before us has ended"));
    h->before = fd_watch_free(h->before);
}

/* The one before stops accepting. That it does not answer must not keep us from serving. */
static int take_over(struct worker *w, struct err *err)
{
    struct handover *h = &w->handover;
    struct fdpass_msg m;
    struct err silent = { 0 };
    int fd = h->before_fd;
    h->before_fd = -1;
    int rc = fdpass_send(fd, SV("ready"), NULL, 0, &silent);
    if (rc == 0)
        rc = fdpass_recv(fd, &m, &silent);
    if (rc == 0)
        fdpass_drop(&m);
    else
        LOG_WARN("handover.no_answer", KV_STR("why", silent.why), KV_STR("so", "we serve"));
    tally(TALLY_HANDOVER_TAKEN);
    h->before = fd_watch_new(w->loop, fd, on_before, h, err);
    return h->before ? 0 : ERR_NOMEM;
}

/* ---- the one before ---- */

static void forget_next(struct handover *h)
{
    timer_stop(&h->timer);
    h->next = fd_watch_free(h->next);
    h->has_yielded = false;
}

/* True when it may be spoken to on. */
static bool say(struct handover *h, struct sv text, const int *fds, size_t len)
{
    struct err err = { 0 };
    if (fdpass_send(fd_watch_fd(h->next), text, fds, len, &err) == 0)
        return true;
    LOG_WARN("handover.lost", KV_STR("why", err.why));
    forget_next(h);
    return false;
}

static void give_sockets(struct handover *h)
{
    int fds[FDPASS_MAX];
    char text[32];
    size_t n = listeners_fds(h->worker->loop, fds, FDPASS_MAX);
    int len = snprintf(text, sizeof(text), "sockets %zu", n);
    if (say(h, sv_of(text, (size_t)len), fds, n))
        timer_after(&h->timer, READY_NS);
}

static void yield_to_next(struct handover *h)
{
    struct worker *w = h->worker;
    timer_stop(&h->timer);
    h->has_yielded = true;
    if (h->before) /* it need not listen again, should we die: there is somebody else now */
        send_last(fd_watch_fd(h->before), SV("leaving"));
    LOG_INFO("handover.yielded", KV_UINT("requests_active", w->streams_len),
             KV_UINT("connections", w->downs_len));
    tally(TALLY_HANDOVER_GIVEN);
    worker_yield(w);
    (void)say(h, SV("yours"), NULL, 0);
}

static void on_door(void *owner);

/* At --handover, in place of whoever was there. */
static int open_door(struct handover *h, struct err *err)
{
    int fd = fdpass_listen(h->worker->opt->handover, err);
    if (fd < 0) {
        err_context(err, "--handover");
        return fd;
    }
    h->door = fd_watch_new(h->worker->loop, fd, on_door, h, err);
    return h->door ? 0 : ERR_NOMEM;
}

/* The successor had our place at --handover. */
static void reopen_door(struct handover *h)
{
    struct err err = { 0 };
    h->door = fd_watch_free(h->door);
    if (open_door(h, &err) < 0)
        LOG_ERROR("handover.no_door", KV_STR("why", err.why),
                  KV_STR("so", "nobody can take over from this process"));
}

static void on_lost(struct handover *h)
{
    bool had_yielded = h->has_yielded;
    forget_next(h);
    LOG_WARN("handover.lost", KV_STR("why", "the successor has ended"),
             KV_STR("so", had_yielded ? "we accept again" : "we go on"));
    tally(TALLY_HANDOVER_LOST);
    if (!had_yielded)
        return;
    worker_resume(h->worker);
    reopen_door(h);
}

static void on_next(void *owner)
{
    struct handover *h = owner;
    struct fdpass_msg m;
    struct err err = { 0 };
    int rc = fdpass_recv(fd_watch_fd(h->next), &m, &err);
    if (rc == ERR_BUSY)
        return;
    if (rc < 0) {
        on_lost(h);
        return;
    }
    fdpass_drop(&m);
    struct sv text = text_of(&m);
    if (sv_starts(text, SV(HELLO " "))) {
        give_sockets(h);
    } else if (sv_eq(text, SV("ready")) && !h->has_yielded) {
        yield_to_next(h);
    } else if (sv_eq(text, SV("leaving"))) {
        forget_next(h);
    } else if (say(h, SV("no: version 1 is spoken here"), NULL, 0)) {
        LOG_WARN("handover.refused", KV_SV("said", text), KV_STR("want", HELLO));
        forget_next(h);
    }
}

static void on_timeout(struct timer *t)
{
    struct handover *h = CONTAINER_OF(t, struct handover, timer);
    LOG_WARN("handover.lost", KV_STR("why", "the successor was not ready in time"));
    tally(TALLY_HANDOVER_LOST);
    forget_next(h);
}

/* An answer sent before the question is read would be lost to a reset. */
static void on_refused(void *owner)
{
    struct handover *h = owner;
    struct fdpass_msg m;
    if (fdpass_recv(fd_watch_fd(h->refused), &m, NULL) == 0) {
        fdpass_drop(&m);
        send_last(fd_watch_fd(h->refused), sv_z(h->refusal));
    }
    h->refused = fd_watch_free(h->refused);
}

static void on_door(void *owner)
{
    struct handover *h = owner;
    struct err err = { 0 };
    uid_t user = 0;
    int fd = fdpass_accept(fd_watch_fd(h->door), &user);
    if (fd < 0)
        return;
    bool is_stranger = user != geteuid() && user != 0;
    if (is_stranger || h->next) {
        fd_watch_free(h->refused); /* who has not spoken by now is not waited for */
        h->refusal = is_stranger ? "no: another user" : "no: another successor is being spoken to";
        h->refused = fd_watch_new(h->worker->loop, fd, on_refused, h, &err);
        return;
    }
    h->next = fd_watch_new(h->worker->loop, fd, on_next, h, &err);
    timer_after(&h->timer, READY_NS);
}

/* ---- both ---- */

int handover_finish(struct worker *w, struct err *err)
{
    struct handover *h = &w->handover;
    timer_init(&h->timer, w->loop, on_timeout);
    listeners_disinherit(w->loop);
    int rc = h->before_fd >= 0 ? take_over(w, err) : 0;
    return rc < 0 || !w->opt->handover[0] ? rc : open_door(h, err);
}

/* The file that is there now under the name we were started from: perhaps a newer program. */
static const char *program_file(char to[PATH_MAX])
{
    static const char deleted[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", to, PATH_MAX - 1);
    if (n < 0)
        return NULL;
    to[n] = '\0';
    size_t tail = sizeof(deleted) - 1;
    if ((size_t)n > tail && memcmp(to + n - tail, deleted, tail) == 0)
        to[(size_t)n - tail] = '\0';
    return to;
}

void handover_spawn(struct worker *w, char *const *argv)
{
    struct handover *h = &w->handover;
    char file[PATH_MAX];
    if (!h->door || h->child || h->has_yielded) {
        LOG_WARN("handover.not_begun",
                 KV_STR("why", !h->door ? "there is no --handover" : "one is under way"));
        return;
    }
    if (!program_file(file)) {
        LOG_ERROR("handover.not_begun", KV_STR("why", "/proc/self/exe cannot be read"));
        return;
    }
    int rc = posix_spawn(&h->child, file, NULL, NULL, argv, environ);
    if (rc != 0) {
        h->child = 0;
        LOG_ERROR("handover.not_begun", KV_STR("program", file), KV_STR("why", strerror(rc)));
        return;
    }
    LOG_INFO("handover.started", KV_STR("program", file), KV_UINT("pid", (uint64_t)h->child));
}

void handover_reap(struct worker *w)
{
    struct handover *h = &w->handover;
    int status = 0;
    if (!h->child || waitpid(h->child, &status, WNOHANG) != h->child)
        return;
    h->child = 0;
    LOG_WARN("handover.successor_ended",
             KV_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
             KV_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
}

void handover_leave(struct worker *w)
{
    struct handover *h = &w->handover;
    if (h->before)
        send_last(fd_watch_fd(h->before), SV("leaving"));
}

void handover_close(struct worker *w)
{
    struct handover *h = &w->handover;
    timer_stop(&h->timer);
    if (h->before_fd >= 0 && h->worker)
        close(h->before_fd);
    h->before_fd = -1;
    h->door = fd_watch_free(h->door);
    h->next = fd_watch_free(h->next);
    h->refused = fd_watch_free(h->refused);
    h->before = fd_watch_free(h->before);
}
