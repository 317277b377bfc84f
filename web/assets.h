/* assets.h - the dashboard's files, compiled into the program.
 *
 * Every asset is static and read-only for the life of the program; any thread may ask. Bytes are
 * kept gzip-compressed only: nearly every client takes them so, and asset_plain() is for the rest. */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/sv.h"

struct asset {
    struct sv path;         /* "/index.html", "/app.3f9c21ab04de.js" */
    struct sv content_type; /* "text/html; charset=utf-8" */
    struct sv etag;         /* with its quotes: "\"9b1f...\""; of the plain bytes */
    struct sv gzip;         /* the body for Content-Encoding: gzip */
    size_t plain_bytes;     /* size of the body uncompressed */
    bool is_immutable;      /* the name carries the content's hash: Cache-Control: public,
                        * max-age=31536000, immutable. Otherwise: no-cache (ask with the ETag). */
};

/* The asset a request path (no query, starts with '/') names, NULL when there is none. "/" is
 * "/index.html"; "/traces", "/search" and "/trace/{id}" are "/trace.html", whatever the id. */
const struct asset *asset_find(struct sv path);
/* The i-th of all assets in path order, NULL past the last. */
const struct asset *asset_at(size_t i);
/* Appends the uncompressed body to out; for clients that do not accept gzip. ERR_NOMEM. */
int asset_plain(const struct asset *a, struct buf *out, struct err *err) MUST_USE;

/* What the page needs to be allowed to do, as a Content-Security-Policy value. */
#define ASSETS_CSP                                                                                 \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#endif
