/* Addresses: what is the same one in two forms. */
#include "net/addr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* An IPv4 address in an IPv6 one is that address. */
static void test_unmapped(void **state)
{
    struct addr a, want;
    (void)state;
    assert_int_equal(addr_parse(SV("::ffff:192.0.2.7"), 80, &a, NULL), 0);
    assert_int_equal(addr_parse(SV("192.0.2.7"), 80, &want, NULL), 0);
    assert_int_equal(a.sa.sa_family, AF_INET6);
    a = addr_unmapped(&a);
    assert_true(addr_eq(&a, &want));
    a = addr_unmapped(&a);
    assert_true(addr_eq(&a, &want));
    assert_int_equal(addr_parse(SV("2001:db8::7"), 80, &want, NULL), 0);
    a = addr_unmapped(&want);
    assert_true(addr_eq(&a, &want));
    addr_set_port(&a, 81);
    assert_int_equal(addr_port(&a), 81);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_unmapped) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
