/* test_init_rules.c - lists of ports and nets as options say them, and the rules made of them. That the
 * rules do what they should is tests/e2e/test_intercept.py. */
#include "proxy/init_rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_ports(void **state)
{
    static const struct {
        const char *text;
        int rc;
        size_t len;
        bool is_all;
    } cases[] = {
        { "", 0, 0, false },
        { "*", 0, 0, true },
        { "80", 0, 1, false },
        { " 80, 443 ", 0, 2, false },
        { "0", ERR_USAGE, 0, false },
        { "65536", ERR_USAGE, 0, false },
        { "80,", 0, 1, false },
        { "80,*", ERR_USAGE, 0, false },
        { "http", ERR_USAGE, 0, false },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct capture_ports ports;
        struct err err = { 0 };
        print_message("case: '%s'\n", cases[i].text);
        assert_int_equal(capture_read_ports(sv_z(cases[i].text), "x", &ports, &err), cases[i].rc);
        if (cases[i].rc < 0) {
            assert_non_null(strstr(err.why, "--x: "));
            continue;
        }
        assert_int_equal(ports.len, cases[i].len);
        assert_true(ports.is_all == cases[i].is_all);
    }
    char many[CAPTURE_MAX * 3 + 16] = "1";
    for (size_t i = 0; i < CAPTURE_MAX; i++)
        memcpy(many + 1 + i * 2, ",1", 3);
    struct capture_ports ports;
    assert_int_equal(capture_read_ports(sv_z(many), "x", &ports, NULL), ERR_LIMIT);
}

static void test_nets(void **state)
{
    struct capture_nets nets;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(capture_read_nets(SV("10.0.0.0/8, fd00::/8"), "x", &nets, NULL), 0);
    assert_int_equal(nets.len, 2);
    assert_true(!nets.is_v6[0] && nets.is_v6[1] && sv_eq(nets.list[1], SV("fd00::/8")));
    assert_int_equal(capture_read_nets(SV("*"), "x", &nets, NULL), 0);
    assert_true(nets.is_all && !nets.len);
    assert_int_equal(capture_read_nets(SV("10.0.0.0/8;id"), "x", &nets, &err), ERR_USAGE);
    assert_non_null(strstr(err.why, "--x: "));
}

static struct capture usual(void)
{
    struct capture c = { .outbound = 15001, .inbound = 15006, .uid = 1337, .gid = 1337 };
    c.in.is_all = c.out_nets.is_all = true;
    assert_int_equal(capture_read_ports(SV("15090"), "x", &c.not_in, NULL), 0);
    return c;
}

/* Istio's own, line by line, for its defaults. */
static void test_iptables(void **state)
{
    static const char want[] =
        "*nat\n"
        ":TULLE_INBOUND - [0:0]\n:TULLE_IN_REDIRECT - [0:0]\n:TULLE_OUTPUT - [0:0]\n"
        ":TULLE_REDIRECT - [0:0]\n"
        "-A TULLE_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n"
        "-A TULLE_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n"
        "-A TULLE_INBOUND -p tcp --dport 15008 -j RETURN\n"
        "-A TULLE_INBOUND -p tcp --dport 15090 -j RETURN\n"
        "-A TULLE_INBOUND -p tcp -j TULLE_IN_REDIRECT\n"
        "-A TULLE_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN\n"
        "-A TULLE_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 "
        "-j TULLE_IN_REDIRECT\n"
        "-A TULLE_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN\n"
        "-A TULLE_OUTPUT -m owner --uid-owner 1337 -j RETURN\n"
        "-A TULLE_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 "
        "-j TULLE_IN_REDIRECT\n"
        "-A TULLE_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN\n"
        "-A TULLE_OUTPUT -m owner --gid-owner 1337 -j RETURN\n"
        "-A TULLE_OUTPUT -d 127.0.0.1/32 -j RETURN\n"
        "-A TULLE_OUTPUT -j TULLE_REDIRECT\n"
        "-A PREROUTING -p tcp -j TULLE_INBOUND\n-A OUTPUT -p tcp -j TULLE_OUTPUT\n"
        "COMMIT\n";
    AUTO_DONE(buf) to = { 0 };
    struct capture c = usual();
    (void)state;
    capture_iptables(&c, false, false, &to);
    assert_false(to.failed);
    assert_true(sv_eq(buf_sv(&to), sv_z(want)));
    buf_clear(&to);
    capture_iptables(&c, true, true, &to);
    assert_true(sv_contains(buf_sv(&to), SV("-s ::6/128")));
    assert_false(sv_contains(buf_sv(&to), SV("-A OUTPUT")));
}

