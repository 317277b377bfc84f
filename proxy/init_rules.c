/* SPDX-License-Identifier: Apache-2.0
 * init_rules.c - Istio's rules, under names of our own.
 *
 * Inbound: what comes from outside goes to the inbound port. Outbound: what the application calls goes
 * to the outbound port. Left alone are the sidecar's own connections, by user and by group, and what
 * stays on the loopback interface; but when the sidecar calls its own pod there by a Service's address,
 * that is inbound again. The sidecar calls the application from 127.0.0.6 (::6), which passes first:
 * otherwise it would be sent back to the sidecar for ever. With TPROXY inbound is init_tproxy.c's.
 *
 * Both texts replace what was there in one transaction, so running them twice is running them once. */
#include "proxy/init_rules.h"

int capture_read_ports(struct sv text, const char *what, struct capture_ports *ret, struct err *err)
{
    struct sv all = sv_trim(text);
    *ret = (struct capture_ports){ .is_all = sv_eq(all, SV("*")) };
    if (ret->is_all)
        return 0;
    for (struct sv one; all.len && sv_cut(&all, ',', &one);) {
        uint64_t port;
        if (!sv_to_u64(sv_trim(one), &port) || port == 0 || port > UINT16_MAX)
            return err_set(err, ERR_USAGE, "--%s: '%.*s' is no port from 1 to 65535", what,
                           SV_ARG(sv_sub(one, 0, 60)));
        if (ret->len == CAPTURE_MAX)
            return err_set(err, ERR_LIMIT, "--%s: more than %d", what, CAPTURE_MAX);
        ret->list[ret->len++] = (uint16_t)port;
    }
    return 0;
}

int capture_read_nets(struct sv text, const char *what, struct capture_nets *ret, struct err *err)
{
    struct sv all = sv_trim(text);
    *ret = (struct capture_nets){ .is_all = sv_eq(all, SV("*")) };
    if (ret->is_all)
        return 0;
    for (struct sv one; all.len && sv_cut(&all, ',', &one);) {
        struct ip_block block;
        struct err why = { 0 };
        one = sv_trim(one);
        if (ip_block_parse(one, &block, &why) < 0)
            return err_set(err, ERR_USAGE, "--%s: %s", what, why.why);
        if (ret->len == CAPTURE_MAX)
            return err_set(err, ERR_LIMIT, "--%s: more than %d", what, CAPTURE_MAX);
        ret->is_v6[ret->len] = sv_index(one, ':') < one.len;
        ret->list[ret->len++] = one;
    }
    return 0;
}

/* One rule for each port. */
static void for_ports(struct buf *to, const struct capture_ports *ports, const char *before,
                      const char *after)
{
    for (size_t i = 0; i < ports->len; i++)
        buf_printf(to, "%s%u%s\n", before, ports->list[i], after);
}

static void for_nets(struct buf *to, const struct capture_nets *nets, bool is_v6,
                     const char *before, const char *after)
{
    for (size_t i = 0; i < nets->len; i++)
        if (nets->is_v6[i] == is_v6)
            buf_printf(to, "%s%.*s%s\n", before, SV_ARG(nets->list[i]), after);
}

static void iptables_inbound(const struct capture *c, struct buf *to)
{
    buf_printf(to, "-A TULLE_INBOUND -p tcp --dport %d -j RETURN\n", CAPTURE_HBONE);
    if (!c->in.is_all) {
        for_ports(to, &c->in, "-A TULLE_INBOUND -p tcp --dport ", " -j TULLE_IN_REDIRECT");
        return;
    }
    for_ports(to, &c->not_in, "-A TULLE_INBOUND -p tcp --dport ", " -j RETURN");
    buf_printf(to, "-A TULLE_INBOUND -p tcp -j TULLE_IN_REDIRECT\n");
}

static void iptables_own(struct buf *to, const char *self, const char *who, uint32_t id)
{
    buf_printf(to,
               "-A TULLE_OUTPUT -o lo ! -d %s -p tcp ! --dport %d -m owner --%s-owner %u "
               "-j TULLE_IN_REDIRECT\n",
               self, CAPTURE_HBONE, who, id);
    buf_printf(to, "-A TULLE_OUTPUT -o lo -m owner ! --%s-owner %u -j RETURN\n", who, id);
    buf_printf(to, "-A TULLE_OUTPUT -m owner --%s-owner %u -j RETURN\n", who, id);
}

static void iptables_outbound(const struct capture *c, bool is_v6, struct buf *to)
{
    const char *self = is_v6 ? "::1/128" : "127.0.0.1/32";
    if (c->is_tproxy)
        buf_printf(to, "-A TULLE_OUTPUT -o lo -m mark --mark %d -j RETURN\n", CAPTURE_TPROXY_MARK);
    buf_printf(to, "-A TULLE_OUTPUT -o lo -s %s -j RETURN\n", is_v6 ? "::6/128" : "127.0.0.6/32");
    for_ports(to, &c->not_out, "-A TULLE_OUTPUT -p tcp --dport ", " -j RETURN");
    iptables_own(to, self, "uid", c->uid);
    iptables_own(to, self, "gid", c->gid);
    buf_printf(to, "-A TULLE_OUTPUT -d %s -j RETURN\n", self);
    for_nets(to, &c->not_out_nets, is_v6, "-A TULLE_OUTPUT -d ", " -j RETURN");
    for_ports(to, &c->out, "-A TULLE_OUTPUT -p tcp --dport ", " -j TULLE_REDIRECT");
    for_nets(to, &c->out_nets, is_v6, "-A TULLE_OUTPUT -d ", " -j TULLE_REDIRECT");
    if (c->out_nets.is_all || c->out.is_all)
        buf_printf(to, "-A TULLE_OUTPUT -j TULLE_REDIRECT\n");
}

