/* api_unpaired.c - /api/v1/unpaired: why an edge that should be there is not.
 *
 * The rows are copied under the fold's lock and sorted and written without it. What they name lives
 * as long as the fold. */
#include "base/mem.h"
#include "pair/unpaired.h"
#include "query/api.h"
#include "query/graph_json.h"
#include <stdlib.h>

enum { ROWS_DEFAULT = 100, ROWS_MAX = 2000 };

struct rows {
    struct sv service; /* wanted; empty: any */
    struct unpaired_row *list;
    size_t len, cap;
    bool failed;
};

static void take_row(void *to, const struct unpaired_row *row)
{
    struct rows *r = to;
    if (r->service.len && !sv_eq(row->who->service, r->service))
        return;
    if (r->len == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct unpaired_row *list = mem_resize(r->list, cap * sizeof(*list));
        r->failed |= !list;
        if (!list)
            return;
        r->list = list;
        r->cap = cap;
    }
    r->list[r->len++] = *row;
}

/* Most first; then the newest. */
static int by_count(const void *pa, const void *pb)
{
    const struct unpaired_row *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->last_ns != b->last_ns)
        return a->last_ns > b->last_ns ? -1 : 1;
    int order = sv_cmp(a->who->service, b->who->service);
    return order ? order : (int)a->cause - (int)b->cause;
}

static void json_example(struct json_out *j, const struct unpaired_example *e)
{
    json_open(j, '{');
    json_kv_hex(j, "traceId", e->trace.b, sizeof(e->trace.b));
    json_kv_hex(j, "spanId", e->span.b, sizeof(e->span.b));
    json_kv_time(j, "time", e->start_ns);
    json_close(j);
}

static void json_row(struct json_out *j, const struct unpaired_row *row)
{
    json_open(j, '{');
    json_identity(j, row->who);
    json_kv_str(j, "kind", sv_z(span_kind_name(row->kind)));
    json_kv_text_or_null(j, "peer", row->peer ? row->peer->service : SV_NONE);
    json_kv_str(j, "cause", sv_z(unpaired_cause_name(row->cause)));
    json_kv_str(j, "explanation", sv_z(unpaired_cause_text(row->cause)));
    json_kv_u64(j, "count", row->count);
    json_kv_time(j, "firstSeen", row->first_ns);
    json_kv_time(j, "lastSeen", row->last_ns);
    json_kv_open(j, "examples", '[');
    for (uint32_t i = 0; i < row->examples_len; i++)
        json_example(j, &row->examples[i]);
    json_close(j);
    json_close(j);
}

void api_unpaired(const struct api *api, struct query *q, struct answer *a)
{
    struct rows r = { 0 };
    struct fold_stats stats;
    uint64_t offset = 0, limit = ROWS_DEFAULT;
    if (params_u64(&q->params, "offset", 0, UINT32_MAX, &offset) < 0 ||
        params_u64(&q->params, "limit", 1, ROWS_MAX, &limit) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    (void)params_get(&q->params, "service", &r.service);
    uint64_t overflow = fold_unpaired(api->fold, take_row, &r);
    if (r.failed) {
        answer_failure(a, &(struct err){ .code = ERR_NOMEM, .why = "rows of unpaired spans" });
        mem_free(r.list);
        return;
    }
    fold_get_stats(api->fold, &stats);
    if (r.len)
        qsort(r.list, r.len, sizeof(*r.list), by_count);
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_time(&j, "since", api->started_ns);
    json_kv_u64(&j, "waiting", stats.pair.waiting);
    json_kv_u64(&j, "evicted", stats.pair.evicted);
    json_kv_u64(&j, "notListed", overflow);
    json_kv_u64(&j, "total", r.len);
    json_kv_open(&j, "rows", '[');
    for (size_t i = (size_t)offset; i < r.len && i - offset < limit; i++)
        json_row(&j, &r.list[i]);
    json_close(&j);
    json_close(&j);
    mem_free(r.list);
}
