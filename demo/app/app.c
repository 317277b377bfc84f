/* app.c - an application of the demo mesh: answers HTTP, and calls others before it does.
 *
 * It is an ordinary program: it knows its routes, and an http_proxy address to send its calls to.
 * All a mesh asks of an application is to hand on the trace headers of the request it works on.
 * Every answer tells, as JSON, which calls were made below it and how they ended; so whoever sent
 * the first request knows exactly what the mesh must have seen.
 *
 *   {"workload":"reviews-v2","version":"v2","status":200,
 *    "calls":[{"to":"ratings:9080","status":503,"answer":{...} or null}]}
 *
 * One thread a connection: calls block, and a demo has tens of connections, not thousands. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/flag.h"
#include "base/hash.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "demo/app/outgoing.h"
#include "demo/app/route.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { ROUTES_MAX = 16, BODY_BYTES_MAX = 4 << 20, HANDED_ON_MAX = 16 };

/* The headers an application hands on from the request it serves to the ones it makes. */
static const char *const handed_on[] = {
    "traceparent",  "tracestate",  "baggage",      "x-request-id", "end-user",          "b3",
    "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags",   "x-b3-parentspanid",
};

struct app_conf {
    const char *listen, *service, *workload, *version;
    struct outgoing_conf out;
};
struct app {
    struct app_conf conf;
    struct app_route routes[ROUTES_MAX];
    size_t routes_len;
    struct outgoing *out;
    _Atomic uint64_t dice_turn;
    uint64_t dice_seed;
};

#define OFF(field) offsetof(struct app_conf, field)
static const struct flag app_flags[] = {
    { "listen", FLAG_STR, OFF(listen), "127.0.0.1:9080", "address to answer on", NULL },
    { "service", FLAG_STR, OFF(service), "app", "name in answers", NULL },
    { "workload", FLAG_STR, OFF(workload), "app-v1", "workload in answers", NULL },
    { "revision", FLAG_STR, OFF(version), "v1", "version in answers", NULL },
    { "proxy", FLAG_STR, OFF(out.proxy), "", "sidecar that outgoing calls go to", NULL },
    { "hosts", FLAG_STR, OFF(out.hosts), "", "NAME=ADDR|ADDR,... without a proxy", NULL },
    { "source", FLAG_STR, OFF(out.source), "", "address calls come from", NULL },
};
static const struct flag_table app_table = {
    "demo-app", "an application of the demo mesh", " ROUTE...", app_flags, NELEMS(app_flags),
};

/* 0..99; a hash of a counter is random enough and needs no lock. */
static unsigned dice(struct app *app)
{
    uint64_t turn = atomic_fetch_add(&app->dice_turn, 1);
    return (unsigned)(hash_bytes(&turn, sizeof(turn), app->dice_seed) % 100);
}

struct request {
    struct buf body;
    bool is_too_big;
};

static void work(struct app *app, const struct app_route *r)
{
    uint64_t ms = r->ms_min + (r->ms_max - r->ms_min) * dice(app) / 99;
    usleep((useconds_t)(ms * 1000));
}

static size_t collect_headers(struct MHD_Connection *c, struct arena *mem, struct sv *lines)
{
    size_t n = 0;
    for (size_t i = 0; i < NELEMS(handed_on) && n < HANDED_ON_MAX; i++) {
        const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, handed_on[i]);
        size_t len = value ? strlen(handed_on[i]) + 2 + strlen(value) : 0;
        char *line = value ? arena_alloc(mem, len + 1) : NULL;
        if (!line)
            continue;
        snprintf(line, len + 1, "%s: %s", handed_on[i], value);
        lines[n++] = sv_of(line, len);
    }
    return n;
}

/* Makes the route's calls and writes them as the elements of "calls"; false when one failed. */
static bool make_calls(struct app *app, const struct app_route *r, struct outgoing_call *call,
                       struct json_out *j)
{
    bool all_well = true;
    for (size_t i = 0; i < r->calls_len; i++) {
        if (dice(app) >= r->calls[i].percent)
            continue;
        AUTO_DONE(buf) answer = { 0 };
        call->authority = r->calls[i].authority;
        call->path = r->calls[i].path;
        unsigned status = outgoing_send(app->out, call, &answer);
        all_well = all_well && status != 0 && status < 500;
        json_open(j, '{');
        json_kv_str(j, "to", r->calls[i].authority);
        json_kv_u64(j, "status", status);
        json_key(j, SV("answer"));
        /* what a proxy answers in the application's place is not one of our trees */
        if (status && sv_starts(buf_sv(&answer), SV("{\"workload\":")))
            json_raw(j, buf_sv(&answer));
        else
            json_null(j);
        json_close(j);
    }
    return all_well;
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, struct buf *body)
{
    size_t len = 0;
    char *text = buf_take(body, &len);
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text ? text : "",
                                                             MHD_RESPMEM_MUST_COPY);
    mem_free(text);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", "application/json");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static unsigned status_of(struct app *app, const struct app_route *r, bool all_well)
{
    if (r->fail_percent && dice(app) < r->fail_percent)
        return r->fail_status;
    return all_well || !r->is_strict ? 200 : 502;
}

