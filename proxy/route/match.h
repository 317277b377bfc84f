/* match.h - the conditions of one match block of a VirtualService, ready to be asked.
 *
 * Semantics are Istio's HTTPMatchRequest: all conditions of a block must hold; exact and prefix are
 * plain string comparisons; a regex matches the whole text; of several headers with one name the
 * first counts; query parameters are compared as sent, without decoding. Everything lives in the
 * mesh's arena, patterns excepted, which the mesh owns. */
#ifndef PROXY_ROUTE_MATCH_H
#define PROXY_ROUTE_MATCH_H

#include "proxy/route/regex.h"
#include "wire/http_msg.h"

enum text_match_kind {
    TEXT_MATCH_NONE, /* no condition */
    TEXT_MATCH_PRESENT,
    TEXT_MATCH_EXACT,
    TEXT_MATCH_PREFIX,
    TEXT_MATCH_ELEMENTS, /* a path's prefix by whole elements: "/a" is one of "/a/b", not of "/ab" */
    TEXT_MATCH_REGEX,
};
struct text_match {
    enum text_match_kind kind;
    bool ignores_case; /* exact and prefix only */
    struct sv text;
    const struct regex *regex; /* borrowed from the mesh */
};
struct named_match {
    struct sv name; /* header (compared without case) or query parameter */
    struct text_match value;
    bool is_negated; /* withoutHeaders: a missing header counts as empty */
};
struct match {
    struct text_match uri, scheme, method, authority;
    const struct named_match *headers, *params;
    size_t headers_len, params_len;
    uint16_t port; /* 0: any */
};

/* What is asked of a block. */
struct match_ask {
    const struct http_head *req;
    uint16_t port; /* the one the request meant, 0 when unknown: then no condition on it holds */
    bool is_tls;   /* how the request came, for the scheme */
};
bool match_request(const struct match *m, const struct match_ask *ask);
/* The first condition that does not hold, for people. */
struct match_miss {
    const char *what;              /* "port", "method", "uri", "header" ... */
    struct sv name;                /* of the header or parameter */
    const struct text_match *want; /* NULL for a port */
    bool is_negated;
};
/* True: some condition does not hold, and *ret is it; exactly when match_request() says no. */
bool match_find_miss(const struct match *m, const struct match_ask *ask, struct match_miss *ret);
/* present: whether there was such a value at all. */
bool text_matches(const struct text_match *m, struct sv value, bool is_present);

#endif
