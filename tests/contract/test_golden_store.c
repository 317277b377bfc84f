/* test_golden_store.c - a file of format 6 as it was written when that was the newest: the forms it is made of
 * are really in it, and what is read of it is what was sent. The numbers are those of tests/golden/make.py.
 *
 * Usage: test_golden_store DIR (tests/golden) */
#include "base/gzip.h"
#include "model/edge.h"
#include "store/sqlite/segment_r.h"
#include "store/store.h"
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    TURNS = 2, /* one before the segment, one behind it */
    CARTS = 300,
    CONNECTIONS = 4,
    SPANS = 12 * 2 + 16800 + TURNS * CARTS,
    RECORDS = 50,
    LINES = 6,
};
#define ALL_TIMES ((struct window){ INT64_MIN, INT64_MAX })

static const char *folder; /* of the golden files */
static char file[64];      /* the copy that is opened */

/* --- the copy --- */

static struct sv read_whole(const char *path, struct buf *to)
{
    FILE *f = fopen(path, "rb");
    char part[4096];
    if (!f)
        fail_msg("%s cannot be opened", path);
    for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
        buf_append(to, part, n);
    fclose(f);
    return buf_sv(to);
}

static int lay_out(void **state)
{
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) whole = { 0 };
    struct err err = { 0 };
    char path[512], dir[] = "/tmp/tulle-golden-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/tulle.db", dir);
    snprintf(path, sizeof(path), "%s/store-v6.db.gz", folder);
    if (gzip_inflate(read_whole(path, &packed), GZIP_FORMAT_GZIP, 1 << 24, &whole, &err) < 0)
        fail_msg("%s: %s", path, err.why);
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(buf_sv(&whole).p, 1, whole.len, f), whole.len);
    assert_int_equal(fclose(f), 0);
    return 0;
}

static int take_away(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-owner" };
    char path[128];
    (void)state;
    for (size_t i = 0; i < NELEMS(ends); i++) {
        snprintf(path, sizeof(path), "%s%s", file, ends[i]);
        (void)unlink(path);
    }
    *strrchr(file, '/') = '\0';
    return rmdir(file);
}

static struct store *open_copy(void)
{
    char url[128];
    struct err err = { 0 };
    snprintf(url, sizeof(url), "sqlite:%s", file);
    struct store_conf conf = { .url = sv_z(url), .is_read_only = true };
    struct store *s = store_open(&conf, &err);
    if (!s)
        fail_msg("open: %s", err.why);
    return s;
}

/* --- the forms --- */

/* The first column of each row of a statement. */
static void each_blob(const char *sql, void (*see)(struct sv blob, void *to), void *to)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW)
        see(sv_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0)), to);
    sqlite3_finalize(row);
    sqlite3_close(db);
}

struct forms {
    size_t rows;
    unsigned first, last; /* the least and greatest version byte */
    bool has_patterns;
    unsigned masks; /* of reporters, all together */
    bool has_parts; /* cells of version 2 */
};

static void note_version(struct forms *f, uint8_t version)
{
    f->first = f->rows ? MIN(f->first, version) : version;
    f->last = MAX(f->last, version);
    f->rows++;
}

static void see_row(struct sv blob, void *to)
{
    note_version(to, (uint8_t)blob.p[0]);
}

static void see_digest(struct sv blob, void *to)
{
    assert_true(sv_starts(blob, SV("TDIG")));
    note_version(to, (uint8_t)blob.p[4]);
}

static void see_segment(struct sv blob, void *to)
{
    struct forms *f = to;
    AUTO_DONE(arena) mem = { 0 };
    struct segment_r s;
    assert_true(sv_starts(blob, SV("TSEG")));
    note_version(f, (uint8_t)blob.p[4]);
    segment_r_open(&s, blob, &mem, NULL);
    for (uint32_t i = 0; i < s.columns_len; i++) {
        if (s.columns[i].type != VALUE_STR)
            continue;
        s.streams.rd.at = s.columns[i].stored_at;
        struct sv head = stream_get(&s.streams);
        assert_true(segment_r_ok(&s) && head.len > 0);
        f->has_patterns |= head.p[0] == 2 && sv_eq(s.columns[i].key, SV("url.path"));
    }
    segment_r_done(&s);
}