static enum MHD_Result answer(struct app *app, struct MHD_Connection *c, const char *url,
                              const char *method, struct request *req)
{
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) calls = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct sv lines[HANDED_ON_MAX];
    struct outgoing_call call = { .method = sv_z(method), .body = buf_sv(&req->body) };
    call.headers = lines;
    call.headers_len = collect_headers(c, &mem, lines);
    const struct app_route *r = route_find(app->routes, app->routes_len, sv_z(url));
    unsigned status = req->is_too_big ? 413 : 404;

    struct json_out list = json_out_of(&calls);
    json_open(&list, '[');
    if (r && !req->is_too_big) {
        work(app, r);
        status = status_of(app, r, make_calls(app, r, &call, &list));
    }
    json_close(&list);

    struct json_out j = json_out_of(&out);
    json_open(&j, '{');
    json_kv_str(&j, "workload", sv_z(app->conf.workload));
    json_kv_str(&j, "service", sv_z(app->conf.service));
    json_kv_str(&j, "version", sv_z(app->conf.version));
    json_kv_u64(&j, "status", status);
    json_kv_u64(&j, "received_bytes", req->body.len);
    json_key(&j, SV("calls"));
    json_raw(&j, buf_sv(&calls));
    char *filler = r ? arena_alloc(&mem, r->filler_bytes + 1) : NULL;
    if (filler) {
        memset(filler, '.', r->filler_bytes);
        json_kv_str(&j, "filler", sv_of(filler, r->filler_bytes));
    }
    json_close(&j);
    return reply(c, status, &out);
}

/* libmicrohttpd calls this with the head, then with each piece of body, then with none. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version UNUSED, const char *data,
                                  size_t *data_len, void **state)
{
    struct request *req = *state;
    if (!req) {
        req = *state = mem_zalloc(sizeof(*req));
        return req ? MHD_YES : MHD_NO;
    }
    if (*data_len) {
        req->is_too_big = req->is_too_big || req->body.len + *data_len > BODY_BYTES_MAX;
        if (!req->is_too_big)
            buf_append(&req->body, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    return answer(cls, c, url, method, req);
}

static void on_done(void *cls UNUSED, struct MHD_Connection *c UNUSED, void **state,
                    enum MHD_RequestTerminationCode why UNUSED)
{
    struct request *req = *state;
    if (req)
        buf_done(&req->body);
    *state = mem_free(req);
}

static int read_conf(struct app *app, struct arena *mem, int argc, char **argv, struct err *err)
{
    int operand = argc;
    int rc = flag_parse(&app_table, &app->conf, mem, argc, argv, &operand, err);
    if (rc != FLAG_RUN)
        return rc;
    for (; operand < argc; operand++) {
        if (app->routes_len == ROUTES_MAX)
            return err_set(err, ERR_USAGE, "more than %d routes", ROUTES_MAX);
        rc = route_parse(sv_z(argv[operand]), &app->routes[app->routes_len], err);
        if (rc < 0)
            return rc;
        app->routes_len++;
    }
    return FLAG_RUN;
}

static bool address_of(const char *text, struct sockaddr_in *ret_at)
{
    struct sv port = sv_z(text), host;
    char host_z[64];
    uint64_t n;
    sv_cut(&port, ':', &host);
    *ret_at = (struct sockaddr_in){ .sin_family = AF_INET };
    if (!sv_to_z(host, host_z, sizeof(host_z)) || !sv_to_u64(port, &n) || n > UINT16_MAX)
        return false;
    ret_at->sin_port = htons((uint16_t)n);
    return inet_pton(AF_INET, host_z, &ret_at->sin_addr) == 1;
}

static int serve(struct app *app)
{
    struct sockaddr_in at;
    sigset_t stop;
    int sig;
    if (!address_of(app->conf.listen, &at)) {
        LOG_ERROR("app.listen", KV_STR("not_an_address", app->conf.listen));
        return 2;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request,
        app, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)256 * 1024, MHD_OPTION_END);
    if (!d) {
        LOG_ERROR("app.listen", KV_STR("address", app->conf.listen));
        return 1;
    }
    sigwait(&stop, &sig);
    MHD_stop_daemon(d);
    return 0;
}

int main(int argc, char **argv)
{
    AUTO_DONE(arena) mem = { 0 };
    struct app app = { .dice_seed = (uint64_t)clock_wall_ns() };
    struct err err = { 0 };
    int rc = read_conf(&app, &mem, argc, argv, &err);
    if (rc == FLAG_EXIT)
        return 0;
    if (rc < 0) {
        fprintf(stderr, "demo-app: %s\n", err.why);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    app.out = outgoing_new(&app.conf.out);
    rc = app.out ? serve(&app) : 1;
    outgoing_free(app.out);
    curl_global_cleanup();
    return rc;
}
