/* exposition.c - families and points, written in the form that was asked for.
 *
 * The three forms differ in spelling only, so each kind of point has one function that branches on
 * the form. What is costly is done once: an edge's labels are rendered into struct labels and
 * copied, the texts of a histogram's bounds are made at its first point. In protobuf a point is a
 * `metric` field of its family; the family's length is known when it ends, so nothing is moved.
 *
 * Spelling. Text 0.0.4 names a counter "x_total" in its head as well, OpenMetrics "x". OpenMetrics
 * wants whole numbers of `le` as "1.0". Field numbers: io.prometheus.client, metrics.proto.
 * Source: OpenMetrics 1.0.0; Prometheus' exposition formats. */
#include "query/exposition.h"
#include "base/clock.h"
#include "wire/pb.h"
#include <math.h>
#include <stdio.h>

enum { /* field numbers */
       FAMILY_NAME = 1,
       FAMILY_HELP = 2,
       FAMILY_TYPE = 3,
       FAMILY_METRIC = 4,
       METRIC_LABEL = 1,
       METRIC_GAUGE = 2,
       METRIC_COUNTER = 3,
       METRIC_HISTOGRAM = 7,
       LABEL_NAME = 1,
       LABEL_VALUE = 2,
       NUMBER_VALUE = 1,
       COUNTER_CREATED = 3,
       HISTOGRAM_COUNT = 1,
       HISTOGRAM_SUM = 2,
       HISTOGRAM_BUCKET = 3,
       HISTOGRAM_SCHEMA = 5,
       HISTOGRAM_ZERO_THRESHOLD = 6,
       HISTOGRAM_ZERO_COUNT = 7,
       HISTOGRAM_POSITIVE_SPAN = 12,
       HISTOGRAM_POSITIVE_DELTA = 13,
       HISTOGRAM_CREATED = 15,
       BUCKET_COUNT = 1,
       BUCKET_BOUND = 2,
       BUCKET_EXEMPLAR = 3,
       SPAN_OFFSET = 1,
       SPAN_LENGTH = 2,
       EXEMPLAR_LABEL = 1,
       EXEMPLAR_VALUE = 2,
       EXEMPLAR_TIME = 3,
       TIME_SECONDS = 1,
       TIME_NANOS = 2,
};
/* 2^-128, what Prometheus' own libraries say; our zero bucket holds durations of 0. */
#define ZERO_THRESHOLD 0x1p-128
#define EXEMPLAR_KEY   "trace_id"

enum { TRACE_HEX = 32 };

void exposition_put_escaped(struct buf *out, struct sv text)
{
    bool is_clean = sv_is_utf8(text);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '\\')
            buf_put(out, SV("\\\\"));
        else if (c == '"')
            buf_put(out, SV("\\\""));
        else if (c == '\n')
            buf_put(out, SV("\\n"));
        else if (!is_clean && (c & 0x80))
            buf_put(out, SV("\xef\xbf\xbd"));
        else
            buf_putc(out, c);
    }
}

/* Protobuf text must be UTF-8 too; nothing else needs escaping there. */
static void put_clean(struct buf *out, uint32_t field, struct sv text)
{
    if (sv_is_utf8(text)) {
        pb_put_bytes(out, field, text);
        return;
    }
    size_t mark = pb_open(out, field);
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] & 0x80)
            buf_put(out, SV("\xef\xbf\xbd"));
        else
            buf_putc(out, text.p[i]);
    pb_close(out, mark);
}

void labels_clear(struct labels *l)
{
    buf_clear(&l->bytes);
}

void labels_put(struct labels *l, const char *name, struct sv value)
{
    struct buf *out = &l->bytes;
    if (l->format == EXPOSITION_PROTOBUF) {
        size_t mark = pb_open(out, METRIC_LABEL);
        pb_put_bytes(out, LABEL_NAME, sv_z(name));
        put_clean(out, LABEL_VALUE, value);
        pb_close(out, mark);
        return;
    }
    if (out->len)
        buf_putc(out, ',');
    buf_put(out, sv_z(name));
    buf_put(out, SV("=\""));
    exposition_put_escaped(out, value);
    buf_putc(out, '"');
}

