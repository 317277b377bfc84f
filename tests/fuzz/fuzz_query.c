/* fuzz_query.c - whatever path and query are asked, the answer is no 5xx and its JSON is JSON.
 *
 * The input is the request target; unless it begins with a slash, its first byte chooses the route
 * that the rest is put behind as a query, so that parameters are reached without guessing paths. */
#include "base/clock.h"
#include "query/api.h"
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct api *the_api(void)
{
    static const struct resource resource;
    static const struct scope scope;
    static struct api api;
    if (api.store)
        return &api;
    struct store_conf sc = { .url = SV("memory:") };
    struct fold_conf fc = fold_conf_default();
    api.store = store_open(&sc, NULL);
    api.fold = fold_new(&fc);
    INVARIANT(api.store && api.fold);
    struct batch *b = batch_new();
    struct call *c = b ? batch_add_call(b) : NULL;
    INVARIANT(c);
    c->reporter = REPORTER_SOURCE;
    c->source.workload = SV("a");
    c->destination.workload = SV("b");
    c->start_ns = clock_wall_ns();
    c->grpc_status = -1;
    struct span *s = batch_add_span(b); /* the trace ...0abc, for routes that give one */
    INVARIANT(s);
    *s = (struct span){ .trace_id = { { [14] = 0x0a, [15] = 0xbc } },
                        .span_id = { { 1 } },
                        .start_ns = clock_wall_ns(),
                        .name = SV("work"),
                        .resource = &resource,
                        .scope = &scope };
    INVARIANT(store_put(api.store, &b, 1, NULL) == 0);
    fold_batch(api.fold, b, true);
    batch_free(b);
    return &api;
}

/* Of our own routes an error is an object "error"; Jaeger's say it in their ways. */
static void check(const struct answer *a, bool is_ours)
{
    bool is_archive = sv_contains(buf_sv(&a->body), SV("archive span storage"));
    INVARIANT(a->status >= 200 && (a->status < 500 || is_archive)); /* as Jaeger says it */
    bool is_json = sv_eq(sv_z(a->content_type), SV("application/json"));
    if (!is_json || a->is_live)
        return;
    json_t *j = json_loadb(buf_sv(&a->body).p, a->body.len, JSON_REJECT_DUPLICATES, NULL);
    INVARIANT(j);
    json_t *error = json_object_get(j, "error");
    INVARIANT(!is_ours || (error != NULL) == (a->status != 200));
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(buf) target = { 0 };
    AUTO_DONE(answer) a = { 0 };
    size_t ours = 0, theirs = 0;
    fault_fn *fault;
    while (route_at(ours))
        ours++;
    while (jaeger_route_at(theirs, &fault))
        theirs++;
    bool is_whole = n == 0 || p[0] == '/';
    size_t choice = is_whole ? 0 : p[0] % (ours + theirs);
    if (!is_whole) {
        const struct route *r = choice < ours ? route_at(choice)
                                              : jaeger_route_at(choice - ours, &fault);
        buf_put(&target, sv_z(r->path));
        buf_putc(&target, '?');
        p++;
        n--;
    }
    buf_append(&target, p, n);
    struct request rq = { .method = SV("GET"), .target = buf_sv(&target) };
    if (api_takes_post(rq.target)) { /* the rest is the body as well */
        rq.method = SV("POST");
        rq.body = sv_of(p, n);
    }
    api_answer(the_api(), &rq, &a);
    check(&a, is_whole ? sv_starts(rq.target, SV("/api/v1/")) : choice < ours);
    return 0;
}
