/* test_assets.c - the embedded dashboard: found by path, unpacked to what the tag was made of. */
#include "base/mem.h"
#include "web/assets.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

static void test_find(void **state)
{
    (void)state;
    const struct asset *index = asset_find(SV("/index.html"));
    assert_non_null(index);
    assert_ptr_equal(asset_find(SV("/")), index);
    assert_false(index->is_immutable);
    assert_true(sv_eq(index->content_type, SV("text/html; charset=utf-8")));
    static const char *const unknown[] = { "",           "/index.htm", "/index.html/", "index.html",
                                           "/zzz",       "/app.js",    "/trace",       "/trace/",
                                           "/trace/a/b", "/traces/",   "/searches" };
    for (size_t i = 0; i < NELEMS(unknown); i++) {
        print_message("case: %s\n", unknown[i]);
        assert_null(asset_find(sv_z(unknown[i])));
    }
}

/* One page for all of them; without npm it is the one that tells how to get the others. */
static void test_find_traces(void **state)
{
    (void)state;
    static const char *const traces[] = { "/traces", "/search",
                                          "/trace/0af7651916cd43dd8448eb211c80319c", "/trace/x" };
    const struct asset *page = asset_find(SV("/trace.html"));
    if (!page)
        page = asset_find(SV("/index.html"));
    assert_non_null(page);
    for (size_t i = 0; i < NELEMS(traces); i++) {
        print_message("case: %s\n", traces[i]);
        assert_ptr_equal(asset_find(sv_z(traces[i])), page);
    }
}

static void test_every_asset(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct asset *a, *before = NULL; (a = asset_at(n)) != NULL; before = a, n++) {
        print_message("case: %.*s\n", SV_ARG(a->path));
        assert_ptr_equal(asset_find(a->path), a);
        assert_true(!before || sv_cmp(before->path, a->path) < 0);
        assert_int_equal(a->etag.p[0], '"');
        assert_int_equal(a->etag.p[a->etag.len - 1], '"');
        /* A name that is cached for ever tells the content apart. */
        struct sv digits = sv_sub(a->etag, 1, 12);
        assert_int_equal(sv_contains(a->path, digits), a->is_immutable);
        AUTO_DONE(buf) plain = { 0 };
        assert_int_equal(asset_plain(a, &plain, NULL), 0);
        assert_int_equal(plain.len, a->plain_bytes);
    }
    assert_true(n >= 2);
    assert_null(asset_at(n));
}

static void test_pages_name_their_files(void **state)
{
    (void)state;
    AUTO_DONE(buf) page = { 0 };
    assert_int_equal(asset_plain(asset_find(SV("/")), &page, NULL), 0);
    assert_int_equal(asset_plain(asset_find(SV("/traces")), &page, NULL), 0);
    for (size_t i = 0; asset_at(i); i++)
        if (asset_at(i)->is_immutable)
            assert_true(sv_contains(buf_sv(&page), asset_at(i)->path));
}

static void test_out_of_memory(void **state)
{
    (void)state;
    AUTO_DONE(buf) plain = { 0 };
    struct err err = { 0 };
    mem_fail_nth(1);
    int rc = asset_plain(asset_find(SV("/")), &plain, &err);
    mem_fail_nth(0);
    assert_int_equal(rc, ERR_NOMEM);
    assert_int_equal(err.code, ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),          cmocka_unit_test(test_find_traces),
        cmocka_unit_test(test_every_asset),   cmocka_unit_test(test_pages_name_their_files),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
