/* cost.c - CPU of decoding a span, pairing it and counting the call, in this process alone.
 *
 *   bench-cost [--spans N] [--records N] [--services N] [--edges N]
 *
 * A line of JSON each, nanoseconds of this thread. What counting costs is the difference between a fold
 * and the same without it: for spans the pairer with its calls dropped; for access records a fold that
 * is told not to count (it still looks whether a record came before) and the question who stands at
 * both ends. Finding the edge belongs to counting. Records come without an idempotency key, so each is
 * looked up. What comes before the first commit is not in the figures: there every edge is new, and so is
 * the memory. For instructions, which do not depend on what else the machine does, run it under
 * valgrind --tool=callgrind. */
#include "aggregate/fold.h"
#include "base/clock.h"
#include "base/flag.h"
#include "exports.h"
#include "graph_mesh.h"
#include "ingest/decode.h"
#include "normalize/normalize.h"
#include "otlp_write.h"
#include <stdio.h>

struct conf {
    uint64_t services, edges, spans, records;
};

#define OFF(field) offsetof(struct conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "services", FLAG_UINT, OFF(services), "1000",   "of the mesh that access records tell of", NULL },
    { "edges",    FLAG_UINT, OFF(edges),    "5000",   "likewise", NULL },
    { "spans",    FLAG_UINT, OFF(spans),    "200000", "to decode and fold", NULL },
    { "records",  FLAG_UINT, OFF(records),  "200000", "access records to fold", NULL },
};
/* clang-format on */

/* CPU time of this thread. */
static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void tell(const char *what, double ns)
{
    printf("{\"what\":\"%s\",\"ns\":%.0f}\n", what, ns);
}

static void count_call(void *to, const struct call *c, const struct called_half *called)
{
    (void)c;
    (void)called;
    (*(size_t *)to)++;
}

enum { BATCH_SPANS = EXPORT_SPANS * EXPORTS_ROUND }; /* also the records of a batch */

struct batches {
    struct batch **list;
    size_t len;
};
/* Batches between two commits, as the pipeline makes them once a second; the first so many are not
 * in a figure. */
enum { COMMIT_EVERY = 16 };
struct spent {
    int64_t ns, start_ns;
    size_t items; /* spans or records */
};

static void spent_begin(struct spent *s)
{
    s->start_ns = thread_ns();
}

/* The nth batch is done. */
static void spent_end(struct spent *s, const struct batch *b, size_t nth)
{
    if (nth < COMMIT_EVERY)
        return;
    s->ns += thread_ns() - s->start_ns;
    s->items += b->spans_len + b->calls_len;
}

/* Nanoseconds an item. */
static double spent_each(const struct spent *s)
{
    return (double)s->ns / (double)MAX(s->items, (size_t)1);
}

/* CPU of decoding body, in memory that was used before, as in a collector that has run for a while. */
static int64_t decode_ns(struct sv body)
{
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_FREE(batch) b = batch_new();
    int64_t start_ns = thread_ns();
    (void)!(b && otlp_proto_traces_decode(body, b, &lim, NULL) == 0); /* the caller sees it fail */
    return thread_ns() - start_ns;
}

/* A request of EXPORT_SPANS, decoded: the batch lives on with its body. *sum_ns grows. */
static int decode_one(struct batches *to, const struct span *spans, int64_t at_ns, int64_t *sum_ns,
                      struct err *err)
{
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_DONE(buf) body = { 0 };
    size_t bytes;
    otlp_write_proto(spans, EXPORT_SPANS, &body);
    struct batch *b = batch_new();
    char *mem = buf_take(&body, &bytes);
    if (!b || !mem || arena_adopt(&b->mem, mem, bytes) < 0)
        return err_set(err, ERR_NOMEM, "batch");
    *sum_ns += decode_ns(sv_of(mem, bytes));
    int rc = otlp_proto_traces_decode(sv_of(mem, bytes), b, &lim, err);
    b->received_ns = at_ns;
    b->seq = to->len + 1;
    to->list[to->len++] = b;
    return rc;
}

/* Requests as sidecars of a mesh send them (exports.h). */
static int decode_all(struct graph_mesh *m, struct batches *to, size_t spans, struct err *err)
{
    int64_t sum_ns = 0, at_ns = clock_wall_ns() - 60 * NS_PER_S;
    size_t rounds = (spans + BATCH_SPANS - 1) / BATCH_SPANS;
    to->list = arena_array(&m->mem, rounds * (BATCH_SPANS / EXPORT_SPANS), sizeof(struct batch *));
    for (size_t r = 0; r < rounds; r++) {
        AUTO_FREE(batch) made = mesh_batch(&m->random, BATCH_SPANS, at_ns);
        at_ns += (int64_t)BATCH_SPANS * 5000;
        exports_sort(made->spans, made->spans_len);
        for (size_t i = 0; i < BATCH_SPANS; i += EXPORT_SPANS) {
            int rc = decode_one(to, made->spans + i, at_ns, &sum_ns, err);
            if (rc < 0)
                return rc;
        }
    }
    if (rounds)
        tell("decode a span", (double)sum_ns / (double)(rounds * BATCH_SPANS));
    return 0;
}

/* The batches through the pairer alone, its calls dropped; nanoseconds an item. */
static int pair_all(const struct batches *s, double *ret_ns)
{
    struct fold_conf conf = fold_conf_default();
    struct pair_conf pair = { conf.halves_max, conf.identities_max, conf.wait_ns };
    size_t calls = 0;
    struct pairer *p = pairer_new(&pair, count_call, &calls);
    if (!p)
        return ERR_NOMEM;
    struct spent spent = { 0 };
    for (size_t i = 0; i < s->len; i++) {
        const struct batch *b = s->list[i];
        spent_begin(&spent);
        pairer_add(p, b->spans, b->spans_len, b->received_ns, true);
        spent_end(&spent, b, i);
    }
    *ret_ns = spent_each(&spent);
    pairer_free(p);
    return 0;
}

