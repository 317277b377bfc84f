/* span_json.h - attributes, events and links as plain JSON, for json_extract() and ->>. Private to
 * store/sql/. Appends; errors: only the buf's `failed`. */
#ifndef SQL_SPAN_JSON_H
#define SQL_SPAN_JSON_H

#include "base/buf.h"
#include "model/span.h"

void span_json_attrs(struct buf *to, const struct attrs *a); /* an object */
void span_json_events(struct buf *to, const struct span *s); /* an array of objects */
void span_json_links(struct buf *to, const struct span *s);

#endif
