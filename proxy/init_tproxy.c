/* SPDX-License-Identifier: Apache-2.0
 * init_tproxy.c - Istio's rules for TPROXY, under names of our own.
 *
 * Connections to the application are handed to the sidecar's inbound port as they are: no address is
 * rewritten, so the socket tells both ends. The sidecar then calls the application from the caller's
 * own address. Three marks keep that apart, on the loopback interface where both meet:
 *   - 1337 on a packet: for a socket of this namespace, whosever the address is. A routing rule (init.c)
 *     sends such packets to the loopback interface. The sidecar's own packets to the application have it.
 *   - 1337 on a connection: the sidecar's to the application. What the application answers on it is
 *     marked, or it would leave for the caller.
 *   - 1338: the sidecar has called its own pod, by a Service's address: that is inbound again.
 * Packets of connections that exist already go where their socket is. Outbound is as ever
 * (init_rules.c). */
#include "proxy/init_rules.h"
#include <stdio.h>

static void iptables_take(struct buf *to, const char *which)
{
    buf_printf(to,
               "-A TULLE_INBOUND -p tcp%s -m conntrack --ctstate RELATED,ESTABLISHED -j "
               "TULLE_DIVERT\n-A TULLE_INBOUND -p tcp%s -j TULLE_TPROXY\n",
               which, which);
}

static void iptables_in(const struct capture *c, bool is_v6, struct buf *to)
{
    char which[32];
    buf_printf(to,
               "-A TULLE_INBOUND -m mark --mark %d -j CONNMARK --save-mark\n"
               "-A TULLE_INBOUND -m mark --mark %d -j RETURN\n"
               "-A TULLE_INBOUND -i lo -s %s -j RETURN\n"
               "-A TULLE_INBOUND -i lo -m mark ! --mark %d -j RETURN\n"
               "-A TULLE_INBOUND -p tcp --dport %d -j RETURN\n",
               CAPTURE_TPROXY_MARK, CAPTURE_TPROXY_MARK, is_v6 ? "::6/128" : "127.0.0.6/32",
               CAPTURE_SELF_MARK, CAPTURE_HBONE);
    for (size_t i = 0; c->in.is_all && i < c->not_in.len; i++)
        buf_printf(to, "-A TULLE_INBOUND -p tcp --dport %u -j RETURN\n", c->not_in.list[i]);
    if (c->in.is_all)
        iptables_take(to, "");
    for (size_t i = 0; !c->in.is_all && i < c->in.len; i++) {
        snprintf(which, sizeof(which), " --dport %u", c->in.list[i]);
        iptables_take(to, which);
    }
}

void capture_iptables_mangle(const struct capture *c, bool is_v6, bool has_jumps, struct buf *to)
{
    static const char *const chains[] = { "TULLE_DIVERT", "TULLE_TPROXY", "TULLE_INBOUND",
                                          "TULLE_OUTPUT" };
    const char *self = is_v6 ? "::1/128" : "127.0.0.1/32";
    buf_printf(to, "*mangle\n");
    for (size_t i = 0; i < NELEMS(chains); i++)
        buf_printf(to, ":%s - [0:0]\n", chains[i]);
    buf_printf(
        to,
        "-A TULLE_DIVERT -j MARK --set-mark %d\n-A TULLE_DIVERT -j ACCEPT\n"
        "-A TULLE_TPROXY ! -d %s -p tcp -j TPROXY --tproxy-mark %d/0xffffffff --on-port %u\n",
        CAPTURE_TPROXY_MARK, self, CAPTURE_TPROXY_MARK, c->inbound);
    iptables_in(c, is_v6, to);
    buf_printf(to,
               "-A TULLE_OUTPUT -o lo -m mark --mark %d -j RETURN\n"
               "-A TULLE_OUTPUT -o lo ! -d %s -m owner --uid-owner %u -j MARK --set-mark %d\n"
               "-A TULLE_OUTPUT -o lo ! -d %s -m owner --gid-owner %u -j MARK --set-mark %d\n"
               "-A TULLE_OUTPUT -m connmark --mark %d -j CONNMARK --restore-mark\n",
               CAPTURE_TPROXY_MARK, self, c->uid, CAPTURE_SELF_MARK, self, c->gid,
               CAPTURE_SELF_MARK, CAPTURE_TPROXY_MARK);
    if (!has_jumps)
        buf_printf(to, "-A PREROUTING -p tcp -j TULLE_INBOUND\n-A OUTPUT -p tcp -j TULLE_OUTPUT\n");
    buf_printf(to, "COMMIT\n");
}

