/* fuzz_prom_text.c - property: whatever an endpoint shows, each line is a sample, refused with a place
 * inside the text, or a comment; what two looks at it count is never more than its counters say. */
#include "base/clock.h"
#include "model/edge.h"
#include "scrape/growth.h"
#include "scrape/prom_text.h"

static void see(void *to, const struct call *who, const struct alike *a)
{
    uint64_t *requests = to;
    struct edge_cell cell = { 0 };
    INVARIANT(who->source.workload.len && who->destination.workload.len);
    INVARIANT(!sv_contains(a->flags, sv_of("\0", 1)));
    INVARIANT(edge_cell_add_alike(&cell, a) == 0);
    INVARIANT(cell.requests == a->times && cell.errors <= cell.requests);
    *requests += a->times;
    edge_cell_done(&cell);
}

static void read_all(struct sv text)
{
    AUTO_DONE(arena) mem = { 0 };
    struct prom_text t = prom_text_of(text, &mem);
    struct prom_sample s;
    for (;;) {
        struct err err = { 0 };
        int rc = prom_next(&t, &s, &err);
        if (rc == 0)
            return;
        INVARIANT(rc < 0 ? err.at <= text.len && err.why[0]
                         : s.name.len && s.series.len >= s.name.len);
        INVARIANT(rc < 0 ||
                  (s.series.p >= text.p && s.series.p + s.series.len <= text.p + text.len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_FREE(growth) g = growth_new();
    struct sv text = sv_of(p, n);
    struct identity own = { .workload = SV("own") };
    struct growth_look look = { .own = &own, .is_first = true, .to_ns = NS_PER_S };
    struct growth_result first = { 0 }, second = { 0 };
    uint64_t requests = 0;
    INVARIANT(g);
    read_all(text);
    INVARIANT(growth_look(g, &look, text, &first) == 0);
    growth_round(g, see, &requests);
    INVARIANT(requests == 0);
    look.is_first = false;
    look.from_ns = look.to_ns;
    look.to_ns += NS_PER_S;
    INVARIANT(growth_look(g, &look, text, &second) == 0);
    INVARIANT(first.samples == second.samples && first.malformed == second.malformed);
    growth_round(g, see, &requests);
    growth_round(g, see, &requests);
    return 0;
}
