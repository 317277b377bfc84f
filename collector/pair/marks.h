/* marks.h - spans that a proxy beside the application has taken over. One thread owns it.
 *
 * All-zero is the valid empty set. */
#ifndef COLLECTOR_PAIR_MARKS_H
#define COLLECTOR_PAIR_MARKS_H

#include "model/span.h"

struct marks {
    uint64_t *slots; /* NULL until the first mark */
};

void marks_done(struct marks *m);
/* -1 when memory is out. */
int marks_put(struct marks *m, const struct trace_id *trace, const struct span_id *id,
              bool is_calling) MUST_USE;
bool marks_has(const struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling);

#endif
