/* once.c - telling repeated JSON texts apart by their own bytes: a trace of thousands of spans has a
 * handful of resources, and they come from different exports at different addresses. */
#include "query/once.h"

void once_done(struct once *o)
{
    map_done(&o->index);
    buf_done(&o->list);
    buf_done(&o->one);
}

int once_put(struct once *o, size_t *ret_index)
{
    struct sv text = buf_sv(&o->one);
    uintptr_t at = (uintptr_t)map_get(&o->index, text);
    if (!at) {
        at = o->index.len + 1;
        if (o->one.failed || map_put(&o->index, text, (void *)at, NULL) < 0)
            return -1;
        if (o->list.len)
            buf_putc(&o->list, ',');
        buf_put(&o->list, text);
    }
    buf_clear(&o->one);
    *ret_index = at - 1;
    return 0;
}
