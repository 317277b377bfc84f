/* worker.c - starts a worker's parts in order, runs the loop, and takes it down in three steps.
 *
 * Draining: the ports for callers from outside close; requests in flight go on until none is left or
 * --drain-timeout is over, and until then the application can still call out, because answering may
 * need it; then telemetry sends what it holds, and the loop stops. A caller's connection that rests is
 * not cut off, since its next request may be under way already: that one is answered with
 * `Connection: close`, and only one that goes on resting is closed. The admin doors stay open
 * throughout and say that we are draining.
 *
 * Yielding to a successor is the same with other numbers: all sockets stay open, unheard, because the
 * successor holds them too and might die. */
#include "proxy/worker.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/admin.h"
#include "proxy/current.h"
#include "proxy/downstream.h"
#include "proxy/mirror.h"
#include "proxy/status.h"
#include "proxy/stream.h"
#include "proxy/tcp.h"
#include "proxy/web.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FLUSH_NS      (2 * NS_PER_S) /* for the collector to take the last batches */
#define DRAIN_IDLE_NS NS_PER_S       /* a request sent before our end was known has come by then */

void worker_take_block(struct worker *w, struct buf *to)
{
    if (w->spare_blocks_len) {
        *to = w->spare_blocks[--w->spare_blocks_len];
        return;
    }
    *to = (struct buf){ 0 };
    (void)buf_reserve(to, BLOCK_BYTES); /* a failure shows at the next buf_reserve() */
}

void worker_give_block(struct worker *w, struct buf *from)
{
    if (from->mem && from->cap == BLOCK_BYTES && w->spare_blocks_len < SPARE_BLOCKS_MAX) {
        buf_clear(from);
        w->spare_blocks[w->spare_blocks_len++] = *from;
        *from = (struct buf){ 0 };
        return;
    }
    buf_done(from);
}

static struct sv text_or_unknown(struct worker *w, const char *text)
{
    return arena_copy(&w->mem, text[0] ? sv_z(text) : IDENTITY_UNKNOWN);
}

/* What the options say; the workload's own Pod fills what they leave open. */
static void make_self(struct worker *w)
{
    const struct options *o = w->opt;
    w->self.cluster = text_or_unknown(w, o->cluster);
    w->self.namespace = text_or_unknown(w, o->namespace);
    w->self.workload = text_or_unknown(w, o->workload);
    w->self.service = sv_z(o->service);
    w->self.version = sv_z(o->version);
    w->self.principal = IDENTITY_UNKNOWN;
    char text[64];
    int n = snprintf(text, sizeof(text), "inbound|%u||", addr_port(&o->app_addr));
    w->inbound_cluster = arena_copy(&w->mem, sv_of(text, n > 0 ? (size_t)n : 0));
}

static int make_metadata(struct worker *w, struct err *err)
{
    const struct options *o = w->opt;
    struct peer_self self = {
        .identity = w->self,
        .pod = sv_z(o->pod),
        .ip = sv_z(o->listen),
        .trust_domain = sv_z(o->trust_domain),
        .is_gateway = o->is_gateway,
    };
    return peer_metadata_encode(&self, &w->mem, &w->metadata, &w->metadata_id, err);
}

static int open_access_log(struct worker *w, struct err *err)
{
    const char *to = w->opt->access_log;
    w->access_log_fd = -1;
    if (strcmp(to, "none") == 0 || strcmp(to, "off") == 0 || to[0] == '\0')
        return 0;
    w->access_log_fd = strcmp(to, "-") == 0
                           ? STDOUT_FILENO
                           : open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return w->access_log_fd >= 0 ? 0
                                 : err_set(err, ERR_IO, "--access-log %s: %s", to, strerror(errno));
}

static int start_telemetry(struct worker *w, struct err *err)
{
    const struct options *o = w->opt;
    int rc = open_access_log(w, err);
    if (rc < 0)
        return rc;
    struct telemetry_conf conf = {
        .collector_url = o->collector,
        .self = w->self,
        .service_account = sv_z(o->service_account),
        .pod = sv_z(o->pod),
        .queue_bytes = o->telemetry_queue,
        .access_log_fd = w->access_log_fd,
        .access_log_format = o->access_log_format,
        .access_log_from = (unsigned)o->access_log_from,
        .metrics_series = o->metrics_series,
        .metrics_expiry_ns = o->metrics_expiry_ns,
    };
    w->telemetry = telemetry_new(w->loop, &conf, err);
    return w->telemetry ? 0 : ERR_USAGE;
}

