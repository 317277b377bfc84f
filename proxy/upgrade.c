/* SPDX-License-Identifier: Apache-2.0
 * upgrade.c - does a request ask for another protocol on its connection, and was that agreed to?
 *
 * What follows an upgrade is bytes that nobody here looks at. So it must be beyond doubt that both
 * ends mean the same: one protocol, asked for once, by a request without a body, and named again in
 * the 101. HTTP itself is not carried in this way: requests inside the tunnel would pass routes and
 * authorization unseen. A list of protocols is left out too, because which of them was meant is only
 * known afterwards. What is not carried makes an ordinary request of it, which the upstream answers
 * as if nobody had asked. */
#include "proxy/upgrade.h"

/* What a protocol may be called: token, or token/token. */
static bool is_name(struct sv protocol)
{
    for (size_t i = 0; i < protocol.len; i++) {
        char c = protocol.p[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (c == '\0' || !strchr("!#$%&'*+-.^_`|~/", c)))
            return false;
    }
    return protocol.len > 0;
}

static bool is_http(struct sv protocol)
{
    static const struct sv names[] = { { "h2c", 3 }, { "h2", 2 }, { "http", 4 } };
    struct sv name = sv_sub(protocol, 0, sv_index(protocol, '/'));
    for (size_t i = 0; i < NELEMS(names); i++)
        if (sv_eq_nocase(name, names[i]))
            return true;
    return false;
}

/* The value of the one Upgrade field; empty when there are several. */
static struct sv only_upgrade(const struct http_head *h)
{
    struct sv found = SV_NONE;
    for (size_t i = 0; i < h->headers_len; i++) {
        if (!sv_eq_nocase(h->headers[i].name, SV("upgrade")))
            continue;
        if (found.p)
            return SV_NONE;
        found = h->headers[i].value;
    }
    return found;
}

struct sv upgrade_wanted(const struct http_head *req)
{
    bool has_body = req->is_chunked || (req->has_length && req->content_length > 0);
    if (!req->is_upgrade || req->minor == 0 || has_body)
        return SV_NONE;
    struct sv protocol = only_upgrade(req);
    return is_name(protocol) && !is_http(protocol) ? protocol : SV_NONE;
}

bool upgrade_is_agreed(const struct http_head *response, struct sv wanted)
{
    return response->status == 101 && wanted.len && sv_eq_nocase(only_upgrade(response), wanted);
}
