/* test_footprint.c - code that has run leaves memory, and runs again. */
#include "base/footprint.h"
#include "base/sv.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Resident pages that are a file's, in KiB. */
static uint64_t file_kib(void)
{
    char status[4096];
    uint64_t kib = 0;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, status, sizeof(status) - 1);
    close(fd);
    assert_true(n > 0);
    struct sv rest = sv_of(status, (size_t)n), line;
    while (sv_cut(&rest, '\n', &line))
        if (sv_starts(line, SV("RssFile:"))) {
            line = sv_trim(sv_from(line, 8));
            assert_true(sv_to_u64(sv_sub(line, 0, sv_index(line, ' ')), &kib));
        }
    assert_true(kib > 0);
    return kib;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void test_shrink(void **state)
{
    (void)state;
    static const char constant[] = "a constant is the file's";
    static int variable = 1;
    int numbers[] = { 3, 1, 2 };
    variable = 2;
    uint64_t before = file_kib();
    footprint_shrink();
    uint64_t after = file_kib();
    print_message("%llu KiB of files before, %llu after\n", (unsigned long long)before,
                  (unsigned long long)after);
    assert_true(after < before);
    assert_string_equal(constant, "a constant is the file's");
    assert_int_equal(variable, 2);
    qsort(numbers, 3, sizeof(int), compare);
    assert_int_equal(numbers[0], 1);
    footprint_shrink();
    free(malloc(100000));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_shrink) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
