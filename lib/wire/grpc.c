/* SPDX-License-Identifier: Apache-2.0
 * grpc.c - gRPC's fields.
 *
 * A proxy does not look into messages, it counts them. What concerns it stands in fields: how long the caller waits,
 * how it ended (in the trailers, or in the head when there is nothing else), and why, which is text that has to pass
 * through a field's narrow alphabet. */
#include "wire/grpc.h"
#include <stdio.h>

bool grpc_is_content_type(struct sv type)
{
    static const struct sv name = { "application/grpc", 16 };
    if (type.len < name.len || !sv_eq_nocase(sv_sub(type, 0, name.len), name))
        return false;
    return type.len == name.len || type.p[name.len] == '+' || type.p[name.len] == ';' ||
           type.p[name.len] == ' ';
}

/* clang-format off */
static const struct unit {
    char letter;
    int64_t ns;
} units[] = {
    { 'n', 1 },
    { 'u', 1000 },
    { 'm', 1000000 },
    { 'S', 1000000000 },
    { 'M', INT64_C(60) * 1000000000 },
    { 'H', INT64_C(3600) * 1000000000 },
};
/* clang-format on */
#define DIGITS_MAX 8
#define NUMBER_MAX 99999999

bool grpc_timeout_parse(struct sv text, int64_t *ret_ns)
{
    uint64_t n;
    if (text.len < 2 || text.len > DIGITS_MAX + 1)
        return false;
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
    if (!sv_to_u64(sv_sub(text, 0, text.len - 1), &n))
        return false;
    for (size_t i = 0; i < NELEMS(units); i++) {
        int64_t ns;
        if (units[i].letter != text.p[text.len - 1])
            continue;
        if (__builtin_mul_overflow((int64_t)n, units[i].ns, &ns))
            ns = INT64_MAX;
        *ret_ns = ns;
        return true;
    }
    return false;
}

struct sv grpc_timeout_format(int64_t ns, char out[GRPC_TIMEOUT_SIZE])
{
    size_t i = 0;
    int64_t left = MAX(ns, 1);
    while (i + 1 < NELEMS(units) && left / units[i].ns > NUMBER_MAX)
        i++;
    int64_t number = MIN(left / units[i].ns, NUMBER_MAX);
    int n = snprintf(out, GRPC_TIMEOUT_SIZE, "%lld%c", (long long)number, units[i].letter);
    return sv_of(out, (size_t)MAX(n, 0));
}

bool grpc_status_parse(struct sv text, enum grpc_status *ret)
{
    static const char *const names[] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELLED] = "CANCELLED",
        [GRPC_UNKNOWN] = "UNKNOWN",
        [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [GRPC_NOT_FOUND] = "NOT_FOUND",
        [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [GRPC_ABORTED] = "ABORTED",
        [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [GRPC_INTERNAL] = "INTERNAL",
        [GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [GRPC_DATA_LOSS] = "DATA_LOSS",
        [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    uint64_t code;
    if (!sv_to_u64(text, &code))
        for (code = 0; code < NELEMS(names) && !sv_eq(text, sv_z(names[code]));)
            code++;
    if (code >= NELEMS(names))
        return false;
    *ret = (enum grpc_status)code;
    return true;
}

enum grpc_status grpc_status_of_http(unsigned status)
{
    switch (status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

unsigned grpc_status_as_http(uint64_t status)
{
    static const uint16_t https[] = { 200, 499, 500, 400, 504, 404, 409, 403, 429,
                                      400, 409, 400, 501, 500, 503, 500, 401 };
    return status < NELEMS(https) ? https[status] : 500;
}

#define FRAME_HEAD 5 /* is it compressed, and its length in four bytes */

/* One byte of a frame's head. */
static void take_head(struct grpc_count *c, uint8_t byte)
{
    if (c->head_len == 0) {
        c->is_over = byte > 1;
        c->messages += !c->is_over;
        c->left = 0;
    } else {
        c->left = c->left << 8 | byte;
    }
    c->head_len++;
}

void grpc_count(struct grpc_count *c, struct sv part)
{
    for (size_t i = 0; i < part.len && !c->is_over;) {
        if (c->head_len < FRAME_HEAD) {
            take_head(c, (uint8_t)part.p[i++]);
        } else {
            size_t skipped = MIN(part.len - i, (size_t)c->left);
            c->left -= (uint32_t)skipped;
            i += skipped;
        }
        if (c->head_len == FRAME_HEAD && c->left == 0)
            c->head_len = 0;
    }
}

void grpc_message_put(struct buf *to, struct sv text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            buf_putc(to, (char)c);
            continue;
        }
        buf_putc(to, '%');
        buf_putc(to, digits[c >> 4]);
        buf_putc(to, digits[c & 15]);
    }
}

void grpc_message_decode(struct buf *to, struct sv field)
{
    for (size_t i = 0; i < field.len; i++) {
        uint8_t byte;
        if (field.p[i] == '%' && sv_to_bytes(sv_sub(field, i + 1, 2), &byte, 1)) {
            buf_putc(to, (char)byte);
            i += 2;
        } else {
            buf_putc(to, field.p[i]);
        }
    }
}
