/* test_edge.c - what a cell counts, that merging is addition, keys, the stored form. */
#include "base/mem.h"
#include "model/edge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct call a_call(void)
{
    return (struct call){ .protocol = PROTOCOL_HTTP,
                          .tls = TLS_MUTUAL,
                          .start_ns = 1000,
                          .duration_ns = 5000000,
                          .response_code = 200,
                          .grpc_status = -1,
                          .bytes_received = 10,
                          .bytes_sent = 20 };
}

/* clang-format off */
static const struct {
    const char *name; enum protocol protocol; uint16_t code; int16_t grpc; const char *flags;
    bool is_error; enum code_class class;
} error_cases[] = {
    { "200",                 PROTOCOL_HTTP, 200, -1, "",   false, CODE_2XX },
    { "404",                 PROTOCOL_HTTP, 404, -1, "",   false, CODE_4XX },
    { "503",                 PROTOCOL_HTTP, 503, -1, "UF", true,  CODE_5XX },
    { "no response",         PROTOCOL_HTTP,   0, -1, "DC", true,  CODE_NONE },
    { "grpc ok",             PROTOCOL_GRPC, 200,  0, "",   false, CODE_2XX },
    { "grpc ok, code unseen",PROTOCOL_GRPC,   0,  0, "",   false, CODE_NONE },
    { "grpc unavailable",    PROTOCOL_GRPC, 200, 14, "",   true,  CODE_2XX },
    { "tcp",                 PROTOCOL_TCP,    0, -1, "",   false, CODE_NONE },
    { "tcp refused",         PROTOCOL_TCP,    0, -1, "UF", true,  CODE_NONE },
    { "odd code",            PROTOCOL_HTTP,  42, -1, "",   false, CODE_NONE },
    { "code over 599",       PROTOCOL_HTTP, 777, -1, "",   true,  CODE_NONE },
};
/* clang-format on */

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(error_cases); i++) {
        print_message("case: %s\n", error_cases[i].name);
        struct call c = a_call();
        c.protocol = error_cases[i].protocol;
        c.response_code = error_cases[i].code;
        c.grpc_status = error_cases[i].grpc;
        c.response_flags = sv_z(error_cases[i].flags);
        assert_int_equal(call_is_error(&c), error_cases[i].is_error);
        struct edge_cell cell = { 0 };
        assert_int_equal(edge_cell_add(&cell, &c), 0);
        assert_int_equal(cell.errors, error_cases[i].is_error);
        assert_int_equal(cell.codes[error_cases[i].class], 1);
        edge_cell_done(&cell);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static struct call random_call(uint64_t *seed, int64_t at_ns)
{
    static const char *const flags[] = { "", "UF", "UF,URX", "UO", "DC,LR" };
    static const uint16_t codes[] = { 0, 200, 204, 301, 404, 500, 503 };
    struct call c = a_call();
    c.start_ns = at_ns;
    c.duration_ns = (int64_t)(next_random(seed) % 3000000000u) - 10;
    c.response_code = codes[next_random(seed) % NELEMS(codes)];
    c.grpc_status = (int16_t)((int)(next_random(seed) % 22) - 4);
    if (c.grpc_status < 0)
        c.grpc_status = -1;
    c.tls = (enum tls_state)(next_random(seed) % TLS_STATES_LEN);
    c.tls_basis = (enum tls_basis)(next_random(seed) % TLS_BASES_LEN);
    c.resends = (uint32_t)(next_random(seed) % 3);
    c.response_flags = sv_z(flags[next_random(seed) % NELEMS(flags)]);
    c.tls_version = next_random(seed) % 2 ? SV("TLSv1.3") : SV("TLSv1.2");
    c.tls_cipher = SV("TLS_AES_128_GCM_SHA256");
    c.peer_cert_expiry_ns = (int64_t)(next_random(seed) % 1000);
    if (next_random(seed) % 3)
        c.trace_id.b[next_random(seed) % 16] = (uint8_t)next_random(seed);
    return c;
}

static void assert_cells_equal(const struct edge_cell *a, const struct edge_cell *b)
{
    AUTO_DONE(buf) ba = { 0 }, bb = { 0 };
    edge_cell_encode(a, &ba);
    edge_cell_encode(b, &bb);
    assert_true(sv_eq(buf_sv(&ba), buf_sv(&bb)));
}

static void test_merge_is_addition(void **state)
{
    (void)state;
    struct edge_cell all = { 0 }, first = { 0 }, second = { 0 }, empty = { 0 };
    uint64_t seed = 7;
    for (int i = 0; i < 400; i++) {
        struct call c = random_call(&seed, 1000 + i);
        assert_int_equal(edge_cell_add(&all, &c), 0);
        assert_int_equal(edge_cell_add(i < 200 ? &first : &second, &c), 0);
    }
    assert_int_equal(edge_cell_merge(&first, &second), 0);
    assert_int_equal(edge_cell_merge(&first, &empty), 0);
    assert_cells_equal(&first, &all);
    assert_int_equal(edge_cell_merge(&empty, &all), 0);
    assert_cells_equal(&empty, &all);
    edge_cell_done(&all);
    edge_cell_done(&first);
    edge_cell_done(&second);
    edge_cell_done(&empty);
}

/* A connection in parts leaves what one in a whole leaves, wherever its parts lie. */
static void test_parts(void **state)
{
    (void)state;
    struct edge_cell cell = { 0 }, later = { 0 };
    struct call c = a_call();
    c.protocol = PROTOCOL_TCP;
    c.response_code = 0;
    c.part = CALL_BEGIN;
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    assert_true(cell.requests == 1 && cell.tls[TLS_MUTUAL] == 1 && cell.latency.count == 0);
    c.part = CALL_BYTES;
    c.start_ns = 3000;
    assert_int_equal(edge_cell_add(&later, &c), 0);
    assert_true(edge_cell_is_used(&later) && later.requests == 0 && later.tls[TLS_MUTUAL] == 0);
    assert_true(later.parts[TLS_MUTUAL] == 1 && later.first_ns == 3000 && later.last_ns == 3000);
    c.part = CALL_END;
    c.start_ns = 1000;
    c.bytes_received = c.bytes_sent = 0;
    c.response_flags = SV("UC");
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    assert_true(cell.requests == 1 && cell.errors == 1 && cell.latency.count == 1);
    assert_int_equal(edge_cell_merge(&later, &cell), 0);
    assert_true(later.requests == 1 && later.bytes_received == 20 && later.bytes_sent == 40);
    assert_true(later.first_ns == 1000 && later.last_ns == 3000 && later.flags[0].count == 1);
    edge_cell_done(&cell);
    edge_cell_done(&later);
}

static void test_flags_overflow_into_other(void **state)
{
    (void)state;
    struct edge_cell cell = { 0 }, more = { 0 };
    struct call c = a_call();
    c.response_flags = SV("A,B,C,D,E,F,G,H,I,,A,a_flag_that_is_much_too_long");
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    c.response_flags = SV("Z,Y,other");
    assert_int_equal(edge_cell_add(&more, &c), 0);
    assert_int_equal(edge_cell_merge(&cell, &more), 0);
    assert_int_equal(cell.flags_len, EDGE_FLAGS_MAX);
    assert_string_equal(cell.flags[0].flag, "A");
    assert_int_equal(cell.flags[0].count, 2);
    assert_string_equal(cell.flags[7].flag, "other");
    assert_int_equal(cell.flags[7].count, 3 + 3);
    edge_cell_done(&cell);
    edge_cell_done(&more);
}

static void test_facts(void **state)
{
    (void)state;
    struct edge_cell cell = { 0 };
    struct call c = a_call();
    c.start_ns = 500;
    c.tls_version = SV("TLSv1.3");
    c.tls_cipher = SV("a cipher whose name is longer than the field it has to go into");
    c.peer_cert_expiry_ns = 90;
    c.trace_id.b[0] = 1;
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    c.start_ns = 400;      /* older: replaces nothing but the expiry */
    c.response_code = 404; /* better than nothing */
    c.trace_id.b[0] = 3;
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    assert_int_equal(cell.error_trace.b[0], 3);
    c.start_ns = 500;
    c.response_code = 500;
    c.trace_id.b[0] = 2;
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    c.response_code = 404;
    c.trace_id.b[0] = 1;
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    assert_int_equal(cell.error_trace.b[0], 2);
    c.start_ns = 400;
    c.tls_version = SV("TLSv1.2");
    c.peer_cert_expiry_ns = 80;
    c.trace_id.b[0] = 2;
    c.response_code = 500;
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    assert_string_equal(cell.tls_version, "TLSv1.3");
    assert_int_equal(cell.cert_expiry_ns, 80);
    assert_int_equal(cell.exemplar_trace.b[0], 1);
    assert_int_equal(cell.error_trace.b[0], 2);
    assert_int_equal(cell.first_ns, 400);
    assert_int_equal(cell.last_ns, 500);
    assert_int_equal(strlen(cell.tls_cipher), CIPHER_NAME_SIZE - 1);
    edge_cell_done(&cell);
}

static void test_codec(void **state)
{
    (void)state;
    struct edge_cell cell = { 0 };
    uint64_t seed = 99;
    for (int i = 0; i < 50; i++) {
        struct call c = random_call(&seed, INT64_C(1700000000000000000) + i);
        assert_int_equal(edge_cell_add(&cell, &c), 0);
    }
    assert_int_equal(hist_add(&cell.server_latency, 12345, 3), 0);
    cell.parts[TLS_MUTUAL] = 300; /* two bytes */
    AUTO_DONE(buf) out = { 0 };
    edge_cell_encode(&cell, &out);
    struct edge_cell back = { 0 };
    assert_int_equal(edge_cell_decode(buf_sv(&out), &back, NULL), 0);
    assert_cells_equal(&cell, &back);
    assert_int_equal(back.latency.count, 50);
    for (size_t cut = 0; cut < out.len; cut++) {
        struct edge_cell none;
        assert_int_equal(edge_cell_decode(sv_sub(buf_sv(&out), 0, cut), &none, NULL),
                         ERR_TRUNCATED);
    }
    buf_putc(&out, 'x');
    struct edge_cell none;
    assert_int_equal(edge_cell_decode(buf_sv(&out), &none, NULL), ERR_MALFORMED);
    out.mem[0] = 3;
    assert_int_equal(edge_cell_decode(buf_sv(&out), &none, NULL), ERR_UNSUPPORTED);
    edge_cell_done(&cell);
    edge_cell_done(&back);
}

/* Written by a version that knew no parts. */
static void test_codec_version_1(void **state)
{
    (void)state;
    struct edge_cell cell = { 0 }, back = { 0 };
    struct call c = a_call();
    c.tls = TLS_UNKNOWN;
    AUTO_DONE(buf) out = { 0 };
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    edge_cell_encode(&cell, &out);
    assert_int_equal(out.mem[0], 1);
    assert_int_equal(edge_cell_decode(buf_sv(&out), &back, NULL), 0);
    assert_int_equal(back.requests, 1);
    assert_int_equal(back.first_plaintext.at_ns, 0);
    edge_cell_done(&cell);
    edge_cell_done(&back);
}

static void test_plaintext_moments(void **state)
{
    (void)state;
    static const struct {
        int64_t at_ns;
        enum tls_state tls;
    } calls[] = {
        { 50, TLS_MUTUAL },  { 30, TLS_PLAINTEXT }, { 20, TLS_PLAINTEXT },
        { 60, TLS_UNKNOWN }, { 40, TLS_PLAINTEXT }, { 10, TLS_ONE_WAY },
    };
    struct edge_cell parts[2] = { 0 }, back = { 0 };
    for (size_t i = 0; i < NELEMS(calls); i++) {
        struct call c = a_call();
        c.start_ns = calls[i].at_ns;
        c.tls = calls[i].tls;
        c.tls_basis = TLS_BASIS_HANDSHAKE;
        c.trace_id.b[0] = (uint8_t)calls[i].at_ns;
        assert_int_equal(edge_cell_add(&parts[i % 2], &c), 0);
    }
    assert_int_equal(edge_cell_merge(&parts[0], &parts[1]), 0);
    AUTO_DONE(buf) out = { 0 };
    edge_cell_encode(&parts[0], &out);
    assert_int_equal(edge_cell_decode(buf_sv(&out), &back, NULL), 0);
    assert_int_equal(back.first_plaintext.at_ns, 20);
    assert_int_equal(back.first_plaintext.trace.b[0], 20);
    assert_int_equal(back.last_plaintext.at_ns, 40);
    assert_int_equal(back.last_plaintext.trace.b[0], 40);
    assert_int_equal(back.tls_bases[TLS_BASIS_HANDSHAKE], 5);
    assert_int_equal(back.tls_bases[TLS_BASIS_NONE], 1);
    edge_cell_done(&parts[0]);
    edge_cell_done(&parts[1]);
    edge_cell_done(&back);
}

static void test_clock(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct {
            int64_t start, took, called_start, called_took;
        } pairs[3];
        enum clock_verdict verdict;
        int64_t offset;
    } cases[] = {
        { "none", { { 0 } }, CLOCK_UNKNOWN, 0 },
        { "in step", { { 1000, 100, 1010, 80 } }, CLOCK_AGREES, 0 },
        { "ahead", { { 1000, 100, 1510, 80 }, { 2000, 50, 2503, 46 } }, CLOCK_SKEWED, 501 },
        { "behind", { { 1000, 100, 810, 80 } }, CLOCK_SKEWED, -200 },
        { "two hosts", { { 1000, 100, 1510, 80 }, { 2000, 50, 2003, 46 } }, CLOCK_VARIES, 250 },
        { "went on after the answer", { { 1000, 100, 1050, 500 } }, CLOCK_UNKNOWN, 0 },
        { "absurd times", { { INT64_MIN, 100, INT64_MAX, 80 } }, CLOCK_UNKNOWN, 0 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct edge_cell cell = { 0 }, back = { 0 };
        AUTO_DONE(buf) out = { 0 };
        int64_t offset;
        print_message("case: %s\n", cases[i].name);
        for (size_t k = 0; k < 3 && cases[i].pairs[k].took; k++) {
            struct call c = a_call();
            c.start_ns = cases[i].pairs[k].start;
            c.duration_ns = cases[i].pairs[k].took;
            struct called_half called = { cases[i].pairs[k].called_start,
                                          cases[i].pairs[k].called_took };
            assert_int_equal(edge_cell_add_pair(&cell, &c, &called), 0);
        }
        edge_cell_encode(&cell, &out);
        assert_int_equal(edge_cell_decode(buf_sv(&out), &back, NULL), 0);
        assert_int_equal(edge_clock_judge(&back.clock, &offset), cases[i].verdict);
        assert_int_equal(offset, cases[i].offset);
        assert_int_equal(back.server_latency.count, cell.requests);
        edge_cell_done(&cell);
        edge_cell_done(&back);
    }
}

static void test_codec_failing_memory(void **state)
{
    (void)state;
    struct edge_cell cell = { 0 }, back;
    struct call c = a_call();
    assert_int_equal(edge_cell_add(&cell, &c), 0);
    assert_int_equal(hist_add(&cell.server_latency, 5, 1), 0);
    AUTO_DONE(buf) out = { 0 };
    edge_cell_encode(&cell, &out);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_int_equal(edge_cell_decode(buf_sv(&out), &back, NULL), ERR_NOMEM);
        struct edge_cell into = { 0 };
        mem_fail_nth(nth);
        assert_int_equal(edge_cell_merge(&into, &cell), -1);
        assert_int_equal(into.requests, 0);
        edge_cell_done(&into);
    }
    mem_fail_nth(0);
    edge_cell_done(&cell);
}

