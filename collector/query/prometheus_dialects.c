/* prometheus_dialects.c - the rows of a meter as the families of another tool. */
#include "query/prometheus.h"

struct writer {
    enum exposition_format format;
    struct buf *out;
};

/* A label without a value is no label. */
static void put_labels(struct labels *l, const struct meter_kind *k, const struct meter_row *row)
{
    labels_clear(l);
    if (!row->values && k->overflow_label) {
        labels_put(l, k->overflow_label, SV("true"));
        return;
    }
    for (size_t i = 0; i < k->labels_len; i++) {
        struct sv value = row->values ? row->values[i] : SV("other");
        if (value.len)
            labels_put(l, k->labels[i], value);
    }
}

static void put_row(struct family *list, struct labels *l, const struct meter *m,
                    const struct meter_row *row)
{
    put_labels(l, m->kind, row);
    for (size_t i = 0; i < m->kind->families_len; i++) {
        const struct meter_family *f = &m->kind->families[i];
        const uint64_t *n = meter_numbers(m, row, i);
        if (!f->bounds) {
            family_put_count(&list[i], l, n[0], row->created_ns);
            continue;
        }
        struct histogram h = { .bounds = f->bounds,
                               .bounds_len = f->bounds_len,
                               .counts = n,
                               .sum = (double)n[f->bounds_len + 1] / f->raw_per_unit };
        family_put_histogram(&list[i], l, &h, row->created_ns);
    }
}

/* A meter_sink. */
static void put_meter(void *to, const struct meter *m)
{
    struct writer *w = to;
    struct family list[METER_FAMILIES_MAX];
    struct labels l = { .format = w->format };
    const struct meter_row *row;
    for (size_t i = 0; i < m->kind->families_len; i++) {
        const struct meter_family *f = &m->kind->families[i];
        list[i] = family_of(w->format, f->bounds ? FAMILY_HISTOGRAM : FAMILY_COUNTER, f->name,
                            f->help);
    }
    for (size_t at = 0; (row = meter_next(m, &at));)
        put_row(list, &l, m, row);
    for (size_t i = 0; i < m->kind->families_len; i++)
        family_end(&list[i], w->out);
    w->out->failed |= l.bytes.failed;
    labels_done(&l);
}

void prometheus_put_dialects(struct fold *f, const struct fold_stats *stats,
                             enum exposition_format format, struct buf *out)
{
    struct writer w = { format, out };
    const struct pair_stats *p = &stats->pair;
    unsigned set = fold_meters(f, put_meter, &w);
    if (!(set & DIALECT_SERVICEGRAPH))
        return;
    exposition_put_one(format, FAMILY_COUNTER, "traces_service_graph_unpaired_spans",
                       "spans whose other half never came and that name no peer",
                       (double)(p->unpaired_client + p->unpaired_server), out);
    exposition_put_one(format, FAMILY_COUNTER, "traces_service_graph_dropped_spans",
                       "spans judged early because too many waited", (double)p->evicted, out);
}
