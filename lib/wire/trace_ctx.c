/* trace_ctx.c - W3C trace context in and out, and random ids.
 *
 * Ids need to be unique, not secret, so they come from a small generator (xoshiro256**) that each
 * thread seeds once from the kernel: some nanoseconds an id instead of a system call. */
#include "wire/trace_ctx.h"
#include "base/clock.h"
#include <sys/random.h>

static _Thread_local struct {
    uint64_t s[4];
    bool is_seeded;
} rng;

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static void seed(void)
{
    size_t have = 0;
    while (have < sizeof(rng.s)) {
        ssize_t n = getrandom((char *)rng.s + have, sizeof(rng.s) - have, 0);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    /* A kernel that gives nothing still leaves threads and processes apart. */
    rng.s[0] ^= (uint64_t)clock_wall_ns() | 1;
    rng.s[1] ^= (uint64_t)(uintptr_t)&rng;
    rng.is_seeded = true;
}

uint64_t random_u64(void)
{
    if (__builtin_expect(!rng.is_seeded, 0))
        seed();
    uint64_t *s = rng.s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

struct trace_id trace_id_new(void)
{
    struct trace_id id;
    uint64_t high = random_u64(), low = random_u64() | 1; /* never all zero */
    memcpy(id.b, &high, 8);
    memcpy(id.b + 8, &low, 8);
    return id;
}

struct span_id span_id_new(void)
{
    struct span_id id;
    uint64_t v = random_u64();
    v = v ? v : 1;
    memcpy(id.b, &v, 8);
    return id;
}

struct sv uuid_new(char out[UUID_SIZE])
{
    uint8_t b[16];
    struct trace_id id = trace_id_new();
    memcpy(b, id.b, 16);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char hex[32];
    hex_encode(hex, b, 16);
    memcpy(out, hex, 8);
    memcpy(out + 9, hex + 8, 4);
    memcpy(out + 14, hex + 12, 4);
    memcpy(out + 19, hex + 16, 4);
    memcpy(out + 24, hex + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    return sv_of(out, UUID_SIZE);
}

static bool is_all_zero(const uint8_t *b, size_t bytes)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < bytes; i++)
        seen |= b[i];
    return seen == 0;
}

/* Lower-case hex only: the specification forbids the other case. Of digits and letters only upper case has
 * 0x40 without 0x20. */
static bool read_hex(struct sv text, uint8_t *out, size_t bytes)
{
    uint64_t seen = 0;
    size_t i = 0;
    for (; text.len - i >= 8; i += 8) {
        uint64_t x = sv_load64(text.p + i);
        seen |= x & ~(x << 1) & UINT64_C(0x4040404040404040);
    }
    for (; i < text.len; i++) {
        unsigned c = (uint8_t)text.p[i];
        seen |= c & ~(c << 1) & 0x40;
    }
    return !seen && sv_to_bytes(text, out, bytes);
}

int traceparent_parse(struct sv text, struct trace_ctx *ret, struct err *err)
{
    struct trace_ctx ctx;
    uint8_t version = 0, flags = 0;
    if (text.len < TRACEPARENT_SIZE)
        return err_at(err, ERR_TRUNCATED, text.len, "traceparent: %zu characters, want %d",
                      text.len, TRACEPARENT_SIZE);
    if (!read_hex(sv_sub(text, 0, 2), &version, 1) || version == 0xff)
        return err_at(err, ERR_MALFORMED, 0, "traceparent: version");
    bool is_too_long = version == 0
                           ? text.len != TRACEPARENT_SIZE
                           : text.len > TRACEPARENT_SIZE && text.p[TRACEPARENT_SIZE] != '-';
    if (is_too_long)
        return err_at(err, ERR_MALFORMED, TRACEPARENT_SIZE, "traceparent: text after the flags");
    if (text.p[2] != '-' || text.p[35] != '-' || text.p[52] != '-')
        return err_at(err, ERR_MALFORMED, 2, "traceparent: fields are not separated by '-'");
    if (!read_hex(sv_sub(text, 3, 32), ctx.trace_id.b, 16) || is_all_zero(ctx.trace_id.b, 16))
        return err_at(err, ERR_MALFORMED, 3, "traceparent: trace id");
    if (!read_hex(sv_sub(text, 36, 16), ctx.parent_id.b, 8) || is_all_zero(ctx.parent_id.b, 8))
        return err_at(err, ERR_MALFORMED, 36, "traceparent: parent id");
    if (!read_hex(sv_sub(text, 53, 2), &flags, 1))
        return err_at(err, ERR_MALFORMED, 53, "traceparent: flags");
    ctx.is_sampled = (flags & 1) != 0;
    *ret = ctx;
    return 0;
}

struct sv traceparent_format(const struct trace_ctx *ctx, char out[TRACEPARENT_SIZE])
{
    memcpy(out, "00-", 3);
    hex_encode(out + 3, ctx->trace_id.b, 16);
    out[35] = '-';
    hex_encode(out + 36, ctx->parent_id.b, 8);
    out[52] = '-';
    out[53] = '0';
    out[54] = ctx->is_sampled ? '1' : '0';
    return sv_of(out, TRACEPARENT_SIZE);
}

#define TRACESTATE_MEMBERS_MAX 32 /* W3C */
#define TRACESTATE_KEY_MAX     256
#define TRACESTATE_VALUE_MAX   256

static bool is_key(struct sv key)
{
    if (key.len == 0 || key.len > TRACESTATE_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_plain && (i == 0 || !memchr("_-*/@", c, 5)))
            return false;
    }
    return true;
}

static bool is_value(struct sv value)
{
    if (value.len == 0 || value.len > TRACESTATE_VALUE_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.p[i] < 0x20 || value.p[i] > 0x7e || value.p[i] == '=')
            return false;
    return true;
}

bool tracestate_is_valid(struct sv text)
{
    struct sv member;
    size_t members = 0;
    if (text.len > TRACESTATE_MAX)
        return false;
    while (sv_cut(&text, ',', &member)) {
        member = sv_trim(member);
        if (member.len == 0)
            continue;
        size_t eq = sv_index(member, '=');
        if (++members > TRACESTATE_MEMBERS_MAX || eq == member.len ||
            !is_key(sv_sub(member, 0, eq)) || !is_value(sv_from(member, eq + 1)))
            return false;
    }
    return members > 0;
}
