/* main.c - reads options, runs one worker, ends on SIGTERM or SIGINT, reads its files anew on SIGHUP, starts
 * a successor on SIGUSR2.
 *
 * Exit status: 0 after a clean drain, 1 when something failed at run time, 2 for a mistake in
 * options, configuration or certificates. */
#include "base/flag.h"
#include "base/footprint.h"
#include "net/supervisor.h"
#include "proxy/init.h"
#include "proxy/wait.h"
#include "proxy/worker.h"
#include "tulle_version.h"
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_CLEAN = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

struct program {
    struct worker worker;
    struct options opt;
    char **argv;
};

static void on_signal(void *to, int signum)
{
    struct worker *w = to;
    LOG_INFO("proxy.stopping", KV_STR("signal", strsignal(signum)),
             KV_UINT("requests_active", w->streams_len));
    if (!w->is_yielding)
        supervisor_tell("STOPPING=1\n");
    handover_leave(w);
    worker_drain(w);
}

static void on_child(void *to, int signum)
{
    (void)signum;
    handover_reap(to);
}

static void on_hangup(void *to, int signum)
{
    (void)signum;
    reload_now(to);
}

/* One arena and early return to the system: a sidecar is one of many on its node. */
static void tune_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 256 * 1024);
    mallopt(M_MMAP_THRESHOLD, 512 * 1024);
}

/* As many descriptors as we are allowed: two a request. */
static void raise_descriptor_limit(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim);
    }
}

static void on_successor_wanted(void *to, int signum)
{
    struct program *p = to;
    (void)signum;
    handover_spawn(&p->worker, p->argv);
}

/* Until somebody listens for them they wait; a process whose ports are open already must not end by
 * what means "read again" and "be followed". */
static void hold_signals(int how)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGUSR2);
    (void)pthread_sigmask(how, &held, NULL);
}

static int start(struct program *p, struct err *err)
{
    hold_signals(SIG_BLOCK);
    struct worker *w = &p->worker;
    int rc = worker_init(w, &p->opt, err);
    if (rc == 0)
        rc = loop_on_signal(w->loop, SIGTERM, on_signal, w, err);
    if (rc == 0)
        rc = loop_on_signal(w->loop, SIGINT, on_signal, w, err);
    if (rc == 0)
        rc = loop_on_signal(w->loop, SIGHUP, on_hangup, w, err);
    if (rc == 0)
        rc = loop_on_signal(w->loop, SIGUSR2, on_successor_wanted, p, err);
    if (rc == 0)
        rc = loop_on_signal(w->loop, SIGCHLD, on_child, w, err);
    if (rc == 0)
        hold_signals(SIG_UNBLOCK);
    return rc;
}

/* Whoever supervises us may have known another process until now. */
static void tell_ready(void)
{
    char lines[64];
    snprintf(lines, sizeof(lines), "MAINPID=%ld\nREADY=1\n", (long)getpid());
    supervisor_tell(lines);
}

static int run(struct program *p)
{
    struct worker *w = &p->worker;
    const struct options *opt = &p->opt;
    struct err err = { 0 };
    int rc = start(p, &err);
    if (rc < 0) {
        LOG_ERROR("proxy.start_failed", KV_STR("why", err.why));
        worker_done(w);
        return rc == ERR_USAGE || rc == ERR_TLS ? EXIT_USAGE : EXIT_RUNTIME;
    }
    LOG_INFO("proxy.started", KV_STR("version", TULLE_VERSION), KV_STR("role", opt->role),
             KV_SV("workload", w->self.workload), KV_SV("service", w->self.service),
             KV_SV("revision", w->self.version), KV_STR("listen", opt->listen));
    tell_ready();
    footprint_shrink();
    worker_run(w);
    worker_done(w);
    LOG_INFO("proxy.stopped");
    return EXIT_CLEAN;
}

/* Programs beside the proxy itself: `tulle-proxy NAME ...`. */
static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} others[] = {
    { "wait", wait_main },
    { "init", init_main },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < NELEMS(others); i++)
        if (strcmp(argv[1], others[i].name) == 0)
            return others[i].main(argc - 1, argv + 1);
    AUTO_DONE(arena) mem = { 0 };
    static struct program p; /* large, and there is one */
    struct err err = { 0 };
    tune_memory();
    int rc = options_parse(&p.opt, &mem, argc, argv, &err);
    if (rc == FLAG_EXIT)
        return EXIT_CLEAN;
    if (rc < 0) {
        fprintf(stderr, "tulle-proxy: %s\n", err.why);
        return EXIT_USAGE;
    }
    log_set_level(p.opt.log_level);
    raise_descriptor_limit();
    p.argv = argv;
    return run(&p);
}
