/* batch_copy.h - deep copies of spans and calls. Private to store/. */
#ifndef STORE_BATCH_COPY_H
#define STORE_BATCH_COPY_H

#include "model/batch.h"

/* A batch that shares nothing with b. Gives; NULL when memory is out. */
struct batch *batch_copy(const struct batch *b) MUST_USE;

#endif
