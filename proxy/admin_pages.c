/* SPDX-License-Identifier: Apache-2.0
 * admin_pages.c - the table of the admin port's pages, and those that ask or change something.
 *
 * What changes something is a POST, so that a crawler or a link does not. */
#include "proxy/admin_pages.h"
#include "base/log.h"
#include "proxy/explain/explain.h"
#include "proxy/explain/request.h"

/* --- parameters --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct sv decode(struct sv text, struct arena *mem)
{
    char *to = arena_alloc(mem, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; to && i < text.len; i++) {
        int high = text.p[i] == '%' && i + 2 < text.len ? hex_value(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.p[i + 2]) : -1;
        to[len++] = low >= 0 ? (char)(high * 16 + low) : text.p[i] == '+' ? ' ' : text.p[i];
        i += low >= 0 ? 2 : 0;
    }
    return sv_of(to, len);
}

struct sv admin_parameter(struct sv query, struct sv name, size_t *at, struct arena *mem)
{
    struct sv rest = sv_from(query, *at);
    for (struct sv part; rest.len && sv_cut(&rest, '&', &part);) {
        size_t eq = sv_index(part, '=');
        *at = rest.len ? (size_t)(rest.p - query.p) : query.len;
        if (sv_eq(sv_sub(part, 0, eq), name))
            return decode(sv_from(part, eq + 1), mem);
    }
    return SV_NONE;
}

static struct sv parameter(const struct web_ask *ask, const char *name, struct arena *mem)
{
    size_t at = 0;
    return admin_parameter(ask->query, sv_z(name), &at, mem);
}

/* --- pages that ask --- */

/* The counters as "name{labels}: value", without comments. */
static unsigned stats(void *to, struct buf *body)
{
    AUTO_DONE(buf) text = { 0 };
    (void)admin_metrics(to, &text);
    for (struct sv rest = buf_sv(&text), line; sv_cut(&rest, '\n', &line);) {
        size_t blank = sv_rindex(line, ' ');
        if (!line.len || line.p[0] == '#')
            continue;
        buf_put(body, sv_sub(line, 0, blank));
        buf_put(body, SV(": "));
        buf_put(body, sv_from(line, blank + 1));
        buf_putc(body, '\n');
    }
    body->failed = body->failed || text.failed;
    return 200;
}

static void fill(const struct worker *w, const struct web_ask *ask, const struct explain_request *q,
                 struct arena *mem, struct explain_ask *to)
{
    struct sv principal = parameter(ask, "principal", mem), port = parameter(ask, "port", mem);
    uint64_t number = q->port;
    (void)sv_to_u64(port, &number);
    *to = (struct explain_ask){ .mesh = w->mesh,
                                .side = w->opt->is_gateway ? EXPLAIN_GATEWAY : EXPLAIN_OUTBOUND,
                                .self = &w->self,
                                .head = q->head,
                                .is_connection = q->is_connection,
                                .host = q->host,
                                .sni = q->sni,
                                .allows_any = w->opt->allows_any,
                                .destination_ip = q->address,
                                .is_tls = q->is_tls || principal.len,
                                .is_mutual = principal.len > 0,
                                .principal = principal,
                                .source_ip = ip_of_text(parameter(ask, "source_ip", mem)),
                                .port = (uint16_t)number };
    to->remote_ip = to->source_ip;
    if (sv_eq(parameter(ask, "side", mem), SV("inbound"))) {
        to->side = EXPLAIN_INBOUND;
        to->port = port.len ? to->port : addr_port(&w->opt->app_addr);
    } else if (w->opt->is_gateway && !port.len && !q->is_connection) {
        to->port = 0; /* any of our ports */
    }
}

/* Does the mesh tell whose an address is? */
static bool knows_connections(const struct worker *w)
{
    return w->opt->intercept != INTERCEPT_NONE || w->opt->tcp_listen[0];
}

/* "METHOD URL" and the fields, as explain_parse() wants them. */
static void read_words(const struct web_ask *ask, struct arena *mem, struct buf *words,
                       struct buf *headers)
{
    struct sv method = parameter(ask, "method", mem), header;
    buf_printf(words, "%.*s%s%.*s", SV_ARG(method), method.len ? " " : "",
               SV_ARG(parameter(ask, "url", mem)));
    for (size_t at = 0; (header = admin_parameter(ask->query, SV("header"), &at, mem)).p;)
        buf_printf(headers, "%.*s\n", SV_ARG(header));
}