/* tproxy's own target has a family. */
static void nft_take(const struct capture *c, bool has_v6, struct buf *to)
{
    buf_printf(
        to,
        "\tchain take_in {\n\t\tct state established,related meta mark set %d accept\n"
        "\t\tip daddr != 127.0.0.1 meta l4proto tcp tproxy ip to :%u meta mark set %d accept\n",
        CAPTURE_TPROXY_MARK, c->inbound, CAPTURE_TPROXY_MARK);
    if (has_v6)
        buf_printf(
            to, "\t\tip6 daddr != ::1 meta l4proto tcp tproxy ip6 to :%u meta mark set %d accept\n",
            c->inbound, CAPTURE_TPROXY_MARK);
    buf_printf(to, "\t}\n");
}

static void nft_in(const struct capture *c, bool has_v6, struct buf *to)
{
    buf_printf(to,
               "\tchain tproxy_in {\n\t\tmeta mark %d ct mark set %d return\n"
               "\t\tiifname \"lo\" ip saddr 127.0.0.6 return\n",
               CAPTURE_TPROXY_MARK, CAPTURE_TPROXY_MARK);
    if (has_v6)
        buf_printf(to, "\t\tiifname \"lo\" ip6 saddr ::6 return\n");
    buf_printf(to, "\t\tiifname \"lo\" meta mark != %d return\n\t\ttcp dport %d return\n",
               CAPTURE_SELF_MARK, CAPTURE_HBONE);
    for (size_t i = 0; c->in.is_all && i < c->not_in.len; i++)
        buf_printf(to, "\t\ttcp dport %u return\n", c->not_in.list[i]);
    if (c->in.is_all)
        buf_printf(to, "\t\tjump take_in\n");
    for (size_t i = 0; !c->in.is_all && i < c->in.len; i++)
        buf_printf(to, "\t\ttcp dport %u jump take_in\n", c->in.list[i]);
    buf_printf(to, "\t}\n");
}

static void nft_out(const struct capture *c, bool has_v6, struct buf *to)
{
    static const char *const selves[] = { "ip daddr != 127.0.0.1", "ip6 daddr != ::1" };
    buf_printf(to, "\tchain tproxy_out {\n\t\toifname \"lo\" meta mark %d return\n",
               CAPTURE_TPROXY_MARK);
    for (size_t i = 0; i < (has_v6 ? 2 : 1); i++)
        buf_printf(to,
                   "\t\toifname \"lo\" %s meta skuid %u meta mark set %d\n"
                   "\t\toifname \"lo\" %s meta skgid %u meta mark set %d\n",
                   selves[i], c->uid, CAPTURE_SELF_MARK, selves[i], c->gid, CAPTURE_SELF_MARK);
    buf_printf(to, "\t\tct mark %d meta mark set %d\n\t}\n", CAPTURE_TPROXY_MARK,
               CAPTURE_TPROXY_MARK);
}

void capture_nft_mangle(const struct capture *c, bool has_v6, struct buf *to)
{
    const char *tcp = has_v6 ? "meta l4proto tcp" : "meta nfproto ipv4 meta l4proto tcp";
    nft_take(c, has_v6, to);
    nft_in(c, has_v6, to);
    nft_out(c, has_v6, to);
    buf_printf(
        to,
        "\tchain mangle_in {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n"
        "\t\t%s jump tproxy_in\n\t}\n"
        "\tchain mangle_out {\n\t\ttype route hook output priority mangle; policy accept;\n"
        "\t\t%s jump tproxy_out\n\t}\n",
        tcp, tcp);
}
