/* addr.h - an IPv4 or IPv6 socket address and its text. Names are never looked up here. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include "base/err.h"
#include "base/sv.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

/* host: "127.0.0.1", "::1", "[::1]" or "localhost" (which is 127.0.0.1). */
int addr_parse(struct sv host, uint16_t port, struct addr *ret, struct err *err) MUST_USE;
/* "127.0.0.1:8080", "[::1]:8080" */
int addr_parse_host_port(struct sv text, struct addr *ret, struct err *err) MUST_USE;
socklen_t addr_len(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* An IPv4 address mapped into IPv6 becomes IPv4; others stay. */
struct addr addr_unmapped(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);

#define ADDR_TEXT_SIZE 56
/* "127.0.0.1:8080", "[::1]:8080", "-" for an address never set; the view looks into out. */
struct sv addr_text(const struct addr *a, char out[ADDR_TEXT_SIZE]);
/* Only the host: "127.0.0.1", "::1"; an IPv4 address mapped into IPv6 reads as IPv4. */
struct sv addr_host(const struct addr *a, char out[ADDR_TEXT_SIZE]);

#endif