/* Istio's for TPROXY, in chains of our own; its nat table has no inbound. */
static void test_tproxy(void **state)
{
    static const char want[] =
        "*mangle\n"
        ":TULLE_DIVERT - [0:0]\n:TULLE_TPROXY - [0:0]\n:TULLE_INBOUND - [0:0]\n:TULLE_OUTPUT - "
        "[0:0]\n"
        "-A TULLE_DIVERT -j MARK --set-mark 1337\n-A TULLE_DIVERT -j ACCEPT\n"
        "-A TULLE_TPROXY ! -d 127.0.0.1/32 -p tcp -j TPROXY --tproxy-mark 1337/0xffffffff "
        "--on-port "
        "15006\n"
        "-A TULLE_INBOUND -m mark --mark 1337 -j CONNMARK --save-mark\n"
        "-A TULLE_INBOUND -m mark --mark 1337 -j RETURN\n"
        "-A TULLE_INBOUND -i lo -s 127.0.0.6/32 -j RETURN\n"
        "-A TULLE_INBOUND -i lo -m mark ! --mark 1338 -j RETURN\n"
        "-A TULLE_INBOUND -p tcp --dport 15008 -j RETURN\n"
        "-A TULLE_INBOUND -p tcp --dport 15090 -j RETURN\n"
        "-A TULLE_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j TULLE_DIVERT\n"
        "-A TULLE_INBOUND -p tcp -j TULLE_TPROXY\n"
        "-A TULLE_OUTPUT -o lo -m mark --mark 1337 -j RETURN\n"
        "-A TULLE_OUTPUT -o lo ! -d 127.0.0.1/32 -m owner --uid-owner 1337 -j MARK --set-mark "
        "1338\n"
        "-A TULLE_OUTPUT -o lo ! -d 127.0.0.1/32 -m owner --gid-owner 1337 -j MARK --set-mark "
        "1338\n"
        "-A TULLE_OUTPUT -m connmark --mark 1337 -j CONNMARK --restore-mark\n"
        "-A PREROUTING -p tcp -j TULLE_INBOUND\n-A OUTPUT -p tcp -j TULLE_OUTPUT\nCOMMIT\n*nat\n";
    AUTO_DONE(buf) to = { 0 };
    struct capture c = usual();
    (void)state;
    c.is_tproxy = true;
    capture_iptables(&c, false, false, &to);
    assert_true(sv_starts(buf_sv(&to), sv_z(want)));
    struct sv nat = sv_from(buf_sv(&to), sizeof(want) - 1);
    assert_true(sv_contains(nat, SV("-A TULLE_OUTPUT -o lo -m mark --mark 1337 -j RETURN\n"
                                    "-A TULLE_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN\n")));
    assert_false(sv_contains(nat, SV("PREROUTING")));
    assert_false(sv_contains(nat, SV("-A TULLE_INBOUND")));
    buf_clear(&to);
    capture_iptables(&c, true, true, &to);
    assert_true(sv_contains(buf_sv(&to), SV("-A TULLE_TPROXY ! -d ::1/128 -p tcp -j TPROXY")));
    assert_false(sv_contains(buf_sv(&to), SV("-A PREROUTING")));
    buf_clear(&to);
    c.in = (struct capture_ports){ .list = { 8080 }, .len = 1 };
    capture_iptables(&c, false, false, &to);
    assert_true(sv_contains(buf_sv(&to), SV("--dport 8080 -j TULLE_TPROXY\n")));
    assert_false(sv_contains(buf_sv(&to), SV("-p tcp -j TULLE_TPROXY\n")));
    buf_clear(&to);
    capture_nft(&c, true, &to);
    assert_true(sv_contains(buf_sv(&to), SV("tcp dport 8080 jump take_in\n")));
    assert_true(sv_contains(buf_sv(&to), SV("tproxy ip6 to :15006 meta mark set 1337 accept\n")));
    assert_true(
        sv_contains(buf_sv(&to), SV("chain output {\n\t\toifname \"lo\" meta mark 1337 return")));
    assert_false(sv_contains(buf_sv(&to), SV("hook prerouting priority dstnat")));
    buf_clear(&to);
    capture_nft(&c, false, &to);
    assert_false(sv_contains(buf_sv(&to), SV("ip6")));
}

static void test_lists(void **state)
{
    AUTO_DONE(buf) to = { 0 };
    struct capture c = usual();
    (void)state;
    c.in = (struct capture_ports){ .list = { 8080 }, .len = 1 };
    assert_int_equal(capture_read_nets(SV("10.0.0.0/8,fd00::/8"), "x", &c.out_nets, NULL), 0);
    assert_int_equal(capture_read_nets(SV("10.1.0.0/16"), "x", &c.not_out_nets, NULL), 0);
    capture_iptables(&c, false, false, &to);
    assert_true(sv_contains(buf_sv(&to),
                            SV("-A TULLE_INBOUND -p tcp --dport 8080 -j TULLE_IN_REDIRECT\n")));
    assert_false(sv_contains(buf_sv(&to), SV("-A TULLE_INBOUND -p tcp -j")));
    assert_true(
        sv_contains(buf_sv(&to), SV("-d 10.1.0.0/16 -j RETURN\n-A TULLE_OUTPUT -d 10.0.0.0/8 "
                                    "-j TULLE_REDIRECT\nCOMMIT\n")) ||
        sv_contains(buf_sv(&to), SV("-d 10.1.0.0/16 -j RETURN\n-A TULLE_OUTPUT -d 10.0.0.0/8 "
                                    "-j TULLE_REDIRECT\n-A PREROUTING")));
    assert_false(sv_contains(buf_sv(&to), SV("fd00::")));
    buf_clear(&to);
    capture_nft(&c, true, &to);
    assert_true(sv_starts(buf_sv(&to), SV(CAPTURE_NFT_UNDO)));
    assert_true(sv_contains(buf_sv(&to), SV("ip6 daddr fd00::/8 jump redirect_out\n")));
    buf_clear(&to);
    capture_nft(&c, false, &to);
    assert_false(sv_contains(buf_sv(&to), SV("ip6")));
    assert_true(sv_contains(buf_sv(&to), SV("meta nfproto ipv4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports),    cmocka_unit_test(test_nets),
        cmocka_unit_test(test_iptables), cmocka_unit_test(test_tproxy),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
