/* main.c - demo-mesh: starts the collector and a mesh of small applications with real sidecars, keeps
 * users busy in it, and in the end proves that what the collector shows is what happened.
 *
 * The main thread does everything but the load: it starts and ends the children, looks twice a
 * second whether all of them live, and waits for Ctrl-C. Phases: start, run, (stop the load, drain,
 * compare), close. */
#include "base/clock.h"
#include "base/flag.h"
#include "demo/mesh/check.h"
#include "demo/mesh/load.h"
#include "demo/mesh/mesh.h"
#include "demo/mesh/pods.h"
#include <curl/curl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

enum { READY_WAIT_S = 30, DRAIN_WAIT_S = 20, DOWN_MS = 1500 };

struct demo_conf {
    int64_t for_ns, status_ns;
    uint64_t rate, sidecars;
    uint16_t port, otlp_port;
    const char *net, *programs;
    bool is_kept, kill_collector, only_mesh;
};
#define OFF(field) offsetof(struct demo_conf, field)
static const struct flag demo_flags[] = {
    { "for", FLAG_NSEC, OFF(for_ns), "0s", "stop after this time and compare; 0: until Ctrl-C",
      NULL },
    { "rate", FLAG_UINT, OFF(rate), "25", "requests a second from outside", NULL },
    { "sidecars", FLAG_UINT, OFF(sidecars), "21",
      "pods with a sidecar: more than 21 (14 with only-mesh) are more replicas; at most 200",
      NULL },
    { "only-mesh", FLAG_BOOL, OFF(only_mesh), "false",
      "one gateway: without the Ingresses and what only they lead to", NULL },
    { "port", FLAG_PORT, OFF(port), "16686", "dashboard and API of the collector", NULL },
    { "otlp-port", FLAG_PORT, OFF(otlp_port), "4318", "where the proxies send telemetry", NULL },
    { "pod-net", FLAG_STR, OFF(net), "127.1.0", "first three parts of the pods' addresses", NULL },
    { "programs", FLAG_STR, OFF(programs), "", "folder of the programs (default: beside this)",
      NULL },
    { "status-every", FLAG_NSEC, OFF(status_ns), "5s", "time between status lines", NULL },
    { "kill-collector", FLAG_BOOL, OFF(kill_collector), "false",
      "kill -9 the collector half-way and start it again", NULL },
    { "keep", FLAG_BOOL, OFF(is_kept), "false", "keep the folder with config, logs and data",
      NULL },
};
static const struct flag_table demo_table = {
    "demo-mesh",
    "a mesh to look at, and a check that what is seen is true",
    NULL,
    demo_flags,
    NELEMS(demo_flags),
};

struct demo {
    struct demo_conf conf;
    struct demo_mesh mesh;
    struct counts sent;
    struct load *load;
    sigset_t stop_signals;
    int64_t from_ns; /* wall clock */
    char here[PATH_MAX], programs[PATH_MAX];
};

/* Sleeps up to ms; true when somebody wants us to stop. */
static bool wants_stop(const struct demo *d, long ms)
{
    struct timespec nap = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };
    return sigtimedwait(&d->stop_signals, NULL, &nap) > 0;
}

/* The last lines of a child's log: why it went. */
static void show_log(const struct proc *p)
{
    char tail[2048];
    FILE *f = fopen(p->log, "re");
    fprintf(stderr, "demo: %s has ended; the end of its log:\n", p->name);
    if (!f)
        return;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    fseek(f, size > (long)sizeof(tail) ? size - (long)sizeof(tail) : 0, SEEK_SET);
    size_t n = fread(tail, 1, sizeof(tail), f);
    fwrite(tail, 1, n, stderr);
    fclose(f);
}

static bool all_alive(struct demo *d)
{
    const struct proc *fallen = mesh_fallen(&d->mesh);
    if (fallen)
        show_log(fallen);
    return !fallen;
}

