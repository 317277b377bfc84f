/* SPDX-License-Identifier: Apache-2.0
 * grpc_call.c - one RPC: its head, its messages, their batches, its status.
 *
 * A message is five bytes (compressed or not, length) and its bytes, charged as they arrive (intake.h).
 * An export has one and is answered when that is committed. A stream of access logs has any number; while
 * one is being committed the next is not read, so that the engine's windows, and thereby the sender, wait.
 * Envoy names its node in the first message only: that field is kept and put in front of the others,
 * which in protobuf's encoding makes them whole.
 *
 * Source: gRPC's PROTOCOL-HTTP2.md; opentelemetry.io/docs/specs/otlp (retryable answers carry a RetryInfo). */
#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "grpc_priv.h"
#include "wire/h1.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"
#include <stdarg.h>

enum { IDENTIFIER = 1 };                  /* StreamAccessLogsMessage */
enum { ANY_TYPE_URL = 1, ANY_VALUE = 2 }; /* google.protobuf.Any */
enum {
    STATUS_DETAILS = 3,
    RETRY_DELAY = 1,
    SECONDS = 1
}; /* google.rpc.Status, RetryInfo, Duration */

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define OTLP_SERVICE(signal, Signal)                                                               \
    "/opentelemetry.proto.collector." signal ".v1." Signal "Service/Export"

static const struct grpc_method methods[] = {
    { TEXT(OTLP_SERVICE("trace", "Trace")), GRPC_EXPORT, SIGNAL_TRACES, otlp_proto_traces_decode },
    { TEXT(OTLP_SERVICE("logs", "Logs")), GRPC_EXPORT, SIGNAL_LOGS, otlp_proto_logs_decode },
    { TEXT("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"), GRPC_STREAM,
      SIGNAL_LOGS, envoy_als_decode },
    { TEXT("/grpc.health.v1.Health/Check"), GRPC_HEALTH, SIGNAL_LOGS, NULL },
};

static const struct grpc_method *method_of(struct sv path)
{
    for (size_t i = 0; i < NELEMS(methods); i++)
        if (sv_eq(methods[i].path, path))
            return &methods[i];
    return NULL;
}

/* --- answers --- */

static void call_free(struct grpc_call *c)
{
    timer_stop(&c->timer);
    list_remove(&c->node);
    c->peer->calls_len--;
    if (c->parcel)
        c->parcel->call = NULL;
    batch_free(c->waiting);
    intake_done(&c->in);
    buf_done(&c->identifier);
    mem_free(c);
}

/* The answer is written: the rest of the stream is the engine's. */
static void let_go(struct grpc_call *c)
{
    struct grpc_peer *p = c->peer;
    struct h2_stream *st = c->st;
    call_free(c);
    h2_let_go(st);
    grpc_peer_later(p);
}

void grpc_call_drop(struct grpc_call *c)
{
    struct h2_stream *st = c->st;
    call_free(c);
    h2_let_go(st);
}

static void put_head(struct buf *to)
{
    h1_put_status_line(to, 200, SV_NONE);
    h1_put_field(to, SV("content-type"), SV("application/grpc"));
    h1_put_field(to, SV("grpc-accept-encoding"), SV("identity,gzip,deflate"));
}

/* google.rpc.Status with a RetryInfo of a second. */
static void put_retry_info(struct buf *to, enum grpc_status status, struct sv why)
{
    AUTO_DONE(buf) details = { 0 };
    AUTO_DONE(buf) text = { 0 };
    pb_put_varint(&details, RPC_STATUS_CODE, status);
    pb_put_bytes(&details, RPC_STATUS_MESSAGE, why);
    size_t any = pb_open(&details, STATUS_DETAILS);
    pb_put_bytes(&details, ANY_TYPE_URL, SV("type.googleapis.com/google.rpc.RetryInfo"));
    size_t info = pb_open(&details, ANY_VALUE);
    size_t delay = pb_open(&details, RETRY_DELAY);
    pb_put_varint(&details, SECONDS, 1);
    pb_close(&details, delay);
    pb_close(&details, info);
    pb_close(&details, any);
    base64_put(&text, buf_sv(&details));
    h1_put_field(to, SV("grpc-status-details-bin"), buf_sv(&text));
}

