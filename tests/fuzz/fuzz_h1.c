/* Property: how the bytes are cut does not change what the HTTP/1 codec says, for requests (first
 * byte even) and responses (odd). */
#include "base/auto.h"
#include "h1_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(buf) whole = { 0 };
    if (n < 2)
        return 0;
    enum h1_kind kind = p[0] & 1 ? H1_RESPONSE : H1_REQUEST;
    size_t steps[] = { 1, 2, (size_t)(p[0] >> 1) + 3 };
    struct sv in = sv_of(p + 1, n - 1);
    h1_trace(kind, in, 0, true, &whole);
    for (size_t i = 0; i < NELEMS(steps); i++) {
        AUTO_DONE(buf) cut = { 0 };
        h1_trace(kind, in, steps[i], true, &cut);
        INVARIANT(sv_eq(buf_sv(&whole), buf_sv(&cut)));
    }
    return 0;
}
