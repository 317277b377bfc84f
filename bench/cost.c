/* cost.c - CPU of decoding a span, pairing it and counting the call, in this process alone.
 *
 *   bench-cost [--spans N] [--services N] [--edges N]
 *
 * A line of JSON each, nanoseconds of this thread. For instructions, which do not depend on what
 * else the machine does, run it under valgrind --tool=callgrind. */
#include "aggregate/fold.h"
#include "base/clock.h"
#include "base/flag.h"
#include "exports.h"
#include "graph_mesh.h"
#include "ingest/decode.h"
#include "otlp_write.h"
#include <stdio.h>

struct conf {
    uint64_t services, edges, spans;
};

#define OFF(field) offsetof(struct conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "services", FLAG_UINT, OFF(services), "1000",   "of the mesh that access records tell of", NULL },
    { "edges",    FLAG_UINT, OFF(edges),    "5000",   "likewise", NULL },
    { "spans",    FLAG_UINT, OFF(spans),    "200000", "to decode and fold; as many access records", NULL },
};
/* clang-format on */

/* CPU time of this thread. */
static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void tell(const char *what, int64_t ns, size_t n)
{
    printf("{\"what\":\"%s\",\"ns\":%.0f}\n", what, (double)ns / (double)n);
}

static void count_call(void *to, const struct call *c, const struct called_half *called)
{
    (void)c;
    (void)called;
    (*(size_t *)to)++;
}

enum { BATCH_SPANS = EXPORT_SPANS * EXPORTS_ROUND }; /* also the records of a batch */

struct spans {
    struct batch **list;
    size_t len;
};

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
static int decode_one(struct spans *to, const struct span *spans, int64_t at_ns, int64_t *sum_ns,
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
static int decode_all(struct graph_mesh *m, struct spans *to, size_t spans, struct err *err)
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
    tell("decode a span", sum_ns, rounds * BATCH_SPANS);
    return 0;
}

/* The batches through the pairer alone, its calls dropped. */
static int pair_all(const struct spans *s)
{
    struct fold_conf conf = fold_conf_default();
    struct pair_conf pair = { conf.halves_max, conf.identities_max, conf.wait_ns };
    size_t calls = 0;
    struct pairer *p = pairer_new(&pair, count_call, &calls);
    if (!p)
        return ERR_NOMEM;
    int64_t start_ns = thread_ns();
    for (size_t i = 0; i < s->len; i++)
        pairer_add(p, s->list[i]->spans, s->list[i]->spans_len, s->list[i]->received_ns, true);
    tell("normalize and pair a span", thread_ns() - start_ns, s->len * EXPORT_SPANS);
    pairer_free(p);
    return 0;
}

/* Commits after every 16 batches, as the pipeline does once a second; that is not in the figure. */
static int fold_all(const char *what, const struct spans *s, struct store *store, struct err *err)
{
    struct fold_conf conf = fold_conf_default();
    struct fold *f = fold_new(&conf);
    int64_t sum_ns = 0;
    size_t n = 0;
    int rc = f ? 0 : err_set(err, ERR_NOMEM, "fold");
    for (size_t i = 0; rc == 0 && i < s->len; i++) {
        int64_t start_ns = thread_ns();
        fold_batch(f, s->list[i], true);
        sum_ns += thread_ns() - start_ns;
        n += s->list[i]->spans_len + s->list[i]->calls_len;
        if (i % 16 == 15)
            rc = fold_flush(f, store, err);
    }
    if (rc == 0)
        tell(what, sum_ns, n);
    fold_free(f);
    return rc;
}

static int make_records(struct graph_mesh *m, struct spans *to, size_t records, struct err *err)
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

static void spans_done(struct spans *s)
{
    for (size_t i = 0; i < s->len; i++)
        batch_free(s->list[i]);
}

static int run(const struct conf *c, struct graph_mesh *m, struct err *err)
{
    struct spans spans = { 0 }, records = { 0 };
    struct store_conf conf = { .url = SV("memory:") };
    struct store *store = store_open(&conf, err);
    int rc = store ? decode_all(m, &spans, c->spans, err) : (int)err->code;
    if (rc == 0)
        rc = pair_all(&spans);
    if (rc == 0)
        rc = fold_all("normalize, pair and count a span", &spans, store, err);
    if (rc == 0)
        rc = make_records(m, &records, c->spans, err);
    if (rc == 0)
        rc = fold_all("count an access record", &records, store, err);
    spans_done(&spans);
    spans_done(&records);
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
