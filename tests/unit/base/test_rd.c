/* test_rd.c - the cursor's failure sticks, with the offset of the first one. */
#include "base/rd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_fields(void **state)
{
    (void)state;
    struct rd r = rd_of(SV("\x01\x02\x01\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01xyz"));
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_le16(&r), 0x0102);
    assert_int_equal(rd_le32(&r), 0x01020304);
    assert_int_equal(rd_le64(&r), 0x0102030405060708);
    assert_true(sv_eq(rd_bytes(&r, 3), SV("xyz")));
    assert_int_equal(rd_left(&r), 0);
    assert_int_equal(rd_finish(&r, NULL), 0);
}

static void test_failure_sticks(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct rd r = rd_of(SV("\x01\x02\x03"));
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_le32(&r), 0);
    assert_int_equal(rd_u8(&r), 0); /* nothing more, although two bytes were left */
    rd_fail(&r, ERR_MALFORMED, "later");
    assert_int_equal(rd_finish(&r, &err), ERR_TRUNCATED);
    assert_int_equal(err.at, 1);
}

static void test_varint(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct sv bytes;
        uint64_t value;
        int rc;
    } cases[] = {
        { "zero", { "\x00", 1 }, 0, 0 },
        { "two bytes", { "\xac\x02", 2 }, 300, 0 },
        { "largest", { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 }, UINT64_MAX, 0 },
        { "over 64 bits", { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 }, 0, ERR_MALFORMED },
        { "never ends", { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11 }, 0, ERR_MALFORMED },
        { "cut short", { "\x80", 1 }, 0, ERR_TRUNCATED },
        { "nothing", { NULL, 0 }, 0, ERR_TRUNCATED },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        struct rd r = rd_of(cases[i].bytes);
        assert_int_equal(rd_varint(&r), cases[i].value);
        assert_int_equal(rd_finish(&r, NULL), cases[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_varint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
