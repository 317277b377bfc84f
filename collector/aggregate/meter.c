/* meter.c - rows by label values: found by a key, made within the budget, ended when idle.
 *
 * A row is one piece of memory: its numbers, its label values and their text. The key is the
 * caller's, who may know a shorter one than all values. When the budget is used up, what would be a
 * new row counts on the overflow row, which never ends; so the sum over all rows is right. */
#include "aggregate/meter.h"
#include "base/mem.h"
#include "base/varint.h"

/* Numbers of one family, and series they become: a bucket each with +Inf, sum and count. */
static size_t family_numbers(const struct meter_family *f)
{
    return f->bounds ? f->bounds_len + 2 : 1;
}

static size_t family_series(const struct meter_family *f)
{
    return f->bounds ? f->bounds_len + 3 : 1;
}

static size_t row_numbers(const struct meter_kind *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->families_len; i++)
        n += family_numbers(&k->families[i]);
    return n;
}

static size_t row_series(const struct meter_kind *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->families_len; i++)
        n += family_series(&k->families[i]);
    return n;
}

void meter_init(struct meter *m, const struct meter_kind *kind, struct series_budget *b)
{
    INVARIANT(kind->labels_len <= METER_LABELS_MAX && kind->families_len <= METER_FAMILIES_MAX);
    *m = (struct meter){ .kind = kind, .budget = b };
}

void meter_done(struct meter *m)
{
    void *row;
    for (size_t i = 0; map_next(&m->rows, &i, NULL, &row);)
        mem_free(row);
    map_done(&m->rows);
    mem_free(m->overflow);
    buf_done(&m->key);
    *m = (struct meter){ .kind = m->kind, .budget = m->budget };
}

struct meter_row *meter_find(struct meter *m, struct sv key, int64_t now_ns)
{
    struct meter_row *row = map_get(&m->rows, key);
    if (row)
        row->last_ns = MAX(row->last_ns, now_ns);
    return row;
}

static struct meter_row *overflow_row(struct meter *m, int64_t now_ns)
{
    if (!m->overflow)
        m->overflow = mem_zalloc(sizeof(*m->overflow) + row_numbers(m->kind) * sizeof(uint64_t));
    if (m->overflow && m->overflow->created_ns == 0)
        m->overflow->created_ns = now_ns;
    return m->overflow;
}

static struct meter_row *row_new(const struct meter_kind *k, const struct sv *values,
                                 int64_t now_ns)
{
    size_t numbers = row_numbers(k) * sizeof(uint64_t), text = 0;
    for (size_t i = 0; i < k->labels_len; i++)
        text += values[i].len;
    struct meter_row *row = mem_zalloc(sizeof(*row) + numbers + k->labels_len * sizeof(*values) +
                                       text);
    if (!row)
        return NULL;
    struct sv *copies = (struct sv *)(void *)((char *)row->n + numbers);
    char *at = (char *)(copies + k->labels_len);
    for (size_t i = 0; i < k->labels_len; i++) {
        if (values[i].len)
            memcpy(at, values[i].p, values[i].len);
        copies[i] = sv_of(at, values[i].len);
        at += values[i].len;
    }
    row->values = copies;
    row->created_ns = row->last_ns = now_ns;
    return row;
}

struct meter_row *meter_make(struct meter *m, struct sv key, const struct sv *values,
                             int64_t now_ns)
{
    if (!series_take(m->budget, row_series(m->kind)))
        return overflow_row(m, now_ns);
    struct meter_row *row = row_new(m->kind, values, now_ns);
    if (row && map_put(&m->rows, key, row, NULL) == 0)
        return row;
    mem_free(row);
    series_give_back(m->budget, row_series(m->kind));
    return NULL;
}

struct meter_row *meter_row(struct meter *m, const struct sv *values, int64_t now_ns)
{
    buf_clear(&m->key);
    for (size_t i = 0; i < m->kind->labels_len; i++)
        buf_put_text(&m->key, values[i]);
    if (m->key.failed)
        return NULL;
    struct meter_row *row = meter_find(m, buf_sv(&m->key), now_ns);
    return row ? row : meter_make(m, buf_sv(&m->key), values, now_ns);
}

static size_t offset_of(const struct meter *m, size_t family)
{
    size_t at = 0;
    INVARIANT(family < m->kind->families_len);
    for (size_t i = 0; i < family; i++)
        at += family_numbers(&m->kind->families[i]);
    return at;
}

const uint64_t *meter_numbers(const struct meter *m, const struct meter_row *row, size_t family)
{
    return row->n + offset_of(m, family);
}

void meter_count(const struct meter *m, struct meter_row *row, size_t family, uint64_t n)
{
    row->n[offset_of(m, family)] += n;
}

void meter_observe(const struct meter *m, struct meter_row *row, size_t family, uint64_t raw)
{
    const struct meter_family *f = &m->kind->families[family];
    uint64_t *n = row->n + offset_of(m, family);
    size_t i = 0;
    while (i < f->bounds_len && (double)raw > f->bounds[i] * f->raw_per_unit)
        i++;
    n[i]++;
    n[f->bounds_len + 1] += raw;
}

void meter_add_counts(const struct meter *m, struct meter_row *row, size_t family,
                      const uint64_t *counts, uint64_t raw_sum)
{
    const struct meter_family *f = &m->kind->families[family];
    uint64_t *n = row->n + offset_of(m, family);
    for (size_t i = 0; i <= f->bounds_len; i++)
        n[i] += counts[i];
    n[f->bounds_len + 1] += raw_sum;
}

void meter_expire(struct meter *m, int64_t now_ns)
{
    int64_t idle_ns = m->budget->conf.idle_ns;
    void *value;
    for (size_t i = 0; idle_ns > 0 && map_next(&m->rows, &i, NULL, &value);) {
        struct meter_row *row = value;
        if (row->last_ns + idle_ns > now_ns)
            continue;
        map_remove_given(&m->rows, &i);
        mem_free(row);
        series_give_back(m->budget, row_series(m->kind));
        m->budget->ended_rows++;
    }
}

const struct meter_row *meter_next(const struct meter *m, size_t *at)
{
    void *row;
    if (*at <= m->rows.cap && map_next(&m->rows, at, NULL, &row))
        return row;
    if (*at > m->rows.cap || !m->overflow)
        return NULL;
    *at = m->rows.cap + 1;
    return m->overflow;
}
