/* SPDX-License-Identifier: Apache-2.0
 * open_batch.c - records grouped by what they have in common.
 *
 * Who called whom, over which TLS, by which route: two thirds of an access record are the same for
 * every request of an edge. Those attributes are written once, as attributes of the group's
 * InstrumentationScope, which OTLP defines as being about all records in it; a record carries only
 * what is its own. That halves what is encoded, compressed, sent and decoded. Spans stay whole,
 * because other programs show a span's own attributes first: all of them are one group. */
#include "proxy/telemetry/open_batch.h"
#include "base/mem.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

/* Logs and traces use the same numbers for request, resource, scope and elements. */
_Static_assert((int)OTLP_LOGS_REQUEST_RESOURCE_LOGS == (int)OTLP_TRACE_REQUEST_RESOURCE_SPANS &&
                   (int)OTLP_RESOURCE_LOGS_RESOURCE == (int)OTLP_RESOURCE_SPANS_RESOURCE &&
                   (int)OTLP_RESOURCE_LOGS_SCOPE_LOGS == (int)OTLP_RESOURCE_SPANS_SCOPE_SPANS,
               "one frame serves both signals");

static struct open_group *find(struct open_batch *b, enum otlp_signal signal, const struct call *c)
{
    for (unsigned i = 0; i < b->groups_len; i++) {
        unsigned at = (b->last + i) % b->groups_len;
        const struct open_group *g = &b->groups[at];
        if (!g->elements.len || (signal == OTLP_LOGS && !otlp_same_scope(&g->shared, c)))
            continue;
        b->last = at;
        return &b->groups[at];
    }
    return NULL;
}

static void frame(struct buf *to, struct open_group *g)
{
    if (g->elements.len)
        pb_put_bytes(to, OTLP_RESOURCE_LOGS_SCOPE_LOGS, buf_sv(&g->elements));
    buf_clear(&g->elements);
    arena_reset(&g->mem);
}

/* An empty group: a fresh one, or the one after the last used, whose records move out of its way. */
static struct open_group *make_room(struct open_batch *b)
{
    if (b->groups_len < OPEN_GROUPS_MAX) {
        b->last = b->groups_len++;
        return &b->groups[b->last];
    }
    unsigned at = (b->last + 1) % OPEN_GROUPS_MAX;
    struct open_group *g = &b->groups[at];
    if (!buf_reserve(&b->closed, g->elements.len + 16)) {
        b->closed.failed = false; /* nothing was lost: the group stays */
        return NULL;
    }
    frame(&b->closed, g);
    b->last = at;
    return g;
}

static struct open_group *begin(struct open_batch *b, enum otlp_signal signal, const struct call *c)
{
    struct open_group *g = make_room(b);
    if (!g || (signal == OTLP_LOGS && otlp_copy_shared(&g->mem, c, &g->shared) < 0))
        return NULL;
    otlp_put_scope(&g->elements, signal == OTLP_LOGS ? c : NULL);
    if (g->elements.failed) {
        buf_clear(&g->elements); /* an empty group is not found again */
        return NULL;
    }
    b->bytes += g->elements.len;
    return g;
}

bool open_batch_add(struct open_batch *b, enum otlp_signal signal, const struct exchange *x,
                    size_t bytes_max)
{
    struct open_group *g = find(b, signal, &x->call);
    if (!g)
        g = begin(b, signal, &x->call);
    if (!g)
        return false;
    size_t before = g->elements.len;
    if (signal == OTLP_LOGS)
        otlp_put_access_record(&g->elements, x);
    else
        otlp_put_span(&g->elements, x);
    if (g->elements.failed || b->bytes + g->elements.len - before > bytes_max) {
        g->elements.len = before; /* the half-written record goes */
        g->elements.failed = false;
        return false;
    }
    b->bytes += g->elements.len - before;
    b->records++;
    return true;
}

void open_batch_take(struct open_batch *b, struct sv resource, struct buf *to)
{
    size_t request = pb_open(to, OTLP_LOGS_REQUEST_RESOURCE_LOGS);
    pb_put_bytes(to, OTLP_RESOURCE_LOGS_RESOURCE, resource);
    buf_put(to, buf_sv(&b->closed));
    for (unsigned i = 0; i < b->groups_len; i++)
        frame(to, &b->groups[i]);
    pb_close(to, request);
    buf_clear(&b->closed);
    b->groups_len = b->last = 0;
    b->bytes = 0;
    b->records = 0;
}

void open_batch_done(struct open_batch *b)
{
    for (unsigned i = 0; i < OPEN_GROUPS_MAX; i++) {
        buf_done(&b->groups[i].elements);
        arena_done(&b->groups[i].mem);
    }
    buf_done(&b->closed);
    *b = (struct open_batch){ 0 };
}
