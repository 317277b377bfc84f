/* web.c - serves readiness, metrics and admin pages on the proxy's own loop.
 *
 * GET, HEAD and POST without use for its body, answers made whole in memory, keep-alive. An answer may come
 * later; until then nothing more is read of that connection. Probes and scrapers are few, so the
 * number of connections is bounded low and nothing is pooled. */
#include "proxy/web.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "wire/h1.h"
#include <unistd.h>

#define WEB_CONNS_MAX   64
#define WEB_HEADERS_MAX 64
#define WEB_HEAD_BYTES  16384
#define WEB_IDLE_NS     (30 * NS_PER_S)
#define WEB_LINGER_NS   NS_PER_S

struct web {
    struct loop *loop;
    struct listener *listener;
    struct web_routes routes;
    void *to;
    bool is_retired;
    struct list conns;
};

struct web_conn {
    struct list node;
    struct web *web;
    struct conn *conn;
    struct h1 h1;
    struct buf in;
    struct http_header slots[WEB_HEADERS_MAX];
    struct defer later;
    struct web_reply *reply; /* not sent yet */
    bool is_head, is_last;   /* of the request it belongs to */
};

struct web_reply {
    struct web_conn *conn; /* NULL: the caller is gone */
    const char *content_type;
};

static void web_conn_gone(struct defer *d)
{
    struct web_conn *c = CONTAINER_OF(d, struct web_conn, later);
    h1_done(&c->h1);
    buf_done(&c->in);
    mem_free(c);
}

static void web_conn_close(struct web_conn *c, bool is_gentle)
{
    if (!c->conn)
        return;
    if (c->reply)
        TAKE(c->reply)->conn = NULL;
    if (is_gentle)
        conn_close_gently(TAKE(c->conn), WEB_LINGER_NS);
    else
        conn_close(TAKE(c->conn));
    list_remove(&c->node);
    if (c->web->listener)
        listener_conn_gone(c->web->listener);
    defer_cancel(&c->later);
    loop_defer(c->web->loop, &c->later, web_conn_gone);
}

static void begin(struct web_conn *c)
{
    h1_begin(&c->h1, H1_REQUEST, c->slots, WEB_HEADERS_MAX, WEB_HEAD_BYTES);
}

static bool path_fits(const char *pattern, struct sv path)
{
    size_t len = strlen(pattern);
    return pattern[len - 1] == '*' ? sv_starts(path, sv_of(pattern, len - 1))
                                   : sv_eq(path, sv_of(pattern, len));
}

static bool is_from_here(const struct web_conn *c)
{
    char here[ADDR_TEXT_SIZE], there[ADDR_TEXT_SIZE];
    struct sv peer = addr_host(conn_peer(c->conn), there);
    return sv_starts(peer, SV("127.")) || sv_eq(peer, SV("::1")) ||
           sv_eq(peer, addr_host(conn_local(c->conn), here));
}

static void ask_later(struct web_conn *c, const struct web_route *r, struct sv path)
{
    struct sv whole = c->h1.head.path;
    const struct web_ask ask = { .path = path,
                                 .query = sv_from(whole, path.len + 1),
                                 .is_from_here = is_from_here(c) };
    struct web_reply *reply = mem_zalloc(sizeof(*reply));
    if (!reply) {
        web_conn_close(c, false);
        return;
    }
    reply->conn = c;
    reply->content_type = r->content_type;
    c->reply = reply;
    conn_pause(c->conn);
    r->later(c->web->to, &ask, reply);
}

/* The status, or 0 when the answer comes by web_reply_send(). */
static unsigned find(struct web_conn *c, struct buf *body, const char **ret_type)
{
    struct sv path = http_path_only(&c->h1.head), method = c->h1.head.method;
    for (size_t i = 0; i < c->web->routes.len; i++) {
        const struct web_route *r = &c->web->routes.list[i];
        if (!path_fits(r->path, path))
            continue;
        bool is_get = sv_eq(method, SV("GET")) || sv_eq(method, SV("HEAD"));
        if (r->is_post ? !sv_eq(method, SV("POST")) : !is_get)
            return 405;
        *ret_type = r->content_type;
        if (r->answer)
            return r->answer(c->web->to, body);
        ask_later(c, r, path);
        return 0;
    }
    return 404;
}

