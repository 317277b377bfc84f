/* SPDX-License-Identifier: Apache-2.0
 * caller.c - the address of the original caller, as far as it can be believed.
 *
 * Every proxy in front of us appends the address it sees to X-Forwarded-For, so of the whole list only as
 * many from its end are true as there are such proxies. A sidecar trusts one, the sidecar or gateway before it;
 * a gateway trusts --xff-trusted-hops, as Envoy's xff_num_trusted_hops, and nobody by default. Whatever is no
 * address, or a list that is too short, says nothing: then it is the peer. */
#include "proxy/stream.h"

/* The n-th address from the end of all X-Forwarded-For fields, which are one list; n from 1. */
static struct sv nth_from_end(const struct stream *s, uint64_t n)
{
    const struct http_head *h = s->req;
    for (size_t i = h->headers_len; i-- > 0;) {
        if (s->req_fields[i] != FIELD_XFF)
            continue;
        for (struct sv rest = h->headers[i].value; rest.len;) {
            size_t comma = sv_rindex(rest, ',');
            bool is_first = comma == rest.len;
            if (--n == 0)
                return sv_trim(is_first ? rest : sv_from(rest, comma + 1));
            rest = is_first ? SV_NONE : sv_sub(rest, 0, comma);
        }
    }
    return SV_NONE;
}

static struct sv forwarded(const struct stream *s)
{
    uint64_t hops = s->side == SIDE_INBOUND   ? 1
                    : s->side == SIDE_GATEWAY ? s->worker->opt->xff_hops
                                              : 0;
    struct sv text = hops ? nth_from_end(s, hops) : SV_NONE;
    return ip_of_text(text).is_known ? text : SV_NONE;
}

struct ip caller_ip(const struct stream *s)
{
    struct sv text = forwarded(s);
    return text.len ? ip_of_text(text) : ip_of_addr(conn_peer(s->down->conn));
}

struct sv caller_text(const struct stream *s, char out[ADDR_TEXT_SIZE])
{
    struct sv text = s->side == SIDE_GATEWAY ? forwarded(s) : SV_NONE;
    return text.len ? text : addr_host(conn_peer(s->down->conn), out);
}
