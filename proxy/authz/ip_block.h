/* ip_block.h - addresses and CIDR blocks of both families as sixteen bytes; IPv4 is ::ffff:a.b.c.d. */
#ifndef PROXY_AUTHZ_IP_BLOCK_H
#define PROXY_AUTHZ_IP_BLOCK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/sv.h"
#include "net/addr.h"

struct ip {
    uint8_t b[16];
    bool is_known; /* false: no address, in no block */
};
struct ip_block {
    uint8_t b[16];
    uint8_t bits; /* of b that count */
};

struct ip ip_of_addr(const struct addr *a);
/* "10.0.0.1", "::1", "[::1]"; anything else is not known. */
struct ip ip_of_text(struct sv text);
/* "10.0.0.0/8", "::1", "2001:db8::/32"; bits beyond the prefix are ignored. */
int ip_block_parse(struct sv text, struct ip_block *ret, struct err *err) MUST_USE;
bool ip_block_has(const struct ip_block *block, const struct ip *ip);
/* As they are written: "10.0.0.1", "fd00::5"; "10.0.0.0/8". The address must be known. */
void ip_put(struct buf *to, const struct ip *ip);
void ip_block_put(struct buf *to, const struct ip_block *block);

#endif
