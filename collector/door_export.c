/* door_export.c - one export request: what it must look like, its body, its batch, its answer.
 *
 * Bytes are charged against the pipeline's bound as they arrive, not as they are announced, so that
 * nobody can occupy the bound by announcing. What a request costs after decoding is charged before
 * the batch is handed over; the charge then travels with the batch. */
#include "base/gzip.h"
#include "base/log.h"
#include "base/mem.h"
#include "door_priv.h"
#include "tallies.h"
#include <stdarg.h>

#define CHARGE_STEP   ((size_t)16384)
#define KEY_BYTES_MAX 256                 /* an idempotency key is a UUID or a hash */
#define BODY_ROOM_MAX ((uint64_t)1 << 20) /* exports of 512 spans are a quarter of that */
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
    if (r->charged)
        pipeline_uncharge(c->door->conf.pipeline, r->charged);
    buf_done(&r->body);
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
    *r = (struct export_request){ .answer_format = FORMAT_JSON };
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

/* Holds the pipeline's leave for `want` bytes in all; more is charged in growing steps. */
static bool charge_up_to(struct caller *c, size_t want)
{
    struct export_request *r = &c->req;
    if (want <= r->charged)
        return true;
    size_t more = MAX(want - r->charged, MAX(r->charged, CHARGE_STEP));
    if (!pipeline_charge(c->door->conf.pipeline, more))
        return false;
    r->charged += more;
    return true;
}

/* Charges exactly what the request turned out to hold. */
static bool settle_charge(struct caller *c, size_t bytes)
{
    struct export_request *r = &c->req;
    if (bytes > r->charged && !pipeline_charge(c->door->conf.pipeline, bytes - r->charged))
        return false;
    if (bytes < r->charged)
        pipeline_uncharge(c->door->conf.pipeline, r->charged - bytes);
    r->charged = bytes;
    return true;
}

static void refuse_overload(struct caller *c)
{
    export_refuse(c, 429, RPC_RESOURCE_EXHAUSTED, "too much in flight, try again");
}

/* Room for the announced body at once, so that it is not moved while it grows. Room is not memory
 * yet: pages are taken as bytes arrive, which is what is charged. A body announced as larger than
 * usual has to grow: announcing must not be a way to use up addresses either. */
static void make_room(struct caller *c)
{
    const struct http_head *h = &c->h1.head;
    if (h->has_length && h->content_length <= BODY_ROOM_MAX)
        (void)buf_reserve(&c->req.body, (size_t)h->content_length);
}

char *export_room(struct caller *c, size_t *bytes)
{
    struct buf *body = &c->req.body;
    const struct http_head *h = &c->h1.head;
    if (body->len == 0)
        make_room(c);
    if (!h->has_length || !body->mem || body->failed)
        return NULL;
    uint64_t left = h->content_length - c->h1.body_bytes;
    size_t room = body->cap - body->from - body->len;
    size_t most = (size_t)MIN(left, (uint64_t)MIN(room, DOOR_BODY_READ_BYTES));
    if (most == 0)
        return NULL;
    *bytes = most;
    return body->mem + body->from + body->len;
}

/* Bytes that export_room() gave room for are in their place. */
static void keep_part(struct buf *body, struct sv part)
{
    if (body->mem && part.p == body->mem + body->from + body->len)
        buf_commit(body, part.len);
    else
        buf_put(body, part);
}

void export_body(struct caller *c, struct sv part)
{
    struct export_request *r = &c->req;
    size_t body_max = c->door->conf.limits.body_bytes, want = r->body.len + part.len;
    if (want > body_max)
        export_refuse(c, 413, RPC_RESOURCE_EXHAUSTED, "a body of more than %zu bytes", body_max);
    else if (!charge_up_to(c, want))
        refuse_overload(c);
    else {
        if (r->body.len == 0)
            make_room(c);
        keep_part(&r->body, part);
    }
    if (r->body.failed)
        refuse_overload(c);
    if (r->refusal.status)
        buf_done(&r->body);
}

/* The decompressed body in place of the one that came. */
static int inflate(struct caller *c, struct err *err)
{
    struct export_request *r = &c->req;
    if (r->coding == CODING_IDENTITY)
        return 0;
    struct buf plain = { 0 };
    enum gzip_format format = r->coding == CODING_GZIP ? GZIP_FORMAT_GZIP : GZIP_FORMAT_ZLIB;
    int rc = gzip_inflate(buf_sv(&r->body), format, c->door->conf.limits.inflated_bytes, &plain,
                          err);
    if (rc < 0) {
        buf_done(&plain);
        err_context(err, "decompressing");
        return rc;
    }
    buf_done(&r->body);
    r->body = plain;
    return 0;
}

/* A batch that owns the body it points into. */
static struct batch *decode(struct caller *c, struct err *err)
{
    struct export_request *r = &c->req;
    struct sv key = buf_sv(&r->idempotency_key), body;
    AUTO_FREE(batch) b = batch_new();
    char *mem = NULL;
    if (b && r->body.mem) {
        mem = buf_take(&r->body, &body.len);
        if (arena_adopt(&b->mem, mem, body.len) < 0)
            b = batch_free(b);
    }
    if (!b || (key.len && !(b->idempotency_key = arena_copy(&b->mem, key)).p)) {
        if (!b)
            mem_free(mem);
        err_set(err, ERR_NOMEM, "batch");
        return NULL;
    }
    body = mem ? sv_of(mem, body.len) : SV_NONE;
    b->received_ns = clock_wall_ns();
    int rc = r->decoder->decode(body, b, &c->door->conf.limits, err);
    if (rc == 0 && addresses_settle(&c->door->addresses, b, b->received_ns) < 0)
        rc = err_set(err, ERR_NOMEM, "addresses of proxies");
    return rc < 0 ? NULL : TAKE(b);
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

static size_t batch_bytes(const struct batch *b)
{
    return b->mem.held_bytes + b->spans_cap * sizeof(*b->spans) + b->calls_cap * sizeof(*b->calls);
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
    p->parcel = (struct parcel){ .batch = b, .done = on_committed };
    p->parcel.charged = batch_bytes(b);
    if (!settle_charge(c, p->parcel.charged) ||
        !pipeline_submit(c->door->conf.pipeline, &p->parcel)) {
        mem_free(p);
        return false;
    }
    /* The batch and its charge are the pipeline's now. */
    r->charged = 0;
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
    tally(TALLY_BYTES_IN, r->body.len);
    if (inflate(c, &err) == 0) {
        tally(TALLY_BYTES_INFLATED, r->body.len);
        b = decode(c, &err);
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
