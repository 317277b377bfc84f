/* marks.h - a set of spans that forgets the oldest. One thread owns it. */
#ifndef COLLECTOR_PAIR_MARKS_H
#define COLLECTOR_PAIR_MARKS_H

#include "model/identity.h"
#include "model/span.h"

struct marks {
    size_t places;               /* a power of two, at least MARKS_PLACES_MIN */
    uint64_t *slots;             /* NULL until the first mark */
    const struct identity **who; /* of each place; NULL until the first mark that has one */
};
enum { MARKS_PLACES_MIN = 8 };

void marks_init(struct marks *m, size_t places);
void marks_done(struct marks *m);
/* The same ids may be marked on both sides. who is borrowed as long as the set lives, or NULL. -1
 * when memory is out. */
int marks_put(struct marks *m, const struct trace_id *trace, const struct span_id *id,
              bool is_calling, const struct identity *who) MUST_USE;
/* Puts it unless it is there, which is what *ret_was_there says; in one look. -1 when memory is out. */
int marks_note(struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling, bool *ret_was_there) MUST_USE;
/* Asks for the memory that marks_note() will touch. */
void marks_ask(const struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling);
/* *ret_who (NULL is fine) is what was put with it. */
bool marks_has(const struct marks *m, const struct trace_id *trace, const struct span_id *id,
               bool is_calling, const struct identity **ret_who);

#endif
