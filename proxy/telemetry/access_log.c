/* SPDX-License-Identifier: Apache-2.0
 * access_log.c - Istio's access log.
 *
 * Standard output is shared: switching it to non-blocking would change it for every process that
 * has it open. So the descriptor is asked with poll() and then given at most PIPE_BUF bytes, which
 * a pipe that polls writable takes at once and keeps in one piece; lines are therefore never torn
 * by another writer unless one alone is longer.
 *
 * Values of the JSON follow Envoy's formatter: text missing is null, except response_flags, which is "-";
 * upstream_service_time is a header there and so a string of milliseconds. */
#include "proxy/telemetry/access_log.h"
#include "base/clock.h"
#include "base/json_out.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#define RETRY_NS      (20 * NS_PER_MS)
#define PIECES_A_TURN 64 /* 256 KiB, then the loop has other work */
#define KEEP_BYTES    16384

static void kv_text(struct json_out *j, const char *key, struct sv value)
{
    json_key(j, sv_z(key));
    if (value.len)
        json_str(j, value);
    else
        json_null(j);
}

static void kv_service_time(struct json_out *j, int64_t ns)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)(ns / NS_PER_MS));
    kv_text(j, "upstream_service_time", ns < 0 ? SV_NONE : sv_of(text, (size_t)n));
}

void access_log_format(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    struct json_out j = json_out_of(to);
    char start[CLOCK_RFC3339_SIZE];
    json_open(&j, '{');
    kv_text(&j, "start_time", sv_z(clock_rfc3339(c->start_ns, start)));
    kv_text(&j, "route_name", c->route_name);
    kv_text(&j, "method", c->method);
    kv_text(&j, "path", c->path);
    kv_text(&j, "protocol", x->protocol_text);
    json_kv_u64(&j, "response_code", c->response_code);
    kv_text(&j, "response_flags", c->response_flags.len ? c->response_flags : SV("-"));
    kv_text(&j, "response_code_details", c->response_code_details);
    kv_text(&j, "connection_termination_details", x->connection_termination_details);
    json_kv_u64(&j, "bytes_received", c->bytes_received);
    json_kv_u64(&j, "bytes_sent", c->bytes_sent);
    json_kv_i64(&j, "duration", c->duration_ns / NS_PER_MS);
    kv_service_time(&j, x->upstream_service_time_ns);
    kv_text(&j, "x_forwarded_for", x->x_forwarded_for);
    kv_text(&j, "user_agent", c->user_agent);
    kv_text(&j, "request_id", c->request_id);
    kv_text(&j, "authority", c->authority);
    kv_text(&j, "upstream_host", c->upstream_host);
    kv_text(&j, "upstream_cluster", x->upstream_cluster);
    kv_text(&j, "upstream_local_address", x->upstream_local_address);
    kv_text(&j, "downstream_local_address", x->downstream_local_address);
    kv_text(&j, "downstream_remote_address", x->downstream_remote_address);
    kv_text(&j, "requested_server_name", x->requested_server_name);
    kv_text(&j, "upstream_transport_failure_reason", x->upstream_transport_failure_reason);
    json_close(&j);
}

/* Up to PIPE_BUF bytes, ending at a line's end when there is one. */
static struct sv next_piece(const struct access_log *l)
{
    struct sv piece = sv_sub(buf_sv(&l->waiting), 0, PIPE_BUF);
    size_t end = sv_rindex(piece, '\n');
    return end < piece.len ? sv_sub(piece, 0, end + 1) : piece;
}

/* False when the reader takes no more now. A descriptor that is broken takes everything: the log
 * goes nowhere then, and the lines count as dropped. */
static bool write_piece(struct access_log *l)
{
    struct pollfd p = { .fd = l->fd, .events = POLLOUT };
    struct sv piece = next_piece(l);
    uint64_t lines = 0;
    if (poll(&p, 1, 0) == 0)
        return false;
    ssize_t n = write(l->fd, piece.p, piece.len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    size_t taken = n < 0 ? piece.len : (size_t)n;
    for (size_t i = 0; i < taken; i++)
        lines += piece.p[i] == '\n';
    if (n < 0)
        l->lines_dropped += lines;
    else
        l->lines_written += lines;
    buf_consume(&l->waiting, taken);
    return true;
}

static void write_out(struct access_log *l)
{
    for (int i = 0; l->waiting.len && i < PIECES_A_TURN; i++)
        if (!write_piece(l))
            break;
    if (l->waiting.len)
        timer_after(&l->again, RETRY_NS);
    else if (l->waiting.cap > KEEP_BYTES)
        buf_done(&l->waiting); /* a burst's memory is not kept */
}

static void on_turn_end(struct defer *d)
{
    struct access_log *l = CONTAINER_OF(d, struct access_log, at_turn_end);
    write_out(l);
}

static void on_again(struct timer *t)
{
    write_out(CONTAINER_OF(t, struct access_log, again));
}

void access_log_init(struct access_log *l, struct loop *loop, int fd, size_t bytes_max)
{
    *l = (struct access_log){ .loop = loop, .fd = fd, .bytes_max = bytes_max };
    timer_init(&l->again, loop, on_again);
}

void access_log_done(struct access_log *l)
{
    if (l->waiting.len)
        write_out(l);
    timer_stop(&l->again);
    defer_cancel(&l->at_turn_end);
    buf_done(&l->waiting);
}

void access_log_add(struct access_log *l, const struct exchange *x)
{
    AUTO_DONE(buf) line = { 0 };
    unsigned status = x->call.response_code;
    unsigned least = x->log_from ? x->log_from : l->status_min;
    if (l->fd < 0 || x->is_log_silent || (status && status < least))
        return;
    if (l->format.len)
        log_format_put(&l->format, x, &line);
    else
        access_log_format(&line, x);
    buf_putc(&line, '\n');
    if (line.failed || l->waiting.len + line.len > l->bytes_max) {
        l->lines_dropped++;
        return;
    }
    buf_put(&l->waiting, buf_sv(&line));
    if (l->waiting.failed) {
        buf_done(&l->waiting);
        l->lines_dropped++;
        return;
    }
    if (!timer_is_set(&l->again))
        loop_defer(l->loop, &l->at_turn_end, on_turn_end);
}
