/* exposition.h - metric families in the three forms that Prometheus reads.
 *
 * text 0.0.4, OpenMetrics 1.0.0 (exemplars, times of creation, "# EOF") and delimited protobuf
 * (io.prometheus.client.MetricFamily), the only one in which Prometheus takes native histograms.
 * A family's points have to stand together, so each family gathers its own; families may be filled
 * side by side and are ended in any order. Names are without "_total"; no function fails but by the
 * `failed` of its buffers, which ends up in `out`. Not thread-safe. */
#ifndef COLLECTOR_QUERY_EXPOSITION_H
#define COLLECTOR_QUERY_EXPOSITION_H

#include "aggregate/totals.h"
#include "base/buf.h"

enum exposition_format {
    EXPOSITION_TEXT,
    EXPOSITION_OPENMETRICS,
    EXPOSITION_PROTOBUF,
    EXPOSITION_FORMATS_LEN
};
/* The form that an Accept header wants most; text when it names none of them (or is empty). */
enum exposition_format exposition_wanted(struct sv accept);
const char *exposition_content_type(enum exposition_format f); /* static */
/* What stands behind the last family. */
void exposition_end(enum exposition_format f, struct buf *out);

/* Labels of a point as the form wants them, made once and used for many points. */
struct labels {
    enum exposition_format format;
    struct buf bytes;
};
void labels_clear(struct labels *l);
void labels_put(struct labels *l, const char *name, struct sv value);
/* For a label that changes from point to point: mark, put, use, cut. */
size_t labels_mark(const struct labels *l);
void labels_cut(struct labels *l, size_t mark);
void labels_done(struct labels *l);

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };
enum { LE_MAX = 24, LE_SIZE = 16 }; /* bounds of a histogram; text of one */
struct family {
    enum exposition_format format;
    enum family_type type;
    const char *name, *help; /* static or longer than the family */
    struct buf points;
    struct buf scratch;
    char le[LE_MAX][LE_SIZE]; /* of its histograms, made at the first one */
};
/* A histogram's bounds are ascending in the base unit; +Inf is understood. */
struct histogram {
    const double *bounds;
    size_t bounds_len;
    const uint64_t *counts; /* bounds_len + 1, not cumulative */
    double sum;
    const struct hist *native; /* of seconds; NULL: classic only */
    const struct exemplar
        *exemplars; /* bounds_len + 1, those without a trace are left out; or NULL */
};

struct family family_of(enum exposition_format f, enum family_type type, const char *name,
                        const char *help);
/* created_ns: when the series began, 0 when it is not said. */
void family_put_count(struct family *f, const struct labels *l, uint64_t n, int64_t created_ns);
void family_put_number(struct family *f, const struct labels *l, double v);
void family_put_histogram(struct family *f, const struct labels *l, const struct histogram *h,
                          int64_t created_ns);
/* Head and points behind what is in out; the family is empty afterwards. Without points nothing is
 * written. */
void family_end(struct family *f, struct buf *out);
/* A family of one point without labels. */
void exposition_put_one(enum exposition_format f, enum family_type type, const char *name,
                        const char *help, double v, struct buf *out);

/* text as a label value between its quotes: escaped, bad UTF-8 replaced by U+FFFD. */
void exposition_put_escaped(struct buf *out, struct sv text);

#endif