/* Records that are not counted; nanoseconds an item. */
static int name_all(const struct batches *s, double *ret_ns)
{
    struct fold_conf conf = fold_conf_default();
    AUTO_FREE(fold) f = fold_new(&conf);
    struct spent spent = { 0 };
    size_t unnamed = 0;
    if (!f)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->len; i++) {
        const struct batch *b = s->list[i];
        spent_begin(&spent);
        fold_batch(f, b, false);
        for (size_t n = 0; n < b->calls_len; n++)
            unnamed += !call_has_ends(&b->calls[n]);
        spent_end(&spent, b, i);
    }
    *ret_ns = spent_each(&spent);
    INVARIANT(unnamed == 0);
    return 0;
}

/* Committing is not in the figure. */
static int fold_all(const struct batches *s, struct store *store, double *ret_ns, struct err *err)
{
    struct fold_conf conf = fold_conf_default();
    AUTO_FREE(fold) f = fold_new(&conf);
    struct spent spent = { 0 };
    int rc = f ? 0 : err_set(err, ERR_NOMEM, "fold");
    for (size_t i = 0; rc == 0 && i < s->len; i++) {
        spent_begin(&spent);
        fold_batch(f, s->list[i], true);
        spent_end(&spent, s->list[i], i);
        if (i % COMMIT_EVERY == COMMIT_EVERY - 1)
            rc = fold_flush(f, store, err);
    }
    *ret_ns = spent_each(&spent);
    return rc;
}

static int make_records(struct graph_mesh *m, struct batches *to, size_t records, struct err *err)
{
    int64_t at_ns = clock_wall_ns() - 60 * NS_PER_S;
    to->list = arena_array(&m->mem, records / BATCH_SPANS + 1, sizeof(struct batch *));
    for (size_t done = 0; done < records; done += BATCH_SPANS) {
        struct batch *b = batch_new();
        for (size_t i = 0; b && i < BATCH_SPANS; i++) {
            struct call *c = batch_add_call(b);
            if (!c)
                return err_set(err, ERR_NOMEM, "record");
            size_t edge = random_below(&m->random, m->edges_len);
            *c = graph_mesh_call(m, edge, REPORTER_SOURCE, at_ns + (int64_t)i * NS_PER_US);
        }
        if (!b)
            return err_set(err, ERR_NOMEM, "batch");
        at_ns += (int64_t)BATCH_SPANS * 50 * NS_PER_US;
        b->received_ns = at_ns;
        b->seq = to->len + 1;
        to->list[to->len++] = b;
    }
    return 0;
}

static void batches_done(struct batches *s)
{
    for (size_t i = 0; i < s->len; i++)
        batch_free(s->list[i]);
}

static int run_spans(struct graph_mesh *m, size_t n, struct store *store, struct err *err)
{
    struct batches spans = { 0 };
    double pair_ns = 0, fold_ns = 0;
    int rc = n ? decode_all(m, &spans, n, err) : 0;
    if (rc == 0 && n)
        rc = pair_all(&spans, &pair_ns);
    if (rc == 0 && n)
        rc = fold_all(&spans, store, &fold_ns, err);
    if (rc == 0 && n) {
        tell("normalize and pair a span", pair_ns);
        tell("count a span in its edge", fold_ns - pair_ns);
    }
    batches_done(&spans);
    return rc;
}

static int run_records(struct graph_mesh *m, size_t n, struct store *store, struct err *err)
{
    struct batches records = { 0 };
    double name_ns = 0, fold_ns = 0;
    int rc = make_records(m, &records, n, err);
    if (rc == 0 && n)
        rc = name_all(&records, &name_ns);
    if (rc == 0 && n)
        rc = fold_all(&records, store, &fold_ns, err);
    if (rc == 0 && n) {
        tell("normalize an access record", name_ns);
        tell("count an access record in its edge", fold_ns - name_ns);
        tell("both, an access record", fold_ns);
    }
    batches_done(&records);
    return rc;
}

static int run(const struct conf *c, struct graph_mesh *m, struct err *err)
{
    struct store_conf conf = { .url = SV("memory:") };
    struct store *store = store_open(&conf, err);
    int rc = store ? run_spans(m, c->spans, store, err) : (int)err->code;
    if (rc == 0)
        rc = run_records(m, c->records, store, err);
    store_close(store);
    return rc;
}

int main(int argc, char **argv)
{
    struct conf conf = { 0 };
    struct graph_mesh mesh = { 0 };
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    const struct flag_table table = { "bench-cost", "what a span costs on its way to an edge", NULL,
                                      rows, NELEMS(rows) };
    int rc = flag_parse(&table, &conf, &mem, argc, argv, NULL, &err);
    if (rc == FLAG_EXIT)
        return 0;
    if (rc < 0) {
        fprintf(stderr, "bench-cost: %s\n", err.why);
        return 2;
    }
    rc = graph_mesh_init(&mesh, conf.services, conf.edges);
    mesh.random.state = 1;
    if (rc == 0)
        rc = run(&conf, &mesh, &err);
    graph_mesh_done(&mesh);
    if (rc == 0)
        return 0;
    fprintf(stderr, "bench-cost: %s\n", err.code ? err.why : "out of memory");
    return 1;
}
