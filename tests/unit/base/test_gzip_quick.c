/* test_gzip_quick.c - every way a match can begin and end comes back; records that repeat pack well. */
#include "base/gzip.h"
#include "base/gzip_quick.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The size of `plain` packed, after it has come back unchanged. */
static size_t there_and_back(struct gzip_quick *q, struct sv plain)
{
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    buf_put(&packed, SV("before"));
    assert_int_equal(gzip_quick_write(q, plain, &packed, NULL), 0);
    struct sv member = sv_from(buf_sv(&packed), 6);
    assert_int_equal(gzip_inflate(member, GZIP_FORMAT_GZIP, plain.len, &back, NULL), 0);
    assert_true(sv_eq(buf_sv(&back), plain));
    return member.len;
}

/* Bytes in no order, the same in every run. */
static void put_noise(struct buf *to, size_t bytes)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        buf_putc(to, (char)(seed >> 24));
    }
}

static void put_same(struct buf *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_putc(to, 'a');
}

/* From nothing to more than two longest matches: each remainder of a split match occurs. */
static void test_every_length(void **state)
{
    (void)state;
    struct gzip_quick *q = gzip_quick_new();
    for (size_t bytes = 0; bytes < 600; bytes++) {
        AUTO_DONE(buf) same = { 0 };
        AUTO_DONE(buf) noise = { 0 };
        put_same(&same, bytes);
        put_noise(&noise, bytes);
        (void)there_and_back(q, buf_sv(&same));
        (void)there_and_back(q, buf_sv(&noise));
    }
    gzip_quick_free(q);
}

/* A match of each length at each of deflate's kinds of distance. */
static void test_distances(void **state)
{
    (void)state;
    static const size_t gaps[] = { 1,     2,     3,     4,     5,     7,     8,
                                   9,     127,   128,   129,   255,   256,   257,
                                   1000,  4095,  4096,  4097,  8192,  16384, 16385,
                                   24576, 24577, 32700, 32747, 32748, 32749, 40000 };
    struct gzip_quick *q = gzip_quick_new();
    for (size_t i = 0; i < NELEMS(gaps); i++)
        for (size_t length = 3; length < 24; length += 4) {
            AUTO_DONE(buf) text = { 0 };
            struct sv phrase = sv_sub(SV("see-through net fabric"), 0, length);
            buf_put(&text, phrase);
            put_noise(&text, gaps[i]);
            buf_put(&text, phrase);
            (void)there_and_back(q, buf_sv(&text));
        }
    gzip_quick_free(q);
}

/* The last repetition deflate can reach, and the first it cannot. */
static void test_window(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t distance;
        bool is_match;
    } cases[] = {
        { "just reached", 32768, true },
        { "just out of reach", 32769, false },
    };
    struct gzip_quick *q = gzip_quick_new();
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(buf) text = { 0 };
        print_message("case: %s\n", cases[i].name);
        put_noise(&text, 200);
        put_same(&text, cases[i].distance - 200);
        size_t without = there_and_back(q, buf_sv(&text));
        put_noise(&text, 200);
        size_t with = there_and_back(q, buf_sv(&text));
        assert_int_equal(with - without < 100, cases[i].is_match);
    }
    gzip_quick_free(q);
}

static void test_bounds(void **state)
{
    (void)state;
    AUTO_DONE(buf) noise = { 0 };
    AUTO_DONE(buf) records = { 0 };
    AUTO_DONE(buf) best = { 0 };
    struct gzip_quick *q = gzip_quick_new();
    put_noise(&noise, 100000);
    assert_true(there_and_back(q, buf_sv(&noise)) < 100000 + 100000 / 8 + 32);
    for (size_t i = 0; i < 500; i++) {
        buf_put(&records, SV("http.request.method=GET url.scheme=http request-id="));
        buf_put(&records, sv_sub(buf_sv(&noise), i * 16, 16));
        buf_put(&records, SV(" server.address=reviews network.peer.address=10.0.0.1 port="));
        buf_put_u64(&records, i * 7919 % 65536);
        buf_put(&records, SV(" http.response.status_code=200\n"));
    }
    assert_int_equal(gzip_compress(buf_sv(&records), 1, &best, NULL), 0);
    size_t packed = there_and_back(q, buf_sv(&records));
    assert_true(packed < records.len / 5);
    assert_true(packed < best.len + best.len / 2);
    gzip_quick_free(q);
}

static void test_refusals(void **state)
{
    (void)state;
    AUTO_DONE(buf) packed = { 0 };
    struct err err = { 0 };
    mem_fail_nth(1);
    assert_null(gzip_quick_new());
    mem_fail_nth(0);
    struct gzip_quick *q = gzip_quick_new();
    assert_int_equal(gzip_quick_write(q, sv_of("", (size_t)INT32_MAX), &packed, &err), ERR_LIMIT);
    mem_fail_nth(1);
    assert_int_equal(gzip_quick_write(q, SV("x"), &packed, NULL), ERR_NOMEM);
    mem_fail_nth(0);
    assert_int_equal(packed.len, 0);
    gzip_quick_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_distances),
        cmocka_unit_test(test_window),       cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
