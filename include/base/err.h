/* err.h - what went wrong, where in the input, and why; the first cause is the one kept. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/auto.h"
#include <stddef.h>

enum err_code {
    ERR_MALFORMED = -1,   /* the input breaks its format */
    ERR_TRUNCATED = -2,   /* the input ends too early */
    ERR_LIMIT = -3,       /* a bound in struct limits was hit */
    ERR_NOMEM = -4,       /* allocation failed */
    ERR_IO = -5,          /* the operating system said no */
    ERR_NOT_FOUND = -6,   /* no such thing */
    ERR_CONFLICT = -7,    /* somebody else holds it, or it exists already */
    ERR_UNSUPPORTED = -8, /* understood, but not served */
    ERR_BUSY = -9,        /* try again later */
    ERR_TLS = -10,        /* handshake, certificate or key */
    ERR_USAGE = -11,      /* the operator's mistake: option, file, value */
    ERR_CLOSED = -12,     /* the peer or the object is gone */
};

struct err {
    enum err_code code; /* 0 while nothing failed */
    size_t at;          /* byte offset in the input, where one is known */
    char why[192];      /* what was found and what was expected; always terminated */
};

/* Both record the cause unless one is recorded already, and return code. err may be NULL. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_at(struct err *err, enum err_code code, size_t at, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Puts "context: " in front of a recorded cause; does nothing when none is recorded. */
void err_context(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "malformed", "truncated", ... ; static storage. */
const char *err_code_name(int code);

#endif
