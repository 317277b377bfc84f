/* A request that is taken can be sent: a host, a path that begins with a slash and is in its one spelling. */
#include "proxy/explain/request.h"
#include "proxy/route/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(arena) mem = { 0 };
    struct explain_request q = { .port = 0 };
    struct err err = { 0 };
    struct sv all = sv_of(p, MIN(n, (size_t)8192));
    size_t end = sv_index(all, '\n');
    if (explain_parse(&q, sv_sub(all, 0, end), sv_from(all, end + 1), &mem, &err) < 0) {
        INVARIANT(err.code == ERR_USAGE && err.why[0]);
        return 0;
    }
    INVARIANT(http_is_authority(q.head.authority) && q.head.path.len && q.head.path.p[0] == '/');
    char *again = arena_alloc(&mem, q.head.path.len);
    INVARIANT(again);
    memcpy(again, q.head.path.p, q.head.path.len);
    INVARIANT(sv_eq(sv_of(again, path_normalize(again, q.head.path.len)), q.head.path));
    for (size_t i = 0; i < q.head.headers_len; i++)
        INVARIANT(q.slots[i].name.len && http_is_field_value(q.slots[i].value));
    return 0;
}
