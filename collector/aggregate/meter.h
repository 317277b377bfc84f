/* meter.h - series that exist in the names of another tool: rows of counters and histograms by the
 * values of their labels, within the budget of series.
 *
 * Part of the fold, used under its lock. */
#ifndef COLLECTOR_AGGREGATE_METER_H
#define COLLECTOR_AGGREGATE_METER_H

#include "aggregate/series.h"
#include "base/map.h"

struct meter_family {
    const char *name, *help; /* name without "_total" */
    const double *bounds;    /* of a histogram, ascending, in the unit shown; NULL: a counter */
    size_t bounds_len;
    double raw_per_unit; /* what is observed in one unit shown: 1e6 for nanoseconds shown as ms */
};
/* Static. */
struct meter_kind {
    const char *const *labels;
    size_t labels_len;
    const struct meter_family *families;
    size_t families_len;
    const char *overflow_label; /* carries "true" on the overflow row, which then has no others; */
                                /* NULL: every label of the overflow row says "other" */
};
enum { METER_LABELS_MAX = 25, METER_FAMILIES_MAX = 4 };

struct meter_row {
    const struct sv *values; /* labels_len of them; NULL: the overflow row */
    int64_t created_ns, last_ns;
    uint64_t n[]; /* family by family: a counter; or counts of buckets, then the sum */
};
struct meter {
    const struct meter_kind *kind;
    struct series_budget *budget;
    struct map rows;
    struct meter_row *overflow; /* NULL until it is needed */
    struct buf key;             /* scratch */
};

void meter_init(struct meter *m, const struct meter_kind *kind, struct series_budget *b);
void meter_done(struct meter *m);
/* The row of that key and marks it used; NULL when there is none. */
struct meter_row *meter_find(struct meter *m, struct sv key, int64_t now_ns) MUST_USE;
/* Makes it; the overflow row when the budget is used up; NULL when memory is out. */
struct meter_row *meter_make(struct meter *m, struct sv key, const struct sv *values,
                             int64_t now_ns) MUST_USE;
/* Both, for rows whose values are their key. */
struct meter_row *meter_row(struct meter *m, const struct sv *values, int64_t now_ns) MUST_USE;
/* Counter or histogram number `family`. */
void meter_count(const struct meter *m, struct meter_row *row, size_t family, uint64_t n);
void meter_observe(const struct meter *m, struct meter_row *row, size_t family, uint64_t raw);
/* counts: bounds_len + 1 of them. */
void meter_add_counts(const struct meter *m, struct meter_row *row, size_t family,
                      const uint64_t *counts, uint64_t raw_sum);
/* The numbers of family `family` in row. */
const uint64_t *meter_numbers(const struct meter *m, const struct meter_row *row, size_t family);
/* Ends rows that are idle. */
void meter_expire(struct meter *m, int64_t now_ns);
/* Every row, the overflow last: for (size_t at = 0; (row = meter_next(m, &at));) */
const struct meter_row *meter_next(const struct meter *m, size_t *at);

#endif