/* Trailers only: no message has been answered. */
static void send_status(struct h2_stream *st, enum grpc_status status, bool may_retry,
                        struct sv why)
{
    AUTO_DONE(buf) head = { 0 };
    AUTO_DONE(buf) message = { 0 };
    char number[8];
    int n = snprintf(number, sizeof(number), "%d", (int)status);
    put_head(&head);
    h1_put_field(&head, SV("grpc-status"), sv_of(number, (size_t)n));
    grpc_message_put(&message, why);
    h1_put_field(&head, SV("grpc-message"), buf_sv(&message));
    if (may_retry)
        put_retry_info(&head, status, why);
    h1_put_end(&head);
    if (head.failed || message.failed || h2_respond(st, buf_sv(&head), true) < 0)
        h2_reset(st, H2_INTERNAL_ERROR);
}

static void refuse(struct h2_stream *st, const struct grpc_peer *p, enum tally_id tally_id,
                   enum grpc_status status, struct sv why)
{
    char text[ADDR_TEXT_SIZE];
    tally(tally_id, 1);
    LOG_EVERY(NS_PER_S, LOG_WARN, "grpc.refused",
              KV_SV("peer", addr_text(conn_peer(p->conn), text)), KV_UINT("status", status),
              KV_SV("why", why));
    send_status(st, status, tally_id == TALLY_EXPORT_OVERLOADED || tally_id == TALLY_EXPORT_FAILED,
                why);
}

/* What follows answers whether the call is still there; ending one is false. */

static bool fail(struct grpc_call *c, enum tally_id tally_id, enum grpc_status status,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);
static bool fail(struct grpc_call *c, enum tally_id tally_id, enum grpc_status status,
                 const char *fmt, ...)
{
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    refuse(c->st, c->peer, tally_id, status, sv_z(why));
    let_go(c);
    return false;
}

static bool answer(struct grpc_call *c, struct sv message)
{
    static const struct http_header ok = { TEXT("grpc-status"), TEXT("0") };
    AUTO_DONE(buf) head = { 0 };
    uint8_t prefix[GRPC_PREFIX_BYTES] = { 0, (uint8_t)(message.len >> 24),
                                          (uint8_t)(message.len >> 16), (uint8_t)(message.len >> 8),
                                          (uint8_t)message.len };
    put_head(&head);
    h1_put_end(&head);
    bool is_written = !head.failed && h2_respond(c->st, buf_sv(&head), false) == 0 &&
                      h2_write(c->st, sv_of(prefix, sizeof(prefix))) == 0 &&
                      h2_write(c->st, message) == 0 && h2_end(c->st, &ok, 1) == 0;
    if (!is_written)
        h2_reset(c->st, H2_INTERNAL_ERROR);
    let_go(c);
    return false;
}

static bool fail_overload(struct grpc_call *c)
{
    return fail(c, TALLY_EXPORT_OVERLOADED, GRPC_RESOURCE_EXHAUSTED,
                "too much in flight, try again");
}

/* --- a message --- */

static bool fail_bytes(struct grpc_call *c, const struct err *err)
{
    switch (err->code) {
    case ERR_LIMIT:
        return fail(c, TALLY_EXPORT_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED, "byte %zu: %s", err->at,
                    err->why);
    case ERR_NOMEM: return fail_overload(c);
    default:
        return fail(c, TALLY_EXPORT_MALFORMED, GRPC_INVALID_ARGUMENT, "byte %zu: %s", err->at,
                    err->why);
    }
}

static void count_outcome(enum wire_signal signal, size_t rejected, bool is_duplicate)
{
    tally(is_duplicate ? TALLY_EXPORT_DUPLICATE
          : rejected   ? TALLY_EXPORT_PARTIAL
                       : TALLY_EXPORT_ACCEPTED,
          1);
    if (!is_duplicate)
        tally(signal == SIGNAL_TRACES ? TALLY_SPANS_REJECTED : TALLY_CALLS_REJECTED, rejected);
}

