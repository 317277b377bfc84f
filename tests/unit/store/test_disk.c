/* test_disk.c - power cuts at any write, full disks, bad writes, syncs and reads.
 *
 * A script fills a store on a disk that remembers every write (support/disk_vfs.h). Then the files
 * are laid out as a power cut at many moments would have left them, and each must open, be sound,
 * and hold what it must: everything acknowledged with --durability power, and in any case no half
 * batch, no gap, and edges that count exactly what their progress says. */
#include "disk_vfs.h"
#include "scripted_store.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { BATCHES = 70, CUTS = 30, KEEP_S = 25, TRIES = 20 };

struct place {
    char dir[64], cut[64]; /* where the script runs, where cuts are laid out */
    char file[96], cut_file[96];
};

static void empty(const char *dir)
{
    DIR *d = opendir(dir);
    char path[400];
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        (void)unlink(path);
    }
    closedir(d);
}

static int set_up(void **state)
{
    static struct place p;
    snprintf(p.dir, sizeof(p.dir), "/tmp/tulle-disk-XXXXXX");
    snprintf(p.cut, sizeof(p.cut), "/tmp/tulle-cut-XXXXXX");
    assert_true(mkdtemp(p.dir) && mkdtemp(p.cut));
    snprintf(p.file, sizeof(p.file), "%s/t.db", p.dir);
    snprintf(p.cut_file, sizeof(p.cut_file), "%s/t.db", p.cut);
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    empty(p->dir);
    empty(p->cut);
    rmdir(p->dir);
    rmdir(p->cut);
    return 0;
}

/* What is promised, in one number. */
static uint64_t promise(uint64_t seq, uint64_t folded)
{
    return folded << 32 | seq;
}

static void put(struct store *s, uint64_t i)
{
    AUTO_FREE(batch) b = script_batch(i);
    struct err err = { 0 };
    if (store_put(s, &b, 1, &err) < 0)
        fail_msg("batch %llu: %s", (unsigned long long)i, err.why);
    assert_int_equal(b->seq, i);
}

/* Puts, counts, seals, drops, and is opened anew now and then. */
static void run_script(const struct place *p, enum store_durability durability,
                       struct store_keep keep)
{
    uint64_t folded = 0;
    struct store_dropped dropped;
    disk_start();
    struct store *s = script_open(p->file, durability, keep);
    for (uint64_t i = 1; i <= BATCHES; i++) {
        put(s, i);
        disk_mark(promise(i, folded));
        if (i % 4 == 0) {
            assert_int_equal(script_put_edges(s, folded, i, NULL), 0);
            folded = i;
            disk_mark(promise(i, folded));
            assert_int_equal(store_retain(s, (int64_t)i * NS_PER_S, &dropped, NULL), 0);
            sealer_wake(((struct sqlite_store *)s)->sealer);
        }
        if (i % 30 == 0) {
            store_close(s);
            s = script_open(p->file, durability, keep);
        }
    }
    store_close(s);
    disk_stop();
}

/* Opens what a cut has left; it must be whole and go on. */
static struct script_held look_at_cut(const struct place *p)
{
    struct store *s = script_open(p->cut_file, STORE_DURABILITY_NONE, (struct store_keep){ 0 });
    struct script_held held = script_check(s);
    uint64_t next = MAX(held.last, held.folded) + 1;
    put(s, next);
    store_close(s);
    return held;
}

static void cut_everywhere(const struct place *p, enum store_durability durability,
                           struct store_keep keep)
{
    struct random_source r = { 11 };
    run_script(p, durability, keep);
    size_t len = disk_len(), lost = 0;
    for (size_t i = 0; i <= CUTS; i++) {
        size_t at = i == CUTS ? len : len * i / CUTS + random_below(&r, len / CUTS);
        for (enum disk_loss loss = 0; loss < DISK_LOSSES_LEN; loss++) {
            empty(p->cut);
            uint64_t mark = disk_lay_out(at, loss, random_next(&r), p->cut);
            struct script_held held = look_at_cut(p);
            uint64_t promised = mark & UINT32_MAX, folded = mark >> 32;
            lost += held.last < promised;
            assert_true(held.folded <= held.last || held.last == 0);
            if (durability == STORE_DURABILITY_POWER || loss == DISK_LOSE_NONE) {
                assert_true(held.last >= promised);
                assert_true(held.folded >= folded);
            }
            if (keep.raw_ns) /* only what is too old may be missing */
                assert_true(held.first <= MAX(held.last, (uint64_t)KEEP_S) - KEEP_S + 1);
            else
                assert_true(held.first <= 1);
        }
    }
    print_message("%zu operations, %d cuts of %d kinds, %zu lost what was said\n", len, CUTS + 1,
                  DISK_LOSSES_LEN, lost);
    /* The other durability does lose, else this test would see nothing. */
    assert_true(durability == STORE_DURABILITY_POWER ? lost == 0 : lost > 0);
}

static void test_power(void **state)
{
    cut_everywhere(*state, STORE_DURABILITY_POWER, (struct store_keep){ 0 });
}

