/* SPDX-License-Identifier: Apache-2.0
 * edit_values.c - what the operators in values of header edits stand for, while a head is written.
 *
 * What is not there is empty, and a value of which nothing is left is not sent at all, as Envoy does. */
#include "proxy/edit_values.h"
#include "base/clock.h"
#include "proxy/route/header_format.h"
#include "proxy/stream.h"
#include "wire/h1.h"
#include <unistd.h>

#define HOSTNAME_SIZE 256

static struct sv field_named(const struct http_head *h, struct sv name)
{
    if (sv_eq_nocase(name, SV(":authority")) || sv_eq_nocase(name, SV("host")))
        return h->authority;
    if (sv_eq_nocase(name, SV(":path")))
        return h->path;
    if (sv_eq_nocase(name, SV(":method")))
        return h->method;
    return http_get(h, name);
}

/* "A?B" */
static struct sv field_or(const struct http_head *h, struct sv argument)
{
    size_t mark = sv_index(argument, '?');
    struct sv value = field_named(h, sv_sub(argument, 0, mark));
    return value.len || mark == argument.len ? value : field_named(h, sv_from(argument, mark + 1));
}

static void put_address(const struct addr *a, enum header_op op, struct buf *to)
{
    char text[ADDR_TEXT_SIZE];
    bool has_ip = op != HEADER_OP_LOCAL_PORT;
    bool has_port = op == HEADER_OP_DIRECT || op == HEADER_OP_LOCAL || op == HEADER_OP_REMOTE;
    if (has_ip && has_port)
        buf_put(to, addr_text(a, text));
    else if (has_ip)
        buf_put(to, addr_host(a, text));
    else
        buf_put_u64(to, addr_port(a));
}

static void put_remote(struct stream *s, enum header_op op, struct buf *to)
{
    char text[ADDR_TEXT_SIZE], direct[ADDR_TEXT_SIZE];
    const struct addr *peer = conn_peer(s->down->conn);
    struct sv caller = caller_text(s, text);
    if (op == HEADER_OP_REMOTE && sv_eq(caller, addr_host(peer, direct)))
        put_address(peer, op, to);
    else if (op == HEADER_OP_REMOTE)
        buf_printf(to, "%.*s:0", SV_ARG(caller)); /* nobody told the port */
    else
        buf_put(to, caller);
}

static struct sv of_certificate(const struct tls_info *tls, enum header_op op)
{
    if (!tls)
        return SV_NONE;
    switch (op) {
    case HEADER_OP_SNI: return tls->sni;
    case HEADER_OP_PEER_URI: return tls->peer_spiffe;
    case HEADER_OP_PEER_SUBJECT: return tls->peer_subject;
    case HEADER_OP_PEER_HASH: return tls->peer_hash;
    case HEADER_OP_TLS_VERSION: return tls->version;
    default: return tls->cipher;
    }
}

static void put_hostname(struct buf *to)
{
    char name[HOSTNAME_SIZE];
    if (gethostname(name, sizeof(name)) == 0) {
        name[sizeof(name) - 1] = '\0';
        buf_put(to, sv_z(name));
    }
}

static void put_trace_id(const struct stream *s, struct buf *to)
{
    char text[TRACEPARENT_SIZE];
    struct sv parent = traceparent_format(&s->trace, text);
    buf_put(to, sv_sub(parent, 3, 32)); /* "00-" */
}

static void put_part(struct stream *s, const struct header_part *p, struct buf *to)
{
    const struct http_head *req = s->req;
    char when[CLOCK_RFC3339_SIZE];
    switch (p->op) {
    case HEADER_OP_TEXT: buf_put(to, p->text); return;
    case HEADER_OP_REMOTE:
    case HEADER_OP_REMOTE_IP: put_remote(s, p->op, to); return;
    case HEADER_OP_DIRECT:
    case HEADER_OP_DIRECT_IP: put_address(conn_peer(s->down->conn), p->op, to); return;
    case HEADER_OP_LOCAL:
    case HEADER_OP_LOCAL_IP:
    case HEADER_OP_LOCAL_PORT: put_address(conn_local(s->down->conn), p->op, to); return;
    case HEADER_OP_PROTOCOL:
        buf_put(to, s->down_h2 ? SV("HTTP/2") : req->minor == 0 ? SV("HTTP/1.0") : SV("HTTP/1.1"));
        return;
    case HEADER_OP_REQ: buf_put(to, field_or(req, p->text)); return;
    case HEADER_OP_HOSTNAME: put_hostname(to); return;
    case HEADER_OP_UPSTREAM: buf_put(to, s->pool ? s->pool->addr_text : SV_NONE); return;
    case HEADER_OP_CLUSTER: buf_put(to, s->cluster ? s->cluster->name : SV_NONE); return;
    case HEADER_OP_START_TIME: buf_put(to, sv_z(clock_rfc3339(s->started_wall_ns, when))); return;
    case HEADER_OP_TRACE_ID: put_trace_id(s, to); return;
    default: buf_put(to, of_certificate(conn_tls(s->down->conn), p->op)); return;
    }
}

void edit_value_put(struct stream *s, struct sv format, struct buf *to)
{
    for (struct header_part part; header_format_next(&format, &part);)
        put_part(s, &part, to);
}