/* The next message may begin. */
static void forget_message(struct grpc_call *c)
{
    c->has_message = false;
    c->prefix_len = 0;
    intake_done(&c->in);
}

static bool message_ends(struct grpc_call *c, size_t rejected, const struct err *first)
{
    AUTO_DONE(buf) body = { 0 };
    forget_message(c);
    if (c->method->kind == GRPC_STREAM)
        return true;
    answer_export(c->method->signal, FORMAT_PROTOBUF, rejected, first, &body);
    return answer(c, buf_sv(&body));
}

/* Its batch is committed, or not. */
static void call_goes_on(struct grpc_call *c, const struct grpc_parcel *gp)
{
    int rc = gp->parcel.rc;
    c->parcel = NULL;
    if (rc < 0)
        (void)fail(c, TALLY_EXPORT_FAILED, GRPC_UNAVAILABLE,
                   "the store could not take it: %s; try again", err_code_name(rc));
    else if (!message_ends(c, gp->rejected, &gp->first_rejection))
        return;
    else if (gp->door->is_stopping)
        grpc_call_stop(c);
    else
        grpc_call_read(c);
}

static void on_committed(struct parcel *parcel)
{
    struct grpc_parcel *gp = CONTAINER_OF(parcel, struct grpc_parcel, parcel);
    struct grpc_door *d = gp->door;
    struct grpc_call *c = gp->call;
    if (parcel->rc == 0)
        count_outcome(gp->signal, gp->rejected, parcel->is_duplicate);
    if (c)
        call_goes_on(c, gp);
    mem_free(gp);
    d->committing_len--;
    grpc_check_drained(d);
}

static bool submit(struct grpc_call *c, struct batch *b)
{
    struct grpc_parcel *gp = mem_zalloc(sizeof(*gp));
    if (!gp)
        return false;
    *gp = (struct grpc_parcel){ .parcel = { .done = on_committed },
                                .door = c->peer->door,
                                .call = c,
                                .signal = c->method->signal,
                                .rejected = b->rejected,
                                .first_rejection = b->first_rejection };
    if (!intake_submit(&c->in, b, &gp->parcel)) {
        mem_free(gp);
        return false;
    }
    c->parcel = gp;
    c->peer->door->committing_len++;
    return true;
}

/* A stream's sender cannot be told to come again, so what it has sent waits here, and it waits. */
static void on_again(struct timer *t)
{
    struct grpc_call *c = CONTAINER_OF(t, struct grpc_call, timer);
    if (c->waiting && submit(c, c->waiting))
        (void)TAKE(c->waiting);
    else if (c->waiting)
        timer_after(&c->timer, GRPC_AGAIN_NS);
    else
        (void)fail(c, TALLY_GRPC_REFUSED, GRPC_DEADLINE_EXCEEDED,
                   "the message took too long to arrive");
}

/* Takes b. */
static bool deliver(struct grpc_call *c, struct batch *b)
{
    if (b->spans_len + b->calls_len == 0) {
        size_t rejected = b->rejected;
        struct err first = b->first_rejection;
        batch_free(b);
        count_outcome(c->method->signal, rejected, false);
        return message_ends(c, rejected, &first);
    }
    if (submit(c, b))
        return true;
    if (c->method->kind == GRPC_STREAM) {
        c->waiting = b;
        timer_after(&c->timer, GRPC_AGAIN_NS);
        return true;
    }
    batch_free(b);
    return fail_overload(c);
}

/* Of a stream's message: keeps the identifier if it has one, else gives it the one before. False: it is too
 * long, or memory is out. */
static bool put_identifier(struct grpc_call *c)
{
    struct rd r = rd_of(buf_sv(&c->in.body));
    bool has_one = false;
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field != IDENTIFIER || t.wire != PB_BYTES) {
            pb_skip(&r, t);
            continue;
        }
        struct sv identifier = pb_bytes(&r, t);
        if (identifier.len > GRPC_IDENTIFIER_BYTES_MAX)
            return false;
        has_one = true;
        buf_clear(&c->identifier);
        pb_put_bytes(&c->identifier, IDENTIFIER, identifier);
    }
    if (!has_one && c->identifier.len && intake_put(&c->in, buf_sv(&c->identifier)) < 0)
        return false;
    return !c->identifier.failed; /* what breaks the format the decoder will tell */
}

