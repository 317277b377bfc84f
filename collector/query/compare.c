/* compare.c - pairs up edges, tests each pair, and says what it means.
 *
 * Three questions of each pair. Errors: are the shares of failed requests different? The exact test
 * where an expected count is below 5, else the two-proportion z-test. Latency: are requests slower?
 * Mann-Whitney's U on the merged histograms. Rate: do requests come more often? Given only between
 * windows. All p of one comparison are adjusted together (Benjamini-Hochberg), because a hundred
 * edges that have not changed give five "significant" ones.
 *
 * With many requests everything is significant, so a verdict also wants a difference that matters:
 * a tenth of a percent of all requests more or fewer errors, a median or 95th percentile that moved
 * by a tenth, in the direction in which the whole distribution moved. Requests of one user belong
 * together and are not as independent as the tests take them to be: p is rather too small than too
 * large, most of all that of rates, which is told and decides nothing. */
#include "query/compare.h"
#include "aggregate/stat_test.h"
#include "base/map.h"
#include <stdlib.h>

#define ERROR_SHARE_MATTERS 0.001
#define LATENCY_MATTERS     1.1
#define RATE_MATTERS        1.2
#define EXPECTED_MIN        5.0

static const char *const verdict_names[] = { "too little data", "same", "better", "worse" };

const char *compare_verdict_name(enum compare_verdict v)
{
    return verdict_names[v];
}

void comparison_done(struct comparison *c)
{
    for (size_t i = 0; i < c->len; i++) {
        edge_cell_done(&c->pairs[i].base);
        edge_cell_done(&c->pairs[i].candidate);
    }
    arena_done(&c->mem);
    *c = (struct comparison){ 0 };
}

static struct edge_cell cell_move(struct edge_cell *from)
{
    struct edge_cell moved = *from;
    *from = (struct edge_cell){ 0 };
    return moved;
}

static double share(const struct edge_cell *c)
{
    return c->requests ? (double)c->errors / (double)c->requests : 0;
}

static void test_errors(struct compare_pair *p)
{
    uint64_t k1 = p->base.errors, n1 = p->base.requests;
    uint64_t k2 = p->candidate.errors, n2 = p->candidate.requests;
    bool is_small = stat_least_expected(k1, n1, k2, n2) < EXPECTED_MIN;
    p->errors.test = is_small ? "Fisher's exact test" : "two-proportion z-test";
    p->errors.p = is_small ? stat_fisher(k1, n1, k2, n2) : stat_two_proportions(k1, n1, k2, n2);
    p->errors.change = share(&p->candidate) - share(&p->base);
}

static void test_latency(struct compare_pair *p)
{
    p->latency.test = "Mann-Whitney U test";
    p->latency.p = stat_mann_whitney(&p->base.latency, &p->candidate.latency, &p->latency.change);
}

static void test_rate(struct compare_pair *p, const struct comparison *c)
{
    uint64_t n1 = p->base.requests, n2 = p->candidate.requests;
    p->rate.test = "conditional binomial test of rates";
    p->rate.p = stat_rates(n1, c->base_s, n2, c->candidate_s);
    p->rate.change = ((double)n2 / c->candidate_s) / ((double)n1 / c->base_s);
}

/* Every test that is made, one after the other. */
static size_t findings(struct comparison *c, struct compare_finding **out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->len; i++) {
        struct compare_finding *all[] = { &c->pairs[i].rate, &c->pairs[i].errors,
                                          &c->pairs[i].latency };
        for (size_t k = 0; k < NELEMS(all); k++)
            if (all[k]->test)
                out[n++] = all[k];
    }
    return n;
}

static int adjust(struct comparison *c)
{
    struct compare_finding **list = arena_array(&c->mem, 3 * c->len + 1, sizeof(*list));
    double *p = arena_array(&c->mem, 3 * c->len + 1, sizeof(*p));
    if (!list || !p)
        return -1;
    c->tests = findings(c, list);
    for (size_t i = 0; i < c->tests; i++)
        p[i] = list[i]->p;
    if (stat_benjamini_hochberg(p, c->tests) < 0)
        return -1;
    for (size_t i = 0; i < c->tests; i++)
        list[i]->p_adjusted = p[i];
    return 0;
}

static enum compare_verdict judge(const struct compare_finding *f, bool is_worse, bool is_better)
{
    if (!f->test)
        return COMPARE_TOO_LITTLE;
    if (f->p_adjusted >= COMPARE_ALPHA)
        return COMPARE_SAME;
    return is_worse ? COMPARE_WORSE : is_better ? COMPARE_BETTER : COMPARE_SAME;
}

static double ratio(const struct hist *base, const struct hist *candidate, double q)
{
    double before = (double)hist_quantile(base, q);
    return before > 0 ? (double)hist_quantile(candidate, q) / before : 1;
}

static void judge_pair(struct compare_pair *p)
{
    const struct hist *a = &p->base.latency, *b = &p->candidate.latency;
    double p50 = ratio(a, b, 0.5), p95 = ratio(a, b, 0.95), shift = p->latency.change;
    p->errors.verdict = judge(&p->errors, p->errors.change >= ERROR_SHARE_MATTERS,
                              p->errors.change <= -ERROR_SHARE_MATTERS);
    p->latency.verdict = judge(&p->latency, shift > 0.5 && MAX(p50, p95) >= LATENCY_MATTERS,
                               shift < 0.5 && MIN(p50, p95) <= 1 / LATENCY_MATTERS);
    /* More traffic is neither good nor bad: worse and better stand for more and less here. */
    p->rate.verdict = judge(&p->rate, p->rate.change >= RATE_MATTERS,
                            p->rate.change <= 1 / RATE_MATTERS);
    p->verdict = MAX(p->errors.verdict, p->latency.verdict);
}

