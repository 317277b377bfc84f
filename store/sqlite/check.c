/* check.c - is everything in the file readable, and does it agree with itself?
 *
 * SQLite checks its pages and trees. Then every segment and journal row is decoded (a segment's
 * checksum comes first) and what its row says of it - counts, ranges of time, fingerprints of
 * traces - is worked out again and compared; every bucket of an edge is decoded. All of it is read
 * in one snapshot by a connection of its own, so it works beside a running collector; the
 * write-ahead log cannot start over while it lasts. Nothing of the lists in memory is used: a file
 * too damaged to answer questions can still be checked.
 *
 * Cost: reading the file twice, one segment in memory at a time. */
#include "base/mem.h"
#include "store/sqlite/cells.h"
#include "store/sqlite/digest_format.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/sqlite.h"
#include <stdio.h>

struct checking {
    struct db db;
    store_finding_sink *sink;
    void *to;
    struct store_checked done;
    bool is_over;
    /* What was seen before, for order. */
    uint64_t last_seq;
    int64_t edges_len;
};

static void finding(struct checking *c, const char *where, const char *what)
{
    c->done.findings++;
    if (!c->is_over)
        c->is_over = c->sink(c->to, sv_z(where), sv_z(what)) != 0;
}

/* Damage is told, everything else is a failure of checking. */
static int judge(struct checking *c, const char *where, const struct err *why, struct err *err)
{
    if (why->code == ERR_NOMEM || why->code == ERR_IO || why->code == ERR_BUSY)
        return err_set(err, why->code, "%s: %s", where, why->why);
    finding(c, where, why->why);
    return 0;
}

/* Every row of a statement through f; rows that SQLite cannot read are a finding about `where`. */
static int each_row(struct checking *c, enum db_statement id, const char *where,
                    int (*f)(struct checking *, sqlite3_stmt *, struct err *), struct err *err)
{
    struct err why = { 0 };
    sqlite3_stmt *st = db_statement(&c->db, id, &why);
    int rc = st ? 1 : -1;
    int failed = 0;
    while (failed == 0 && !c->is_over && rc > 0 && (rc = db_step(&c->db, st, where, &why)) > 0)
        failed = f(c, st, err);
    if (st)
        sqlite3_reset(st);
    if (failed)
        return failed;
    return rc < 0 ? judge(c, where, &why, err) : 0;
}

static int check_page(struct checking *c, sqlite3_stmt *st, struct err *err)
{
    (void)err;
    char text[200];
    struct sv said = db_column(st, 0);
    if (sv_eq(said, SV("ok")))
        return 0;
    snprintf(text, sizeof(text), "%.*s", (int)MIN(said.len, sizeof(text) - 1), said.p);
    finding(c, "file", text);
    return 0;
}

static bool is_range(sqlite3_stmt *st, int at, struct chunk_range r)
{
    int64_t from = sqlite3_column_int64(st, at), to = sqlite3_column_int64(st, at + 1);
    return from == r.from_ns && to == r.to_ns;
}

/* What the row says of its data, against what the data says. */
static void compare(struct checking *c, const char *where, sqlite3_stmt *st, const struct chunk *is,
                    uint64_t batches)
{
    const uint64_t first = (uint64_t)sqlite3_column_int64(st, 0);
    const uint64_t last = (uint64_t)sqlite3_column_int64(st, 1);
    struct sv traces = db_column(st, 9);
    const struct {
        bool is_right;
        const char *what;
    } facts[] = {
        { first <= last && last - first + 1 == batches, "number of batches is wrong" },
        { first > c->last_seq, "overlaps with the one before" },
        { sqlite3_column_int64(st, 11) == (int64_t)first, "id is not the first batch's number" },
        { sqlite3_column_int64(st, 2) == is->received_to_ns, "time of receipt is wrong" },
        { (uint64_t)sqlite3_column_int64(st, 3) == is->spans, "number of spans is wrong" },
        { (uint64_t)sqlite3_column_int64(st, 4) == is->calls, "number of calls is wrong" },
        { is_range(st, 5, is->span_range), "range of the spans' start times is wrong" },
        { is_range(st, 7, is->call_range), "range of the calls' start times is wrong" },
        { traces.len == is->traces_len * sizeof(*is->traces) &&
              (traces.len == 0 || memcmp(traces.p, is->traces, traces.len) == 0),
          "fingerprints of traces are wrong" },
    };
    for (size_t i = 0; i < NELEMS(facts); i++)
        if (!facts[i].is_right)
            finding(c, where, facts[i].what);
    c->last_seq = MAX(c->last_seq, last);
}

/* The digest, when there is one, against one made now; column 12. */
static int compare_digest(struct checking *c, const char *where, sqlite3_stmt *st,
                          struct sv segment, struct err *err)
{
    AUTO_DONE(segment_scratch) scratch = { 0 };
    AUTO_DONE(buf) is = { 0 };
    struct err why = { 0 };
    struct sv said = db_column(st, 12);
    if (!said.p)
        return 0;
    bool is_coarse = digest_check(said, NULL) == 0 && digest_is_coarse(said);
    if (digest_encode(&scratch, segment, is_coarse, &is, &why) < 0)
        return judge(c, where, &why, err);
    if (!sv_eq(said, buf_sv(&is)))
        finding(c, where, "its digest is wrong");
    return 0;
}