/* False when the connection is over. */
static bool send_answer(struct web_conn *c, unsigned status, const char *type, struct sv text)
{
    AUTO_DONE(buf) head = { 0 };
    char reason[64];
    int n = text.len ? 0 : snprintf(reason, sizeof(reason), "%s\n", http_reason(status));
    if (n > 0)
        text = sv_of(reason, (size_t)n);
    h1_put_status_line(&head, status, SV_NONE);
    h1_put_field(&head, SV("content-type"), sv_z(type));
    buf_printf(&head, "content-length: %zu\r\n", text.len);
    if (c->is_last)
        h1_put_field(&head, SV("connection"), SV("close"));
    h1_put_end(&head);
    const struct sv parts[] = { buf_sv(&head), text };
    int rc = head.failed ? ERR_NOMEM : conn_write(c->conn, parts, c->is_head ? 1 : 2);
    if (rc == 0 && !c->is_last)
        return true;
    web_conn_close(c, rc == 0);
    return false;
}

/* Answers a request, or has it answered later; false when the connection is over. */
static bool answer(struct web_conn *c, enum h1_event ev)
{
    AUTO_DONE(buf) body = { 0 };
    const char *type = "text/plain; charset=utf-8";
    unsigned status = c->h1.bad_status;
    c->is_last = ev == H1_BAD || !c->h1.head.is_keep_alive || c->web->is_retired;
    c->is_head = ev != H1_BAD && sv_eq(c->h1.head.method, SV("HEAD"));
    if (ev == H1_BAD)
        buf_printf(&body, "%s at byte %zu\n", c->h1.err.why, c->h1.err.at);
    else
        status = find(c, &body, &type);
    if (status == 0)
        return c->conn != NULL;
    if (body.failed) {
        web_conn_close(c, false);
        return false;
    }
    return send_answer(c, status, type, buf_sv(&body));
}

/* Everything in `in` that is complete; false when the connection is over. */
static bool take(struct web_conn *c)
{
    struct sv in = buf_sv(&c->in);
    while (!c->reply) {
        enum h1_event ev = h1_next(&c->h1, &in);
        if (ev == H1_NEED_MORE)
            break;
        if (ev == H1_HEAD || ev == H1_BAD) {
            if (!answer(c, ev))
                return false;
        } else if (ev == H1_END) {
            begin(c);
        }
    }
    buf_consume(&c->in, c->in.len - in.len);
    if (c->in.len == 0)
        buf_done(&c->in);
    return true;
}

/* What came behind a request that was answered later. */
static void take_more(struct defer *d)
{
    struct web_conn *c = CONTAINER_OF(d, struct web_conn, later);
    if (c->conn && c->in.len)
        (void)take(c);
}

static void on_event(void *owner, struct conn *conn, enum conn_event ev)
{
    struct web_conn *c = owner;
    if (ev == CONN_DRAINED)
        return;
    char *to = ev == CONN_READABLE ? buf_reserve(&c->in, 4096) : NULL;
    ssize_t n = to ? conn_read(conn, to, 4096) : ERR_CLOSED;
    if (n > 0)
        buf_commit(&c->in, (size_t)n);
    if (n < 0 || conn_is_congested(conn))
        web_conn_close(c, false);
    else if (n > 0)
        (void)take(c);
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    struct web *w = owner;
    struct web_conn *c = mem_zalloc(sizeof(*c));
    if (c)
        c->conn = conn_accept(w->loop, fd, peer, on_event, c, NULL);
    if (!c || !c->conn) {
        if (!c)
            close(fd);
        mem_free(c);
        listener_conn_gone(l);
        return;
    }
    c->web = w;
    list_add_tail(&w->conns, &c->node);
    conn_set_idle(c->conn, WEB_IDLE_NS);
    begin(c);
}

void web_reply_send(struct web_reply *reply, unsigned status, struct sv text)
{
    struct web_conn *c = reply->conn;
    const char *type = reply->content_type;
    mem_free(reply);
    if (!c)
        return;
    c->reply = NULL;
    conn_resume(c->conn);
    if (send_answer(c, status, type, text))
        loop_defer(c->web->loop, &c->later, take_more);
}

struct web *web_open(struct loop *loop, struct sv host, uint16_t port, struct web_routes routes,
                     void *to, struct err *err)
{
    struct web *w = mem_zalloc(sizeof(*w));
    if (!w) {
        err_set(err, ERR_NOMEM, "web server");
        return NULL;
    }
    w->loop = loop;
    w->routes = routes;
    w->to = to;
    list_init(&w->conns);
    struct listener_conf conf = { .host = host, .port = port, .max_conns = WEB_CONNS_MAX };
    w->listener = listener_open(loop, &conf, on_accept, w, err);
    return w->listener ? w : mem_free(w);
}

void web_retire(struct web *w, bool is_retired)
{
    if (w)
        w->is_retired = is_retired;
}

struct web *web_close(struct web *w)
{
    if (!w)
        return NULL;
    w->listener = listener_close(w->listener);
    LIST_EACH (it, after, &w->conns) {
        web_conn_close(CONTAINER_OF(it, struct web_conn, node), false);
    }
    return mem_free(w);
}
