/* cells.h - the blob of an edge's bucket. Private to store/sqlite/. */
#ifndef SQLITE_CELLS_H
#define SQLITE_CELLS_H

#include "model/edge.h"

/* Replaces out by b's cells; scratch is overwritten. -1 when memory is out. */
int cells_encode(const struct edge_bucket *b, struct buf *out, struct buf *scratch) MUST_USE;
/* Merges what is in the blob into b. */
int cells_merge(struct sv in, struct edge_bucket *b, struct err *err) MUST_USE;

#endif
