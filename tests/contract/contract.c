/* contract.c - runs every case on every backend, each in a fresh store. */
#include "contract.h"
#include "base/mem.h"
#include "store/sqlite/sqlite.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

/* A backend the suite runs on. The small segments make every case pass through sealing, which
 * usually takes thousands of spans. */
static const struct backend {
    const char *name, *scheme;
    uint64_t segment_records;
} backends[] = {
    { "memory", "memory", 0 },
    { "sqlite", "sqlite", 0 },
    { "sqlite, small segments", "sqlite", 8 },
};

struct store *world_open(const struct world *w, bool is_read_only, struct err *err)
{
    struct store_conf conf = { .url = sv_z(w->url), .is_read_only = is_read_only, .keep = w->keep };
    struct store *s = store_open(&conf, err);
    if (s && w->segment_records && !is_read_only)
        sqlite_set_segment_records((struct sqlite_store *)s, w->segment_records);
    return s;
}

/* Waits until the sealing thread has done what is due. */
void world_settle(struct world *w)
{
    if (!w->is_durable)
        return;
    struct chunks *c = &((struct sqlite_store *)w->store)->chunks;
    for (bool is_due = true; is_due; usleep(500)) {
        pthread_mutex_lock(&c->lock);
        is_due = chunks_is_seal_due(c);
        pthread_mutex_unlock(&c->lock);
    }
}

void world_reopen(struct world *w)
{
    if (!w->is_durable)
        return;
    world_settle(w);
    w->store = store_close(w->store);
    struct err err = { 0 };
    w->store = world_open(w, false, &err);
    if (!w->store)
        fail_msg("reopen: %s", err.why);
}

struct store *oracle_open(void)
{
    struct store_conf conf = { .url = SV("memory:") };
    struct store *s = store_open(&conf, NULL);
    assert_non_null(s);
    return s;
}

void put_one(struct store *s, struct batch *b)
{
    struct err err = { 0 };
    if (store_put(s, &b, 1, &err) < 0)
        fail_msg("put: %s", err.why);
}

struct trace_id trace_of(uint8_t first)
{
    struct trace_id id = { { first, [15] = 7 } };
    return id;
}

static const struct resource no_resource;
static const struct scope no_scope;

struct batch *one_span_batch(uint8_t trace, uint8_t span, int64_t start_ns)
{
    struct batch *b = batch_new();
    b->received_ns = start_ns;
    struct span *s = batch_add_span(b);
    s->trace_id = trace_of(trace);
    s->span_id.b[0] = span;
    s->start_ns = start_ns;
    s->end_ns = start_ns + 100;
    s->name = SV("one");
    s->resource = &no_resource;
    s->scope = &no_scope;
    return b;
}

void seen_done(struct seen *seen)
{
    seen->copy = batch_free(seen->copy);
    arena_done(&seen->mem);
    buf_done(&seen->text);
}

static struct sv keep(struct seen *seen, struct sv s)
{
    return arena_copy(&seen->mem, s);
}

/* Only the fields that order and identity tests need; whole spans are compared inside a sink. */
int see_span(void *to, const struct span *s)
{
    struct seen *seen = to;
    if (!seen->copy)
        seen->copy = batch_new();
    struct span *at = batch_add_span(seen->copy);
    *at = (struct span){ .trace_id = s->trace_id, .span_id = s->span_id, .start_ns = s->start_ns };
    at->name = keep(seen, s->name);
    return 0;
}

int see_call(void *to, const struct call *c)
{
    struct seen *seen = to;
    if (!seen->copy)
        seen->copy = batch_new();
    struct call *at = batch_add_call(seen->copy);
    at->start_ns = c->start_ns;
    at->path = keep(seen, c->path);
    return 0;
}

int see_trace(void *to, const struct trace_summary *t)
{
    struct seen *seen = to;
    assert_true(seen->traces_len < NELEMS(seen->traces));
    struct trace_summary *at = &seen->traces[seen->traces_len++];
    *at = *t;
    at->root_name = keep(seen, t->root_name);
    at->root_service = keep(seen, t->root_service);
    return 0;
}

