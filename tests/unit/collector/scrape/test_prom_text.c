/* test_prom_text.c - lines of a metrics endpoint: what is read, what is refused and where. */
#include "base/buf.h"
#include "base/mem.h"
#include "scrape/prom_text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *text, *name, *series;
    size_t labels_len;
    const char *label, *value;
    double number;
} good[] = {
    { "a 1", "a", "a", 0, "x", "", 1 },
    { "# HELP a b\n# TYPE a counter\n\n  a:b_2{} 2.5e3 \r\n", "a:b_2", "a:b_2{}", 0, "x", "",
      2500 },
    { "a{x=\"y\"} 3", "a", "a{x=\"y\"}", 1, "x", "y", 3 },
    { "a{x=\"\",y=\"}\",} 4", "a", "a{x=\"\",y=\"}\",}", 2, "y", "}", 4 },
    { "a{ x = \"1\" , y=\"2\" }\t5", "a", "a{ x = \"1\" , y=\"2\" }", 2, "y", "2", 5 },
    { "a{x=\"q\\\"b\\\\n\\n\"} 6", "a", "a{x=\"q\\\"b\\\\n\\n\"}", 1, "x", "q\"b\\n\n", 6 },
    { "a{x=\"y\"} 7 1700000000000", "a", "a{x=\"y\"}", 1, "x", "y", 7 },
    { "a_bucket{le=\"+Inf\"} 8 17.5 # {trace_id=\"ab\"} 0.3 17.1", "a_bucket",
      "a_bucket{le=\"+Inf\"}", 1, "le", "+Inf", 8 },
    { "a 9 # {} 1\n", "a", "a", 0, "x", "", 9 },
    { "a +Inf", "a", "a", 0, "x", "", INFINITY },
    { "a -Inf", "a", "a", 0, "x", "", -INFINITY },
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(good); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct prom_text t = prom_text_of(sv_z(good[i].text), &mem);
        struct prom_sample s;
        print_message("%s\n", good[i].text);
        assert_int_equal(prom_next(&t, &s, NULL), 1);
        assert_true(sv_eq(s.name, sv_z(good[i].name)));
        assert_true(sv_eq(s.series, sv_z(good[i].series)));
        assert_int_equal(s.labels_len, good[i].labels_len);
        assert_true(sv_eq(prom_label(&s, sv_z(good[i].label)), sv_z(good[i].value)));
        assert_true(s.value == good[i].number);
        assert_int_equal(prom_next(&t, &s, NULL), 0);
    }
}

static const struct {
    const char *text;
    size_t at;
    const char *why;
} bad[] = {
    { "1a 1", 0, "want a name" },
    { "a", 0, "want a number" },
    { "a x", 2, "want a number" },
    { "a{x=\"y\"}", 0, "want a number" },
    { "a{x} 1", 3, "want label" },
    { "a{x=y} 1", 4, "in quotes" },
    { "a{x=\"y} 1", 5, "in quotes" },
    { "a{x=\"y\\", 5, "in quotes" },
    { "a{x=\"y\"z=\"1\"} 1", 7, "want , or }" },
    { "a{\"a.b\",x=\"y\"} 1", 2, "want label" },
    { "a 1 x", 4, "timestamp" },
    { "a 1 2 3", 6, "exemplar" },
};

/* A bad line costs itself. */
static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(bad); i++) {
        AUTO_DONE(arena) mem = { 0 };
        char text[128];
        snprintf(text, sizeof(text), "ok 1\n%s\nok 2\n", bad[i].text);
        struct prom_text t = prom_text_of(sv_z(text), &mem);
        struct prom_sample s;
        struct err err = { 0 };
        print_message("%s\n", bad[i].text);
        assert_int_equal(prom_next(&t, &s, &err), 1);
        assert_int_equal(prom_next(&t, &s, &err), ERR_MALFORMED);
        assert_int_equal(err.at, bad[i].at + 5);
        assert_non_null(strstr(err.why, bad[i].why));
        assert_int_equal(prom_next(&t, &s, NULL), 1);
        assert_true(s.value == 2);
    }
}

static void test_end_and_limits(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) many = { 0 };
    struct prom_sample s;
    struct err err = { 0 };
    struct prom_text t = prom_text_of(SV("a 1\n# EOF\nb 2\n"), &mem);
    assert_int_equal(prom_next(&t, &s, NULL), 1);
    assert_int_equal(prom_next(&t, &s, NULL), 0);
    assert_int_equal(prom_next(&t, &s, NULL), 0);
    buf_put(&many, SV("a{"));
    for (int i = 0; i <= PROM_LABELS_MAX; i++)
        buf_put(&many, SV("l=\"v\","));
    buf_put(&many, SV("} 1"));
    t = prom_text_of(buf_sv(&many), &mem);
    assert_int_equal(prom_next(&t, &s, &err), ERR_LIMIT);
    t = prom_text_of(SV("a{x=\"\\\\\"} 1"), &mem);
    mem_fail_nth(1);
    assert_int_equal(prom_next(&t, &s, NULL), ERR_NOMEM);
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_end_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