size_t labels_mark(const struct labels *l)
{
    return l->bytes.len;
}

void labels_cut(struct labels *l, size_t mark)
{
    l->bytes.len = MIN(l->bytes.len, mark);
}

void labels_done(struct labels *l)
{
    buf_done(&l->bytes);
}

struct family family_of(enum exposition_format f, enum family_type type, const char *name,
                        const char *help)
{
    return (struct family){ .format = f, .type = type, .name = name, .help = help };
}

static char *put(char *to, struct sv text)
{
    if (text.len)
        memcpy(to, text.p, text.len);
    return to + text.len;
}

/* name_suffix{labels,le="..."} with a space behind it. There are tens of thousands of these lines
 * in an answer, so room is made once for each. */
static void put_series(struct family *f, const char *suffix, const struct labels *l, const char *le)
{
    struct sv labels = l ? buf_sv(&l->bytes) : SV_NONE, name = sv_z(f->name), tail = sv_z(suffix),
              bound = sv_z(le);
    size_t most = name.len + tail.len + labels.len + bound.len + sizeof("{,le=\"\"} ");
    char *start = buf_reserve(&f->points, most), *to = start;
    if (!start)
        return;
    to = put(to, name);
    to = put(to, tail);
    if (labels.len || le) {
        *to++ = '{';
        to = put(to, labels);
        if (le) {
            to = put(to, labels.len ? SV(",le=\"") : SV("le=\""));
            to = put(to, bound);
            *to++ = '"';
        }
        *to++ = '}';
    }
    *to++ = ' ';
    buf_commit(&f->points, (size_t)(to - start));
}

/* Seconds since the epoch, to the millisecond. */
static void put_seconds(struct buf *out, int64_t time_ns)
{
    buf_printf(out, "%lld.%03lld", (long long)(time_ns / NS_PER_S),
               (long long)(time_ns % NS_PER_S / NS_PER_MS));
}

static void put_created(struct family *f, const struct labels *l, int64_t created_ns)
{
    if (f->format != EXPOSITION_OPENMETRICS || created_ns <= 0)
        return;
    put_series(f, "_created", l, NULL);
    put_seconds(&f->points, created_ns);
    buf_putc(&f->points, '\n');
}

static void put_timestamp(struct buf *out, uint32_t field, int64_t time_ns)
{
    size_t mark = pb_open(out, field);
    pb_put_i64(out, TIME_SECONDS, time_ns / NS_PER_S);
    pb_put_i64(out, TIME_NANOS, time_ns % NS_PER_S);
    pb_close(out, mark);
}

static size_t open_metric(struct family *f, const struct labels *l)
{
    size_t mark = pb_open(&f->points, FAMILY_METRIC);
    if (l)
        buf_put(&f->points, buf_sv(&l->bytes));
    return mark;
}

static void put_number_proto(struct family *f, const struct labels *l, double v, int64_t created_ns)
{
    size_t metric = open_metric(f, l);
    bool is_counter = f->type == FAMILY_COUNTER;
    size_t number = pb_open(&f->points, is_counter ? METRIC_COUNTER : METRIC_GAUGE);
    pb_put_double(&f->points, NUMBER_VALUE, v);
    if (is_counter && created_ns > 0)
        put_timestamp(&f->points, COUNTER_CREATED, created_ns);
    pb_close(&f->points, number);
    pb_close(&f->points, metric);
}

void family_put_count(struct family *f, const struct labels *l, uint64_t n, int64_t created_ns)
{
    if (f->format == EXPOSITION_PROTOBUF) {
        put_number_proto(f, l, (double)n, created_ns);
        return;
    }
    put_series(f, f->type == FAMILY_COUNTER ? "_total" : "", l, NULL);
    buf_put_u64(&f->points, n);
    buf_putc(&f->points, '\n');
    put_created(f, l, created_ns);
}

void family_put_number(struct family *f, const struct labels *l, double v)
{
    if (f->format == EXPOSITION_PROTOBUF) {
        put_number_proto(f, l, v, 0);
        return;
    }
    put_series(f, f->type == FAMILY_COUNTER ? "_total" : "", l, NULL);
    buf_put_double(&f->points, v);
    buf_putc(&f->points, '\n');
}