void capture_iptables(const struct capture *c, bool is_v6, bool has_jumps, struct buf *to)
{
    static const char *const chains[] = { "TULLE_INBOUND", "TULLE_IN_REDIRECT", "TULLE_OUTPUT",
                                          "TULLE_REDIRECT" };
    if (c->is_tproxy)
        capture_iptables_mangle(c, is_v6, has_jumps, to);
    buf_printf(to, "*nat\n");
    for (size_t i = 0; i < NELEMS(chains); i++)
        buf_printf(to, ":%s - [0:0]\n", chains[i]);
    buf_printf(to, "-A TULLE_REDIRECT -p tcp -j REDIRECT --to-ports %u\n", c->outbound);
    buf_printf(to, "-A TULLE_IN_REDIRECT -p tcp -j REDIRECT --to-ports %u\n", c->inbound);
    if (!c->is_tproxy)
        iptables_inbound(c, to);
    iptables_outbound(c, is_v6, to);
    if (!has_jumps && !c->is_tproxy)
        buf_printf(to, "-A PREROUTING -p tcp -j TULLE_INBOUND\n");
    if (!has_jumps)
        buf_printf(to, "-A OUTPUT -p tcp -j TULLE_OUTPUT\n");
    buf_printf(to, "COMMIT\n");
}

static void nft_own(struct buf *to, const char *who, uint32_t id, bool has_v6)
{
    const char *const selves[] = { "ip daddr != 127.0.0.1", "ip6 daddr != ::1" };
    for (size_t i = 0; i < (has_v6 ? 2 : 1); i++)
        buf_printf(to, "\t\toifname \"lo\" %s tcp dport != %d meta %s %u jump in_redirect\n",
                   selves[i], CAPTURE_HBONE, who, id);
    buf_printf(to, "\t\toifname \"lo\" meta %s != %u return\n", who, id);
    buf_printf(to, "\t\tmeta %s %u return\n", who, id);
}

static void nft_nets(struct buf *to, const struct capture_nets *nets, bool has_v6,
                     const char *after)
{
    for_nets(to, nets, false, "\t\tip daddr ", after);
    if (has_v6)
        for_nets(to, nets, true, "\t\tip6 daddr ", after);
}

static void nft_output(const struct capture *c, bool has_v6, struct buf *to)
{
    buf_printf(to, "\tchain output {\n");
    if (c->is_tproxy)
        buf_printf(to, "\t\toifname \"lo\" meta mark %d return\n", CAPTURE_TPROXY_MARK);
    buf_printf(to, "\t\toifname \"lo\" ip saddr 127.0.0.6 return\n");
    if (has_v6)
        buf_printf(to, "\t\toifname \"lo\" ip6 saddr ::6 return\n");
    for_ports(to, &c->not_out, "\t\ttcp dport ", " return");
    nft_own(to, "skuid", c->uid, has_v6);
    nft_own(to, "skgid", c->gid, has_v6);
    buf_printf(to, "\t\tip daddr 127.0.0.1 return\n");
    if (has_v6)
        buf_printf(to, "\t\tip6 daddr ::1 return\n");
    nft_nets(to, &c->not_out_nets, has_v6, " return");
    for_ports(to, &c->out, "\t\ttcp dport ", " jump redirect_out");
    nft_nets(to, &c->out_nets, has_v6, " jump redirect_out");
    if (c->out_nets.is_all || c->out.is_all)
        buf_printf(to, "\t\tjump redirect_out\n");
    buf_printf(to, "\t}\n");
}

static void nft_inbound(const struct capture *c, const char *tcp, struct buf *to)
{
    buf_printf(to, "\tchain inbound {\n\t\ttcp dport %d return\n", CAPTURE_HBONE);
    if (c->in.is_all) {
        for_ports(to, &c->not_in, "\t\ttcp dport ", " return");
        buf_printf(to, "\t\tjump in_redirect\n");
    } else {
        for_ports(to, &c->in, "\t\ttcp dport ", " jump in_redirect");
    }
    buf_printf(to, "\t}\n");
    buf_printf(
        to,
        "\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
        "\t\t%s jump inbound\n\t}\n",
        tcp);
}

void capture_nft(const struct capture *c, bool has_v6, struct buf *to)
{
    const char *tcp = has_v6 ? "meta l4proto tcp" : "meta nfproto ipv4 meta l4proto tcp";
    buf_printf(to, CAPTURE_NFT_UNDO "table inet tulle {\n");
    buf_printf(to, "\tchain redirect_out {\n\t\tmeta l4proto tcp redirect to :%u\n\t}\n",
               c->outbound);
    buf_printf(to, "\tchain in_redirect {\n\t\tmeta l4proto tcp redirect to :%u\n\t}\n",
               c->inbound);
    if (c->is_tproxy)
        capture_nft_mangle(c, has_v6, to);
    else
        nft_inbound(c, tcp, to);
    nft_output(c, has_v6, to);
    buf_printf(to,
               "\tchain local {\n\t\ttype nat hook output priority -100; policy accept;\n"
               "\t\t%s jump output\n\t}\n}\n",
               tcp);
}
