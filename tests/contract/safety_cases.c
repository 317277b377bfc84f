/* safety_cases.c - readers beside the writer, a second opener, foreign and newer files, read-only. */
#include "base/clock.h"
#include "base/mem.h"
#include "contract.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct reading {
    struct store *store;
    _Atomic bool is_over;
    _Atomic uint64_t committed; /* traces 1..committed of one span each can be found */
    _Atomic uint64_t looks;
};

static int count_trace(void *to, const struct trace_summary *t)
{
    (void)t;
    ++*(size_t *)to;
    return 0;
}

static int count_span(void *to, const struct span *s)
{
    (void)s;
    ++*(size_t *)to;
    return 0;
}

/* cmocka's asserts are for its own thread; a reader that sees something wrong says so by result. */
static void *read_along(void *arg)
{
    struct reading *r = arg;
    while (!atomic_load(&r->is_over) || atomic_load(&r->looks) < 20) {
        uint64_t committed = atomic_load(&r->committed);
        size_t found = 0, listed = 0;
        struct search_end end;
        struct span_query q = { .limit = 10 };
        if (committed) {
            struct trace_id id = { { 0 } };
            uint64_t newest = committed;
            memcpy(id.b, &newest, sizeof(newest));
            if (store_trace(r->store, id, count_span, &found, NULL) < 0 || found != 1)
                return (void *)"a committed trace is missing";
        }
        if (store_search(r->store, &q, count_trace, &listed, &end, NULL) < 0 ||
            listed < MIN(committed, 10))
            return (void *)"a search failed";
        struct store_stats stats;
        if (store_get_stats(r->store, &stats, NULL) < 0 || stats.spans < committed)
            return (void *)"stats failed";
        atomic_fetch_add(&r->looks, 1);
    }
    return NULL;
}

static void readers_beside_the_writer(struct world *w)
{
    struct reading r = { .store = w->store };
    pthread_t readers[3];
    for (size_t i = 0; i < NELEMS(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_along, &r), 0);
    struct edge e = { .source = identity_unknown(), .destination = identity_unknown() };
    for (uint64_t i = 1; i <= 300; i++) {
        AUTO_FREE(batch) b = one_span_batch(0, 1, (int64_t)i * 10);
        memset(b->spans[0].trace_id.b, 0, 16);
        memcpy(b->spans[0].trace_id.b, &i, sizeof(i));
        put_one(w->store, b);
        atomic_store(&r.committed, i);
        struct edge_bucket bucket = { .edge = &e, .width_ns = BUCKET_NS };
        struct store_progress p = { .seq = i };
        assert_non_null(edge_bucket_cell(&bucket, REPORTER_SPAN));
        assert_int_equal(store_put_edges(w->store, &bucket, 1, &p, NULL), 0);
        edge_bucket_done(&bucket);
    }
    atomic_store(&r.is_over, true);
    for (size_t i = 0; i < NELEMS(readers); i++) {
        void *wrong = NULL;
        pthread_join(readers[i], &wrong);
        if (wrong)
            fail_msg("%s", (const char *)wrong);
    }
}

