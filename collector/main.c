/* main.c - starts store, fold, query door, pipeline and OTLP door in this order, waits for a signal,
 * stops them again.
 *
 * The query door opens before the pipeline reads back what the last process left unfolded, so that
 * the map is there at once; /readyz says no until everything is started. The OTLP door opens last:
 * whoever can reach it gets an answer that holds. After a heavy load there is more to read back than
 * anybody wants to wait for; the pipeline then goes on with it beside exports. */
#include "aggregate/fold.h"
#include "base/flag.h"
#include "base/log.h"
#include "check.h"
#include "door.h"
#include "grpc_door.h"
#include "http.h"
#include "options.h"
#include "pipeline.h"
#include "scraper.h"
#include "tallies.h"
#include "watch.h"
#include "webhook.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define RESUME_NS (100 * NS_PER_MS) /* of a start, for reading back before exports are taken */

enum { EXIT_CLEAN = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

struct collector {
    struct options opt;
    struct arena mem;
    struct store *store;
    struct fold *fold;
    struct health_log *events;
    struct webhook *webhook;
    struct watch *watch;
    struct scraper *scraper;
    struct http *http;
    struct loop *loop;
    struct pipeline *pipeline;  /* set before is_open; the query door's threads ask it, too */
    struct addresses addresses; /* both doors' */
    struct door *door;
    struct grpc_door *grpc;
    unsigned draining;    /* doors that have not told yet */
    _Atomic bool is_open; /* everything is started and nothing is stopping */
};

static bool is_read_only(const struct collector *c)
{
    return c->opt.open[0] != '\0';
}

static bool is_ready(void *to, char *why, size_t why_size)
{
    struct collector *c = to;
    const char *reason = NULL;
    if (!atomic_load(&c->is_open))
        reason = "starting or stopping";
    else if (is_read_only(c))
        snprintf(why, why_size, "read-only, nothing is taken in");
    else if (pipeline_is_failing(c->pipeline))
        reason = "the store does not take data";
    else if (pipeline_is_resuming(c->pipeline))
        snprintf(why, why_size, "edges are behind, what came before the start is being counted");
    if (reason)
        snprintf(why, why_size, "%s", reason);
    return reason == NULL;
}

static void on_drained(void *to)
{
    struct collector *c = to;
    if (--c->draining == 0)
        loop_stop(c->loop);
}

static void drain_doors(struct collector *c)
{
    c->draining = (c->door != NULL) + (c->grpc != NULL);
    if (c->door)
        door_drain(c->door, c->opt.drain_ns, on_drained, c);
    if (c->grpc)
        grpc_door_drain(c->grpc, c->opt.drain_ns, on_drained, c);
}

static void on_signal(void *to, int signum)
{
    struct collector *c = to;
    bool was_open = atomic_exchange(&c->is_open, false);
    LOG_INFO("collector.stopping", KV_STR("signal", strsignal(signum)));
    if (was_open && (c->door || c->grpc))
        drain_doors(c);
    else
        loop_stop(c->loop); /* no door, or asked a second time */
}

static int make_data_folder(const struct options *o, struct err *err)
{
    if (o->store[0] || o->open[0] || mkdir(o->data, 0750) == 0 || errno == EEXIST)
        return 0;
    return err_set(err, ERR_IO, "%s: %s", o->data, strerror(errno));
}

static int start_store(struct collector *c, struct err *err)
{
    struct store_conf sc = { .url = c->opt.store_url,
                             .durability = c->opt.durability,
                             .keep = c->opt.keep,
                             .memory_bytes = c->opt.store_memory,
                             .is_read_only = is_read_only(c) };
    struct fold_conf fc = fold_conf_default();
    fc.series = c->opt.series;
    if (c->opt.halves_max)
        fc.halves_max = MIN(fc.halves_max, c->opt.halves_max);
    fc.dialects = c->opt.dialects;
    int rc = make_data_folder(&c->opt, err);
    if (rc < 0)
        return rc;
    c->store = store_open(&sc, err);
    if (!c->store) {
        err_context(err, "store %.*s", SV_ARG(c->opt.store_url));
        return -1;
    }
    c->fold = fold_new(&fc);
    return c->fold ? 0 : err_set(err, ERR_NOMEM, "edges");
}

static struct health_rules rules_of(const struct collector *c)
{
    return (struct health_rules){ c->opt.latency_degraded_ns, c->opt.latency_failing_ns };
}

static int start_webhook(struct collector *c, struct err *err)
{
    struct webhook_conf hc = { .url = c->opt.webhook, .first_retry_ns = NS_PER_S };
    c->events = health_log_new();
    if (!c->events)
        return err_set(err, ERR_NOMEM, "changes of health");
    if (!c->opt.webhook[0])
        return 0;
    c->webhook = webhook_open(&hc, err);
    if (!c->webhook)
        err_context(err, "--webhook");
    return c->webhook ? 0 : -1;
}

/* Edges are complete, so that health can be judged. */
static bool has_resumed(void *to)
{
    const struct collector *c = to;
    return !pipeline_is_resuming(c->pipeline);
}

/* After the pipeline, which first folds what the last process left: the past is then complete. */
static int start_watch(struct collector *c, struct err *err)
{
    struct watch_conf wc = { .store = c->store,
                             .fold = c->fold,
                             .log = c->events,
                             .rules = rules_of(c),
                             .may_judge = has_resumed,
                             .may_judge_to = c,
                             .sink = c->webhook ? webhook_push : NULL,
                             .sink_to = c->webhook };
    if (is_read_only(c))
        return 0;
    c->watch = watch_open(&wc, err);
    return c->watch ? 0 : -1;
}

static int start_query(struct collector *c, struct err *err)
{
    struct http_conf hc = { .listen = c->opt.listen,
                            .port = c->opt.http_port,
                            .store = c->store,
                            .fold = c->fold,
                            .tallies = &collector_tallies,
                            .is_ready = is_ready,
                            .is_ready_to = c,
                            .health = rules_of(c),
                            .events = c->events };
    if (c->opt.http_port == 0)
        return 0;
    c->http = http_open(&hc, err);
    if (!c->http)
        err_context(err, "--http-port %u", c->opt.http_port);
    return c->http ? 0 : -1;
}

static int start_ingest(struct collector *c, struct err *err)
{
    const struct options *o = &c->opt;
    if (is_read_only(c))
        return 0;
    struct scraper_conf sc = { .fold = c->fold,
                               .targets = o->scrape,
                               .interval_ns = o->scrape_interval_ns };
    if (o->scrape[0] && !(c->scraper = scraper_open(&sc, err))) {
        err_context(err, "--scrape");
        return -1;
    }
    struct pipeline_conf pc = { .store = c->store,
                                .fold = c->fold,
                                .loop = c->loop,
                                .queue_len = o->queue,
                                .inflight_max = o->max_inflight,
                                .on_tick = c->scraper ? scraper_fold : NULL,
                                .on_tick_to = c->scraper,
                                .resume_ns = RESUME_NS };
    c->pipeline = pipeline_open(&pc, err);
    if (!c->pipeline)
        return -1;
    struct door_conf dc = { .loop = c->loop,
                            .pipeline = c->pipeline,
                            .addresses = &c->addresses,
                            .listen = o->listen,
                            .port = o->otlp_http_port,
                            .limits = o->limits,
                            .conns_max = o->max_connections };
    if (o->otlp_http_port && !(c->door = door_open(&dc, err))) {
        err_context(err, "--otlp-http-port %u", o->otlp_http_port);
        return -1;
    }
    dc.port = o->grpc_port;
    if (o->grpc_port && !(c->grpc = grpc_door_open(&dc, err))) {
        err_context(err, "--grpc-port %u", o->grpc_port);
        return -1;
    }
    return 0;
}

static int start_loop(struct collector *c, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full disk by quota is an error of write(), not our end */
    c->loop = loop_new(err);
    if (!c->loop)
        return -1;
    int rc = loop_on_signal(c->loop, SIGTERM, on_signal, c, err);
    return rc < 0 ? rc : loop_on_signal(c->loop, SIGINT, on_signal, c, err);
}

static void say_ready(const struct collector *c)
{
    const struct options *o = &c->opt;
    char dashboard[96] = "off", otlp[96] = "off", grpc[96] = "off";
    const char *left = strchr(o->listen, ':') ? "[" : "", *right = left[0] ? "]" : "";
    if (c->http)
        snprintf(dashboard, sizeof(dashboard), "http://%s%s%s:%u/", left, o->listen, right,
                 http_port(c->http));
    if (c->door)
        snprintf(otlp, sizeof(otlp), "http://%s%s%s:%u/v1/traces", left, o->listen, right,
                 door_port(c->door));
    if (c->grpc)
        snprintf(grpc, sizeof(grpc), "%s%s%s:%u", left, o->listen, right, grpc_door_port(c->grpc));
    const struct {
        const char *option;
        uint16_t port;
    } unbuilt[] = { { "zipkin-port", o->zipkin_port }, { "thrift-port", o->thrift_port } };
    for (size_t i = 0; i < NELEMS(unbuilt); i++)
        if (unbuilt[i].port)
            LOG_WARN("door.not_built_yet", KV_STR("option", unbuilt[i].option),
                     KV_UINT("port", unbuilt[i].port));
    if (is_read_only(c))
        LOG_INFO("store.read_only", KV_STR("file", o->open), KV_STR("exports", "not taken"));
    LOG_INFO("collector.ready", KV_STR("dashboard", dashboard), KV_STR("otlp_http", otlp),
             KV_STR("grpc", grpc), KV_SV("store", o->store_url),
             KV_STR("durability", o->durability_name));
}

static int start(struct collector *c, struct err *err)
{
    if (start_loop(c, err) < 0 || start_store(c, err) < 0 || start_webhook(c, err) < 0 ||
        start_query(c, err) < 0 || start_ingest(c, err) < 0 || start_watch(c, err) < 0)
        return -1;
    atomic_store(&c->is_open, true);
    say_ready(c);
    return 0;
}

/* The query door asks the pipeline, so it goes first; the pipeline goes before the OTLP door,
 * because the answers it still owes are the door's to take. */
static void stop(struct collector *c)
{
    atomic_store(&c->is_open, false);
    watch_close(c->watch);
    webhook_close(c->webhook);
    http_close(c->http);
    pipeline_close(c->pipeline);
    scraper_close(c->scraper);
    door_close(c->door);
    grpc_door_close(c->grpc);
    addresses_done(&c->addresses);
    health_log_free(c->events);
    fold_free(c->fold);
    store_close(c->store);
    loop_free(c->loop);
}

/* Batches come and go with chunks of 256 KiB. By default each of them would be given back to the
 * system and faulted in again, which costs a third of decoding; so they are kept, and the pipeline
 * gives free memory back when it has been quiet for some seconds. Many threads allocate little; an
 * arena each would only hold memory. */
static void tune_malloc(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

/* Each connection is a descriptor, and the soft limit is often 1024. */
static void allow_many_connections(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    struct collector c = { .loop = NULL };
    struct err err = { 0 };
    tune_malloc();
    allow_many_connections();
    int rc = options_parse(&c.opt, &c.mem, argc, argv, &err);
    if (rc == FLAG_RUN) {
        log_set_level(c.opt.log_level);
        if (c.opt.is_check) {
            bool is_sound = check_store(c.opt.store_url, stdout);
            arena_done(&c.mem);
            return is_sound ? EXIT_CLEAN : EXIT_RUNTIME;
        }
        rc = start(&c, &err);
        if (rc == 0) {
            loop_run(c.loop);
            stop(&c);
            LOG_INFO("collector.stopped");
        } else {
            stop(&c);
        }
    }
    arena_done(&c.mem);
    if (rc >= 0)
        return EXIT_CLEAN;
    fprintf(stderr, "tulle-collector: %s\n", err.why[0] ? err.why : "could not start");
    return err.code == ERR_USAGE ? EXIT_USAGE : EXIT_RUNTIME;
}
