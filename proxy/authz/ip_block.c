/* SPDX-License-Identifier: Apache-2.0
 * ip_block.c - is an address in a block?
 *
 * One form for both families, so that a caller who arrives over a mapped IPv6 socket is still in
 * "10.0.0.0/8", and a comparison is a few bytes. 0.0.0.0/0 is every IPv4 address and no other. */
#include "proxy/authz/ip_block.h"
#include <arpa/inet.h>

#define V4_PREFIX_BITS 96
static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

static struct ip of_v4(const void *four)
{
    struct ip ip = { .is_known = true };
    memcpy(ip.b, v4_prefix, sizeof(v4_prefix));
    memcpy(ip.b + sizeof(v4_prefix), four, 4);
    return ip;
}

struct ip ip_of_addr(const struct addr *a)
{
    struct ip ip = { 0 };
    if (a->sa.sa_family == AF_INET)
        return of_v4(&a->v4.sin_addr);
    if (a->sa.sa_family != AF_INET6)
        return ip;
    memcpy(ip.b, &a->v6.sin6_addr, sizeof(ip.b));
    ip.is_known = true;
    return ip;
}

struct ip ip_of_text(struct sv text)
{
    char z[INET6_ADDRSTRLEN];
    uint8_t four[4];
    struct ip ip = { 0 };
    if (sv_starts(text, SV("[")) && sv_ends(text, SV("]")))
        text = sv_sub(text, 1, text.len - 2);
    if (!sv_to_z(text, z, sizeof(z)))
        return ip;
    if (inet_pton(AF_INET, z, four) == 1)
        return of_v4(four);
    ip.is_known = inet_pton(AF_INET6, z, ip.b) == 1;
    return ip;
}

int ip_block_parse(struct sv text, struct ip_block *ret, struct err *err)
{
    size_t slash = sv_index(text, '/');
    struct sv host = sv_sub(text, 0, slash);
    struct ip ip = ip_of_text(host);
    size_t offset = sv_index(host, ':') == host.len ? V4_PREFIX_BITS : 0;
    uint64_t bits = 128 - offset;
    if (!ip.is_known ||
        (slash < text.len && (!sv_to_u64(sv_from(text, slash + 1), &bits) || bits > 128 - offset)))
        return err_set(err, ERR_USAGE, "'%.*s' is no IP address and no CIDR block",
                       SV_ARG(sv_sub(text, 0, 60)));
    *ret = (struct ip_block){ .bits = (uint8_t)(bits + offset) };
    memcpy(ret->b, ip.b, sizeof(ret->b));
    return 0;
}

bool ip_block_has(const struct ip_block *block, const struct ip *ip)
{
    size_t whole = block->bits / 8, rest = block->bits % 8;
    if (!ip->is_known || memcmp(block->b, ip->b, whole) != 0)
        return false;
    return rest == 0 || (block->b[whole] ^ ip->b[whole]) >> (8 - rest) == 0;
}

static void put_bytes(struct buf *to, const uint8_t b[16], bool is_v4)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? b + sizeof(v4_prefix) : b, text,
                  sizeof(text)))
        buf_put(to, sv_z(text));
}

static bool is_v4(const uint8_t b[16])
{
    return memcmp(b, v4_prefix, sizeof(v4_prefix)) == 0;
}

void ip_put(struct buf *to, const struct ip *ip)
{
    put_bytes(to, ip->b, is_v4(ip->b));
}

void ip_block_put(struct buf *to, const struct ip_block *block)
{
    bool is_4 = is_v4(block->b) && block->bits >= V4_PREFIX_BITS;
    put_bytes(to, block->b, is_4);
    buf_printf(to, "/%d", block->bits - (is_4 ? V4_PREFIX_BITS : 0));
}