static void test_power_with_retention(void **state)
{
    cut_everywhere(*state, STORE_DURABILITY_POWER,
                   (struct store_keep){ .raw_ns = KEEP_S * NS_PER_S });
}

static void test_process(void **state)
{
    cut_everywhere(*state, STORE_DURABILITY_PROCESS, (struct store_keep){ 0 });
}

static const struct {
    const char *name;
    enum disk_fault fault;
    enum err_code code; /* what a put that meets it answers */
} faults[] = {
    { "full", DISK_FULL, ERR_BUSY },
    { "bad write", DISK_BAD_WRITE, ERR_IO },
    { "short write", DISK_SHORT_WRITE, ERR_IO },
    { "bad sync", DISK_BAD_SYNC, ERR_IO },
    { "bad truncate", DISK_BAD_TRUNCATE, ERR_IO },
    { "bad read", DISK_BAD_READ, ERR_IO },
};

/* As a sender does: again until it is taken. */
static uint64_t put_until_taken(struct store *s, uint64_t i, enum err_code code)
{
    AUTO_FREE(batch) b = script_batch(i);
    for (uint64_t refused = 0; refused < TRIES; refused++) {
        struct err err = { 0 };
        int rc = store_put(s, &b, 1, &err);
        if (rc == 0) {
            assert_int_equal(b->seq, i);
            return refused;
        }
        if (rc != (int)code)
            fail_msg("batch %llu: %s (%s)", (unsigned long long)i, err.why, err_code_name(rc));
        assert_int_equal(b->seq, 0);
    }
    fail_msg("batch %llu was never taken", (unsigned long long)i);
    return 0;
}

static void put_edges_until_taken(struct store *s, uint64_t from, uint64_t to)
{
    for (int tries = 0; tries < TRIES; tries++)
        if (script_put_edges(s, from, to, NULL) == 0)
            return;
    fail_msg("edges up to %llu were never taken", (unsigned long long)to);
}

/* Some failures from the nth operation on, while putting, counting and sealing go on. */
static uint64_t run_with_faults(const struct place *p, size_t kind, uint64_t nth)
{
    uint64_t refused = 0;
    enum { LEN = 24 };
    empty(p->dir);
    disk_start();
    struct store *s = script_open(p->file, STORE_DURABILITY_POWER, (struct store_keep){ 0 });
    put(s, 1);
    disk_fail(faults[kind].fault, nth, 3);
    for (uint64_t i = 2; i <= LEN; i++) {
        refused += put_until_taken(s, i, faults[kind].code);
        if (i % 4 == 0)
            put_edges_until_taken(s, i - 4, i);
    }
    disk_fail(DISK_FAULT_NONE, 0, 0);
    for (int round = 0; round < 2; round++) {
        struct script_held held = script_check(s);
        assert_int_equal(held.first, 1);
        assert_int_equal(held.last, LEN);
        assert_int_equal(held.folded, LEN);
        store_close(s);
        s = round ? NULL : script_open(p->file, STORE_DURABILITY_POWER, (struct store_keep){ 0 });
    }
    disk_stop();
    return refused;
}

static void test_faults_pass(void **state)
{
    static const uint64_t places[] = { 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233 };
    for (size_t kind = 0; kind < NELEMS(faults); kind++) {
        uint64_t refused = 0;
        for (size_t i = 0; i < NELEMS(places); i++)
            refused += run_with_faults(*state, kind, places[i]);
        print_message("%s: %llu puts refused\n", faults[kind].name, (unsigned long long)refused);
        assert_true(refused > 0 || faults[kind].fault == DISK_BAD_TRUNCATE ||
                    faults[kind].fault == DISK_BAD_READ);
    }
}

static int count_span(void *to, const struct span *s)
{
    (void)s;
    ++*(size_t *)to;
    return 0;
}

/* For as long as the disk is full nothing is taken and everything is read. */
static void test_a_full_disk_is_waited_for(void **state)
{
    const struct place *p = *state;
    AUTO_FREE(batch) b = script_batch(11);
    AUTO_FREE(batch) known = script_batch(3);
    disk_start();
    struct store *s = script_open(p->file, STORE_DURABILITY_PROCESS, (struct store_keep){ 0 });
    for (uint64_t i = 1; i <= 10; i++)
        put(s, i);
    disk_fail(DISK_FULL, 1, UINT64_MAX);
    for (int i = 0; i < 5; i++) {
        struct err err = { 0 };
        size_t spans = 0;
        assert_int_equal(store_put(s, &b, 1, &err), ERR_BUSY);
        assert_non_null(strstr(err.why, "full"));
        assert_int_equal(script_put_edges(s, 0, 10, NULL), ERR_BUSY);
        assert_int_equal(store_trace(s, known->spans[0].trace_id, count_span, &spans, NULL), 0);
        assert_true(spans > 0);
    }
    disk_fail(DISK_FAULT_NONE, 0, 0);
    assert_int_equal(store_put(s, &b, 1, NULL), 0);
    assert_int_equal(b->seq, 11);
    assert_int_equal(script_put_edges(s, 0, 11, NULL), 0);
    assert_int_equal(script_check(s).last, 11);
    store_close(s);
    disk_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_power_with_retention, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults_pass, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_waited_for, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
