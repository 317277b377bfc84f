/* SPDX-License-Identifier: Apache-2.0
 * intake.c - charging, decompressing, decoding, handing over.
 *
 * The charge grows in steps that double, so that a large body asks the shared counter a dozen times
 * and a small one holds little more than it needs. */
#include "intake.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tallies.h"

#define CHARGE_STEP   ((size_t)16384)
#define BODY_ROOM_MAX ((uint64_t)1 << 20) /* exports of 512 spans are a quarter of that */

void intake_done(struct intake *in)
{
    if (in->charged)
        pipeline_uncharge(in->pipeline, in->charged);
    in->charged = 0;
    buf_done(&in->body);
}

/* Holds the pipeline's leave for `want` bytes in all; more is charged in growing steps. */
static bool charge_up_to(struct intake *in, size_t want)
{
    if (want <= in->charged)
        return true;
    size_t need = want - in->charged, more = MAX(need, MAX(in->charged, CHARGE_STEP));
    if (!pipeline_charge(in->pipeline, more)) {
        more = need; /* near the bound the step may be what does not fit */
        if (!pipeline_charge(in->pipeline, more))
            return false;
    }
    in->charged += more;
    return true;
}

/* Charges exactly what the message turned out to hold. */
static bool settle_charge(struct intake *in, size_t bytes)
{
    if (bytes > in->charged && !pipeline_charge(in->pipeline, bytes - in->charged))
        return false;
    if (bytes < in->charged)
        pipeline_uncharge(in->pipeline, in->charged - bytes);
    in->charged = bytes;
    return true;
}

/* Room is not memory yet: pages are taken as bytes arrive, which is what is charged. A body announced as
 * larger than usual has to grow: announcing must not be a way to use up addresses either. */
void intake_expect(struct intake *in, uint64_t bytes)
{
    if (in->body.len == 0 && bytes <= BODY_ROOM_MAX)
        (void)buf_reserve(&in->body, (size_t)bytes);
}

static void keep_part(struct buf *body, struct sv part)
{
    if (body->mem && part.p == body->mem + body->from + body->len)
        buf_commit(body, part.len);
    else
        buf_put(body, part);
}

int intake_put(struct intake *in, struct sv part)
{
    size_t want = in->body.len + part.len;
    int rc = 0;
    if (want > in->limits->body_bytes)
        rc = ERR_LIMIT;
    else if (!charge_up_to(in, want))
        rc = ERR_BUSY;
    else
        keep_part(&in->body, part);
    if (in->body.failed)
        rc = ERR_BUSY;
    if (rc < 0)
        buf_done(&in->body);
    return rc;
}

int intake_inflate(struct intake *in, enum gzip_format format, struct err *err)
{
    struct buf plain = { 0 };
    int rc = gzip_inflate(buf_sv(&in->body), format, in->limits->inflated_bytes, &plain, err);
    if (rc < 0) {
        buf_done(&plain);
        err_context(err, "decompressing");
        return rc;
    }
    buf_done(&in->body);
    in->body = plain;
    return 0;
}

struct batch *intake_decode(struct intake *in, decode_fn *decode, struct sv key, struct err *err)
{
    struct sv body = SV_NONE;
    AUTO_FREE(batch) b = batch_new();
    char *mem = NULL;
    if (b && in->body.mem) {
        mem = buf_take(&in->body, &body.len);
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
    int rc = decode(body, b, in->limits, err);
    if (rc == 0 && addresses_settle(in->addresses, b, b->received_ns) < 0)
        rc = err_set(err, ERR_NOMEM, "addresses of proxies");
    return rc < 0 ? NULL : TAKE(b);
}

static size_t batch_bytes(const struct batch *b)
{
    return b->mem.held_bytes + b->spans_cap * sizeof(*b->spans) + b->calls_cap * sizeof(*b->calls);
}

bool intake_submit(struct intake *in, struct batch *b, struct parcel *p)
{
    p->batch = b;
    p->charged = batch_bytes(b);
    if (!settle_charge(in, p->charged) || !pipeline_submit(in->pipeline, p))
        return false;
    in->charged = 0; /* the pipeline's now, with the batch */
    return true;
}
