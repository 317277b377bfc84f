/* api_state.c - services, access records, the collector's own state. */
#include "base/clock.h"
#include "query/api.h"
#include "query/graph_json.h"
#include "query/trace_json.h"
#include "tulle_version.h"

#define CALLS_DEFAULT_NS (300 * NS_PER_S)

enum { CALLS_DEFAULT = 100, CALLS_MAX = 1000 };

struct services_writer {
    struct json_out j;
    uint64_t offset, limit;
    uint64_t seen;      /* services so far */
    struct buf service; /* the one whose object is open; empty at first */
    bool is_open;
};

/* The service that was seen last. */
static bool is_on_page(const struct services_writer *w)
{
    return w->seen > w->offset && w->seen - w->offset <= w->limit;
}

static void close_service(struct services_writer *w)
{
    if (!w->is_open || !is_on_page(w))
        return;
    json_close(&w->j);
    json_close(&w->j);
}

static int put_operation(void *to, struct sv service, struct sv name, enum span_kind kind)
{
    struct services_writer *w = to;
    if (!w->is_open || !sv_eq(buf_sv(&w->service), service)) {
        close_service(w);
        buf_clear(&w->service);
        buf_put(&w->service, service);
        w->is_open = true;
        w->seen++;
        if (!is_on_page(w))
            return 0;
        json_open(&w->j, '{');
        json_kv_str(&w->j, "name", service);
        json_kv_open(&w->j, "operations", '[');
    }
    if (!is_on_page(w))
        return 0;
    json_open(&w->j, '{');
    json_kv_str(&w->j, "name", name);
    json_kv_str(&w->j, "kind", sv_z(span_kind_name(kind)));
    json_close(&w->j);
    return 0;
}

void api_services(const struct api *api, struct query *q, struct answer *a)
{
    struct services_writer w = { .j = json_out_of(&a->body), .limit = UINT32_MAX };
    struct err err = { 0 };
    if (params_u64(&q->params, "limit", 1, UINT32_MAX, &w.limit) < 0 ||
        params_u64(&q->params, "offset", 0, UINT32_MAX, &w.offset) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    json_open(&w.j, '{');
    json_kv_open(&w.j, "services", '[');
    int rc = store_operations(api->store, put_operation, &w, &err);
    close_service(&w);
    json_close(&w.j);
    json_kv_u64(&w.j, "total", w.seen);
    json_close(&w.j);
    if (rc < 0)
        answer_failure(a, &err);
    a->body.failed |= w.service.failed;
    buf_done(&w.service);
}

static int put_call(void *to, const struct call *c)
{
    json_call(to, c);
    return 0;
}

void api_calls(const struct api *api, struct query *q, struct answer *a)
{
    struct window w;
    uint64_t limit = CALLS_DEFAULT;
    struct err err = { 0 };
    if (params_window(&q->params, CALLS_DEFAULT_NS, INT64_MAX, &w) < 0 ||
        params_u64(&q->params, "limit", 1, CALLS_MAX, &limit) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_time(&j, "from", w.from_ns);
    json_kv_time(&j, "to", w.to_ns);
    json_kv_open(&j, "calls", '[');
    if (store_calls(api->store, &w, (size_t)limit, put_call, &j, &err) < 0) {
        answer_failure(a, &err);
        return;
    }
    json_close(&j);
    json_close(&j);
}

static void put_fold_stats(struct json_out *j, const struct fold_stats *f)
{
    const struct pair_stats *p = &f->pair;
    json_kv_open(j, "fold", '{');
    json_kv_u64(j, "callsCounted", f->calls_counted);
    json_kv_u64(j, "callsOverflow", f->calls_overflow);
    json_kv_u64(j, "callsRepeated", f->calls_repeated);
    json_kv_u64(j, "lost", f->lost);
    json_kv_u64(j, "edges", f->edges);
    json_kv_u64(j, "identities", f->identities);
    json_kv_u64(j, "pendingBuckets", f->pending_buckets);
    json_close(j);
    json_kv_open(j, "pair", '{');
    json_kv_u64(j, "waiting", p->waiting);
    json_kv_u64(j, "paired", p->paired);
    json_kv_u64(j, "virtualPeers", p->virtual_peers);
    json_kv_u64(j, "roots", p->roots);
    json_kv_u64(j, "internalHops", p->internal_hops);
    json_kv_u64(j, "covered", p->covered);
    json_kv_u64(j, "unpairedClient", p->unpaired_client);
    json_kv_u64(j, "unpairedServer", p->unpaired_server);
    json_kv_u64(j, "unidentified", p->unidentified);
    json_kv_u64(j, "repeated", p->repeated);
    json_kv_u64(j, "evicted", p->evicted);
    json_kv_u64(j, "lost", p->lost);
    json_close(j);
}

void api_stats(const struct api *api, struct query *q, struct answer *a)
{
    struct store_stats s;
    struct fold_stats f;
    struct err err = { 0 };
    if (store_get_stats(api->store, &s, &err) < 0) {
        answer_failure(a, &err);
        return;
    }
    fold_get_stats(api->fold, &f);
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_str(&j, "version", SV(TULLE_VERSION));
    json_kv_time(&j, "started", api->started_ns);
    json_kv_time(&j, "now", q->params.now_ns);
    json_kv_open(&j, "store", '{');
    json_kv_str(&j, "scheme", sv_z(store_scheme(api->store)));
    json_kv_u64(&j, "batches", s.batches);
    json_kv_u64(&j, "spans", s.spans);
    json_kv_u64(&j, "calls", s.calls);
    json_kv_u64(&j, "edgeBuckets", s.edge_buckets);
    json_kv_u64(&j, "diskBytes", s.disk_bytes);
    json_close(&j);
    put_fold_stats(&j, &f);
    json_close(&j);
}

void api_healthz(const struct api *api, struct query *q, struct answer *a)
{
    (void)api;
    (void)q;
    a->content_type = "text/plain; charset=utf-8";
    buf_put(&a->body, SV("ok\n"));
}

void api_readyz(const struct api *api, struct query *q, struct answer *a)
{
    char why[160] = "";
    (void)q;
    bool is_ready = !api->is_ready || api->is_ready(api->is_ready_to, why, sizeof(why));
    a->content_type = "text/plain; charset=utf-8";
    a->status = is_ready ? 200 : 503;
    if (is_ready)
        buf_printf(&a->body, "ready%s%s\n", why[0] ? ": " : "", why);
    else
        buf_printf(&a->body, "%s\n", why[0] ? why : "not ready");
}
