/* dialects.c - hands calls, spans and rows to the dialects that are on.
 *
 * There are three ways in, by what a dialect's series mean. Istio's have a reporter, so each record
 * counts as it comes. Span metrics count spans. The service graph and Kiali's extension count each
 * request once: they live on the rows of /metrics, which have chosen among the reporters already,
 * and take over what a row has more than it had when they looked last. */
#include "aggregate/dialects.h"

static const struct {
    enum dialect dialect;
    const struct meter_kind *kind;
} meters[METERS_LEN] = {
    [METER_ISTIO_HTTP] = { DIALECT_ISTIO, &istio_http_kind },
    [METER_ISTIO_TCP] = { DIALECT_ISTIO, &istio_tcp_kind },
    [METER_SERVICEGRAPH] = { DIALECT_SERVICEGRAPH, &servicegraph_kind },
    [METER_SPANMETRICS] = { DIALECT_SPANMETRICS, &spanmetrics_kind },
    [METER_SPAN_METRICS] = { DIALECT_SPANMETRICS, &span_metrics_kind },
    [METER_KIALI_HTTP] = { DIALECT_KIALI, &kiali_http_kind },
    [METER_KIALI_TCP] = { DIALECT_KIALI, &kiali_tcp_kind },
};

bool dialects_from_sv(struct sv list, unsigned *ret_set)
{
    static const struct {
        const char *name;
        enum dialect dialect;
    } names[] = { { "istio", DIALECT_ISTIO },
                  { "servicegraph", DIALECT_SERVICEGRAPH },
                  { "spanmetrics", DIALECT_SPANMETRICS },
                  { "kiali", DIALECT_KIALI } };
    unsigned set = 0;
    if (sv_ends(list, SV(",")))
        return false;
    for (struct sv name; list.len && sv_cut(&list, ',', &name);) {
        size_t i = 0;
        while (i < NELEMS(names) && !sv_eq(sv_trim(name), sv_z(names[i].name)))
            i++;
        if (i == NELEMS(names))
            return false;
        set |= names[i].dialect;
    }
    *ret_set = set;
    return true;
}

void dialects_init(struct dialects *d, unsigned set, struct series_budget *b)
{
    *d = (struct dialects){ .set = set };
    for (size_t i = 0; i < METERS_LEN; i++)
        meter_init(&d->meters[i], meters[i].kind, b);
}

void dialects_done(struct dialects *d)
{
    for (size_t i = 0; i < METERS_LEN; i++)
        meter_done(&d->meters[i]);
    buf_done(&d->key);
}

unsigned dialects_extras(unsigned set)
{
    return (set & DIALECT_SERVICEGRAPH ? TOTALS_SERVER : 0U) |
           (set & DIALECT_KIALI ? TOTALS_OUTCOMES : 0U);
}

void dialects_call(struct dialects *d, const struct known_edge *e, const struct call *c,
                   int64_t server_ns, int64_t now_ns)
{
    if (d->set & DIALECT_ISTIO)
        istio_call(d, e, c, server_ns, now_ns);
}

void dialects_alike(struct dialects *d, const struct known_edge *e, const struct call *who,
                    const struct alike *a, int64_t now_ns)
{
    if (d->set & DIALECT_ISTIO)
        istio_alike(d, e, who, a, now_ns);
}

void dialects_row(struct dialects *d, const struct edge *e, enum tls_state tls,
                  struct total_row *row, struct row_told *told, int64_t now_ns)
{
    if (d->set & DIALECT_SERVICEGRAPH)
        servicegraph_row(d, e, row, told, now_ns);
    if (d->set & DIALECT_KIALI)
        kiali_row(d, e, tls, row, told, now_ns);
    told->n = row->n;
    told->server = row->server;
}

void dialects_expire(struct dialects *d, int64_t now_ns)
{
    for (size_t i = 0; i < METERS_LEN; i++)
        meter_expire(&d->meters[i], now_ns);
}
