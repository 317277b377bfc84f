/* patterns_w.h - a column of texts as patterns and numbers, when it is one. Private to store/sqlite/. */
#ifndef SQLITE_PATTERNS_W_H
#define SQLITE_PATTERNS_W_H

#include "store/sqlite/dict.h"
#include "store/sqlite/stream.h"

/* Writes n rows, which are numbers of texts in d, as the two streams of a column of texts; false, and
 * nothing is written, when they do not have few patterns with numbers. mem is scratch. Latches
 * w->failed, and then answers true. */
bool patterns_put(struct streams_w *w, struct arena *mem, const struct dict *d,
                  const uint32_t *rows, size_t n);

#endif
