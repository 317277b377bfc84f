/* SPDX-License-Identifier: Apache-2.0
 * status.c - the pages of the status port: /app-health/... asks the application, /quitquitquit ends us.
 *
 * Whoever may end a proxy has to be where it is: the application's last act in a Job without native
 * sidecars, or a preStop hook. Probes come from the kubelet, so they are answered to everybody. */
#include "proxy/status.h"
#include "base/log.h"
#include "proxy/tallies.h"
#include "proxy/worker.h"

static void probed(void *to, unsigned status, const char *why)
{
    tally(status == 200 ? TALLY_PROBE_OK : TALLY_PROBE_FAILED);
    char text[256];
    int n = snprintf(text, sizeof(text), "%s\n", why);
    web_reply_send(to, status, sv_of(text, MIN((size_t)MAX(n, 0), sizeof(text) - 1)));
}

static void app_health(void *to, const struct web_ask *ask, struct web_reply *reply)
{
    struct worker *w = to;
    struct err err = { 0 };
    const struct probe *p = probes_find(&w->probes, ask->path);
    if (!p) {
        web_reply_send(reply, 404, SV("no such probe: see --app-probers\n"));
        return;
    }
    if (probe_run(w->loop, &w->probes, p, &w->opt->app_addr, probed, reply, &err) < 0)
        probed(reply, 503, err.why);
}

static void quit(void *to, const struct web_ask *ask, struct web_reply *reply)
{
    struct worker *w = to;
    if (!ask->is_from_here) {
        web_reply_send(reply, 403, SV("only from this machine or Pod\n"));
        return;
    }
    web_reply_send(reply, 200, SV("OK\n"));
    if (!w->is_draining)
        worker_end(w, "quitquitquit");
}

static unsigned ready(void *to, struct buf *body)
{
    bool is_ready = worker_is_ready(to);
    buf_put(body, is_ready ? SV("LIVE\n") : SV("DRAINING\n"));
    return is_ready ? 200 : 503;
}

#define TEXT "text/plain; charset=utf-8"
/* clang-format off */
static const struct web_route routes[] = {
    { .path = "/app-health/*",  .content_type = TEXT, .later = app_health },
    { .path = "/healthz/ready", .content_type = TEXT, .answer = ready },
    { .path = "/quitquitquit",  .content_type = TEXT, .later = quit, .is_post = true },
};
/* clang-format on */

struct web_routes status_routes(void)
{
    return (struct web_routes){ routes, NELEMS(routes) };
}

int status_init(struct worker *w, struct err *err)
{
    const char *json = w->opt->app_probers;
    if (!json[0])
        return 0;
    if (probes_parse(sv_z(json), &w->mem, &w->probes, err) < 0) {
        err_context(err, "--app-probers at byte %zu", err->at);
        return ERR_USAGE;
    }
    if (w->opt->status_port == 0)
        LOG_WARN("status.no_port", KV_STR("why", "there are --app-probers but no --status-port"));
    return 0;
}

void status_close(struct worker *w)
{
    probes_cancel(&w->probes);
}