/* All bytes of a message are there. */
static bool message_is_complete(struct grpc_call *c)
{
    struct err err = { 0 };
    enum gzip_format format = c->coding == GRPC_GZIP ? GZIP_FORMAT_GZIP : GZIP_FORMAT_ZLIB;
    timer_stop(&c->timer);
    if (c->method->kind == GRPC_HEALTH) {
        forget_message(c);
        return true;
    }
    tally(TALLY_BYTES_IN, c->in.body.len);
    if (c->is_compressed && intake_inflate(&c->in, format, &err) < 0)
        return fail_bytes(c, &err);
    tally(TALLY_BYTES_INFLATED, c->in.body.len);
    if (c->method->kind == GRPC_STREAM && !put_identifier(c))
        return fail(c, TALLY_EXPORT_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,
                    "an identifier of more than %d bytes", GRPC_IDENTIFIER_BYTES_MAX);
    struct batch *b = intake_decode(&c->in, c->method->decode, SV_NONE, &err);
    return b ? deliver(c, b) : fail_bytes(c, &err);
}

/* The five bytes are there. */
static bool message_begins(struct grpc_call *c)
{
    const uint8_t *b = c->prefix;
    size_t most = c->in.limits->body_bytes;
    c->left = (size_t)b[1] << 24 | (size_t)b[2] << 16 | (size_t)b[3] << 8 | b[4];
    c->is_compressed = b[0] == 1;
    c->has_message = true;
    if (b[0] > 1)
        return fail(c, TALLY_GRPC_REFUSED, GRPC_INTERNAL,
                    "a message's first byte is %d, want 0 or 1", b[0]);
    if (c->is_compressed && c->coding == GRPC_IDENTITY)
        return fail(c, TALLY_GRPC_REFUSED, GRPC_INTERNAL,
                    "a compressed message, but grpc-encoding names no coding");
    if (c->left > most)
        return fail(c, TALLY_EXPORT_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,
                    "a message of %zu bytes; the limit is %zu", c->left, most);
    intake_expect(&c->in, c->left);
    timer_after(&c->timer, GRPC_MESSAGE_NS);
    return true;
}

/* Some of the body. */
static bool take_part(struct grpc_call *c, struct sv body)
{
    if (!c->has_message) {
        size_t n = MIN(body.len, GRPC_PREFIX_BYTES - c->prefix_len);
        memcpy(c->prefix + c->prefix_len, body.p, n);
        c->prefix_len += n;
        h2_consume(c->st, n);
        return c->prefix_len < GRPC_PREFIX_BYTES || message_begins(c);
    }
    struct sv part = sv_sub(body, 0, c->left);
    if (intake_put(&c->in, part) < 0)
        return fail_overload(c);
    c->left -= part.len;
    h2_consume(c->st, part.len);
    return true;
}

/* The caller has said all. */
static void call_ends(struct grpc_call *c)
{
    if (c->has_message || c->prefix_len)
        (void)fail(c, TALLY_GRPC_REFUSED, GRPC_INTERNAL, "the stream ended inside a message");
    else if (c->method->kind == GRPC_EXPORT)
        (void)fail(c, TALLY_GRPC_REFUSED, GRPC_INTERNAL, "the stream ended without a message");
    else if (c->method->kind == GRPC_HEALTH)
        (void)answer(c, SV("\x08\x01")); /* SERVING */
    else
        (void)answer(c, SV_NONE);
}

/* True: there may be more to do. */
static bool read_once(struct grpc_call *c)
{
    struct sv body = h2_body(c->st);
    bool is_whole = c->has_message && c->left == 0;
    bool is_single = c->method->kind == GRPC_EXPORT;
    if (is_whole && is_single && body.len)
        return fail(c, TALLY_GRPC_REFUSED, GRPC_UNIMPLEMENTED, "more than one message");
    if (is_whole && (!is_single || c->st->is_ended))
        return message_is_complete(c) && !c->parcel && !c->waiting;
    if (body.len)
        return take_part(c, body);
    if (c->st->is_ended)
        call_ends(c);
    return false;
}

