/* jaeger_services.c - who there is and what they do, in both generations.
 *
 * The store gives operations ordered by service, name and kind, so telling doublings apart needs
 * only the last one. Spans without a service name have no place in these lists. */
#include "query/jaeger.h"

struct listing {
    struct json_out *j;
    struct sv service;  /* only its operations; empty: a list of services */
    bool has_kind;      /* only operations of `kind` */
    bool is_named_once; /* names alone: the kinds of one name are one */
    bool is_v3;
    enum span_kind kind;
    struct buf last;
    uint64_t len;
};

static bool is_new(struct listing *l, struct sv text)
{
    if (l->len && sv_eq(buf_sv(&l->last), text))
        return false;
    buf_clear(&l->last);
    buf_put(&l->last, text);
    l->len++;
    return true;
}

static int put_service(void *to, struct sv service, struct sv name, enum span_kind kind)
{
    struct listing *l = to;
    (void)name;
    (void)kind;
    if (service.len && is_new(l, service))
        json_str(l->j, service);
    return 0;
}

static int put_operation(void *to, struct sv service, struct sv name, enum span_kind kind)
{
    struct listing *l = to;
    if (!sv_eq(service, l->service) || (l->has_kind && kind != l->kind))
        return 0;
    if (l->is_named_once) {
        if (is_new(l, name))
            json_str(l->j, name);
        return 0;
    }
    bool is_said = kind != SPAN_KIND_UNSPECIFIED;
    struct sv no_kind = l->is_v3 ? SV("internal") : SV_NONE;
    json_open(l->j, '{');
    json_kv_str(l->j, "name", name);
    json_kv_str(l->j, "spanKind", is_said ? sv_z(span_kind_name(kind)) : no_kind);
    json_close(l->j);
    l->len++;
    return 0;
}

static int read_list(const struct api *api, struct listing *l, store_operation_sink *sink,
                     struct err *err)
{
    json_open(l->j, '[');
    int rc = store_operations(api->store, sink, l, err);
    json_close(l->j);
    l->j->to->failed |= l->last.failed;
    buf_done(&l->last);
    return rc;
}

static void answer_list(const struct api *api, struct listing *l, store_operation_sink *sink,
                        struct answer *a)
{
    struct err err = { 0 };
    struct json_out j = jaeger_open(a);
    l->j = &j;
    if (read_list(api, l, sink, &err) < 0) {
        jaeger_failure(a, &err);
        return;
    }
    jaeger_close(&j, l->len);
}

static void answer_list3(const struct api *api, struct listing *l, const char *key,
                         store_operation_sink *sink, struct answer *a)
{
    struct err err = { 0 };
    struct json_out j = json_out_of(&a->body);
    l->j = &j;
    json_open(&j, '{');
    json_key(&j, sv_z(key));
    if (read_list(api, l, sink, &err) < 0) {
        jaeger3_failure(a, &err);
        return;
    }
    json_close(&j);
}

void jaeger_services(const struct api *api, struct query *q, struct answer *a)
{
    struct listing l = { 0 };
    (void)q;
    answer_list(api, &l, put_service, a);
}

void jaeger_service_operations(const struct api *api, struct query *q, struct answer *a)
{
    struct listing l = { .is_named_once = true };
    if (!params_path_text(&q->params, q->id, &l.service)) {
        jaeger_error(a, 400, "the service in the path is not percent-encoded UTF-8");
        return;
    }
    answer_list(api, &l, put_operation, a);
}

static int read_operations_wish(struct params *p, struct listing *l)
{
    if (!jaeger_get(p, "service", &l->service))
        return params_fault(p, NULL, "parameter 'service' is required");
    if (jaeger_kind(p, "spanKind", &l->has_kind, &l->kind) < 0)
        return -1;
    return l->has_kind ? 0 : jaeger_kind(p, "span_kind", &l->has_kind, &l->kind);
}

void jaeger_operations(const struct api *api, struct query *q, struct answer *a)
{
    struct listing l = { 0 };
    if (read_operations_wish(&q->params, &l) < 0)
        jaeger_fault(a, &q->params);
    else
        answer_list(api, &l, put_operation, a);
}

void jaeger3_services(const struct api *api, struct query *q, struct answer *a)
{
    struct listing l = { 0 };
    (void)q;
    answer_list3(api, &l, "services", put_service, a);
}

void jaeger3_operations(const struct api *api, struct query *q, struct answer *a)
{
    struct listing l = { .is_v3 = true };
    if (read_operations_wish(&q->params, &l) < 0)
        jaeger3_fault(a, &q->params);
    else
        answer_list3(api, &l, "operations", put_operation, a);
}
