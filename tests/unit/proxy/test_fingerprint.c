/* test_fingerprint.c - every kind of change in a folder is seen, and nothing else is. */
#include "base/sv.h"
#include "proxy/fingerprint.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/tulle-fingerprint-XXXXXX";

static const char *at(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *text)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void add_file(void)
{
    put("a.yaml", "a");
}
static void write_in_place(void)
{
    put("a.yaml", "longer");
}
static void replace(void)
{
    char from[256];
    put("b.new", "longer");
    snprintf(from, sizeof(from), "%s", at("b.new"));
    assert_int_equal(rename(from, at("a.yaml")), 0);
}
static void make_folders(void)
{
    assert_int_equal(mkdir(at("..1"), 0700), 0);
    assert_int_equal(mkdir(at("..2"), 0700), 0);
    put("..1/c.yaml", "same");
    put("..2/c.yaml", "same");
}
static void link_one(void)
{
    assert_int_equal(symlink("..1", at("..data")), 0);
    assert_int_equal(symlink("..data/c.yaml", at("c.yaml")), 0);
}
static void exchange_link(void)
{
    char from[256];
    assert_int_equal(symlink("..2", at("..next")), 0);
    snprintf(from, sizeof(from), "%s", at("..next"));
    assert_int_equal(rename(from, at("..data")), 0);
}
static void write_below(void)
{
    put("..1/c.yaml", "other");
}
static void take_away(void)
{
    assert_int_equal(unlink(at("a.yaml")), 0);
}
static void break_link(void)
{
    assert_int_equal(unlink(at("..2/c.yaml")), 0);
}

static void test_changes(void **state)
{
    static const struct {
        const char *name;
        void (*change)(void);
    } cases[] = {
        { "a file comes", add_file },           { "it is written", write_in_place },
        { "it is replaced", replace },          { "folders come", make_folders },
        { "a link comes", link_one },           { "the link is exchanged", exchange_link },
        { "a file below", write_below },        { "a file goes", take_away },
        { "a link leads nowhere", break_link },
    };
    (void)state;
    uint64_t before = fingerprint_of(root);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        cases[i].change();
        uint64_t after = fingerprint_of(root);
        assert_true(after != before && after != 0);
        assert_true(fingerprint_of(root) == after);
        before = after;
    }
}

static void test_no_folder(void **state)
{
    (void)state;
    uint64_t gone = fingerprint_of(at("nothing/here"));
    assert_true(gone != 0 && gone == fingerprint_of(at("nothing/here")));
    assert_true(gone != fingerprint_of(root));
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const left[] = { "..1/c.yaml", "c.yaml", "..data" };
    for (size_t i = 0; i < NELEMS(left); i++)
        (void)unlink(at(left[i]));
    (void)rmdir(at("..1"));
    (void)rmdir(at("..2"));
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_no_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