static void see_cells(struct sv blob, void *to)
{
    struct forms *f = to;
    f->rows++;
    f->masks |= (uint8_t)blob.p[0];
    f->has_parts |= blob.p[2] == 2 || blob.p[3] == 2; /* behind a length of one or two bytes */
}

static void test_forms(void **state)
{
    struct forms journal = { 0 }, segments = { 0 }, digests = { 0 }, cells = { 0 };
    (void)state;
    each_blob("SELECT data FROM journal", see_row, &journal);
    each_blob("SELECT data FROM segment", see_segment, &segments);
    each_blob("SELECT data FROM segment_digest", see_digest, &digests);
    each_blob("SELECT cells FROM edge_bucket", see_cells, &cells);
    assert_true(journal.rows > 0 && journal.first == 2 && journal.last == 2);
    assert_true(segments.rows == 1 && segments.first == 2 && segments.has_patterns);
    assert_true(digests.rows == 1 && digests.first == 2);
    assert_int_equal(cells.masks, 1 << REPORTER_SOURCE | 1 << REPORTER_DESTINATION |
                                      1 << REPORTER_SPAN | 1 << REPORTER_SCRAPE);
    assert_true(cells.has_parts);
}

/* --- what is read --- */

static int note_finding(void *to, struct sv where, struct sv what)
{
    (void)to;
    print_message("%.*s: %.*s\n", SV_ARG(where), SV_ARG(what));
    return 0;
}

static void test_is_whole(void **state)
{
    struct store_checked checked = { 0 };
    struct store *s = open_copy();
    (void)state;
    assert_int_equal(store_check(s, note_finding, NULL, &checked, NULL), 0);
    assert_int_equal(checked.findings, 0);
    assert_int_equal(checked.segments, 1);
    assert_int_equal(checked.spans, SPANS);
    assert_int_equal(checked.calls, RECORDS + TURNS * (3 * CONNECTIONS + LINES));
    store_close(s);
}

struct call_sums {
    uint64_t bases[TLS_BASES_LEN][TLS_STATES_LEN];
    uint64_t parts[CALL_PARTS_LEN], received, sent;
    uint64_t principals; /* seen ones */
};

static int add_call(void *to, const struct call *c)
{
    struct call_sums *sums = to;
    if (c->protocol == PROTOCOL_TCP) {
        sums->parts[c->part]++;
        sums->received += c->bytes_received;
        sums->sent += c->bytes_sent;
        return 0;
    }
    assert_int_equal(c->part, CALL_WHOLE);
    sums->bases[c->tls_basis][c->tls]++;
    sums->principals += sv_eq(c->source_principal_seen, SV("spiffe://td/ns/shop/sa/web"));
    return 0;
}

/* Half of the calls lie in the segment, half in the journal. */
static void test_calls(void **state)
{
    struct call_sums sums = { 0 };
    struct store *s = open_copy();
    (void)state;
    assert_int_equal(store_calls(s, &ALL_TIMES, 10000, add_call, &sums, NULL), 0);
    assert_int_equal(sums.bases[TLS_BASIS_INFERRED][TLS_MUTUAL], TURNS * 3);
    assert_int_equal(sums.bases[TLS_BASIS_INFERRED][TLS_PLAINTEXT], TURNS * 2);
    assert_int_equal(sums.bases[TLS_BASIS_REPORTED][TLS_MUTUAL], TURNS);
    assert_int_equal(sums.bases[TLS_BASIS_NONE][TLS_PLAINTEXT], 8); /* our proxies' own records */
    assert_int_equal(sums.bases[TLS_BASIS_NONE][TLS_MUTUAL], RECORDS - 8);
    assert_int_equal(sums.principals, TURNS);
    assert_int_equal(sums.parts[CALL_WHOLE], 0);
    assert_int_equal(sums.parts[CALL_BEGIN], TURNS * CONNECTIONS);
    assert_int_equal(sums.parts[CALL_BYTES], TURNS * CONNECTIONS);
    assert_int_equal(sums.parts[CALL_END], TURNS * CONNECTIONS);
    assert_int_equal(sums.received, TURNS * CONNECTIONS * 18);
    assert_int_equal(sums.sent, TURNS * CONNECTIONS * 28);
    store_close(s);
}

static int add_bucket(void *to, const struct edge_bucket *b)
{
    struct edge_cell *cells = to;
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        if (b->cells[r] && (r != REPORTER_SOURCE || b->edge->protocol == PROTOCOL_TCP))
            assert_int_equal(edge_cell_merge(&cells[r], b->cells[r]), 0);
    return 0;
}

