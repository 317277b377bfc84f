/* tally.c - prints a table of counters in Prometheus text format. */
#include "base/tally.h"

void tally_write(const struct tally_table *t, struct buf *out)
{
    for (size_t i = 0; i < t->len; i++) {
        const struct tally_row *r = &t->rows[i];
        if (i == 0 || !sv_eq(sv_z(r->metric), sv_z(t->rows[i - 1].metric))) {
            bool is_counter = sv_ends(sv_z(r->metric), SV("_total"));
            buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", t->prefix, r->metric, r->help,
                       t->prefix, r->metric, is_counter ? "counter" : "gauge");
        }
        buf_printf(out, "%s%s", t->prefix, r->metric);
        if (r->labels[0])
            buf_printf(out, "{%s}", r->labels);
        buf_putc(out, ' ');
        buf_put_u64(out, atomic_load_explicit(&t->cells[i], memory_order_relaxed));
        buf_putc(out, '\n');
    }
}
