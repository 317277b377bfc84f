/* test_exposition.c - which form is wanted, and each form byte by byte or field by field. */
#include "../sample.h"
#include "base/mem.h"
#include "query/exposition.h"
#include "wire/pb.h"

#define PROTO                                                                                      \
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

static const struct {
    const char *accept;
    enum exposition_format want;
} wishes[] = {
    { "", EXPOSITION_TEXT },
    { "*/*", EXPOSITION_TEXT },
    { "text/html, image/png", EXPOSITION_TEXT },
    { "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", EXPOSITION_TEXT },
    /* Prometheus 2.42, without and with native histograms */
    { "application/openmetrics-text;version=1.0.0,application/"
      "openmetrics-text;version=0.0.1;q=0.75,"
      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      EXPOSITION_OPENMETRICS },
    { PROTO
      ",application/openmetrics-text;version=1.0.0;q=0.8,"
      "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      EXPOSITION_PROTOBUF },
    /* Prometheus 3 */
    { "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
      "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.2",
      EXPOSITION_OPENMETRICS },
    { "APPLICATION/OpenMetrics-Text", EXPOSITION_OPENMETRICS },
    { "application/openmetrics-text; version=\"1.0.0\"", EXPOSITION_OPENMETRICS },
    { "application/openmetrics-text;version=2.0.0", EXPOSITION_TEXT },
    { "application/openmetrics-text;q=0", EXPOSITION_TEXT },
    { "application/openmetrics-text;q=nan,text/plain;q=0.1", EXPOSITION_TEXT },
    { "application/openmetrics-text;q=7", EXPOSITION_TEXT },
    { "application/openmetrics-text;q=", EXPOSITION_TEXT },
    { "text/plain,application/openmetrics-text", EXPOSITION_TEXT }, /* the first of equals */
    { "application/vnd.google.protobuf", EXPOSITION_TEXT },
    { "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
      EXPOSITION_TEXT },
    { " , ;;,=;q, application/openmetrics-text ; version = 0.0.1 ", EXPOSITION_OPENMETRICS },
};

static void test_wanted(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(wishes); i++) {
        print_message("case: %s\n", wishes[i].accept);
        assert_int_equal(exposition_wanted(sv_z(wishes[i].accept)), wishes[i].want);
    }
}

static const double bounds[] = { 0.5, 1, 2.5 };
static const uint64_t counts[] = { 2, 0, 1, 4 };
static const struct exemplar exemplars[] = {
    { { { 0xab, [15] = 0xcd } }, 250 * NS_PER_MS, 1500 * NS_PER_MS },
    { { { 1 } }, NS_PER_S, NS_PER_S }, /* of a bucket that counts nothing yet */
    { { { 0 } }, 0, 0 },
    { { { 0 } }, 0, 0 },
};

/* A counter of 7, a gauge of 0.5, a histogram, and a family without points. */
static void write_all(enum exposition_format f, const struct hist *native, struct buf *out)
{
    struct labels l = { .format = f };
    labels_put(&l, "who", SV("a\\\"\n\xff"));
    struct family counter = family_of(f, FAMILY_COUNTER, "c", "a counter");
    struct family gauge = family_of(f, FAMILY_GAUGE, "g", "a gauge");
    struct family hist = family_of(f, FAMILY_HISTOGRAM, "h", "a histogram");
    struct family none = family_of(f, FAMILY_COUNTER, "n", "nothing");
    family_put_count(&counter, &l, 7, 1234567 * NS_PER_MS);
    family_put_number(&gauge, NULL, 0.5);
    struct histogram h = { bounds, NELEMS(bounds), counts, 9.25, native, exemplars };
    size_t mark = labels_mark(&l);
    labels_put(&l, "x", SV("y"));
    family_put_histogram(&hist, &l, &h, 2 * NS_PER_S);
    labels_cut(&l, mark);
    family_put_count(&counter, &l, 8, 0);
    family_end(&counter, out);
    family_end(&gauge, out);
    family_end(&hist, out);
    family_end(&none, out);
    exposition_end(f, out);
    labels_done(&l);
}

#define WHO "who=\"a\\\\\\\"\\n\xef\xbf\xbd\""
#define H   WHO ",x=\"y\""

