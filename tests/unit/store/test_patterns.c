/* test_patterns.c - columns of texts that differ in their numbers: what goes in comes out, row by row,
 * passed over, or only compared; what has no few patterns is refused; damage and failing memory. */
#include "base/mem.h"
#include "store/sqlite/patterns_w.h"
#include "store/sqlite/stream_format.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { ROWS = 1000, TEXT_MAX = 400 };

/* Writes the i-th row's text; its length. */
typedef size_t make_text(char *to, unsigned i);

static size_t address(char *to, unsigned i)
{
    return (size_t)snprintf(to, TEXT_MAX, "10.1.%u.%u:%u", i % 3, i % 256,
                            30000 + i * 7919 % 20000);
}
static size_t path(char *to, unsigned i)
{
    return (size_t)snprintf(to, TEXT_MAX,
                            i % 2 ? "http://svc-%u/items/%u" : "http://svc-%u/users/%u/orders",
                            i % 25, i);
}
/* Every way of writing a number that its value does not give back, and some that it does. */
static size_t odd(char *to, unsigned i)
{
    static const char *const forms[] = {
        "%u",     "%06u", "a%u",           "0",           "00",    "", "a",
        "%u.0%u", "-%u",  "%u%u000000000", "x4294967295", "%u\xff"
    };
    unsigned form = i / 80 % NELEMS(forms); /* patterns of their own with 0 in front: few of them */
    return (size_t)snprintf(to, TEXT_MAX, forms[form],
                            form == 1 || form == 7 || form == 9 ? i / 10 : i, i % 4);
}
static size_t limits(char *to, unsigned i)
{
    static const char *const texts[] = { "999999999", "0", "1", "n 999999999 0", "n 0 999999999" };
    return (size_t)snprintf(to, TEXT_MAX, "%s", texts[i % NELEMS(texts)]);
}
static size_t many_numbers(char *to, unsigned i)
{
    size_t n = 0;
    for (unsigned k = 0; k < STRINGS_PLACES_MAX + 3; k++)
        n += (size_t)snprintf(to + n, TEXT_MAX - n, "%u,",
                              k < STRINGS_PLACES_MAX ? i % (k + 1) : 7);
    return n;
}
static size_t hexadecimal(char *to, unsigned i)
{
    return (size_t)snprintf(to, TEXT_MAX, "%08x-%08x", i * 2654435761u, i * 40503u + 1);
}
static size_t with_zero_byte(char *to, unsigned i)
{
    size_t n = (size_t)snprintf(to, TEXT_MAX, "port %u", i);
    to[2] = i == 700 ? '\0' : to[2];
    return n;
}
static size_t too_long(char *to, unsigned i)
{
    memset(to, 'x', TEXT_MAX);
    return TEXT_MAX - 10 + (size_t)snprintf(to + TEXT_MAX - 10, 10, "%u", i);
}
static size_t words(char *to, unsigned i)
{
    return (size_t)snprintf(to, TEXT_MAX, "%c", 'a' + (int)(i % 5));
}

static const struct {
    const char *name;
    make_text *make;
    size_t rows;
    bool is_refused;
} cases[] = {
    { "addresses", address, ROWS, false },
    { "paths", path, ROWS, false },
    { "odd numbers", odd, ROWS, false },
    { "limits", limits, ROWS, false },
    { "many numbers", many_numbers, ROWS, false },
    { "long texts", too_long, ROWS, false },
    { "the fewest rows", address, 64, false },
    { "fewer rows", address, 63, true },
    { "hexadecimal ids", hexadecimal, ROWS, true },
    { "a zero byte", with_zero_byte, ROWS, true },
    { "no numbers", words, ROWS, true },
};

struct column {
    struct arena mem;
    struct dict dict;
    uint32_t rows[ROWS];
    struct sv texts[ROWS];
    size_t len;
};

static void fill(struct column *c, make_text *make, size_t rows)
{
    static char text[TEXT_MAX + 16];
    *c = (struct column){ .len = rows };
    for (size_t i = 0; i < rows; i++) {
        size_t n = make(text, (unsigned)i);
        c->texts[i] = arena_copy(&c->mem, sv_of(text, n));
        c->rows[i] = dict_add(&c->dict, &c->mem, c->texts[i]);
    }
}

static void column_done(struct column *c)
{
    dict_done(&c->dict);
    arena_done(&c->mem);
}

static bool write(const struct column *c, struct buf *out, bool *ret_failed)
{
    struct streams_w w = { 0 };
    AUTO_DONE(arena) scratch = { 0 };
    streams_w_start(&w, out);
    bool is_put = patterns_put(&w, &scratch, &c->dict, c->rows, c->len);
    if (ret_failed)
        *ret_failed = w.failed;
    streams_w_done(&w);
    return is_put;
}

