/* door_export.c - one export request: what it must look like, its batch, its answer. */
#include "base/log.h"
#include "base/mem.h"
#include "door_priv.h"
#include "tallies.h"
#include <stdarg.h>

#define KEY_BYTES_MAX 256 /* an idempotency key is a UUID or a hash */
#define RETRY_AFTER   "Retry-After: 1\r\n"

void export_refuse(struct caller *c, unsigned status, enum rpc_code code, const char *fmt, ...)
{
    struct refusal *r = &c->req.refusal;
    if (r->status)
        return;
    va_list ap;
    va_start(ap, fmt);
    r->status = status;
    r->code = code;
    vsnprintf(r->text, sizeof(r->text), fmt, ap);
    va_end(ap);
}

static void count_refusal(unsigned status)
{
    switch (status) {
    case 400: tally(TALLY_EXPORT_MALFORMED, 1); return;
    case 413: tally(TALLY_EXPORT_TOO_LARGE, 1); return;
    case 415: tally(TALLY_EXPORT_UNSUPPORTED, 1); return;
    case 429: tally(TALLY_EXPORT_OVERLOADED, 1); return;
    case 503: tally(TALLY_EXPORT_FAILED, 1); return;
    default: tally(TALLY_HTTP_REFUSED, 1);
    }
}

void export_send_refusal(struct caller *c)
{
    const struct refusal *r = &c->req.refusal;
    AUTO_DONE(buf) body = { 0 };
    char peer[ADDR_TEXT_SIZE];
    struct sv extra = SV_NONE;
    if (r->status == 429 || r->status == 503)
        extra = SV(RETRY_AFTER);
    else if (r->status == 405)
        extra = SV("Allow: POST\r\n");
    count_refusal(r->status);
    LOG_EVERY(NS_PER_S, LOG_WARN, "export.refused",
              KV_SV("peer", addr_text(conn_peer(c->conn), peer)), KV_UINT("status", r->status),
              KV_STR("why", r->text));
    answer_status(c->req.answer_format, r->code, sv_z(r->text), &body);
    caller_reply(c, r->status, answer_content_type(c->req.answer_format), extra, buf_sv(&body));
    caller_next(c);
}

void export_done(struct caller *c)
{
    struct export_request *r = &c->req;
    if (r->in.pipeline)
        intake_done(&r->in);
    buf_done(&r->idempotency_key);
    *r = (struct export_request){ .answer_format = FORMAT_JSON };
}

static bool coding_of(struct sv name, enum export_coding *ret)
{
    if (name.len == 0 || sv_eq_nocase(name, SV("identity")))
        *ret = CODING_IDENTITY;
    else if (sv_eq_nocase(name, SV("gzip")) || sv_eq_nocase(name, SV("x-gzip")))
        *ret = CODING_GZIP;
    else if (sv_eq_nocase(name, SV("deflate")))
        *ret = CODING_ZLIB;
    else
        return false;
    return true;
}

static struct sv media_type(struct sv content_type)
{
    return sv_trim(sv_sub(content_type, 0, sv_index(content_type, ';')));
}

static void choose_decoder(struct caller *c)
{
    const struct http_head *h = &c->h1.head;
    struct export_request *r = &c->req;
    struct sv path = http_path_only(h), type = media_type(http_get(h, SV("content-type")));
    bool is_path;
    const struct decoder *decoder = decoder_find(path, type, &is_path);
    if (sv_eq(path, SV("/v1/metrics")))
        export_refuse(c, 404, RPC_UNIMPLEMENTED,
                      "metrics are not taken here; this door serves /v1/traces, /v1/logs and "
                      "/v1/envoy-logs");
    else if (!is_path)
        export_refuse(c, 404, RPC_NOT_FOUND,
                      "no such path; this door serves /v1/traces, /v1/logs and /v1/envoy-logs");
    else if (!sv_eq(h->method, SV("POST")))
        export_refuse(c, 405, RPC_UNIMPLEMENTED, "only POST is served here");
    else if (!decoder)
        export_refuse(c, 415, RPC_INVALID_ARGUMENT, "Content-Type '%.*s': %s are read",
                      (int)MIN(type.len, (size_t)80), type.p ? type.p : "",
                      sv_eq(path, SV("/v1/envoy-logs"))
                          ? "text/plain, application/x-ndjson and application/json"
                          : "application/x-protobuf and application/json");
    else if (sv_eq(type, SV("text/plain")) && http_get(h, SV("origin")).len)
        export_refuse(c, 403, RPC_INVALID_ARGUMENT,
                      "text/plain with an Origin: pages of other sites could send it");
    r->decoder = decoder;
    if (decoder)
        r->answer_format = decoder->format;
}

