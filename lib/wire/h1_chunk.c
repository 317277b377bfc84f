/* h1_chunk.c - the framing of a chunked body, read a second time.
 *
 * Chunk framing is where readers differ most: some take LF for CRLF, blanks round a size, a line break
 * in an extension, a wrong end of the data, or a folded trailer. The scanner takes a few of these too.
 * We write chunks anew, so the next hop is safe; the one in front of us is not: if it saw another end
 * of the body, what follows is a request to us and was none to it. So this automaton walks the framing
 * bytes as a table of one rule a state, skips the data, and must count as many data bytes as the
 * scanner and end where it ends. Trailers that would change framing, routing or who the caller is are
 * refused too. Cost: a table look-up for each byte of framing, none for data. */
#include "h1_chunk.h"
#include "h1_head.h"

/* What a byte is to chunk framing; a byte may be several. */
enum {
    IS_HEX = 1,
    IS_TOKEN = 2, /* may stand in a field name */
    IS_TEXT = 4,  /* may stand in a value or an extension: no control character but tab */
};

static unsigned class_of(unsigned char c)
{
    bool is_digit = c >= '0' && c <= '9', is_hex = (c | 0x20) >= 'a' && (c | 0x20) <= 'f';
    bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    bool is_token = is_digit || is_letter || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
    bool is_text = c == '\t' || (c >= 0x20 && c != 0x7f);
    return (is_digit || is_hex ? IS_HEX : 0u) | (is_token ? IS_TOKEN : 0u) |
           (is_text ? IS_TEXT : 0u);
}

/* First the two bytes that leave a state, then the class that `stays` (going to `next`). */
struct rule {
    char leave[2];
    enum h1_chunk_state to[2];
    unsigned stays;
    enum h1_chunk_state next;
};
/* clang-format off */
static const struct rule rules[H1_CHUNK_STATES] = {
    [H1_CHUNK_SIZE_FIRST] = { { 0 },           { 0 },                                    IS_HEX,   H1_CHUNK_SIZE },
    [H1_CHUNK_SIZE]       = { { '\r', ';' },   { H1_CHUNK_SIZE_LF, H1_CHUNK_EXTENSION }, IS_HEX,   H1_CHUNK_SIZE },
    [H1_CHUNK_EXTENSION]  = { { '\r' },        { H1_CHUNK_SIZE_LF },                     IS_TEXT,  H1_CHUNK_EXTENSION },
    [H1_CHUNK_SIZE_LF]    = { { '\n' },        { H1_CHUNK_DATA },                        0,        0 },
    [H1_CHUNK_DATA_CR]    = { { '\r' },        { H1_CHUNK_DATA_LF },                     0,        0 },
    [H1_CHUNK_DATA_LF]    = { { '\n' },        { H1_CHUNK_SIZE_FIRST },                  0,        0 },
    [H1_CHUNK_LINE]       = { { '\r' },        { H1_CHUNK_END_LF },                      IS_TOKEN, H1_CHUNK_NAME },
    [H1_CHUNK_NAME]       = { { ':' },         { H1_CHUNK_VALUE },                       IS_TOKEN, H1_CHUNK_NAME },
    [H1_CHUNK_VALUE]      = { { '\r' },        { H1_CHUNK_VALUE_LF },                    IS_TEXT,  H1_CHUNK_VALUE },
    [H1_CHUNK_VALUE_LF]   = { { '\n' },        { H1_CHUNK_LINE },                        0,        0 },
    [H1_CHUNK_END_LF]     = { { '\n' },        { H1_CHUNK_OVER },                        0,        0 },
};
/* Framing, routing, authentication and what describes the content must be known before the body; the
 * names a hop in front of the service sets cannot come behind it. */
static const struct sv never_trailers[] = {
    { "te", 2 }, { "host", 4 }, { "cookie", 6 }, { "expect", 6 }, { "trailer", 7 }, { "upgrade", 7 },
    { "connection", 10 }, { "keep-alive", 10 }, { "set-cookie", 10 }, { "content-type", 12 },
    { "authorization", 13 }, { "content-range", 13 }, { "content-length", 14 }, { "x-forwarded-for", 15 },
    { "x-forwarded-host", 16 }, { "content-encoding", 16 }, { "proxy-connection", 16 },
    { "transfer-encoding", 17 }, { "x-forwarded-proto", 17 }, { "proxy-authorization", 19 },
    { "x-envoy-peer-metadata", 21 }, { "x-forwarded-client-cert", 23 }, { "x-envoy-peer-metadata-id", 24 },
};
/* clang-format on */

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* One byte of framing; false: it must not stand here. */
static bool take(struct h1 *h, char c)
{
    const struct rule *r = &rules[h->chunk_state];
    bool is_size = h->chunk_state == H1_CHUNK_SIZE_FIRST || h->chunk_state == H1_CHUNK_SIZE;
    for (size_t i = 0; i < NELEMS(r->leave); i++) {
        if (r->leave[i] && r->leave[i] == c) {
            h->chunk_state = r->to[i];
            if (h->chunk_state == H1_CHUNK_DATA && h->chunk_left == 0)
                h->chunk_state = H1_CHUNK_LINE;
            return true;
        }
    }
    if (!(class_of((unsigned char)c) & r->stays))
        return false;
    if (is_size && h->chunk_left > UINT64_MAX >> 4)
        return false;
    if (is_size)
        h->chunk_left = h->chunk_left << 4 | hex_value(c);
    h->chunk_state = r->next;
    return true;
}

static bool check_trailers(struct h1 *h)
{
    for (size_t i = 0; i < h->trailers_len; i++) {
        for (size_t k = 0; k < NELEMS(never_trailers); k++) {
            if (h->trailers[i].name.len == never_trailers[k].len &&
                sv_eq_nocase(h->trailers[i].name, never_trailers[k])) {
                h1_refuse(h, 400, h->offset, "%s in a trailer", never_trailers[k].p);
                return false;
            }
        }
    }
    return true;
}

bool h1_chunk_check(struct h1 *h, enum h1_event ev, struct sv used)
{
    if (!h->head.is_chunked || (h->parser.flags & F_SKIPBODY))
        return true;
    for (size_t i = 0; i < used.len;) {
        if (h->chunk_state == H1_CHUNK_DATA) {
            uint64_t bytes = MIN(h->chunk_left, (uint64_t)(used.len - i));
            h->chunk_left -= bytes;
            h->chunk_bytes += bytes;
            i += (size_t)bytes;
            if (h->chunk_left == 0)
                h->chunk_state = H1_CHUNK_DATA_CR;
        } else if (!take(h, used.p[i++])) {
            h1_refuse(h, 400, h->offset + i - 1, "chunk framing is malformed");
            return false;
        }
    }
    bool is_over = h->chunk_state == H1_CHUNK_OVER;
    if (h->chunk_bytes != h->body_bytes || is_over != (ev == H1_END)) {
        h1_refuse(h, 400, h->offset, "chunk framing has two readings");
        return false;
    }
    return ev != H1_END || check_trailers(h);
}