static int check_digest(struct checking *c, sqlite3_stmt *st, struct err *err)
{
    (void)err;
    char where[48];
    snprintf(where, sizeof(where), "digest %lld", (long long)sqlite3_column_int64(st, 0));
    finding(c, where, "there is no such segment");
    return 0;
}

/* Decodes and compares one chunk, whose columns are those of ST_CHECK_SEGMENTS. */
static int check_chunk(struct checking *c, sqlite3_stmt *st, enum chunk_kind kind, struct err *err)
{
    char where[48];
    struct err why = { 0 };
    struct segment_origins origins = { .batches_len = 1 };
    AUTO_FREE(batch) b = batch_new();
    struct sv copy = b ? arena_copy(&b->mem, db_column(st, 10)) : SV_NONE;
    snprintf(where, sizeof(where), "%s %lld", kind == CHUNK_SEGMENT ? "segment" : "journal row",
             (long long)sqlite3_column_int64(st, 11));
    if (!copy.p)
        return err_set(err, ERR_NOMEM, "%s", where);
    int rc = kind == CHUNK_SEGMENT ? segment_decode(copy, b, &origins, &why)
                                   : rows_decode(copy, b, &why);
    if (rc < 0)
        return judge(c, where, &why, err);
    b->received_ns = sqlite3_column_int64(st, 2);
    if (kind == CHUNK_SEGMENT) {
        b->received_ns = INT64_MIN;
        for (size_t i = 0; i < origins.batches_len; i++)
            b->received_ns = MAX(b->received_ns, origins.received_ns[i]);
    }
    struct chunk is;
    if (chunk_of_batch(b, 0, &is) < 0)
        return err_set(err, ERR_NOMEM, "%s", where);
    compare(c, where, st, &is, origins.batches_len);
    rc = kind == CHUNK_SEGMENT ? compare_digest(c, where, st, copy, err) : 0;
    c->done.spans += is.spans;
    c->done.calls += is.calls;
    mem_free(is.traces);
    return rc;
}

static int check_segment(struct checking *c, sqlite3_stmt *st, struct err *err)
{
    c->done.segments++;
    return check_chunk(c, st, CHUNK_SEGMENT, err);
}

static int check_journal_row(struct checking *c, sqlite3_stmt *st, struct err *err)
{
    c->done.journal_rows++;
    return check_chunk(c, st, CHUNK_JOURNAL, err);
}

static int check_edge(struct checking *c, sqlite3_stmt *st, struct err *err)
{
    (void)err;
    char where[48];
    int64_t id = sqlite3_column_int64(st, 0), protocol = sqlite3_column_int64(st, 1);
    snprintf(where, sizeof(where), "edge %lld", (long long)id);
    if (id != c->edges_len + 1)
        finding(c, where, "there is a gap before it");
    if (protocol < 0 || protocol >= PROTOCOLS_LEN)
        finding(c, where, "its protocol is unknown");
    c->edges_len = id;
    return 0;
}

static int check_bucket(struct checking *c, sqlite3_stmt *st, struct err *err)
{
    char where[96];
    struct err why = { 0 };
    int64_t edge = sqlite3_column_int64(st, 2);
    snprintf(where, sizeof(where), "bucket of %lld s at %lld of edge %lld",
             (long long)sqlite3_column_int64(st, 0), (long long)sqlite3_column_int64(st, 1),
             (long long)edge);
    c->done.edge_buckets++;
    if (edge < 1 || edge > c->edges_len)
        finding(c, where, "there is no such edge");
    struct edge_bucket b = { .width_ns = BUCKET_NS };
    int rc = cells_merge(db_column(st, 3), &b, &why);
    edge_bucket_done(&b);
    return rc < 0 ? judge(c, where, &why, err) : 0;
}

static int check_all(struct checking *c, struct err *err)
{
    static const struct {
        enum db_statement id;
        const char *where;
        int (*f)(struct checking *, sqlite3_stmt *, struct err *);
    } steps[] = {
        { ST_CHECK_FILE, "file", check_page },
        { ST_CHECK_SEGMENTS, "segments", check_segment },
        { ST_CHECK_DIGESTS, "digests", check_digest },
        { ST_CHECK_JOURNAL, "journal", check_journal_row },
        { ST_CHECK_EDGES, "edges", check_edge },
        { ST_CHECK_BUCKETS, "buckets of edges", check_bucket },
    };
    sqlite3_stmt *begin = db_statement(&c->db, ST_BEGIN_READ, err);
    int rc = begin ? db_run(&c->db, begin, "begin to read", err) : ERR_IO;
    for (size_t i = 0; rc == 0 && !c->is_over && i < NELEMS(steps); i++)
        rc = each_row(c, steps[i].id, steps[i].where, steps[i].f, err);
    return rc;
}

int sqlite_check(struct store *store, store_finding_sink *sink, void *to,
                 struct store_checked *ret_checked, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct checking c = { .sink = sink, .to = to };
    int rc = db_open(&c.db, s->file, DB_READER, s->durability, err);
    if (rc < 0)
        return rc;
    rc = check_all(&c, err);
    db_rollback(&c.db);
    db_close(&c.db);
    if (rc == 0)
        *ret_checked = c.done;
    return rc;
}
