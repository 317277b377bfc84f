/* once.h - JSON texts that repeat (resources, scopes, processes), each kept once. One thread. */
#ifndef COLLECTOR_QUERY_ONCE_H
#define COLLECTOR_QUERY_ONCE_H

#include "base/buf.h"
#include "base/map.h"

/* Texts in order of first use. All-zero is the valid empty list. */
struct once {
    struct map index; /* text to its index + 1 */
    struct buf list;  /* the texts, joined by commas */
    struct buf one;   /* write the next text here */
};
void once_done(struct once *o);
/* The index of the text in o->one, which is cleared; -1 when memory is out. */
int once_put(struct once *o, size_t *ret_index) MUST_USE;

DEFINE_AUTO_DONE(once);

#endif
