/* h1_out.c - heads and chunk framing as bytes.
 *
 * The writers append to a buf the caller reuses, so that a head costs no allocation; bodies never
 * pass through here, only the size lines between them. */
#include "wire/h1.h"

void h1_put_request_line(struct buf *to, struct sv method, struct sv target)
{
    buf_put(to, method);
    buf_putc(to, ' ');
    buf_put(to, target);
    buf_put(to, SV(" HTTP/1.1\r\n"));
}

void h1_put_status_line(struct buf *to, unsigned status, struct sv reason)
{
    buf_put(to, SV("HTTP/1.1 "));
    buf_put_u64(to, status);
    buf_putc(to, ' ');
    buf_put(to, reason.len ? reason : sv_z(http_reason(status)));
    buf_put(to, SV("\r\n"));
}

void h1_put_field(struct buf *to, struct sv name, struct sv value)
{
    size_t bytes = name.len + value.len + 4;
    char *at = buf_reserve(to, bytes);
    if (!at)
        return;
    memcpy(at, name.p, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    if (value.len)
        memcpy(at, value.p, value.len);
    at += value.len;
    *at++ = '\r';
    *at = '\n';
    buf_commit(to, bytes);
}

void h1_put_end(struct buf *to)
{
    buf_put(to, SV("\r\n"));
}

struct sv h1_chunk_head(char out[H1_CHUNK_HEAD_SIZE], uint64_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *end = out + H1_CHUNK_HEAD_SIZE, *at = end;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = digits[bytes & 15];
        bytes >>= 4;
    } while (bytes);
    return sv_of(at, (size_t)(end - at));
}