/* The text of a bound. Every histogram of a family has the same bounds, so it is kept. */
static const char *le_of(struct family *f, const struct histogram *h, size_t i)
{
    static const char infinity[] = "+Inf";
    if (i >= h->bounds_len)
        return infinity;
    char *text = f->le[i];
    if (text[0])
        return text;
    AUTO_DONE(buf) b = { 0 };
    buf_put_double(&b, h->bounds[i]);
    bool is_whole = !memchr(b.mem ? b.mem : "", '.', b.len) && f->format == EXPOSITION_OPENMETRICS;
    snprintf(text, LE_SIZE, "%.*s%s", SV_ARG(buf_sv(&b)), is_whole ? ".0" : "");
    f->points.failed |= b.failed;
    return text;
}

static void put_exemplar(struct buf *out, const struct exemplar *e)
{
    char hex[TRACE_HEX];
    hex_encode(hex, e->trace.b, sizeof(e->trace.b));
    buf_put(out, SV(" # {" EXEMPLAR_KEY "=\""));
    buf_append(out, hex, sizeof(hex));
    buf_put(out, SV("\"} "));
    buf_put_double(out, (double)e->value_ns / 1e9);
    buf_putc(out, ' ');
    put_seconds(out, e->time_ns);
}

static void put_histogram_text(struct family *f, const struct labels *l, const struct histogram *h)
{
    struct buf *out = &f->points;
    uint64_t below = 0;
    for (size_t i = 0; i <= h->bounds_len; i++) {
        below += h->counts[i];
        put_series(f, "_bucket", l, le_of(f, h, i));
        buf_put_u64(out, below);
        if (f->format == EXPOSITION_OPENMETRICS && h->exemplars && h->counts[i] &&
            trace_id_is_set(h->exemplars[i].trace))
            put_exemplar(out, &h->exemplars[i]);
        buf_putc(out, '\n');
    }
    put_series(f, "_sum", l, NULL);
    buf_put_double(out, h->sum);
    buf_putc(out, '\n');
    put_series(f, "_count", l, NULL);
    buf_put_u64(out, below);
    buf_putc(out, '\n');
}

static void put_exemplar_proto(struct buf *out, const struct exemplar *e)
{
    char hex[TRACE_HEX];
    hex_encode(hex, e->trace.b, sizeof(e->trace.b));
    size_t exemplar = pb_open(out, BUCKET_EXEMPLAR), label = pb_open(out, EXEMPLAR_LABEL);
    pb_put_bytes(out, LABEL_NAME, SV(EXEMPLAR_KEY));
    pb_put_bytes(out, LABEL_VALUE, sv_of(hex, sizeof(hex)));
    pb_close(out, label);
    pb_put_double(out, EXEMPLAR_VALUE, (double)e->value_ns / 1e9);
    put_timestamp(out, EXEMPLAR_TIME, e->time_ns);
    pb_close(out, exemplar);
}