static void test_bucket(void **state)
{
    (void)state;
    struct edge_bucket a = { 0 }, b = { 0 };
    struct call c = a_call();
    assert_int_equal(edge_cell_add(edge_bucket_cell(&a, REPORTER_SOURCE), &c), 0);
    assert_int_equal(edge_cell_add(edge_bucket_cell(&b, REPORTER_SOURCE), &c), 0);
    assert_int_equal(edge_cell_add(edge_bucket_cell(&b, REPORTER_PAIR), &c), 0);
    assert_int_equal(edge_bucket_merge(&a, &b), 0);
    assert_int_equal(a.cells[REPORTER_SOURCE]->requests, 2);
    assert_int_equal(a.cells[REPORTER_PAIR]->requests, 1);
    assert_null(a.cells[REPORTER_DESTINATION]);
    for (uint64_t nth = 1;; nth++) {
        struct edge_bucket into = { 0 };
        mem_fail_nth(nth);
        int rc = edge_bucket_merge(&into, &a);
        edge_bucket_done(&into);
        if (rc == 0)
            break;
    }
    mem_fail_nth(0);
    edge_bucket_done(&a);
    edge_bucket_done(&b);
}

static void test_keys(void **state)
{
    (void)state;
    struct edge a = { .source = identity_unknown(), .destination = identity_unknown() };
    struct edge b = a;
    b.source.service = SV("another name of the same node");
    b.source.principal = SV("spiffe://x");
    assert_true(edge_same(&a, &b));
    AUTO_DONE(buf) ka = { 0 }, kb = { 0 };
    edge_key_put(&a, &ka);
    edge_key_put(&b, &kb);
    assert_true(sv_eq(buf_sv(&ka), buf_sv(&kb)));
    /* Text moved over the border of two parts is another key. */
    a.source.cluster = SV("ab");
    a.source.namespace = SV("c");
    b.source.cluster = SV("a");
    b.source.namespace = SV("bc");
    buf_clear(&ka);
    buf_clear(&kb);
    edge_key_put(&a, &ka);
    edge_key_put(&b, &kb);
    assert_false(sv_eq(buf_sv(&ka), buf_sv(&kb)));
    assert_false(edge_same(&a, &b));
    b = a;
    b.protocol = PROTOCOL_TCP;
    assert_false(edge_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),          cmocka_unit_test(test_merge_is_addition),
        cmocka_unit_test(test_parts),           cmocka_unit_test(test_flags_overflow_into_other),
        cmocka_unit_test(test_facts),           cmocka_unit_test(test_codec),
        cmocka_unit_test(test_codec_version_1), cmocka_unit_test(test_plaintext_moments),
        cmocka_unit_test(test_clock),           cmocka_unit_test(test_codec_failing_memory),
        cmocka_unit_test(test_bucket),          cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