/* 0 ready, 1 asked to stop, -1 failed. */
static int wait_ready(struct demo *d)
{
    const char *who = "";
    int64_t deadline_ns = clock_mono_ns() + READY_WAIT_S * NS_PER_S;
    while (!mesh_is_ready(&d->mesh, &who)) {
        if (!all_alive(d))
            return -1;
        if (clock_mono_ns() > deadline_ns) {
            fprintf(stderr, "demo: %s is not ready after %d s; see %s/logs\n", who, READY_WAIT_S,
                    d->mesh.dir);
            d->mesh.conf.is_kept = true;
            return -1;
        }
        if (wants_stop(d, 100))
            return 1;
    }
    return 0;
}

static void print_status(struct demo *d, int64_t started_ns)
{
    struct load_stats s = load_get_stats(d->load);
    uint64_t requests, errors;
    size_t edges = counts_sum(&d->sent, &requests, &errors);
    int64_t elapsed_s = (clock_mono_ns() - started_ns) / NS_PER_S;
    printf("%4lld s  %llu requests from outside (%llu failed), %llu calls on %zu edges (%llu "
           "failed)\n",
           (long long)elapsed_s, (unsigned long long)s.sent, (unsigned long long)s.failed,
           (unsigned long long)requests, edges, (unsigned long long)errors);
    fflush(stdout);
}

/* kill -9, a moment without a collector, and a new one on the same data. */
static int crash_collector(struct demo *d)
{
    struct err err = { 0 };
    printf("        kill -9 of the collector\n");
    fflush(stdout);
    mesh_kill_collector(&d->mesh);
    wants_stop(d, DOWN_MS);
    if (mesh_restart_collector(&d->mesh, &err) < 0) {
        fprintf(stderr, "demo: %s\n", err.why);
        return -1;
    }
    printf("        started again\n");
    fflush(stdout);
    return 0;
}

/* Returns when time is up (0), somebody asks to stop (1), or something broke (-1). */
static int run(struct demo *d, int64_t started_ns)
{
    int64_t status_ns = started_ns;
    bool is_crash_due = d->conf.kill_collector && d->conf.for_ns;
    for (;;) {
        if (wants_stop(d, 200))
            return 1;
        if (!all_alive(d))
            return -1;
        int64_t now_ns = clock_mono_ns(), elapsed_ns = now_ns - started_ns;
        if (d->conf.for_ns && elapsed_ns >= d->conf.for_ns)
            return 0;
        if (now_ns - status_ns >= d->conf.status_ns) {
            print_status(d, started_ns);
            status_ns = now_ns;
        }
        if (is_crash_due && elapsed_ns >= d->conf.for_ns / 2) {
            is_crash_due = false;
            if (crash_collector(d) < 0)
                return -1;
        }
    }
}

static bool compare(struct demo *d)
{
    struct check_conf check = { .base_url = d->mesh.base_url,
                                .from_ns = d->from_ns,
                                .wait_ns = DRAIN_WAIT_S * NS_PER_S,
                                .with_metrics = !d->conf.kill_collector };
    struct load_stats s = load_get_stats(d->load);
    printf("\nload stopped; comparing what was sent with what the collector tells\n");
    fflush(stdout);
    if (s.unanswered)
        printf("%llu requests got no answer, so what they caused is not known\n",
               (unsigned long long)s.unanswered);
    return check_run(&check, &d->sent) && !s.unanswered;
}

