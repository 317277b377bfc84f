/* span_copy.h - copies of spans that share no byte with what they were made from. One thread. */
#ifndef MODEL_SPAN_COPY_H
#define MODEL_SPAN_COPY_H

#include "base/arena.h"
#include "model/span.h"

/* Makes copies into one arena. Start with { .mem = ... }. Spans copied one after the other share a
 * resource when their originals did (in the same place, so the originals must live as long). */
struct copier {
    struct arena *mem;
    const struct resource *resource_from, *resource_to;
    const struct scope *scope_from, *scope_to;
    bool failed; /* memory ran out; what was copied since is not whole */
};

struct sv copy_text(struct copier *c, struct sv s);
void copy_span(struct copier *c, const struct span *from, struct span *ret_to);

#endif