void export_begin(struct caller *c)
{
    const struct http_head *h = &c->h1.head;
    struct export_request *r = &c->req;
    struct sv coding = http_get(h, SV("content-encoding")),
              key = http_get(h, SV("idempotency-key"));
    size_t body_max = c->door->conf.limits.body_bytes;
    *r = (struct export_request){ .answer_format = FORMAT_JSON,
                                  .in = { .pipeline = c->door->conf.pipeline,
                                          .limits = &c->door->conf.limits,
                                          .addresses = c->door->conf.addresses } };
    r->is_keep_alive = h->is_keep_alive;
    r->is_head_method = sv_eq(h->method, SV("HEAD"));
    choose_decoder(c);
    if (!coding_of(coding, &r->coding))
        export_refuse(c, 415, RPC_INVALID_ARGUMENT,
                      "Content-Encoding '%.*s': gzip and deflate are read",
                      (int)MIN(coding.len, (size_t)80), coding.p);
    if (h->has_length && h->content_length > body_max)
        export_refuse(c, 413, RPC_RESOURCE_EXHAUSTED, "a body of %llu bytes; the limit is %zu",
                      (unsigned long long)h->content_length, body_max);
    if (key.len > KEY_BYTES_MAX)
        export_refuse(c, 400, RPC_INVALID_ARGUMENT, "Idempotency-Key of %zu bytes; the limit is %d",
                      key.len, KEY_BYTES_MAX);
    if (c->door->is_stopping)
        export_refuse(c, 503, RPC_UNAVAILABLE, "the collector is stopping");
    if (r->refusal.status == 0)
        buf_put(&r->idempotency_key, key);
}

static void refuse_overload(struct caller *c)
{
    export_refuse(c, 429, RPC_RESOURCE_EXHAUSTED, "too much in flight, try again");
}

char *export_room(struct caller *c, size_t *bytes)
{
    struct buf *body = &c->req.in.body;
    const struct http_head *h = &c->h1.head;
    if (!h->has_length)
        return NULL;
    intake_expect(&c->req.in, h->content_length);
    if (!body->mem || body->failed)
        return NULL;
    uint64_t left = h->content_length - c->h1.body_bytes;
    size_t room = body->cap - body->from - body->len;
    size_t most = (size_t)MIN(left, (uint64_t)MIN(room, DOOR_BODY_READ_BYTES));
    if (most == 0)
        return NULL;
    *bytes = most;
    return body->mem + body->from + body->len;
}

void export_body(struct caller *c, struct sv part)
{
    const struct http_head *h = &c->h1.head;
    if (h->has_length)
        intake_expect(&c->req.in, h->content_length);
    int rc = intake_put(&c->req.in, part);
    if (rc == ERR_LIMIT)
        export_refuse(c, 413, RPC_RESOURCE_EXHAUSTED, "a body of more than %zu bytes",
                      c->door->conf.limits.body_bytes);
    else if (rc < 0)
        refuse_overload(c);
}

static int inflate(struct caller *c, struct err *err)
{
    struct export_request *r = &c->req;
    if (r->coding == CODING_IDENTITY)
        return 0;
    return intake_inflate(&r->in, r->coding == CODING_GZIP ? GZIP_FORMAT_GZIP : GZIP_FORMAT_ZLIB,
                          err);
}