static void greet(const struct demo *d)
{
    printf("\n  %s   the map: calls, errors, latency and mutual TLS, live\n", d->mesh.base_url);
    printf("  %s/api/v1/edges and %s/metrics tell the same\n", d->mesh.base_url, d->mesh.base_url);
    printf("  http://%s.2:%d (Host: shop.example.com) is the way into the mesh\n", d->conf.net,
           GATEWAY_PORT);
    if (!d->conf.only_mesh)
        printf("  http://%s.3:%d, https://%s.4:%d and http://%s.5:%d are those of Ingresses\n",
               d->conf.net, GATEWAY_PORT, d->conf.net, GATEWAY_TLS_PORT, d->conf.net, GATEWAY_PORT);
    printf(
        "  look at: database (only backend may call it), app (90/10), reviews (90/10, and v2 for\n"
        "  the user jason), inventory (plaintext, outside the mesh), catalog-db (no sidecar)\n");
    printf("  files: %s%s\n\n", d->mesh.dir, d->conf.is_kept ? "" : " (removed at the end)");
    fflush(stdout);
}

static int demo(struct demo *d)
{
    struct err err = { 0 };
    if (mesh_start(&d->mesh, &err) < 0) {
        fprintf(stderr, "demo: %s\n", err.why);
        return 1;
    }
    int rc = wait_ready(d);
    if (rc != 0)
        return rc < 0;
    greet(d);
    char ca_file[512];
    snprintf(ca_file, sizeof(ca_file), "%s/certs/gateway/root-cert.pem", d->mesh.dir);
    struct load_conf load = { d->conf.net, ca_file, MAX(d->conf.rate, 1), &d->sent };
    d->load = load_new(&load);
    if (!d->load)
        return 1;
    int64_t started_ns = clock_mono_ns();
    rc = run(d, started_ns);
    load_stop(d->load);
    print_status(d, started_ns);
    if (rc != 0)
        return rc < 0;
    return compare(d) ? 0 : 1;
}

/* Folders of this program and, unless told, of the others: build/demo and build/bin. */
static int find_programs(struct demo *d, struct err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return err_set(err, ERR_IO, "/proc/self/exe cannot be read");
    self[n] = '\0';
    snprintf(d->here, sizeof(d->here), "%s", dirname(self));
    if (d->conf.programs[0])
        snprintf(d->programs, sizeof(d->programs), "%s", d->conf.programs);
    else if (snprintf(d->programs, sizeof(d->programs), "%s/../bin", d->here) >= PATH_MAX)
        return err_set(err, ERR_IO, "the path is too long");
    return 0;
}

static int run_demo(struct demo *d)
{
    struct err err = { 0 };
    struct mesh_conf mesh = { .net = d->conf.net,
                              .http_port = d->conf.port,
                              .otlp_port = d->conf.otlp_port,
                              .programs = d->programs,
                              .here = d->here,
                              .is_kept = d->conf.is_kept };
    d->from_ns = clock_wall_ns();
    if (find_programs(d, &err) < 0 || mesh_open(&d->mesh, &mesh, &err) < 0) {
        fprintf(stderr, "demo: %s\n", err.why);
        return 1;
    }
    int status = demo(d);
    d->load = load_free(d->load);
    if (!mesh_close(&d->mesh))
        fprintf(stderr, "demo: some program did not end cleanly by itself\n");
    if (d->mesh.conf.is_kept)
        printf("kept: %s\n", d->mesh.dir);
    return status;
}

int main(int argc, char **argv)
{
    static struct demo d; /* the table of processes is too big for a stack */
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    int rc = flag_parse(&demo_table, &d.conf, &mem, argc, argv, NULL, &err);
    if (rc == FLAG_EXIT)
        return 0;
    if (rc < 0) {
        fprintf(stderr, "demo-mesh: %s\n", err.why);
        return 2;
    }
    if (d.conf.sidecars > 200) {
        fprintf(stderr, "demo-mesh: --sidecars: at most 200\n");
        return 2;
    }
    pods_scale(d.conf.sidecars, !d.conf.only_mesh);
    sigemptyset(&d.stop_signals);
    sigaddset(&d.stop_signals, SIGINT);
    sigaddset(&d.stop_signals, SIGTERM);
    sigaddset(&d.stop_signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &d.stop_signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    counts_init(&d.sent);
    int status = run_demo(&d);
    counts_done(&d.sent);
    curl_global_cleanup();
    return status;
}
