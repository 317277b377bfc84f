/* edit_values.h - values of header edits that are made for each request. */
#ifndef PROXY_EDIT_VALUES_H
#define PROXY_EDIT_VALUES_H

#include "base/buf.h"

struct stream;
/* The value that the format (route/header_format.h) means for this request. */
void edit_value_put(struct stream *s, struct sv format, struct buf *to);

#endif