static void refuse_bytes(struct caller *c, const struct err *err)
{
    switch (err->code) {
    case ERR_LIMIT:
        export_refuse(c, 413, RPC_RESOURCE_EXHAUSTED, "byte %zu: %s", err->at, err->why);
        return;
    case ERR_NOMEM: refuse_overload(c); return;
    default: export_refuse(c, 400, RPC_INVALID_ARGUMENT, "byte %zu: %s", err->at, err->why);
    }
}

static void reply_export(struct caller *c, const struct export_parcel *p)
{
    AUTO_DONE(buf) body = { 0 };
    answer_export(p->signal, p->format, p->rejected, &p->first_rejection, &body);
    caller_reply(c, 200, answer_content_type(p->format), SV_NONE, buf_sv(&body));
    caller_next(c);
}

static void count_outcome(const struct export_parcel *p)
{
    enum tally_id outcome = p->parcel.is_duplicate ? TALLY_EXPORT_DUPLICATE
                            : p->rejected          ? TALLY_EXPORT_PARTIAL
                                                   : TALLY_EXPORT_ACCEPTED;
    tally(outcome, 1);
    if (!p->parcel.is_duplicate)
        tally(p->signal == SIGNAL_TRACES ? TALLY_SPANS_REJECTED : TALLY_CALLS_REJECTED,
              p->rejected);
}

/* The pipeline is done with a batch, successfully or not. */
static void on_committed(struct parcel *parcel)
{
    struct export_parcel *p = CONTAINER_OF(parcel, struct export_parcel, parcel);
    struct door *d = p->door;
    struct caller *c = p->caller;
    if (parcel->rc == 0)
        count_outcome(p);
    if (c) {
        c->parcel = NULL;
        if (parcel->rc == 0) {
            reply_export(c, p);
        } else {
            export_refuse(c, 503, RPC_UNAVAILABLE, "the store could not take it: %s; try again",
                          err_code_name(parcel->rc));
            export_send_refusal(c);
        }
    }
    mem_free(p);
    d->committing_len--;
    door_check_drained(d);
}

void export_orphan(struct export_parcel *p)
{
    p->caller = NULL;
}

/* Hands the batch over; true when the pipeline has it. */
static bool submit(struct caller *c, struct batch *b)
{
    struct export_request *r = &c->req;
    struct export_parcel *p = mem_zalloc(sizeof(*p));
    if (!p)
        return false;
    *p = (struct export_parcel){ .door = c->door,
                                 .caller = c,
                                 .signal = r->decoder->signal,
                                 .format = r->decoder->format,
                                 .rejected = b->rejected,
                                 .first_rejection = b->first_rejection };
    p->parcel = (struct parcel){ .done = on_committed };
    if (!intake_submit(&r->in, b, &p->parcel)) {
        mem_free(p);
        return false;
    }
    c->parcel = p;
    c->state = CALLER_COMMITTING;
    c->door->committing_len++;
    return true;
}

static void reply_without_commit(struct caller *c, const struct batch *b)
{
    const struct decoder *d = c->req.decoder;
    struct export_parcel p = { .signal = d->signal,
                               .format = d->format,
                               .rejected = b->rejected,
                               .first_rejection = b->first_rejection };
    count_outcome(&p);
    reply_export(c, &p);
}

void export_end(struct caller *c)
{
    struct export_request *r = &c->req;
    struct err err = { 0 };
    AUTO_FREE(batch) b = NULL;
    tally(TALLY_BYTES_IN, r->in.body.len);
    if (inflate(c, &err) == 0) {
        tally(TALLY_BYTES_INFLATED, r->in.body.len);
        b = intake_decode(&r->in, r->decoder->decode, buf_sv(&r->idempotency_key), &err);
    }
    if (!b) {
        refuse_bytes(c, &err);
        export_send_refusal(c);
    } else if (b->spans_len + b->calls_len == 0) {
        reply_without_commit(c, b);
    } else if (submit(c, b)) {
        (void)TAKE(b);
    } else {
        refuse_overload(c);
        export_send_refusal(c);
    }
}