static void assert_text(enum exposition_format f, const char *want)
{
    AUTO_DONE(buf) got = { 0 };
    write_all(f, NULL, &got);
    if (!sv_eq(buf_sv(&got), sv_z(want)))
        fail_msg("got:\n%.*s\nwant:\n%s", SV_ARG(buf_sv(&got)), want);
}

static void test_text(void **state)
{
    (void)state;
    assert_text(EXPOSITION_TEXT, "# HELP c_total a counter\n# TYPE c_total counter\n"
                                 "c_total{" WHO "} 7\n"
                                 "c_total{" WHO "} 8\n"
                                 "# HELP g a gauge\n# TYPE g gauge\n"
                                 "g 0.5\n"
                                 "# HELP h a histogram\n# TYPE h histogram\n"
                                 "h_bucket{" H ",le=\"0.5\"} 2\n"
                                 "h_bucket{" H ",le=\"1\"} 2\n"
                                 "h_bucket{" H ",le=\"2.5\"} 3\n"
                                 "h_bucket{" H ",le=\"+Inf\"} 7\n"
                                 "h_sum{" H "} 9.25\n"
                                 "h_count{" H "} 7\n");
}

static void test_openmetrics(void **state)
{
    (void)state;
    assert_text(EXPOSITION_OPENMETRICS,
                "# HELP c a counter\n# TYPE c counter\n"
                "c_total{" WHO "} 7\n"
                "c_created{" WHO "} 1234.567\n"
                "c_total{" WHO "} 8\n"
                "# HELP g a gauge\n# TYPE g gauge\n"
                "g 0.5\n"
                "# HELP h a histogram\n# TYPE h histogram\n"
                "h_bucket{" H ",le=\"0.5\"} 2 # {trace_id=\"ab0000000000000000000000000000cd\"} "
                "0.25 1.500\n"
                "h_bucket{" H ",le=\"1.0\"} 2\n"
                "h_bucket{" H ",le=\"2.5\"} 3\n"
                "h_bucket{" H ",le=\"+Inf\"} 7\n"
                "h_sum{" H "} 9.25\n"
                "h_count{" H "} 7\n"
                "h_created{" H "} 2.000\n"
                "# EOF\n");
}

/* A reader of what was written, by field numbers of metrics.proto. */
struct family_read {
    struct sv name;
    uint64_t type;
    size_t metrics;
    double value, sum;
    uint64_t count, buckets, exemplars, schema, zero;
    uint64_t native[512]; /* by index + 256 */
    struct sv deltas;
    struct {
        int64_t offset;
        uint64_t length;
    } spans[64];
    size_t spans_len;
};

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void read_span(struct rd *r, struct family_read *f)
{
    assert_true(f->spans_len < NELEMS(f->spans));
    for (struct pb_tag t; pb_next(r, &t);) {
        if (t.field == 1)
            f->spans[f->spans_len].offset = unzigzag(pb_varint(r, t));
        else
            f->spans[f->spans_len].length = pb_varint(r, t);
    }
    f->spans_len++;
}

static void read_histogram(struct rd *r, struct family_read *f)
{
    for (struct pb_tag t; pb_next(r, &t);) {
        const uint8_t *outer;
        switch (t.field) {
        case 1: f->count = pb_varint(r, t); break;
        case 2: f->sum = pb_double(r, t); break;
        case 3:
            f->buckets++;
            outer = pb_enter(r, t);
            for (struct pb_tag b; pb_next(r, &b); pb_skip(r, b))
                f->exemplars += b.field == 3;
            pb_leave(r, outer);
            break;
        case 5: f->schema = pb_varint(r, t); break;
        case 7: f->zero = pb_varint(r, t); break;
        case 12:
            outer = pb_enter(r, t);
            read_span(r, f);
            pb_leave(r, outer);
            break;
        case 13: f->deltas = pb_bytes(r, t); break;
        default: pb_skip(r, t);
        }
    }
}