int see_operation(void *to, struct sv service, struct sv name, enum span_kind kind)
{
    struct seen *seen = to;
    buf_put(&seen->text, service);
    buf_putc(&seen->text, '|');
    buf_put(&seen->text, name);
    buf_printf(&seen->text, "|%d\n", (int)kind);
    return 0;
}

struct two_stores {
    struct store *other;
    struct trace_id id;
    size_t at;
};

struct nth {
    size_t want, at;
    const struct span *against;
    bool same;
};

static int compare_nth(void *to, const struct span *s)
{
    struct nth *n = to;
    if (n->at++ != n->want)
        return 0;
    n->same = span_eq(s, n->against);
    return 1;
}

/* For each span of one store, the one at the same place in the other. */
static int compare_span(void *to, const struct span *s)
{
    struct two_stores *two = to;
    struct nth n = { .want = two->at++, .against = s };
    assert_int_equal(store_trace(two->other, two->id, compare_nth, &n, NULL), 0);
    assert_true(n.same);
    return 0;
}

void assert_same_trace(struct store *a, struct store *b, struct trace_id id)
{
    struct two_stores two = { .other = b, .id = id };
    int rc = store_trace(a, id, compare_span, &two, NULL);
    struct nth end = { .want = SIZE_MAX };
    assert_int_equal(store_trace(b, id, compare_nth, &end, NULL), rc);
    assert_int_equal(end.at, two.at);
}

static void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    char path[400];
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static void run_in_world(const struct contract_case *c, const struct backend *b)
{
    struct world w = { .is_durable = strcmp(b->scheme, "memory") != 0,
                       .segment_records = b->segment_records };
    snprintf(w.dir, sizeof(w.dir), "/tmp/tulle-contract-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    if (w.is_durable)
        snprintf(w.file, sizeof(w.file), "%s/t.db", w.dir);
    snprintf(w.url, sizeof(w.url), "%s:%s", b->scheme, w.file);
    struct err err = { 0 };
    w.store = world_open(&w, false, &err);
    if (!w.store)
        fail_msg("open %s: %s", w.url, err.why);
    assert_string_equal(store_scheme(w.store), b->scheme);
    c->run(&w);
    store_close(w.store);
    remove_dir(w.dir);
}

struct job {
    const struct contract_case *c;
    size_t backend;
};

static void run_job(void **state)
{
    const struct job *job = *state;
    run_in_world(job->c, &backends[job->backend]);
}

enum { JOBS_MAX = 192 };
static struct job jobs[JOBS_MAX];
static struct CMUnitTest tests[JOBS_MAX];
static char names[JOBS_MAX][80];

static size_t add_jobs(size_t len, const struct contract_case *cases, size_t cases_len)
{
    for (size_t i = 0; i < cases_len; i++) {
        for (size_t b = 0; b < NELEMS(backends); b++, len++) {
            INVARIANT(len < JOBS_MAX);
            jobs[len] = (struct job){ &cases[i], b };
            snprintf(names[len], sizeof(names[len]), "%s: %s", backends[b].name, cases[i].name);
            tests[len] = (struct CMUnitTest){ names[len], run_job, NULL, NULL, &jobs[len] };
        }
    }
    return len;
}

int main(void)
{
    size_t len = 0;
    len = add_jobs(len, put_cases, put_cases_len);
    len = add_jobs(len, find_cases, find_cases_len);
    len = add_jobs(len, search_cases, search_cases_len);
    len = add_jobs(len, edge_cases, edge_cases_len);
    len = add_jobs(len, safety_cases, safety_cases_len);
    len = add_jobs(len, file_cases, file_cases_len);
    len = add_jobs(len, retain_cases, retain_cases_len);
    return _cmocka_run_group_tests("store contract", tests, len, NULL, NULL);
}