static uint64_t put_buckets_proto(struct buf *out, const struct histogram *h)
{
    uint64_t below = 0;
    for (size_t i = 0; i <= h->bounds_len; i++) {
        below += h->counts[i];
        size_t bucket = pb_open(out, HISTOGRAM_BUCKET);
        pb_put_varint(out, BUCKET_COUNT, below);
        pb_put_double(out, BUCKET_BOUND, i < h->bounds_len ? h->bounds[i] : (double)INFINITY);
        if (h->exemplars && h->counts[i] && trace_id_is_set(h->exemplars[i].trace))
            put_exemplar_proto(out, &h->exemplars[i]);
        pb_close(out, bucket);
    }
    return below;
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

/* Runs of used buckets. A span's offset is from the end of the one before, the first one's is its
 * index; counts are differences from used bucket to used bucket. */
static void put_native(struct family *f, const struct hist *h)
{
    struct buf *out = &f->points, *deltas = &f->scratch;
    int64_t before = 0;
    int32_t end = 0; /* index behind the last span */
    buf_clear(deltas);
    pb_put_varint(out, HISTOGRAM_SCHEMA, zigzag(HIST_SCHEMA));
    pb_put_double(out, HISTOGRAM_ZERO_THRESHOLD, ZERO_THRESHOLD);
    pb_put_varint(out, HISTOGRAM_ZERO_COUNT, h->zero);
    for (uint32_t i = 0; i < h->len;) {
        if (h->counts[i] == 0) {
            i++;
            continue;
        }
        int32_t first = h->first + (int32_t)i;
        uint32_t length = 0;
        for (; i < h->len && h->counts[i]; i++, length++) {
            pb_put_raw_varint(deltas, zigzag((int64_t)h->counts[i] - before));
            before = (int64_t)h->counts[i];
        }
        size_t span = pb_open(out, HISTOGRAM_POSITIVE_SPAN);
        pb_put_varint(out, SPAN_OFFSET, zigzag(first - end));
        pb_put_varint(out, SPAN_LENGTH, length);
        pb_close(out, span);
        end = first + (int32_t)length;
    }
    if (deltas->len)
        pb_put_bytes(out, HISTOGRAM_POSITIVE_DELTA, buf_sv(deltas)); /* packed */
}

void family_put_histogram(struct family *f, const struct labels *l, const struct histogram *h,
                          int64_t created_ns)
{
    INVARIANT(h->bounds_len <= LE_MAX);
    if (f->format != EXPOSITION_PROTOBUF) {
        put_histogram_text(f, l, h);
        put_created(f, l, created_ns);
        return;
    }
    size_t metric = open_metric(f, l), histogram = pb_open(&f->points, METRIC_HISTOGRAM);
    uint64_t count = put_buckets_proto(&f->points, h);
    if (h->native) {
        put_native(f, h->native);
        count = h->native->count; /* what its buckets add up to */
    }
    pb_put_varint(&f->points, HISTOGRAM_COUNT, count);
    pb_put_double(&f->points, HISTOGRAM_SUM, h->sum);
    if (created_ns > 0)
        put_timestamp(&f->points, HISTOGRAM_CREATED, created_ns);
    pb_close(&f->points, histogram);
    pb_close(&f->points, metric);
}

static void put_head(const struct family *f, struct buf *out)
{
    static const char *const types[] = {
        [FAMILY_COUNTER] = "counter", [FAMILY_GAUGE] = "gauge", [FAMILY_HISTOGRAM] = "histogram"
    };
    bool is_total = f->format == EXPOSITION_TEXT && f->type == FAMILY_COUNTER;
    const char *suffix = is_total ? "_total" : "";
    buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, suffix, f->help, f->name, suffix,
               types[f->type]);
}

static void put_head_proto(struct family *f, struct buf *out)
{
    static const uint8_t types[] = {
        [FAMILY_COUNTER] = 0, [FAMILY_GAUGE] = 1, [FAMILY_HISTOGRAM] = 4
    };
    struct buf *head = &f->scratch;
    buf_clear(head);
    size_t name = pb_open(head, FAMILY_NAME);
    buf_put(head, sv_z(f->name));
    if (f->type == FAMILY_COUNTER)
        buf_put(head, SV("_total"));
    pb_close(head, name);
    pb_put_bytes(head, FAMILY_HELP, sv_z(f->help));
    pb_put_varint(head, FAMILY_TYPE, types[f->type]);
    pb_put_raw_varint(out, head->len + f->points.len);
    buf_put(out, buf_sv(head));
}

void family_end(struct family *f, struct buf *out)
{
    if (f->points.len && f->format == EXPOSITION_PROTOBUF)
        put_head_proto(f, out);
    else if (f->points.len)
        put_head(f, out);
    buf_put(out, buf_sv(&f->points));
    out->failed |= f->points.failed | f->scratch.failed;
    buf_done(&f->points);
    buf_done(&f->scratch);
}

void exposition_put_one(enum exposition_format f, enum family_type type, const char *name,
                        const char *help, double v, struct buf *out)
{
    struct family one = family_of(f, type, name, help);
    family_put_number(&one, NULL, v);
    family_end(&one, out);
}

void exposition_end(enum exposition_format f, struct buf *out)
{
    if (f == EXPOSITION_OPENMETRICS)
        buf_put(out, SV("# EOF\n"));
}
