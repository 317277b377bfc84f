/* test_upgrade.c - which requests ask for another protocol, and which answers agree. */
#include "base/auto.h"
#include "proxy/upgrade.h"
#include "wire/h1.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define SLOTS 16

static void read_head(struct h1 *h, enum h1_kind kind, struct http_header *slots, const char *text)
{
    struct sv in = sv_z(text);
    h1_begin(h, kind, slots, SLOTS, 4096);
    assert_int_equal(h1_next(h, &in), H1_HEAD);
}

static void test_wanted(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *line, *fields, *want;
    } cases[] = {
        { "WebSocket", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket" },
        { "any case, among others", "GET / HTTP/1.1", "CONNECTION: keep-alive, uPGRADE\r\nUPGRADE: WebSocket\r\n", "WebSocket" },
        { "two Connection fields", "GET / HTTP/1.1", "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", "websocket" },
        { "with a version, by POST", "POST / HTTP/1.1", "Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n", "SPDY/3.1" },
        { "an unknown one", "GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x-tail\r\n", "x-tail" },
        { "Upgrade not named", "GET / HTTP/1.1", "Upgrade: websocket\r\n", "" },
        { "named only", "GET / HTTP/1.1", "Connection: Upgrade\r\n", "" },
        { "another option", "GET / HTTP/1.1", "Connection: upgrades\r\nUpgrade: websocket\r\n", "" },
        { "HTTP/1.0", "GET / HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "" },
        { "a body", "POST / HTTP/1.1", "Content-Length: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "" },
        { "a chunked body", "POST / HTTP/1.1", "Transfer-Encoding: chunked\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "" },
        { "h2c", "GET / HTTP/1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", "" },
        { "H2C", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: H2C\r\n", "" },
        { "HTTP/2.0", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", "" },
        { "a list", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", "" },
        { "two fields", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", "" },
        { "no name", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: web socket\r\n", "" },
        { "empty", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade:\r\n", "" },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char text[1024];
        struct http_header slots[SLOTS];
        struct h1 h = { 0 };
        print_message("case: %s\n", cases[i].name);
        snprintf(text, sizeof(text), "%s\r\nHost: a\r\n%s\r\n", cases[i].line, cases[i].fields);
        read_head(&h, H1_REQUEST, slots, text);
        assert_true(sv_eq(upgrade_wanted(&h.head), sv_z(cases[i].want)));
        h1_done(&h);
    }
}

static void test_agreed(void **state)
{
    static const struct {
        const char *head, *wanted;
        bool is_agreed;
    } cases[] = {
        { "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "websocket",
          true },
        { "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n", "websocket",
          true },
        { "101 Switching Protocols\r\nUpgrade: websocket\r\n", "websocket", true },
        { "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", "websocket",
          false },
        { "101 Switching Protocols\r\nConnection: Upgrade\r\n", "websocket", false },
        { "101 X\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n", "websocket", false },
        { "101 X\r\nUpgrade: websocket, h2c\r\n", "websocket", false },
        { "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "", false },
        { "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade:\r\n", "", false },
        { "101 Switching Protocols\r\n", "", false },
        { "200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "websocket", false },
        { "426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "websocket",
          false },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char text[512];
        struct http_header slots[SLOTS];
        struct h1 h = { 0 };
        print_message("case: %zu\n", i);
        snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n", cases[i].head);
        read_head(&h, H1_RESPONSE, slots, text);
        assert_int_equal(upgrade_is_agreed(&h.head, sv_z(cases[i].wanted)), cases[i].is_agreed);
        h1_done(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_agreed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
