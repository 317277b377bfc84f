/* SPDX-License-Identifier: Apache-2.0
 * hello.c - a cursor over a ClientHello that somebody else will answer.
 *
 * Lengths nest four deep (record, message, extension, name) and each comes from a stranger. So every
 * level is cut out of its parent as a view, and a cut that does not fit latches the cursor: nothing is
 * ever read beyond it. A message may be spread over records; then their headers are squeezed out first,
 * and from there on there is one case. What is malformed is BAD at the level where it shows and not
 * guessed at: whoever answers the handshake would refuse it too. */
#include "proxy/hello.h"
#include "base/rd.h"

enum { RECORD_HANDSHAKE = 22, RECORD_HEADER = 5, RECORD_MAX = 16384 };
enum { MESSAGE_CLIENT_HELLO = 1, MESSAGE_HEADER = 4 };
enum { EXT_SERVER_NAME = 0, EXT_ALPN = 16, NAME_HOST = 0 };

static size_t be16(const uint8_t *b)
{
    return (size_t)b[0] << 8 | b[1];
}

static size_t rd_be16(struct rd *r)
{
    size_t high = rd_u8(r);
    return high << 8 | rd_u8(r);
}

/* The next record's body; HELLO_DONE when there is (some of) one. */
static enum hello_state next_record(const char *bytes, size_t len, size_t at, size_t *ret_len)
{
    const uint8_t *b = (const uint8_t *)bytes + at;
    size_t left = len - at;
    if (left >= 1 && b[0] != RECORD_HANDSHAKE)
        return HELLO_BAD;
    if (left >= 2 && b[1] != 3)
        return HELLO_BAD;
    if (left < RECORD_HEADER)
        return HELLO_MORE;
    *ret_len = be16(b + 3);
    return *ret_len >= 1 && *ret_len <= RECORD_MAX ? HELLO_DONE : HELLO_BAD;
}

/* Moves the message together at the begin of bytes. */
static enum hello_state gather(char *bytes, size_t len, struct sv *ret_message)
{
    size_t at = 0, have = 0, want = MESSAGE_HEADER;
    while (have < want) {
        size_t body = 0;
        enum hello_state s = next_record(bytes, len, at, &body);
        if (s != HELLO_DONE)
            return s;
        at += RECORD_HEADER;
        size_t n = MIN(body, len - at);
        memmove(bytes + have, bytes + at, n);
        have += n;
        at += n;
        const uint8_t *m = (const uint8_t *)bytes;
        if (have >= 1 && m[0] != MESSAGE_CLIENT_HELLO)
            return HELLO_BAD;
        if (have >= MESSAGE_HEADER)
            want = MESSAGE_HEADER + ((size_t)m[1] << 16 | be16(m + 2));
        if (want > HELLO_MAX)
            return HELLO_BAD;
        if (n < body && have < want)
            return HELLO_MORE;
    }
    *ret_message = sv_of(bytes + MESSAGE_HEADER, want - MESSAGE_HEADER);
    return HELLO_DONE;
}

/* A host name in lower case; anything that is none leaves it empty. */
static void take_host(struct hello *h, struct sv name)
{
    if (sv_ends(name, SV(".")))
        name.len--;
    if (!name.len || name.len > SNI_MAX)
        return;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_';
        if (!is_fine) {
            h->sni[0] = '\0';
            return;
        }
        h->sni[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        h->sni[i + 1] = '\0';
    }
}

static void read_names(struct rd *r, struct hello *h)
{
    struct rd list = rd_of(rd_bytes(r, rd_be16(r)));
    while (rd_ok(&list) && rd_left(&list)) {
        uint8_t kind = rd_u8(&list);
        struct sv name = rd_bytes(&list, rd_be16(&list));
        if (rd_ok(&list) && kind == NAME_HOST && !h->sni[0])
            take_host(h, name);
    }
    if (!rd_ok(&list))
        rd_fail(r, ERR_MALFORMED, "server_name");
}

static bool is_one_of(struct sv name, const char *const *list)
{
    for (; *list; list++)
        if (sv_eq(name, sv_z(*list)))
            return true;
    return false;
}

static void read_alpn(struct rd *r, struct hello *h)
{
    static const char *const mesh[] = { "istio",          "istio-peer-exchange",
                                        "istio-http/1.0", "istio-http/1.1",
                                        "istio-h2",       NULL };
    static const char *const http[] = { "istio-http/1.0", "istio-http/1.1", "istio-h2", "h2",
                                        "http/1.1",       "http/1.0",       NULL };
    struct sv all = rd_bytes(r, rd_be16(r));
    struct rd list = rd_of(all);
    while (rd_ok(&list) && rd_left(&list)) {
        struct sv name = rd_bytes(&list, rd_u8(&list));
        h->is_mesh = h->is_mesh || is_one_of(name, mesh);
        h->is_http = h->is_http || is_one_of(name, http);
    }
    if (!rd_ok(&list))
        rd_fail(r, ERR_MALFORMED, "ALPN");
    h->alpn = all;
}

static void read_extensions(struct rd *r, struct hello *h)
{
    while (rd_ok(r) && rd_left(r)) {
        size_t kind = rd_be16(r);
        struct rd body = rd_of(rd_bytes(r, rd_be16(r)));
        if (!rd_ok(r))
            return;
        if (kind == EXT_SERVER_NAME)
            read_names(&body, h);
        else if (kind == EXT_ALPN)
            read_alpn(&body, h);
        if (!rd_ok(&body))
            rd_fail(r, ERR_MALFORMED, "extension");
    }
}

enum hello_state hello_read(char *bytes, size_t len, struct hello *ret)
{
    struct sv message;
    *ret = (struct hello){ .sni = "" };
    enum hello_state s = gather(bytes, MIN(len, (size_t)HELLO_MAX), &message);
    if (s == HELLO_MORE && len >= HELLO_MAX)
        return HELLO_BAD;
    if (s != HELLO_DONE)
        return s;
    struct rd r = rd_of(message);
    (void)rd_bytes(&r, 2 + 32);      /* version, random */
    (void)rd_bytes(&r, rd_u8(&r));   /* session id */
    (void)rd_bytes(&r, rd_be16(&r)); /* cipher suites */
    (void)rd_bytes(&r, rd_u8(&r));   /* compression methods */
    if (rd_ok(&r) && rd_left(&r)) {
        struct rd extensions = rd_of(rd_bytes(&r, rd_be16(&r)));
        if (rd_left(&r))
            rd_fail(&r, ERR_MALFORMED, "bytes behind the extensions");
        if (rd_ok(&r))
            read_extensions(&extensions, ret);
        if (!rd_ok(&extensions))
            return HELLO_BAD;
    }
    return rd_ok(&r) ? HELLO_DONE : HELLO_BAD;
}
