/* SPDX-License-Identifier: Apache-2.0
 * collector_url.c - reads the collector's URL once, at start, where a mistake can still be told. */
#include "proxy/telemetry/collector_url.h"

#define DEFAULT_PORT 4318 /* OTLP over HTTP */

static bool is_plain(struct sv s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] == '?' || s.p[i] == '#' || s.p[i] == '@' || s.p[i] == 127)
            return false;
    return true;
}

int collector_url_parse(struct sv text, struct collector_url *ret, struct err *err)
{
    struct collector_url url = { .port = DEFAULT_PORT };
    uint64_t port = DEFAULT_PORT;
    if (sv_starts(text, SV("https://")))
        return err_set(err, ERR_USAGE, "collector %.*s: https is not supported yet", SV_ARG(text));
    if (!sv_starts(text, SV("http://")) || !is_plain(text))
        return err_set(err, ERR_USAGE, "collector '%.*s': expected http://HOST:PORT", SV_ARG(text));
    struct sv rest = sv_from(text, sizeof("http://") - 1);
    url.authority = sv_sub(rest, 0, sv_index(rest, '/'));
    url.prefix = sv_from(rest, url.authority.len);
    while (url.prefix.len && url.prefix.p[url.prefix.len - 1] == '/')
        url.prefix.len--;
    size_t end = sv_starts(url.authority, SV("[")) ? sv_index(url.authority, ']') : 0;
    size_t colon = end + sv_index(sv_from(url.authority, end), ':');
    url.host = sv_sub(url.authority, end ? 1 : 0, end ? end - 1 : colon);
    bool is_port = colon >= url.authority.len ||
                   (sv_to_u64(sv_from(url.authority, colon + 1), &port) && port && port <= 65535);
    if (!url.host.len || !is_port || end >= url.authority.len)
        return err_set(err, ERR_USAGE, "collector '%.*s': expected http://HOST:PORT", SV_ARG(text));
    url.port = (uint16_t)port;
    *ret = url;
    return 0;
}
