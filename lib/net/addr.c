/* addr.c - socket addresses from text and back.
 *
 * Only numeric addresses and "localhost": a name lookup blocks, and what needs one says so
 * elsewhere. An IPv4 address mapped into IPv6 prints as IPv4, so that one caller has one name. */
#include "net/addr.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

int addr_parse(struct sv host, uint16_t port, struct addr *ret, struct err *err)
{
    char z[INET6_ADDRSTRLEN];
    struct addr a;
    memset(&a, 0, sizeof(a));
    if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
        host = sv_sub(host, 1, host.len - 2);
    if (sv_eq(host, SV("localhost")))
        host = SV("127.0.0.1");
    bool fits = sv_to_z(host, z, sizeof(z));
    if (fits && inet_pton(AF_INET, z, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
    } else if (fits && inet_pton(AF_INET6, z, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
    } else {
        return err_set(err, ERR_USAGE, "'%.*s' is not an IP address", SV_ARG(host));
    }
    *ret = a;
    return 0;
}

int addr_parse_host_port(struct sv text, struct addr *ret, struct err *err)
{
    size_t colon = sv_rindex(text, ':');
    uint64_t port = 0;
    if (colon == text.len || !sv_to_u64(sv_from(text, colon + 1), &port) || port == 0 ||
        port > UINT16_MAX)
        return err_set(err, ERR_USAGE, "'%.*s' is not HOST:PORT", SV_ARG(text));
    return addr_parse(sv_sub(text, 0, colon), (uint16_t)port, ret, err);
}

socklen_t addr_len(const struct addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

uint16_t addr_port(const struct addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b))
        return false;
    return a->sa.sa_family == AF_INET6
               ? memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0
               : a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

struct addr addr_unmapped(const struct addr *a)
{
    struct addr v4 = *a;
    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        return v4;
    memset(&v4, 0, sizeof(v4));
    v4.v4.sin_family = AF_INET;
    v4.v4.sin_port = a->v6.sin6_port;
    memcpy(&v4.v4.sin_addr, &a->v6.sin6_addr.s6_addr[12], sizeof(v4.v4.sin_addr));
    return v4;
}

struct sv addr_host(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
    const void *bytes = &a->v4.sin_addr;
    int family = a->sa.sa_family;
    if (family == AF_INET6) {
        bytes = &a->v6.sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
            bytes = &a->v6.sin6_addr.s6_addr[12];
            family = AF_INET;
        }
    } else if (family != AF_INET) {
        return SV("-");
    }
    return inet_ntop(family, bytes, out, ADDR_TEXT_SIZE) ? sv_z(out) : SV("-");
}

struct sv addr_text(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
    char host[ADDR_TEXT_SIZE];
    struct sv h = addr_host(a, host);
    if (sv_eq(h, SV("-")))
        return h;
    bool has_colon = memchr(h.p, ':', h.len) != NULL;
    int n = snprintf(out, ADDR_TEXT_SIZE, has_colon ? "[%.*s]:%u" : "%.*s:%u", SV_ARG(h),
                     (unsigned)addr_port(a));
    return sv_of(out, n > 0 ? MIN((size_t)n, (size_t)ADDR_TEXT_SIZE - 1) : 0);
}