static void test_edges(void **state)
{
    static const int64_t widths_s[] = { 10, 60, 3600 };
    struct store *s = open_copy();
    (void)state;
    for (size_t i = 0; i < NELEMS(widths_s); i++) {
        struct edge_cell cells[REPORTERS_LEN] = { 0 };
        int64_t width_ns = widths_s[i] * INT64_C(1000000000);
        assert_int_equal(store_edges(s, &ALL_TIMES, width_ns, add_bucket, cells, NULL), 0);
        const struct edge_cell *tcp = &cells[REPORTER_SOURCE], *scraped = &cells[REPORTER_SCRAPE];
        const struct edge_cell *lines = &cells[REPORTER_DESTINATION];
        print_message("buckets of %lld s\n", (long long)widths_s[i]);
        assert_int_equal(tcp->requests, TURNS * CONNECTIONS);
        assert_int_equal(tcp->latency.count, TURNS * CONNECTIONS);
        assert_int_equal(tcp->parts[TLS_MUTUAL], TURNS * CONNECTIONS * 2); /* BYTES, END's rest */
        assert_int_equal(tcp->bytes_received, TURNS * CONNECTIONS * 18);
        assert_int_equal(lines->tls_bases[TLS_BASIS_INFERRED], TURNS * 5);
        assert_int_equal(lines->tls_bases[TLS_BASIS_REPORTED], TURNS);
        assert_int_equal(lines->tls[TLS_PLAINTEXT], TURNS * 2);
        assert_int_equal(cells[REPORTER_SPAN].requests, TURNS * CARTS);
        assert_int_equal(scraped->requests, 9);
        assert_int_equal(scraped->errors, 2);
        assert_int_equal(scraped->tls[TLS_MUTUAL], 9);
        assert_int_equal(scraped->tls_bases[TLS_BASIS_INFERRED], 9);
        for (size_t r = 0; r < REPORTERS_LEN; r++)
            edge_cell_done(&cells[r]);
    }
    store_close(s);
}

static int count_trace(void *to, const struct trace_summary *t)
{
    *(size_t *)to += t->spans_len;
    return 0;
}

static size_t found(struct store *s, const char *name, int64_t min_us, int64_t max_us)
{
    struct span_query q = { .service = SV("carts"),
                            .operation = sv_z(name),
                            .min_duration_ns = min_us * 1000,
                            .max_duration_ns = max_us * 1000,
                            .limit = 2000 };
    struct search_end end;
    size_t spans = 0;
    assert_int_equal(store_search(s, &q, count_trace, &spans, &end, NULL), 0);
    assert_false(end.has_more);
    return spans;
}

static int check_path(void *to, const struct span *span)
{
    uint64_t *paths = to;
    for (size_t i = 0; i < span->attrs.len; i++)
        if (sv_eq(span->attrs.list[i].key, SV("url.path")))
            *paths += sv_ends(span->name, span->attrs.list[i].value.str);
    return 0;
}

/* Digests let a search in where they should; texts come back from patterns. A turn's 300 spans take 1 to
 * 300 us, each in a trace of its own. */
static void test_search(void **state)
{
    struct store *s = open_copy();
    (void)state;
    assert_int_equal(found(s, "GET /cart/1000/item/0", 0, 0), TURNS);
    assert_int_equal(found(s, "GET /cart/1299/item/5", 300, 300), TURNS);
    assert_int_equal(found(s, "GET /cart/1299/item/4", 0, 0), 0);
    assert_int_equal(found(s, "", 300, 0), TURNS);
    assert_int_equal(found(s, "", 301, 0), 0);
    uint64_t paths = 0;
    for (uint64_t i = 0; i < TURNS * CARTS; i++) {
        struct trace_id id = { { [13] = (uint8_t)(i >> 8), [14] = (uint8_t)i, [15] = 0xcc } };
        assert_int_equal(store_trace(s, id, check_path, &paths, NULL), 0);
    }
    assert_int_equal(paths, TURNS * CARTS);
    store_close(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms), cmocka_unit_test(test_is_whole), cmocka_unit_test(test_calls),
        cmocka_unit_test(test_edges), cmocka_unit_test(test_search),
    };
    if (argc != 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, lay_out, take_away);
}
