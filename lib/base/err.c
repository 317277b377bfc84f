/* err.c - recording the first cause of a failure.
 *
 * Deep code knows why something failed, the caller only that it did; so the deepest recorder wins
 * and callers may add context in front. Nothing here allocates, so running out of memory can be
 * reported like everything else. */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int record(struct err *err, enum err_code code, size_t at, const char *fmt, va_list ap)
{
    if (err && err->code == 0) {
        err->code = code;
        err->at = at;
        vsnprintf(err->why, sizeof(err->why), fmt, ap);
    }
    return (int)code;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = record(err, code, 0, fmt, ap);
    va_end(ap);
    return rc;
}

int err_at(struct err *err, enum err_code code, size_t at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = record(err, code, at, fmt, ap);
    va_end(ap);
    return rc;
}

void err_context(struct err *err, const char *fmt, ...)
{
    if (!err || err->code == 0)
        return;
    char why[sizeof(err->why)];
    memcpy(why, err->why, sizeof(why));
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->why, sizeof(err->why), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(err->why))
        snprintf(err->why + n, sizeof(err->why) - (size_t)n, ": %s", why);
}

const char *err_code_name(int code)
{
    switch (code) {
    case 0: return "ok";
    case ERR_MALFORMED: return "malformed";
    case ERR_TRUNCATED: return "truncated";
    case ERR_LIMIT: return "limit";
    case ERR_NOMEM: return "no_memory";
    case ERR_IO: return "io";
    case ERR_NOT_FOUND: return "not_found";
    case ERR_CONFLICT: return "conflict";
    case ERR_UNSUPPORTED: return "unsupported";
    case ERR_BUSY: return "busy";
    case ERR_TLS: return "tls";
    case ERR_USAGE: return "usage";
    case ERR_CLOSED: return "closed";
    default: return "unknown";
    }
}
