/* SPDX-License-Identifier: Apache-2.0
 * init_rules.h - the rules that bring a pod's connections to its sidecar, as text for iptables-restore
 * and for nft. */
#ifndef PROXY_INIT_RULES_H
#define PROXY_INIT_RULES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "proxy/authz/ip_block.h"

#define CAPTURE_MAX 128 /* of one list; every connection walks them */

#define CAPTURE_HBONE        15008 /* a tunnel of its own, not ours to take */
/* Istio's marks and routing table of TPROXY: init_tproxy.c. */
#define CAPTURE_TPROXY_MARK  1337
#define CAPTURE_SELF_MARK    1338
#define CAPTURE_TPROXY_TABLE "133"

struct capture_ports {
    uint16_t list[CAPTURE_MAX];
    size_t len;
    bool is_all; /* "*" */
};
struct capture_nets {
    struct sv list[CAPTURE_MAX]; /* views into the options */
    bool is_v6[CAPTURE_MAX];
    size_t len;
    bool is_all;
};
struct capture {
    bool is_tproxy;                    /* inbound; else REDIRECT */
    uint16_t outbound, inbound;        /* ports of the sidecar */
    uint32_t uid, gid;                 /* it runs as: its own connections are left alone */
    struct capture_ports in, not_in;   /* of the application */
    struct capture_ports out, not_out; /* that it calls; `out` adds to the nets */
    struct capture_nets out_nets, not_out_nets;
};
/* "80,443", "*" and ""; what: the option's name, for err. */
int capture_read_ports(struct sv text, const char *what, struct capture_ports *ret, struct err *err)
    MUST_USE;
/* "10.0.0.0/8,fd00::/8", "*" and "". */
int capture_read_nets(struct sv text, const char *what, struct capture_nets *ret, struct err *err)
    MUST_USE;

/* For `iptables-restore --noflush`, of one family: chains of our own are made anew. has_jumps: the
 * jumps to them, for this kind of capture, are there already. */
void capture_iptables(const struct capture *c, bool is_v6, bool has_jumps, struct buf *to);
/* For `nft -f -`: both families, the table is made anew. */
void capture_nft(const struct capture *c, bool has_v6, struct buf *to);

/* The parts of both that only TPROXY has. */
void capture_iptables_mangle(const struct capture *c, bool is_v6, bool has_jumps, struct buf *to);
void capture_nft_mangle(const struct capture *c, bool has_v6, struct buf *to);

#define CAPTURE_NFT_UNDO "table inet tulle\ndelete table inet tulle\n"

#endif
