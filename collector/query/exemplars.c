/* exemplars.c - picks requests from what is stored, when somebody asks.
 *
 * Counting keeps one trace of an edge and bucket; that is enough for a link, not for "show me slow
 * ones". So the raw records of the window are read once and each request of the edge is put into the
 * range its duration falls into, and into that of failed ones if it failed. A range is a reservoir
 * (Vitter's algorithm R): the k-th request takes a random place with probability len / k. The
 * numbers come from the edge's id, so the same records give the same choice.
 *
 * Where proxies tell of the edge, the records are access records, else calls that its traces tell
 * of, paired again. Both are bounded: the newest RECORDS_MAX, the newest TRACES_MAX. */
#include "query/exemplars.h"
#include "aggregate/view_roll.h"
#include "base/json_out.h"
#include "normalize/normalize.h"
#include "pair/pair.h"
#include "query/trace_json.h"
#include "query/whole_trace.h"

enum { RECORDS_MAX = 50000, TRACES_MAX = 100, FAILED = EXEMPLAR_RANGES - 1 };
#define WAIT_NS (60 * NS_PER_S)

struct picking {
    struct exemplars *x;
    const struct edge_view *edge;
    enum granularity granularity;
    const struct window *window;
    size_t per_range;
    uint64_t random; /* splitmix64's state */
    bool is_out_of_memory;
};

void exemplars_done(struct exemplars *x)
{
    arena_done(&x->mem);
    *x = (struct exemplars){ 0 };
}

/* Steele, Lea and Flood (2014), as in Java's SplittableRandom. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int take(struct picking *p, struct exemplar_range *r, const struct call *c)
{
    uint64_t at = r->requests++;
    if (at >= p->per_range)
        at = next_random(&p->random) % r->requests;
    if (at >= p->per_range)
        return 0;
    AUTO_DONE(buf) json = { 0 };
    struct json_out j = json_out_of(&json);
    json_call(&j, c);
    struct sv copy = json.failed ? SV_NONE : arena_copy(&p->x->mem, buf_sv(&json));
    if (!copy.p)
        return -1;
    r->taken[at] = copy;
    r->len = MAX(r->len, (size_t)at + 1);
    return 0;
}

/* Counts as the fold does, then asks whether it is the edge's. */
static bool is_ours(const struct picking *p, struct call *c)
{
    call_name_ends(c);
    struct edge e = { c->source, c->destination, c->protocol, c->destination_service };
    return c->reporter == p->edge->evidence && window_contains(*p->window, c->start_ns) &&
           edge_roll_up_id(&e, p->granularity) == p->edge->id;
}

static void offer(struct picking *p, const struct call *said)
{
    struct call c = *said;
    size_t range = 0;
    if (!is_ours(p, &c))
        return;
    while (range < NELEMS(p->x->bounds_ns) && c.duration_ns > p->x->bounds_ns[range])
        range++;
    if (take(p, &p->x->ranges[range], &c) < 0 ||
        (call_is_error(&c) && take(p, &p->x->ranges[FAILED], &c) < 0))
        p->is_out_of_memory = true;
}

static int on_record(void *to, const struct call *c)
{
    struct picking *p = to;
    p->x->looked_at++;
    offer(p, c);
    return p->is_out_of_memory;
}

static void on_pair(void *to, const struct call *c, const struct called_half *called)
{
    (void)called;
    offer(to, c);
}

struct trace_ids {
    struct trace_id list[TRACES_MAX];
    size_t len;
};

static int on_trace(void *to, const struct trace_summary *t)
{
    struct trace_ids *ids = to;
    ids->list[ids->len++] = t->trace_id;
    return ids->len == TRACES_MAX;
}

static int pair_trace(const struct api *api, struct picking *p, struct trace_id id, struct err *err)
{
    AUTO_DONE(whole_trace) t = { 0 };
    struct pair_conf conf = { WHOLE_TRACE_SPANS_MAX, WHOLE_TRACE_SPANS_MAX, WAIT_NS };
    int rc = whole_trace_read(api->store, id, &t, err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND ? 0 : rc; /* retention was faster */
    AUTO_FREE(pairer) pairer = pairer_new(&conf, on_pair, p);
    if (!pairer)
        return err_set(err, ERR_NOMEM, "exemplars");
    pairer_add(pairer, t.spans, t.len, p->window->to_ns, true);
    pairer_expire(pairer, p->window->to_ns + 2 * WAIT_NS, true);
    p->x->looked_at++;
    return 0;
}

/* Traces with a span of that service; of any, when the spans call it by another name. */
static int pick_from_traces(const struct api *api, struct picking *p, struct err *err)
{
    struct trace_ids ids = { .len = 0 };
    const struct identity *to = &p->edge->edge.destination, *from = &p->edge->edge.source;
    bool is_virtual = node_type_of(to) == NODE_VIRTUAL;
    struct span_query q = { .window = *p->window,
                            .service = is_virtual ? from->service : to->service,
                            .limit = TRACES_MAX };
    struct search_end end = { 0 };
    int rc = store_search(api->store, &q, on_trace, &ids, &end, err);
    if (rc == 0 && ids.len == 0) {
        q.service = SV_NONE;
        rc = store_search(api->store, &q, on_trace, &ids, &end, err);
    }
    p->x->is_complete = ids.len < TRACES_MAX && !end.has_more;
    for (size_t i = 0; rc == 0 && i < ids.len; i++)
        rc = pair_trace(api, p, ids.list[i], err);
    return rc;
}

int exemplars_find(const struct api *api, const struct edge_view *e, enum granularity g,
                   const struct window *w, size_t per_range, struct exemplars *ret, struct err *err)
{
    static const double quantiles[] = { 0.5, 0.95, 0.99 };
    _Static_assert(NELEMS(quantiles) == NELEMS(ret->bounds_ns), "a bound for each");
    struct picking p = {
        .x = ret, .edge = e, .granularity = g, .window = w, .per_range = per_range, .random = e->id
    };
    *ret = (struct exemplars){ 0 };
    INVARIANT(per_range <= EXEMPLARS_MAX);
    for (size_t i = 0; i < NELEMS(quantiles); i++)
        ret->bounds_ns[i] = hist_quantile(&e->sum.latency, quantiles[i]);
    int rc;
    if (e->evidence == REPORTER_SOURCE || e->evidence == REPORTER_DESTINATION) {
        rc = store_calls(api->store, w, RECORDS_MAX, on_record, &p, err);
        ret->is_complete = ret->looked_at < RECORDS_MAX;
    } else {
        rc = pick_from_traces(api, &p, err);
    }
    if (rc == 0 && p.is_out_of_memory)
        rc = err_set(err, ERR_NOMEM, "exemplars");
    return rc;
}
