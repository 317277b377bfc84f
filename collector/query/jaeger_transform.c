/* jaeger_transform.c - the two routes of Jaeger that take a POST: a file's spans as its page wants
 * them, and keeping a trace for ever.
 *
 * The page sends an uploaded OTLP file to /api/transform and draws what comes back; nothing is stored
 * and nothing repaired. The decoder is the one that exporters meet. There is no archive beside the
 * store, so archiving answers what Jaeger answers where none is configured. */
#include "base/mem.h"
#include "ingest/decode.h"
#include "query/jaeger_span.h"

struct placed {
    const struct span *span;
    size_t at; /* in the request */
};

/* Trace by trace, each in the order in which a stored trace is read. */
static int by_trace(const void *pa, const void *pb)
{
    const struct placed *a = pa, *b = pb;
    int order = memcmp(&a->span->trace_id, &b->span->trace_id, sizeof(struct trace_id));
    if (order)
        return order;
    if (a->span->start_ns != b->span->start_ns)
        return a->span->start_ns < b->span->start_ns ? -1 : 1;
    order = memcmp(&a->span->span_id, &b->span->span_id, sizeof(struct span_id));
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

static int put_traces(struct json_out *j, const struct batch *b, struct arena *mem, struct err *err)
{
    size_t n = b->spans_len;
    struct placed *order = arena_array(mem, n + 1, sizeof(*order));
    struct span *spans = arena_array(mem, n + 1, sizeof(*spans));
    struct span_notes *notes = arena_array(mem, n + 1, sizeof(*notes));
    if (!order || !spans || !notes)
        return err_set(err, ERR_NOMEM, "spans to show");
    for (size_t i = 0; i < n; i++)
        order[i] = (struct placed){ &b->spans[i], i };
    qsort(order, n, sizeof(*order), by_trace);
    for (size_t i = 0; i < n; i++)
        spans[i] = *order[i].span;
    for (size_t i = 0, end; i < n; i = end) {
        struct whole_trace t = { .id = spans[i].trace_id, .spans = &spans[i], .notes = &notes[i] };
        for (end = i; end < n && memcmp(&spans[end].trace_id, &t.id, sizeof(t.id)) == 0; end++)
            t.len++;
        if (jaeger_put_trace(j, &t, SV_NONE) < 0)
            return err_set(err, ERR_NOMEM, "spans to show");
    }
    return 0;
}

void jaeger_transform(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(arena) mem = { 0 };
    AUTO_FREE(batch) b = batch_new();
    struct limits limits = limits_for(API_BODY_MAX);
    struct err err = { 0 };
    (void)api;
    if (q->body.len > API_BODY_MAX) {
        jaeger_error(a, 413, "the body is longer than %d bytes", API_BODY_MAX);
        return;
    }
    int rc = b ? otlp_json_traces_decode(q->body, b, &limits, &err)
               : err_set(&err, ERR_NOMEM, "spans to show");
    if (rc < 0 && rc != ERR_NOMEM) {
        jaeger_error(a, 400, "cannot unmarshal OTLP : byte %zu: %s", err.at, err.why);
        return;
    }
    struct json_out j = jaeger_open(a);
    json_open(&j, '[');
    if (rc == 0)
        rc = put_traces(&j, b, &mem, &err);
    if (rc < 0) {
        jaeger_failure(a, &err);
        return;
    }
    json_close(&j);
    jaeger_close(&j, 0);
}

void jaeger_archive(const struct api *api, struct query *q, struct answer *a)
{
    struct trace_id id;
    (void)api;
    if (jaeger_path_trace_id(q, &id))
        jaeger_error(a, 500, "archive span storage was not configured");
    else
        jaeger_error(a, 400, "unable to parse param 'traceID': want 1 to 32 hexadecimal digits");
}
