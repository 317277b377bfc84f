/* check.c - compares three tellings of the same run, edge by edge.
 *
 * The load generator's count is the truth: it was read out of the answers. The API and /metrics
 * must agree exactly; an edge that only one of them knows is a difference too. After the first
 * agreement one more look is taken, since a request counted twice shows up late. */
#include "demo/mesh/check.h"
#include "base/clock.h"
#include "demo/mesh/views.h"
#include <unistd.h>

enum { LOOK_EVERY_US = 300 * 1000, SETTLE_US = 2500 * 1000 };

static bool same(const struct edge_count *a, const struct edge_count *b)
{
    return a->requests == b->requests && a->errors == b->errors &&
           sv_eq(sv_z(a->tls), sv_z(b->tls));
}

/* Every edge of a is the same in b. */
static bool covers(struct counts *a, struct counts *b)
{
    for (size_t i = 0; i < a->len; i++) {
        struct edge_count other = counts_get(b, sv_z(a->edges[i].source),
                                             sv_z(a->edges[i].destination));
        if (!same(&a->edges[i], &other))
            return false;
    }
    return true;
}

static bool agree(struct counts *a, struct counts *b)
{
    return a->len == b->len && covers(a, b);
}

struct look {
    struct counts api, metrics;
    struct err err;
};

/* True when everything agrees right now. */
static bool look(const struct check_conf *conf, struct counts *expected, struct look *l)
{
    l->err = (struct err){ 0 };
    if (views_edges(conf->base_url, conf->from_ns, &l->api, &l->err) < 0)
        return false;
    if (conf->with_metrics && views_metrics(conf->base_url, &l->metrics, &l->err) < 0)
        return false;
    return agree(expected, &l->api) && (!conf->with_metrics || agree(expected, &l->metrics));
}

static void print_row(const struct edge_count *e, struct counts *expected, struct look *l,
                      bool with_metrics)
{
    struct sv source = sv_z(e->source), destination = sv_z(e->destination);
    struct edge_count want = counts_get(expected, source, destination);
    struct edge_count api = counts_get(&l->api, source, destination);
    struct edge_count met = counts_get(&l->metrics, source, destination);
    bool ok = same(&want, &api) && (!with_metrics || same(&want, &met));
    char metrics[64] = "-";
    if (with_metrics)
        snprintf(metrics, sizeof(metrics), "%llu/%llu", (unsigned long long)met.requests,
                 (unsigned long long)met.errors);
    char sent[64], seen[64];
    snprintf(sent, sizeof(sent), "%llu/%llu", (unsigned long long)want.requests,
             (unsigned long long)want.errors);
    snprintf(seen, sizeof(seen), "%llu/%llu", (unsigned long long)api.requests,
             (unsigned long long)api.errors);
    printf("%-17s %-17s %12s %12s %12s  %-9s %-9s %s\n", e->source, e->destination, sent, seen,
           metrics, want.tls[0] ? want.tls : "-", api.tls[0] ? api.tls : "-",
           ok ? "ok" : "DIFFERS");
}

static void print_table(struct counts *expected, struct look *l, bool with_metrics)
{
    printf("\n%-17s %-17s %12s %12s %12s  %-9s %-9s\n", "source", "destination", "sent/errors",
           "API", "/metrics", "tls", "API tls");
    for (size_t i = 0; i < expected->len; i++)
        print_row(&expected->edges[i], expected, l, with_metrics);
    struct counts *views[] = { &l->api, with_metrics ? &l->metrics : NULL };
    for (size_t v = 0; v < NELEMS(views); v++) {
        for (size_t i = 0; views[v] && i < views[v]->len; i++) {
            const struct edge_count *e = &views[v]->edges[i];
            struct sv source = sv_z(e->source), destination = sv_z(e->destination);
            bool is_told = counts_get(expected, source, destination).requests ||
                           (v == 1 && counts_get(&l->api, source, destination).requests);
            if (!is_told)
                print_row(e, expected, l, with_metrics);
        }
    }
}

bool check_run(const struct check_conf *conf, struct counts *expected)
{
    static struct look l; /* some 40 KiB: too much for a stack, used once */
    counts_init(&l.api);
    counts_init(&l.metrics);
    int64_t deadline_ns = clock_mono_ns() + conf->wait_ns;
    bool ok;
    while (!(ok = look(conf, expected, &l)) && clock_mono_ns() < deadline_ns)
        usleep(LOOK_EVERY_US);
    if (ok) {
        usleep(SETTLE_US);
        ok = look(conf, expected, &l);
    }
    if (l.err.code)
        printf("\ncannot read the collector: %s\n", l.err.why);
    print_table(expected, &l, conf->with_metrics);
    printf("%s: %zu edges %s\n", ok ? "exact" : "DIFFERENT", expected->len,
           ok ? "agree in requests, errors and TLS state" : "were expected; see the rows above");
    counts_done(&l.api);
    counts_done(&l.metrics);
    return ok;
}