static void on_drain_timeout(struct timer *t);

int worker_init(struct worker *w, const struct options *opt, struct err *err)
{
    *w = (struct worker){ .opt = opt, .access_log_fd = -1, .started_ns = clock_mono_ns() };
    w->client_tls_tcp.is_tcp = true;
    list_init(&w->downs);
    list_init(&w->ups);
    list_init(&w->copies);
    make_self(w);
    w->body = mem_alloc(BODY_BYTES);
    w->loop = loop_new(err);
    if (!w->loop || !w->body)
        return err_set(err, ERR_NOMEM, "worker");
    timer_init(&w->drain_timer, w->loop, on_drain_timeout);
    handover_begin(w);
    companion_start(w);
    health_init(&w->health, w->loop, w);
    names_init(&w->names, w->loop, opt->dns_refresh_ns, current_on_names, w);
    reload_start(w);                     /* first: what changes while it is read is a change */
    int rc = current_take_certs(w, err); /* first: a gateway's ports may show them */
    if (rc == 0)
        rc = current_take_config(w, err);
    if (rc == 0)
        rc = make_metadata(w, err);
    if (rc == 0)
        rc = start_telemetry(w, err);
    if (rc == 0)
        rc = status_init(w, err);
    if (rc == 0)
        rc = admin_open(w, err);
    if (rc == 0)
        rc = current_open_ports(w, err);
    if (rc == 0)
        rc = handover_finish(w, err);
    return rc;
}

void worker_run(struct worker *w)
{
    loop_run(w->loop);
}

bool worker_is_ready(const struct worker *w)
{
    return !w->is_unready &&
           (!w->is_draining || w->is_yielding); /* whoever asks us then means our successor */
}

static void on_flushed(void *arg, bool is_empty)
{
    struct worker *w = arg;
    w->is_flushing = false;
    if (!w->is_draining) /* we serve again */
        return;
    if (!is_empty)
        LOG_WARN("telemetry.lost", KV_UINT("bytes", telemetry_stats(w->telemetry).queued_bytes));
    loop_stop(w->loop);
}

/* Requests are over: what is left is to tell of them. */
static void flush_telemetry(struct worker *w)
{
    if (w->is_flushing)
        return;
    w->is_flushing = true;
    timer_stop(&w->drain_timer);
    pools_close_idle(w);
    telemetry_drain(w->telemetry, clock_mono_ns() + FLUSH_NS, on_flushed, w);
}

/* Nothing is in flight, and nobody can send more but an application of which we cannot know. */
static bool is_over(const struct worker *w)
{
    size_t callers = 0;
    for (size_t i = 0; i < w->ports_len; i++)
        if (w->is_yielding || w->ports[i].side != SIDE_OUTBOUND)
            callers += w->ports[i].downs_len;
    bool is_needed = !w->is_yielding && w->opt->waits_for_app && !w->companion.is_port_closed;
    return w->streams_len == 0 && callers == 0 && !is_needed;
}

void worker_check_drained(struct worker *w)
{
    if (w->is_draining && !w->is_flushing && is_over(w))
        timer_set(&w->drain_timer, 1); /* at once, but not from inside a connection's callback */
}

static void close_downs(struct worker *w)
{
    LIST_EACH (it, after, &w->downs) {
        down_abort(CONTAINER_OF(it, struct down, node));
    }
}

static void on_drain_timeout(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, drain_timer);
    for (size_t i = 0; i < w->ports_len && !w->is_yielding; i++)
        w->ports[i].listener = listener_close(w->ports[i].listener);
    close_downs(w);
    flush_telemetry(w);
}

int64_t worker_idle_ns(const struct worker *w)
{
    int64_t most_ns = w->opt->idle_ns;
    if (!w->is_draining)
        return most_ns;
    int64_t drain_ns = w->is_yielding ? w->opt->drain_ns : DRAIN_IDLE_NS;
    return most_ns ? MIN(most_ns, drain_ns) : drain_ns;
}

