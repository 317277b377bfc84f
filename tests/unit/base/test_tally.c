/* test_tally.c - counters as Prometheus text: one HELP and TYPE a metric, one line a row. */
#include "base/tally.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_text(void **state)
{
    (void)state;
    static const struct tally_row rows[] = {
        { "in_total", "", "what came in" },
        { "lost_total", "why=\"full\"", "what was lost" },
        { "lost_total", "why=\"old\"", "" },
        { "open", "", "open now" },
    };
    _Atomic uint64_t cells[NELEMS(rows)] = { 0 };
    const struct tally_table table = { "x_", rows, cells, NELEMS(rows) };
    AUTO_DONE(buf) out = { 0 };
    tally_cell_add(&cells[0], 5);
    tally_cell_add(&cells[2], 2);
    tally_write(&table, &out);
    assert_true(sv_eq(buf_sv(&out), SV("# HELP x_in_total what came in\n"
                                       "# TYPE x_in_total counter\n"
                                       "x_in_total 5\n"
                                       "# HELP x_lost_total what was lost\n"
                                       "# TYPE x_lost_total counter\n"
                                       "x_lost_total{why=\"full\"} 0\n"
                                       "x_lost_total{why=\"old\"} 2\n"
                                       "# HELP x_open open now\n"
                                       "# TYPE x_open gauge\n"
                                       "x_open 0\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_text) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
