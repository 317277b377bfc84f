/* trace_view.c - one trace counted as if nothing else had ever come.
 *
 * The rules by which spans become calls, and several reports of one request become one, are those of
 * the fold. So the trace's spans and access records are given to a fold of their own, which is read
 * like the real one, with an empty store behind it. Access records are not indexed by trace: those
 * around the trace's time are looked through, the newest RECORDS_MAX of them. */
#include "query/trace_view.h"
#include "base/clock.h"
#include "query/whole_trace.h"

enum {
    HALVES_MAX = WHOLE_TRACE_SPANS_MAX,
    EDGES_MAX = 2000,    /* a trace through every workload of a large mesh */
    RECORDS_MAX = 50000, /* the trace's seconds at 10,000 requests a second */
};
#define WAIT_NS  (60 * NS_PER_S)
#define SLACK_NS NS_PER_S /* clocks of proxies and applications differ */
#define LONG_NS  (24 * 3600 * NS_PER_S)

struct counting {
    struct fold *fold;
    struct trace_id id;
    bool is_out_of_memory;
};

static int count_record(void *to, const struct call *c)
{
    struct counting *n = to;
    if (memcmp(&c->trace_id, &n->id, sizeof(n->id)) != 0)
        return 0;
    AUTO_FREE(batch) b = batch_new();
    struct call *slot = b ? batch_add_call(b) : NULL;
    if (!slot) {
        n->is_out_of_memory = true;
        return 1;
    }
    *slot = *c; /* borrows its texts, as the fold does */
    b->received_ns = c->start_ns;
    fold_batch(n->fold, b, true);
    return 0;
}

static int count_spans(struct fold *f, const struct whole_trace *t, int64_t at_ns, struct err *err)
{
    AUTO_FREE(batch) b = batch_new();
    for (size_t i = 0; b && i < t->len; i++) {
        struct span *slot = batch_add_span(b);
        if (!slot)
            return err_set(err, ERR_NOMEM, "graph of a trace");
        *slot = t->spans[i];
    }
    if (!b)
        return err_set(err, ERR_NOMEM, "graph of a trace");
    b->received_ns = at_ns;
    fold_batch(f, b, true);
    fold_tick(f, at_ns + 2 * WAIT_NS); /* nothing else will come: judge what waits */
    return 0;
}

static struct window window_of(const struct whole_trace *t)
{
    struct window w = { INT64_MAX, 0 };
    for (size_t i = 0; i < t->len; i++) {
        w.from_ns = MIN(w.from_ns, t->spans[i].start_ns);
        w.to_ns = MAX(w.to_ns, MAX(t->spans[i].start_ns, t->spans[i].end_ns));
    }
    w.from_ns = MIN(MAX(w.from_ns, SLACK_NS), PARAM_TIME_MAX_NS) - SLACK_NS;
    w.to_ns = MIN(w.to_ns, PARAM_TIME_MAX_NS) + SLACK_NS;
    w.to_ns = MIN(MAX(w.to_ns, w.from_ns + 2 * SLACK_NS), w.from_ns + LONG_NS);
    return w;
}

struct fold *trace_fold(const struct api *api, struct trace_id id, struct window *ret_window,
                        struct err *err)
{
    AUTO_DONE(whole_trace) t = { 0 };
    struct fold_conf fc = { .halves_max = HALVES_MAX,
                            .edges_max = EDGES_MAX,
                            .identities_max = EDGES_MAX,
                            .wait_ns = WAIT_NS };
    if (whole_trace_read(api->store, id, &t, err) < 0)
        return NULL;
    AUTO_FREE(fold) f = fold_new(&fc);
    struct counting n = { .fold = f, .id = id };
    struct window w = window_of(&t);
    if (!f) {
        err_set(err, ERR_NOMEM, "graph of a trace");
        return NULL;
    }
    if (store_calls(api->store, &w, RECORDS_MAX, count_record, &n, err) < 0 ||
        count_spans(f, &t, w.to_ns, err) < 0)
        return NULL;
    if (n.is_out_of_memory) {
        err_set(err, ERR_NOMEM, "graph of a trace");
        return NULL;
    }
    *ret_window = w;
    return TAKE(f);
}

int trace_view_read(const struct api *api, struct trace_id id, struct view_wish w,
                    struct view *ret_view, struct err *err)
{
    struct store_conf sc = { .url = SV("memory:") };
    AUTO_FREE(fold) f = trace_fold(api, id, &w.window, err);
    if (!f)
        return err->code;
    struct store *empty = store_open(&sc, err);
    if (!empty)
        return err->code;
    struct api alone = *api;
    alone.store = empty;
    alone.fold = f;
    int rc = api_read_view(&alone, &w, ret_view, err);
    store_close(empty);
    return rc;
}