static void begin_drain(struct worker *w, int64_t at_most_ns)
{
    reload_stop(w);
    health_stop(&w->health);
    LIST_EACH (it, after, &w->downs) {
        struct down *d = CONTAINER_OF(it, struct down, node);
        bool is_meant = w->is_yielding || d->port->side != SIDE_OUTBOUND;
        if (is_meant && d->h2)
            down_end(d);
        else if (is_meant && !d->stream && !d->tcp)
            conn_set_idle(d->conn, worker_idle_ns(w));
    }
    timer_after(&w->drain_timer, at_most_ns);
    if (!w->is_yielding && w->opt->waits_for_app)
        companion_watch_port(w);
    worker_check_drained(w);
}

void worker_drain(struct worker *w)
{
    if (w->is_yielding) { /* told to end while a successor serves: the usual time must do */
        timer_after(&w->drain_timer, w->opt->drain_ns);
        w->is_yielding = false;
        return;
    }
    if (w->is_draining) {
        loop_stop(w->loop);
        return;
    }
    w->is_draining = true;
    for (size_t i = 0; i < w->ports_len; i++)
        if (w->ports[i].side != SIDE_OUTBOUND)
            w->ports[i].listener = listener_close(w->ports[i].listener);
    begin_drain(w, w->opt->drain_ns);
}

void worker_unready(struct worker *w, bool is_unready)
{
    w->is_unready = is_unready;
    LOG_INFO(is_unready ? "proxy.unready" : "proxy.ready_again",
             KV_UINT("requests_active", w->streams_len));
    LIST_EACH (it, after, &w->downs) {
        struct down *d = CONTAINER_OF(it, struct down, node);
        bool is_meant = is_unready && d->port->side != SIDE_OUTBOUND;
        if (is_meant && d->h2)
            down_end(d);
        else if (is_meant && !d->stream && !d->tcp)
            conn_set_idle(d->conn, DRAIN_IDLE_NS);
    }
}

void worker_end(struct worker *w, const char *why)
{
    LOG_INFO("proxy.stopping", KV_STR("why", why), KV_UINT("requests_active", w->streams_len));
    handover_leave(w);
    worker_drain(w);
}

void worker_yield(struct worker *w)
{
    listeners_set_deaf(w->loop, true);
    for (size_t i = 0; i < NELEMS(w->doors); i++)
        web_retire(w->doors[i], true);
    if (w->is_draining) /* told to end before: that goes on */
        return;
    w->is_draining = w->is_yielding = true;
    begin_drain(w, w->opt->handover_ns);
}

void worker_resume(struct worker *w)
{
    if (!w->is_yielding)
        return;
    w->is_draining = w->is_yielding = false;
    timer_stop(&w->drain_timer);
    listeners_set_deaf(w->loop, false);
    for (size_t i = 0; i < NELEMS(w->doors); i++)
        web_retire(w->doors[i], false);
    reload_resume(w);
    health_resume(&w->health);
}

static void close_everything(struct worker *w)
{
    close_downs(w);
    mirrors_close(w);
    pools_close_idle(w);
    for (size_t i = 0; i < w->ports_len; i++)
        w->ports[i].listener = listener_close(w->ports[i].listener);
    admin_close(w);
    handover_close(w);
    status_close(w);
    companion_stop(w);
    reload_stop(w);
    timer_stop(&w->drain_timer);
}

void worker_done(struct worker *w)
{
    if (w->loop)
        close_everything(w);
    names_done(&w->names);
    health_done(&w->health);
    w->telemetry = telemetry_free(w->telemetry);
    w->loop = loop_free(w->loop);
    pools_done(w);
    streams_trim(w);
    for (size_t i = 0; i < w->spare_blocks_len; i++)
        buf_done(&w->spare_blocks[i]);
    w->certs = certs_free(w->certs);
    w->gateway_tls = gateway_tls_free(w->gateway_tls);
    limiter_done(&w->limiter);
    breakers_done(&w->breakers);
    client_tls_done(&w->client_tls);
    client_tls_done(&w->client_tls_tcp);
    if (w->mesh)
        w->mesh = mesh_unref(w->mesh);
    if (w->access_log_fd > STDERR_FILENO)
        close(w->access_log_fd);
    outlier_done(&w->outlier);
    mem_free(w->active);
    mem_free(w->body);
    buf_done(&w->head);
    buf_done(&w->h2_out);
    arena_done(&w->mem);
}