static void explain(void *to, const struct web_ask *ask, struct web_reply *reply)
{
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) body = { 0 };
    AUTO_DONE(buf) words = { 0 };
    AUTO_DONE(buf) headers = { 0 };
    struct explain_request q = { .port = 0 };
    struct explain_ask one;
    struct explain_outcome out;
    struct err err = { 0 };
    read_words(ask, &mem, &words, &headers);
    if (explain_parse(&q, buf_sv(&words), buf_sv(&headers), &mem, &err) < 0) {
        buf_printf(&body, "%s\n", err.why);
        web_reply_send(reply, 400, buf_sv(&body));
        return;
    }
    struct telling t = telling_of(&body, sv_eq(parameter(ask, "format", &mem), SV("json")));
    fill(to, ask, &q, &mem, &one);
    if (one.is_connection && one.side == EXPLAIN_OUTBOUND && !knows_connections(to)) {
        web_reply_send(reply, 400,
                       SV("this sidecar takes no connections over (--intercept, --tcp-listen); "
                          "tulle explain tells what one that does would do\n"));
        return;
    }
    tell_open(&t, NULL, '{');
    explain_hop(&one, &mem, &t, &out);
    tell_close(&t);
    web_reply_send(reply, body.failed ? 503 : 200, buf_sv(&body));
}

/* --- pages that change something --- */

static void logging(void *to, const struct web_ask *ask, struct web_reply *reply)
{
    (void)to;
    AUTO_DONE(arena) mem = { 0 };
    struct sv name = parameter(ask, "level", &mem);
    enum log_level level;
    char text[80];
    if (name.p && !log_level_from_sv(name, &level)) {
        web_reply_send(reply, 400, SV("level: expected error, warn, info or debug\n"));
        return;
    }
    if (name.p) {
        log_set_level(level);
        LOG_INFO("log.level", KV_STR("level", log_level_name(level)));
    }
    int n = snprintf(text, sizeof(text), "level: %s\n", log_level_name(log_level_now()));
    web_reply_send(reply, 200, sv_of(text, (size_t)MAX(n, 0)));
}

static unsigned drain(void *to, struct buf *body)
{
    worker_unready(to, true);
    buf_put(body, SV("OK: not ready any more; requests are served until the end is asked for\n"));
    return 200;
}

static unsigned undrain(void *to, struct buf *body)
{
    worker_unready(to, false);
    buf_put(body, SV("OK\n"));
    return 200;
}

static unsigned quit(void *to, struct buf *body)
{
    struct worker *w = to;
    buf_put(body, SV("OK\n"));
    if (!w->is_draining)
        worker_end(w, "quitquitquit");
    return 200;
}

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"
#define PROM "text/plain; version=0.0.4; charset=utf-8"

static unsigned help(void *to, struct buf *body);

/* clang-format off */
static const struct web_route pages[] = {
    { .path = "/",                 .content_type = TEXT, .answer = help },
    { .path = "/help",             .content_type = TEXT, .answer = help },
    { .path = "/certs",            .content_type = JSON, .answer = admin_certs },
    { .path = "/clusters",         .content_type = TEXT, .later = admin_clusters },
    { .path = "/config_dump",      .content_type = JSON, .answer = admin_config_dump },
    { .path = "/drain",            .content_type = TEXT, .answer = drain, .is_post = true },
    { .path = "/explain",          .content_type = TEXT, .later = explain },
    { .path = "/healthcheck/fail", .content_type = TEXT, .answer = drain, .is_post = true },
    { .path = "/healthcheck/ok",   .content_type = TEXT, .answer = undrain, .is_post = true },
    { .path = "/listeners",        .content_type = TEXT, .answer = admin_listeners },
    { .path = "/logging",          .content_type = TEXT, .later = logging, .is_post = true },
    { .path = "/quitquitquit",     .content_type = TEXT, .answer = quit, .is_post = true },
    { .path = "/ready",            .content_type = TEXT, .answer = admin_ready },
    { .path = "/server_info",      .content_type = JSON, .answer = admin_server_info },
    { .path = "/stats",            .content_type = TEXT, .answer = stats },
    { .path = "/stats/prometheus", .content_type = PROM, .answer = admin_metrics },
};
/* One for each of pages. */
static const char *const helps[] = {
    "this text",
    "this text",
    "certificates: SPIFFE id, serial number, expiry; why newer ones were refused",
    "endpoints: requests in flight, TLS, health; ?format=json",
    "what is in force: hosts, rules, clusters, policies; why a newer state was refused",
    "POST: not ready any more, callers' connections that rest are closed",
    "?url=http://HOST/PATH, also method=, header='name: value', side=inbound, principal=, source_ip=, port=, format=json: what this proxy would do",
    "POST: as /drain",
    "POST: takes /drain back",
    "ports that are open",
    "POST ?level=error|warn|info|debug: how much is logged; without level: tells",
    "POST: drains and ends the process",
    "200 LIVE or 503 DRAINING",
    "version, role, identity, uptime, connections",
    "counters as text",
    "counters for Prometheus, with Istio's metrics",
};
_Static_assert(NELEMS(helps) == NELEMS(pages), "one line a page");
/* clang-format on */

static unsigned help(void *to, struct buf *body)
{
    (void)to;
    for (size_t i = 0; i < NELEMS(pages); i++)
        buf_printf(body, "%-18s %s\n", pages[i].path, helps[i]);
    return 200;
}

struct web_routes admin_pages(void)
{
    return (struct web_routes){ pages, NELEMS(pages) };
}
