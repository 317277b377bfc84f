/* batch_copy.c - a copy of a batch that shares no byte with it. */
#include "store/batch_copy.h"
#include "model/span_copy.h"

static struct identity who_copy(struct copier *c, const struct identity *from)
{
    return (struct identity){ copy_text(c, from->cluster),  copy_text(c, from->namespace),
                              copy_text(c, from->workload), copy_text(c, from->service),
                              copy_text(c, from->version),  copy_text(c, from->principal) };
}

static void call_copy(struct copier *c, const struct call *from, struct call *to)
{
    *to = *from;
    to->source = who_copy(c, &from->source);
    to->destination = who_copy(c, &from->destination);
    struct sv *const texts[] = {
        &to->response_flags,
        &to->response_code_details,
        &to->method,
        &to->path,
        &to->authority,
        &to->route_name,
        &to->request_id,
        &to->user_agent,
        &to->destination_service,
        &to->upstream_host,
        &to->tls_version,
        &to->tls_cipher,
        &to->source_principal_seen,
        &to->destination_principal_seen,
    };
    for (size_t i = 0; i < NELEMS(texts); i++)
        *texts[i] = copy_text(c, *texts[i]);
}

struct batch *batch_copy(const struct batch *b)
{
    AUTO_FREE(batch) copy = batch_new();
    if (!copy)
        return NULL;
    struct copier c = { .mem = &copy->mem };
    copy->idempotency_key = copy_text(&c, b->idempotency_key);
    copy->seq = b->seq;
    copy->received_ns = b->received_ns;
    for (size_t i = 0; i < b->spans_len && !c.failed; i++) {
        struct span *to = batch_add_span(copy);
        if (!to)
            return NULL;
        copy_span(&c, &b->spans[i], to);
    }
    for (size_t i = 0; i < b->calls_len && !c.failed; i++) {
        struct call *to = batch_add_call(copy);
        if (!to)
            return NULL;
        call_copy(&c, &b->calls[i], to);
    }
    return c.failed ? NULL : TAKE(copy);
}