static int worst_first(const void *pa, const void *pb)
{
    const struct compare_pair *a = pa, *b = pb;
    uint64_t in_a = a->base.requests + a->candidate.requests;
    uint64_t in_b = b->base.requests + b->candidate.requests;
    if (a->verdict != b->verdict)
        return a->verdict > b->verdict ? -1 : 1;
    if (in_a != in_b)
        return in_a > in_b ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int conclude(struct comparison *c, bool with_rates, struct err *err)
{
    for (size_t i = 0; i < c->len; i++) {
        struct compare_pair *p = &c->pairs[i];
        p->latency.change = 0.5;
        if (MIN(p->base.requests, p->candidate.requests) < COMPARE_REQUESTS_MIN)
            continue;
        test_errors(p);
        test_latency(p);
        if (with_rates)
            test_rate(p, c);
    }
    if (adjust(c) < 0)
        return err_set(err, ERR_NOMEM, "comparison of %zu edges", c->len);
    for (size_t i = 0; i < c->len; i++) {
        judge_pair(&c->pairs[i]);
        c->verdict = MAX(c->verdict, c->pairs[i].verdict);
    }
    if (c->len)
        qsort(c->pairs, c->len, sizeof(*c->pairs), worst_first);
    return 0;
}

static struct compare_pair *pair_new(struct comparison *c, const struct edge_view *e)
{
    struct compare_pair *p = &c->pairs[c->len++];
    *p = (struct compare_pair){ .id = e->id,
                                .source = e->edge.source,
                                .destination = e->edge.destination,
                                .protocol = e->edge.protocol };
    return p;
}

int compare_windows(struct view *base, double base_s, struct view *candidate, double candidate_s,
                    struct comparison *ret, struct err *err)
{
    AUTO_DONE(map) by_id = { 0 };
    *ret = (struct comparison){ .base_s = base_s, .candidate_s = candidate_s };
    ret->pairs = arena_array(&ret->mem, base->edges_len + candidate->edges_len + 1,
                             sizeof(*ret->pairs));
    if (!ret->pairs)
        return err_set(err, ERR_NOMEM, "comparison");
    for (size_t i = 0; i < base->edges_len; i++) {
        struct edge_view *e = &base->edges[i];
        struct compare_pair *p = pair_new(ret, e);
        p->base = cell_move(&e->sum);
        if (map_put(&by_id, sv_of(&e->id, sizeof(e->id)), p, NULL) < 0)
            return err_set(err, ERR_NOMEM, "comparison");
    }
    for (size_t i = 0; i < candidate->edges_len; i++) {
        struct edge_view *e = &candidate->edges[i];
        struct compare_pair *p = map_get(&by_id, sv_of(&e->id, sizeof(e->id)));
        if (!p)
            p = pair_new(ret, e);
        p->candidate = cell_move(&e->sum);
    }
    return conclude(ret, true, err);
}

static bool is_version(const struct compare_versions *w, const struct identity *who,
                       struct sv version)
{
    return sv_eq(who->service, w->service) && sv_eq(who->version, version) &&
           (!w->namespace.len || sv_eq(who->namespace, w->namespace));
}

/* The pair that an edge of one of the versions belongs to; NULL when memory is out. */
static struct compare_pair *pair_of(struct comparison *c, struct map *by_peer,
                                    const struct edge_view *e, bool is_called)
{
    AUTO_DONE(buf) key = { 0 };
    struct edge_view merged = *e;
    merged.id = 0;
    merged.edge.source = node_roll_up(&e->edge.source, GRANULARITY_SERVICE);
    merged.edge.destination = node_roll_up(&e->edge.destination, GRANULARITY_SERVICE);
    edge_key_put(&merged.edge, &key);
    buf_put(&key, merged.edge.source.service);
    buf_putc(&key, is_called ? '>' : '<');
    buf_put(&key, merged.edge.destination.service);
    struct compare_pair *p = key.failed ? NULL : map_get(by_peer, buf_sv(&key));
    if (p || key.failed)
        return p;
    p = pair_new(c, &merged);
    return map_put(by_peer, buf_sv(&key), p, NULL) < 0 ? NULL : p;
}

int compare_versions(const struct compare_versions *w, struct view *v, double seconds,
                     struct comparison *ret, struct err *err)
{
    AUTO_DONE(map) by_peer = { 0 };
    *ret = (struct comparison){ .base_s = seconds, .candidate_s = seconds };
    ret->pairs = arena_array(&ret->mem, 2 * v->edges_len + 1, sizeof(*ret->pairs));
    if (!ret->pairs)
        return err_set(err, ERR_NOMEM, "comparison");
    for (size_t i = 0; i < 4 * v->edges_len; i++) { /* each edge as called and caller, twice */
        struct edge_view *e = &v->edges[i / 4];
        bool is_called = i & 1, is_base = i & 2;
        if (!is_version(w, is_called ? &e->edge.destination : &e->edge.source,
                        is_base ? w->base : w->candidate))
            continue;
        struct compare_pair *p = pair_of(ret, &by_peer, e, is_called);
        if (!p || edge_cell_merge(is_base ? &p->base : &p->candidate, &e->sum) < 0)
            return err_set(err, ERR_NOMEM, "comparison");
    }
    return conclude(ret, false, err);
}