void grpc_call_read(struct grpc_call *c)
{
    struct grpc_peer *p = c->peer;
    if (!c->parcel && !c->waiting) /* else what comes waits in the engine */
        while (read_once(c))
            ;
    grpc_peer_later(p);
}

void grpc_call_stop(struct grpc_call *c)
{
    if (!c->parcel)
        (void)fail(c, TALLY_EXPORT_FAILED, GRPC_UNAVAILABLE, "the collector is stopping");
}

/* --- its head --- */

static void send_http(struct h2_stream *st, unsigned status)
{
    AUTO_DONE(buf) head = { 0 };
    tally(TALLY_GRPC_REFUSED, 1);
    h1_put_status_line(&head, status, SV_NONE);
    h1_put_end(&head);
    if (head.failed || h2_respond(st, buf_sv(&head), true) < 0)
        h2_reset(st, H2_INTERNAL_ERROR);
}

static bool is_coding(struct sv name, const char *known)
{
    return sv_eq_nocase(name, sv_z(known));
}

/* True: it was answered. */
static bool refuse_head(struct grpc_peer *p, struct h2_stream *st, struct sv coding)
{
    const struct http_head *h = &st->head;
    char why[192];
    enum tally_id tally_id = TALLY_GRPC_REFUSED;
    if (st->bad_status) {
        send_http(st, st->bad_status);
        return true;
    }
    if (!sv_eq(h->method, SV("POST")) || !grpc_is_content_type(http_get(h, SV("content-type")))) {
        send_http(st, sv_eq(h->method, SV("POST")) ? 415 : 405);
        return true;
    }
    if (p->door->is_stopping) {
        refuse(st, p, TALLY_EXPORT_FAILED, GRPC_UNAVAILABLE, SV("the collector is stopping"));
        return true;
    }
    if (!method_of(h->path)) {
        snprintf(why, sizeof(why),
                 "no method '%.*s': OTLP's traces and logs and Envoy's access logs are taken",
                 (int)MIN(h->path.len, (size_t)100), h->path.p);
    } else if (coding.len && !is_coding(coding, "identity") && !is_coding(coding, "gzip") &&
               !is_coding(coding, "deflate")) {
        tally_id = TALLY_EXPORT_UNSUPPORTED;
        snprintf(why, sizeof(why), "grpc-encoding '%.*s': gzip and deflate are read",
                 (int)MIN(coding.len, (size_t)80), coding.p);
    } else {
        return false;
    }
    refuse(st, p, tally_id, GRPC_UNIMPLEMENTED, sv_z(why));
    return true;
}

struct grpc_call *grpc_call_new(struct grpc_peer *p, struct h2_stream *st)
{
    struct sv coding = http_get(&st->head, SV("grpc-encoding"));
    if (refuse_head(p, st, coding))
        return NULL;
    struct grpc_call *c = mem_zalloc(sizeof(*c));
    if (!c) {
        h2_reset(st, H2_REFUSED_STREAM);
        return NULL;
    }
    c->peer = p;
    c->st = st;
    c->method = method_of(st->head.path);
    c->coding = is_coding(coding, "gzip")      ? GRPC_GZIP
                : is_coding(coding, "deflate") ? GRPC_DEFLATE
                                               : GRPC_IDENTITY;
    c->in = (struct intake){ .pipeline = p->door->conf.pipeline,
                             .limits = &p->door->conf.limits,
                             .addresses = p->door->conf.addresses };
    timer_init(&c->timer, p->door->conf.loop, on_again);
    if (c->method->kind != GRPC_STREAM) /* a stream's first message may be long in coming */
        timer_after(&c->timer, GRPC_MESSAGE_NS);
    list_add_tail(&p->calls, &c->node);
    p->calls_len++;
    return c;
}