static void read_metric(struct rd *r, struct family_read *f)
{
    for (struct pb_tag t; pb_next(r, &t);) {
        const uint8_t *outer;
        switch (t.field) {
        case 2:
        case 3:
            outer = pb_enter(r, t);
            for (struct pb_tag v; pb_next(r, &v);)
                if (v.field == 1)
                    f->value = pb_double(r, v);
                else
                    pb_skip(r, v);
            pb_leave(r, outer);
            break;
        case 7:
            outer = pb_enter(r, t);
            read_histogram(r, f);
            pb_leave(r, outer);
            break;
        default: pb_skip(r, t);
        }
    }
}

static bool read_family(struct rd *r, struct family_read *ret)
{
    struct family_read f = { 0 };
    if (rd_left(r) == 0)
        return false;
    uint64_t len = rd_varint(r);
    const uint8_t *outer = r->end;
    assert_true(len <= rd_left(r));
    r->end = r->at + len;
    for (struct pb_tag t; pb_next(r, &t);) {
        const uint8_t *message;
        switch (t.field) {
        case 1: f.name = pb_bytes(r, t); break;
        case 3: f.type = pb_varint(r, t); break;
        case 4:
            f.metrics++;
            message = pb_enter(r, t);
            read_metric(r, &f);
            pb_leave(r, message);
            break;
        default: pb_skip(r, t);
        }
    }
    assert_true(rd_ok(r));
    r->end = outer;
    *ret = f;
    return true;
}

/* The counts by index, back from spans and differences. */
static void decode_native(struct family_read *f)
{
    struct rd r = rd_of(f->deltas);
    int64_t index = 0, count = 0;
    for (size_t s = 0; s < f->spans_len; s++) {
        index += f->spans[s].offset;
        for (uint64_t i = 0; i < f->spans[s].length; i++, index++) {
            count += unzigzag(rd_varint(&r));
            assert_true(rd_ok(&r) && index + 256 >= 0 && index + 256 < 512);
            f->native[index + 256] = (uint64_t)count;
        }
    }
    assert_int_equal(rd_left(&r), 0);
}

static void test_protobuf(void **state)
{
    AUTO_DONE(hist) native = { 0 };
    AUTO_DONE(buf) got = { 0 };
    (void)state;
    const int64_t durations[] = {
        0, 1, 1000, 1001, NS_PER_MS, NS_PER_S, NS_PER_S, 3600 * NS_PER_S
    };
    for (size_t i = 0; i < NELEMS(durations); i++)
        assert_int_equal(hist_add(&native, durations[i], i + 1), 0);
    write_all(EXPOSITION_PROTOBUF, &native, &got);
    struct rd r = rd_of(buf_sv(&got));
    struct family_read f;
    assert_true(read_family(&r, &f));
    assert_true(sv_eq(f.name, SV("c_total")));
    assert_int_equal(f.type, 0);
    assert_int_equal(f.metrics, 2);
    assert_true(f.value == 8);
    assert_true(read_family(&r, &f));
    assert_true(sv_eq(f.name, SV("g")) && f.type == 1 && f.value == 0.5);
    assert_true(read_family(&r, &f));
    assert_true(sv_eq(f.name, SV("h")) && f.type == 4 && f.sum == 9.25);
    assert_int_equal(f.buckets, 4);
    assert_int_equal(f.exemplars, 1);
    assert_int_equal(f.count, native.count);
    assert_int_equal(unzigzag(f.schema), HIST_SCHEMA);
    assert_int_equal(f.zero, 1);
    decode_native(&f);
    for (uint32_t i = 0; i < native.len; i++)
        assert_int_equal(f.native[native.first + (int32_t)i + 256], native.counts[i]);
    assert_false(read_family(&r, &f));
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++)
        for (int f = 0; f < EXPOSITION_FORMATS_LEN; f++) {
            AUTO_DONE(buf) got = { 0 }, whole = { 0 };
            write_all((enum exposition_format)f, NULL, &whole);
            mem_fail_nth(nth);
            write_all((enum exposition_format)f, NULL, &got);
            mem_fail_nth(0);
            /* a label lost its text is told by labels' own buf; lines never are */
            assert_true(got.failed || got.len <= whole.len);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),      cmocka_unit_test(test_text),
        cmocka_unit_test(test_openmetrics), cmocka_unit_test(test_protobuf),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
