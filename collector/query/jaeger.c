/* jaeger.c - the routes of Jaeger's query API and its envelopes.
 *
 * Clients written for Jaeger (its page, Grafana's data source, Kiali, scripts) find here what they
 * ask Jaeger for. These routes are thin: they read the same store and the same edges as our own
 * API, and only the shapes are Jaeger's. They take parameters they do not know, as Jaeger does,
 * because its clients send some that no server reads. Errors are JSON under a text/plain content
 * type, which is what Jaeger's clients have always been given. */
#include "query/jaeger.h"
#include <stdarg.h>
#include <stdio.h>

/* clang-format off */
#define ANYTHING { { NULL, false } }

static const struct {
    struct route route;
    fault_fn *fault;
} routes[] = {
    { { "/api/services", jaeger_services, ANYTHING }, jaeger_fault },
    { { "/api/services/{id}/operations", jaeger_service_operations, ANYTHING }, jaeger_fault },
    { { "/api/operations", jaeger_operations, ANYTHING }, jaeger_fault },
    { { "/api/traces", jaeger_traces, ANYTHING }, jaeger_fault },
    { { "/api/traces/{id}", jaeger_trace, ANYTHING }, jaeger_fault },
    { { "/api/dependencies", jaeger_dependencies, ANYTHING }, jaeger_fault },
    { { "/api/metrics/latencies", jaeger_latencies, ANYTHING }, jaeger_fault },
    { { "/api/metrics/calls", jaeger_calls, ANYTHING }, jaeger_fault },
    { { "/api/metrics/errors", jaeger_errors, ANYTHING }, jaeger_fault },
    { { "/api/metrics/minstep", jaeger_minstep, ANYTHING }, jaeger_fault },
    { { "/api/transform", jaeger_transform, ANYTHING }, jaeger_fault },
    { { "/api/archive/{id}", jaeger_archive, ANYTHING }, jaeger_fault },
    { { "/api/v3/services", jaeger3_services, ANYTHING }, jaeger3_fault },
    { { "/api/v3/operations", jaeger3_operations, ANYTHING }, jaeger3_fault },
    { { "/api/v3/traces", jaeger3_traces, ANYTHING }, jaeger3_fault },
    { { "/api/v3/traces/{id}", jaeger3_trace, ANYTHING }, jaeger3_fault },
    { { "/api/v3/trace-summaries", jaeger3_summaries, ANYTHING }, jaeger3_fault },
};
/* clang-format on */

#define TEXT_PLAIN "text/plain; charset=utf-8"

const struct route *jaeger_route_at(size_t i, fault_fn **ret_fault)
{
    if (i >= NELEMS(routes))
        return NULL;
    *ret_fault = routes[i].fault;
    return &routes[i].route;
}

void jaeger_prettify(const struct params *p, struct answer *a)
{
    struct sv text;
    if (!jaeger_get(p, "prettyPrint", &text) || sv_eq(text, SV("false")) ||
        a->body.len > JAEGER_PRETTY_MAX)
        return;
    AUTO_DONE(buf) lines = { 0 };
    json_put_indented(&lines, buf_sv(&a->body), 4);
    if (lines.failed)
        return; /* plain is right too */
    struct buf plain = a->body;
    a->body = lines;
    lines = plain;
}

bool route_is_post(const struct route *r)
{
    return r->run == jaeger_transform || r->run == jaeger_archive;
}

struct json_out jaeger_open(struct answer *a)
{
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_key(&j, SV("data"));
    return j;
}

static void put_counts(struct json_out *j, uint64_t total)
{
    json_kv_u64(j, "total", total);
    json_kv_u64(j, "limit", 0);
    json_kv_u64(j, "offset", 0);
}

void jaeger_close(struct json_out *j, uint64_t total)
{
    put_counts(j, total);
    json_key(j, SV("errors"));
    json_null(j);
    json_close(j);
}

static void begin_error(struct answer *a, unsigned status)
{
    buf_clear(&a->body);
    a->status = status;
    a->content_type = TEXT_PLAIN;
}

void jaeger_error(struct answer *a, unsigned status, const char *fmt, ...)
{
    char message[384];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    begin_error(a, status);
    struct json_out j = jaeger_open(a);
    json_null(&j);
    put_counts(&j, 0);
    json_kv_open(&j, "errors", '[');
    json_open(&j, '{');
    json_kv_u64(&j, "code", status);
    json_kv_str(&j, "msg", sv_z(message));
    json_close(&j);
    json_close(&j);
    json_close(&j);
    buf_putc(&a->body, '\n');
}

void jaeger3_error(struct answer *a, unsigned status, const char *fmt, ...)
{
    char message[384];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    begin_error(a, status);
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_open(&j, "error", '{');
    json_kv_u64(&j, "httpCode", status);
    json_kv_str(&j, "message", sv_z(message));
    json_close(&j);
    json_close(&j);
    buf_putc(&a->body, '\n');
}

/* As answer_failure(). */
static unsigned status_of(struct answer *a, const struct err *err)
{
    if (err->code == ERR_NOT_FOUND)
        return 404;
    if (err->code != ERR_BUSY && err->code != ERR_NOMEM)
        return 500;
    a->retry_after_s = 1;
    return 503;
}

void jaeger_failure(struct answer *a, const struct err *err)
{
    jaeger_error(a, status_of(a, err), "%s", err->why);
}

void jaeger3_failure(struct answer *a, const struct err *err)
{
    jaeger3_error(a, status_of(a, err), "%s", err->why);
}

void jaeger_fault(struct answer *a, const struct params *p)
{
    if (p->bad.len)
        jaeger_error(a, 400, "unable to parse param '%.*s': %s", SV_ARG(p->bad), p->why);
    else
        jaeger_error(a, 400, "%s", p->why);
}

void jaeger3_fault(struct answer *a, const struct params *p)
{
    if (p->bad.len)
        jaeger3_error(a, 400, "malformed parameter %.*s: %s", SV_ARG(p->bad), p->why);
    else
        jaeger3_error(a, 400, "%s", p->why);
}
