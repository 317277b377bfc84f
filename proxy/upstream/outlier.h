/* outlier.h - which endpoints failed too often in a row and are left out for a while.
 *
 * State is a worker's own and kept by the endpoint's text, so it survives a reload of the
 * configuration; the policy is looked at anew each time, from the cluster a request goes to. An
 * endpoint in several clusters is one endpoint: what it does wrong in one counts in all that have a
 * policy. Times are monotonic. One thread: the worker's. */
#ifndef PROXY_UPSTREAM_OUTLIER_H
#define PROXY_UPSTREAM_OUTLIER_H

#include "base/map.h"
#include "proxy/config/mesh.h"

struct outlier {
    struct map hosts; /* endpoint text to struct host; only those that failed lately */
    size_t ejected_len;
};

enum outlier_sign {
    OUTLIER_OK,            /* an answer below 500 */
    OUTLIER_5XX,           /* any other of 500 and above */
    OUTLIER_GATEWAY_ERROR, /* 502, 503, 504 */
    OUTLIER_NO_ANSWER,     /* refused, reset, timed out: counts as a gateway error, or by itself */
};
enum outlier_verdict {
    OUTLIER_UNCHANGED,
    OUTLIER_EJECTED,
    OUTLIER_SPARED, /* due, but too many are out already */
};

void outlier_done(struct outlier *o); /* all-zero is the empty state */

/* What a try through c at e came to. ret_out_ns: with OUTLIER_EJECTED, for how long; may be NULL.
 * Without a policy, or memory, nothing changes. */
enum outlier_verdict outlier_report(struct outlier *o, const struct cluster *c,
                                    const struct endpoint *e, enum outlier_sign sign,
                                    int64_t now_ns, int64_t *ret_out_ns);
enum outlier_sign outlier_sign_of(unsigned status);
/* e was asked although it is ejected, and has answered well: it is in again. Whether it was out until now. */
bool outlier_pardon(struct outlier *o, const struct endpoint *e, int64_t now_ns);

/* Nanoseconds until e takes requests again; 0 when it does now. */
int64_t outlier_out_ns(struct outlier *o, const struct endpoint *e, int64_t now_ns);
/* Whether c leaves its ejected endpoints out now: it has a policy, some are ejected, and enough are
 * not (minHealthPercent). */
bool outlier_is_in_force(struct outlier *o, const struct cluster *c, int64_t now_ns);
/* How many are out now, all clusters together. */
size_t outlier_count(struct outlier *o, int64_t now_ns);

#endif
