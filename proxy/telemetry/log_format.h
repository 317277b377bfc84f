/* log_format.h - access-log lines as Envoy's format strings describe them.
 *
 * Compiled once, then put for each request: texts and values in turn. */
#ifndef PROXY_TELEMETRY_LOG_FORMAT_H
#define PROXY_TELEMETRY_LOG_FORMAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "proxy/telemetry/exchange.h"

#define LOG_FORMAT_PARTS_MAX 256 /* operators and the texts between them; Istio's own has 50 */

/* The one that Istio's proxies have unless told otherwise. */
extern const char log_format_istio[];

struct log_part;
struct log_format {
    const struct log_part *parts;
    size_t len;
};

/* Into mem. ERR_USAGE for what is no operator here, with err->at in bytes from the beginning. */
int log_format_compile(struct sv text, struct arena *mem, struct log_format *ret, struct err *err)
    MUST_USE;
/* The line, without its end; what is absent is "-". Control characters become '?'. */
void log_format_put(const struct log_format *f, const struct exchange *x, struct buf *to);

#endif
