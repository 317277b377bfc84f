/* SPDX-License-Identifier: Apache-2.0
 * companion.c - is the application still there? For a Job, whose Pod is done only when every container is.
 *
 * With shareProcessNamespace a Pod's processes see each other without any privilege. The first is the
 * Pod's pause container, ours have our name, and the rest is the application. When there was one and
 * two looks in a row find none, we drain and end with status 0. Where native sidecars exist
 * (Kubernetes 1.29) none of this is needed: the kubelet ends them itself.
 *
 * In a Pod that is deleted every container gets SIGTERM at once, so a proxy that drains may ask whether
 * the application still needs it: as long as its port is open it does (--drain-waits-for-app). */
#include "proxy/companion.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sv.h"
#include "proxy/worker.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_NS   (500 * NS_PER_MS)
#define ABSENCES  2 /* a script's next command may be about to start */
#define TELL_NS   (60 * NS_PER_S)
#define COUNT_MAX 1
#define PORT_NS   (200 * NS_PER_MS) /* between two looks at the port, and for each of them */

struct process {
    char name[32];
    char state;
    long parent;
};

/* /proc/PID/stat: "12 (name) S 1 ..."; the name may hold anything. */
static bool read_process(const char *proc, const char *pid, struct process *ret)
{
    char path[300], text[256];
    snprintf(path, sizeof(path), "%s/%s/stat", proc, pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    struct sv all = sv_of(text, n);
    text[n] = '\0';
    size_t open = sv_index(all, '('), close = sv_rindex(all, ')');
    if (close == all.len || open >= close)
        return false;
    (void)sv_to_z(sv_sub(all, open + 1, MIN(close - open - 1, sizeof(ret->name) - 1)), ret->name,
                  sizeof(ret->name));
    return sscanf(text + close + 1, " %c %ld", &ret->state, &ret->parent) == 2;
}

size_t companion_count(const char *proc, long self)
{
    struct process own, other;
    char number[24];
    size_t n = 0;
    snprintf(number, sizeof(number), "%ld", self);
    DIR *d = read_process(proc, number, &own) ? opendir(proc) : NULL;
    if (!d)
        return COUNT_MAX; /* who cannot look must not conclude that nobody is there */
    for (struct dirent *e; n < COUNT_MAX && (e = readdir(d));) {
        uint64_t pid;
        if (!sv_to_u64(sv_z(e->d_name), &pid) || pid == 1 || (long)pid == own.parent)
            continue;
        bool is_other = read_process(proc, e->d_name, &other) && other.state != 'Z' &&
                        other.state != 'X' && strcmp(other.name, own.name) != 0;
        n += is_other;
    }
    closedir(d);
    return n;
}

static void look(struct timer *t)
{
    struct companion *c = CONTAINER_OF(t, struct companion, timer);
    struct worker *w = c->worker;
    bool is_there = companion_count("/proc", (long)getpid()) > 0;
    c->was_seen |= is_there;
    c->absences = is_there ? 0 : c->absences + 1;
    if (c->was_seen && c->absences >= ABSENCES) {
        worker_end(w, "the application has ended");
        return;
    }
    if (!c->was_seen && !c->is_told && clock_mono_ns() - w->started_ns > TELL_NS) {
        c->is_told = true;
        LOG_WARN("companion.nobody",
                 KV_STR("why", "no other process is seen; --exit-with-app needs "
                               "shareProcessNamespace: true"));
    }
    timer_after(&c->timer, LOOK_NS);
}

void companion_start(struct worker *w)
{
    struct companion *c = &w->companion;
    c->worker = w;
    timer_init(&c->timer, w->loop, look);
    if (w->opt->exit_with_app)
        timer_after(&c->timer, LOOK_NS);
}

static void on_port(void *owner, struct conn *conn, enum conn_event ev)
{
    struct companion *c = owner;
    (void)conn;
    conn_close(TAKE(c->conn));
    if (ev != CONN_FAILED) {
        timer_after(&c->port_timer, PORT_NS);
        return;
    }
    c->is_port_closed = true;
    worker_check_drained(c->worker);
}

static void look_at_port(struct timer *t)
{
    struct companion *c = CONTAINER_OF(t, struct companion, port_timer);
    struct worker *w = c->worker;
    c->conn = conn_connect(w->loop, &w->opt->app_addr, PORT_NS, on_port, c, NULL);
    if (!c->conn) /* no descriptor left: not the application's doing */
        timer_after(&c->port_timer, PORT_NS);
}

void companion_watch_port(struct worker *w)
{
    struct companion *c = &w->companion;
    timer_init(&c->port_timer, w->loop, look_at_port);
    timer_after(&c->port_timer, 0);
}

void companion_stop(struct worker *w)
{
    timer_stop(&w->companion.timer);
    timer_stop(&w->companion.port_timer);
    conn_close(TAKE(w->companion.conn));
}
