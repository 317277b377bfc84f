/* One spelling of a path: the ways around a rule that are known, and what must stay as it is. */
#include "base/sv.h"
#include "proxy/route/path.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_path(void **state)
{
    /* clang-format off */
    static const struct {
        const char *from, *to;
    } cases[] = {
        { "/",                          "/" },
        { "/a/b?x=1",                   "/a/b?x=1" },
        { "/public/../private",         "/private" },
        { "/public/%2E%2E/private",     "/private" },
        { "/public/%2e/%2e%2e/private", "/private" },
        { "/public/.%2e/private",       "/private" },
        { "/public\\..\\private",       "/private" },
        { "/public/./x",                "/public/x" },
        { "/a/b/..",                    "/a/" },
        { "/a/b/../",                   "/a/" },
        { "/a/.",                       "/a/" },
        { "/..",                        "/" },
        { "/../../etc",                 "/etc" },
        { "/.",                         "/" },
        { "/a/b/c/../../d?q=/../x",     "/a/d?q=/../x" },
        { "/a/..?x",                    "/?x" },
        { "/public//../private",        "/public/private" },
        { "//a",                        "//a" },
        { "/a//b/",                     "/a//b/" },
        { "/a/...",                     "/a/..." },
        { "/a/.hidden",                 "/a/.hidden" },
        { "/a/..b",                     "/a/..b" },
        { "/priv%61te",                 "/private" },
        { "/%252e%252e/x",              "/%252e%252e/x" },
        { "/a%2Fb",                     "/a%2Fb" },
        { "/a/..%2Fb",                  "/a/..%2Fb" },
        { "/a%5Cb",                     "/a%5Cb" },
        { "/a%20b%zz%2",                "/a%20b%zz%2" },
        { "/a%",                        "/a%" },
        { "*",                          "*" },
        { "",                           "" },
        { "/x?%2e%2e/\\",               "/x?%2e%2e/\\" },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char text[64];
        struct sv to = sv_z(cases[i].to);
        print_message("case: %s\n", cases[i].from);
        assert_true(sv_to_z(sv_z(cases[i].from), text, sizeof(text)));
        for (int again = 0; again < 2; again++) {
            size_t len = path_normalize(text, strlen(text));
            assert_true(sv_eq(sv_of(text, len), to));
            text[len] = '\0';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_path) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
