/* rows.h - a batch as bytes, span after span: what the journal keeps until a segment is sealed.
 * Private to store/sqlite/. The format is described in docs/store-format.md. Rows are written by
 * segment_add() (segment.h). */
#ifndef SQLITE_ROWS_H
#define SQLITE_ROWS_H

#include "model/batch.h"
#include "store/sqlite/texts.h"

/* Appends the spans and calls of in to b. They point into in. */
int rows_decode(struct sv in, struct batch *b, struct err *err) MUST_USE;

/* Shared with the segment format. */
void resource_put(struct texts_w *w, const struct resource *r);
void scope_put(struct texts_w *w, const struct scope *s);
void events_put(struct texts_w *w, const struct span *s);
void links_put(struct texts_w *w, const struct span *s);
const struct resource *resource_get(struct texts_r *r);
const struct scope *scope_get(struct texts_r *r);
void events_get(struct texts_r *r, struct span *s);
void links_get(struct texts_r *r, struct span *s);
void call_get(struct texts_r *r, struct call *c, int64_t *previous_start_ns);

#endif