static void a_second_opener_is_refused(struct world *w)
{
    if (!w->is_durable)
        return;
    struct err err = { 0 };
    assert_null(world_open(w, false, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    /* From another process too. */
    pid_t child = fork();
    if (child == 0) {
        struct err why = { 0 };
        struct store *s = world_open(w, false, &why);
        _exit(s == NULL && why.code == ERR_CONFLICT ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    AUTO_FREE(batch) b = one_span_batch(1, 1, 1);
    put_one(w->store, b);
}

static void exec_on_file(const struct world *w, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_refused(struct world *w, enum err_code code, const char *word)
{
    struct err err = { 0 };
    assert_null(world_open(w, false, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.why, word));
}

static void a_newer_file_is_refused(struct world *w)
{
    if (!w->is_durable)
        return;
    w->store = store_close(w->store);
    exec_on_file(w, "PRAGMA user_version = 1000");
    assert_refused(w, ERR_UNSUPPORTED, "newer");
}

static void a_foreign_file_is_refused(struct world *w)
{
    if (!w->is_durable)
        return;
    w->store = store_close(w->store);
    exec_on_file(w, "PRAGMA application_id = 77");
    assert_refused(w, ERR_UNSUPPORTED, "not a Tulle");
    unlink(w->file);
    exec_on_file(w, "CREATE TABLE somebody_elses(x)");
    assert_refused(w, ERR_UNSUPPORTED, "not a Tulle");
    unlink(w->file);
    FILE *f = fopen(w->file, "w");
    assert_non_null(f);
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    assert_refused(w, ERR_UNSUPPORTED, "not a");
}

static void a_missing_folder_is_said(struct world *w)
{
    if (!w->is_durable)
        return;
    struct store_conf conf = { .url = SV("sqlite:/tmp/tulle-no-such-folder/x.db") };
    struct err err = { 0 };
    assert_null(store_open(&conf, &err));
    assert_int_equal(err.code, ERR_IO);
    conf.url = SV("sqlite:");
    struct err usage = { 0 };
    assert_null(store_open(&conf, &usage));
    assert_int_equal(usage.code, ERR_USAGE);
    conf.url = SV("postgres:x");
    struct err scheme = { 0 };
    assert_null(store_open(&conf, &scheme));
    assert_int_equal(scheme.code, ERR_USAGE);
}

static void read_only_reads(struct world *w)
{
    AUTO_FREE(batch) b = one_span_batch(1, 1, 1);
    put_one(w->store, b);
    if (!w->is_durable)
        return;
    struct store *beside = world_open(w, true, NULL); /* while the owner has it open */
    assert_non_null(beside);
    size_t found = 0;
    assert_int_equal(store_trace(beside, trace_of(1), count_span, &found, NULL), 0);
    assert_int_equal(found, 1);
    assert_int_equal(store_put(beside, &b, 1, NULL), ERR_UNSUPPORTED);
    struct store_progress p = { 0 };
    assert_int_equal(store_put_edges(beside, NULL, 0, &p, NULL), ERR_UNSUPPORTED);
    store_close(beside);
    w->store = store_close(w->store);
    struct store *alone = world_open(w, true, NULL);
    assert_non_null(alone);
    found = 0;
    assert_int_equal(store_trace(alone, trace_of(1), count_span, &found, NULL), 0);
    assert_int_equal(found, 1);
    store_close(alone);
}

/* A process that dies without closing: what was acknowledged is there. */
static void a_killed_writer_loses_nothing(struct world *w)
{
    if (!w->is_durable)
        return;
    w->store = store_close(w->store);
    pid_t child = fork();
    if (child == 0) {
        struct store *s = world_open(w, false, NULL);
        for (uint8_t i = 1; s && i <= 50; i++) {
            struct batch *b = one_span_batch(i, 1, i);
            if (store_put(s, &b, 1, NULL) < 0)
                _exit(1);
        }
        _exit(s ? 0 : 1); /* no close, no flush */
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct err err = { 0 };
    w->store = world_open(w, false, &err);
    if (!w->store)
        fail_msg("open after kill: %s", err.why);
    for (uint8_t i = 1; i <= 50; i++) {
        size_t found = 0;
        assert_int_equal(store_trace(w->store, trace_of(i), count_span, &found, NULL), 0);
        assert_int_equal(found, 1);
    }
}

static void durabilities_open(struct world *w)
{
    if (!w->is_durable)
        return;
    w->store = store_close(w->store);
    static const enum store_durability all[] = { STORE_DURABILITY_POWER, STORE_DURABILITY_NONE,
                                                 STORE_DURABILITY_PROCESS };
    for (size_t i = 0; i < NELEMS(all); i++) {
        struct store_conf conf = { .url = sv_z(w->url), .durability = all[i] };
        struct store *s = store_open(&conf, NULL);
        assert_non_null(s);
        AUTO_FREE(batch) b = one_span_batch((uint8_t)i, 1, 1);
        put_one(s, b);
        assert_int_equal(b->seq, i + 1);
        store_close(s);
    }
}

const struct contract_case safety_cases[] = {
    { "readers beside the writer", readers_beside_the_writer },
    { "a second opener is refused", a_second_opener_is_refused },
    { "a newer file is refused", a_newer_file_is_refused },
    { "a foreign file is refused", a_foreign_file_is_refused },
    { "a missing folder is said", a_missing_folder_is_said },
    { "read-only reads", read_only_reads },
    { "a killed writer loses nothing", a_killed_writer_loses_nothing },
    { "durabilities open", durabilities_open },
};
const size_t safety_cases_len = NELEMS(safety_cases);