static void assert_reads_back(const struct column *c, struct sv bytes, size_t step)
{
    AUTO_DONE(arena) mem = { 0 };
    struct streams_r r = streams_r_of(bytes, &mem), is = streams_r_of(bytes, &mem);
    struct strings_r texts = strings_get(&r), asked = strings_get(&is);
    assert_null(texts.list);
    for (size_t i = 0; i < c->len; i += step) {
        assert_true(strings_have_more(&texts));
        assert_true(sv_eq(string_next(&r, &texts), c->texts[i]));
        strings_skip(&r, &texts, MIN(step - 1, c->len - i - 1));
        assert_true(string_next_is(&is, &asked, c->texts[i]));
        strings_skip(&is, &asked, MIN(step - 1, c->len - i - 1));
    }
    assert_false(strings_have_more(&texts));
    assert_true(rd_ok(&r.rd) && rd_ok(&is.rd));
    assert_int_equal(rd_left(&r.rd), 0);
    (void)string_next(&r, &texts); /* behind the end */
    assert_false(rd_ok(&r.rd));
    streams_r_done(&r);
    streams_r_done(&is);
}

static void assert_is_told(const struct column *c, struct sv bytes)
{
    static const char *const others[] = { "", "1", "10.1.0.0:30000x", "10.1.0.0:3000",
                                          "http://svc-0/items/" };
    for (size_t k = 0; k < NELEMS(others); k++) {
        AUTO_DONE(arena) mem = { 0 };
        struct streams_r r = streams_r_of(bytes, &mem);
        struct strings_r texts = strings_get(&r);
        for (size_t i = 0; i < c->len; i++)
            assert_int_equal(string_next_is(&r, &texts, sv_z(others[k])),
                             sv_eq(c->texts[i], sv_z(others[k])));
        streams_r_done(&r);
    }
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t k = 0; k < NELEMS(cases); k++) {
        static struct column c;
        AUTO_DONE(buf) out = { 0 };
        fill(&c, cases[k].make, cases[k].rows);
        bool failed, is_put = write(&c, &out, &failed);
        if (failed || is_put == cases[k].is_refused)
            fail_msg("%s: %s", cases[k].name, is_put ? "written" : "refused");
        assert_int_equal(out.len > 0, is_put);
        for (size_t step = 1; is_put && step < 200; step = step * 3 + 1)
            assert_reads_back(&c, buf_sv(&out), step);
        if (is_put)
            assert_is_told(&c, buf_sv(&out));
        column_done(&c);
    }
}

/* A changed byte gives other texts or an error, and the budget of memory holds. */
static void test_damaged(void **state)
{
    (void)state;
    static struct column c;
    AUTO_DONE(buf) out = { 0 };
    fill(&c, path, 200);
    assert_true(write(&c, &out, NULL));
    for (size_t at = 0; at < out.len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            AUTO_DONE(arena) mem = { 0 };
            out.mem[at] ^= (char)(1 << bit);
            struct streams_r r = streams_r_of(buf_sv(&out), &mem);
            r.budget_bytes = 100000;
            struct strings_r texts = strings_get(&r);
            for (size_t i = 0; rd_ok(&r.rd) && i < c.len; i++)
                (void)string_next(&r, &texts);
            assert_true(mem.held_bytes < 1000000);
            streams_r_done(&r);
            out.mem[at] ^= (char)(1 << bit);
        }
    column_done(&c);
}

static void test_failing_memory(void **state)
{
    (void)state;
    static struct column c;
    fill(&c, path, 300);
    bool is_done = false;
    for (uint64_t nth = 1; !is_done; nth++) {
        AUTO_DONE(buf) out = { 0 };
        bool failed;
        mem_fail_nth(nth);
        bool is_put = write(&c, &out, &failed);
        mem_fail_nth(0);
        assert_true(is_put);
        is_done = !failed;
        if (is_done)
            assert_reads_back(&c, buf_sv(&out), 1);
    }
    AUTO_DONE(buf) out = { 0 };
    assert_true(write(&c, &out, NULL));
    is_done = false;
    for (uint64_t nth = 1; !is_done; nth++) {
        AUTO_DONE(arena) mem = { 0 };
        mem_fail_nth(nth);
        struct streams_r r = streams_r_of(buf_sv(&out), &mem);
        struct strings_r texts = strings_get(&r);
        for (size_t i = 0; rd_ok(&r.rd) && i < c.len; i++)
            (void)string_next(&r, &texts);
        mem_fail_nth(0);
        is_done = rd_ok(&r.rd);
        assert_true(is_done || r.rd.failed.code == ERR_NOMEM);
        streams_r_done(&r);
    }
    column_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
