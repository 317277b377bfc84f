/* Property: how the bytes are cut does not change what the HTTP/2 engine says, for servers (first byte even: a
 * preface is put in front) and clients (odd). */
#include "base/auto.h"
#include "h2_trace.h"

#define CONTINUATIONS_COUNTED (H2_CONTINUATIONS_MAX / 9 - 1)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* nghttp2 counts a CONTINUATION as often as its frame head arrives in pieces: with many of them the cut
 * decides. */
static bool is_counted_alike(struct sv frames)
{
    size_t n = 0;
    while (frames.len >= 9) {
        const unsigned char *f = (const unsigned char *)frames.p;
        n += f[3] == 9;
        frames = sv_from(frames, 9 + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]));
    }
    return n < CONTINUATIONS_COUNTED;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(buf) in = { 0 };
    AUTO_DONE(buf) whole = { 0 };
    if (n < 2 || !is_counted_alike(sv_of(p + 1, n - 1)))
        return 0;
    enum h2_side side = p[0] & 1 ? H2_CLIENT : H2_SERVER;
    const size_t steps[] = { 1, (size_t)(p[0] >> 1) + 2 };
    if (side == H2_SERVER)
        buf_put(&in, SV(H2_PREFACE));
    buf_append(&in, p + 1, n - 1);
    h2_trace(side, buf_sv(&in), 0, false, &whole);
    for (size_t i = 0; i < NELEMS(steps); i++) {
        AUTO_DONE(buf) cut = { 0 };
        h2_trace(side, buf_sv(&in), steps[i], false, &cut);
        INVARIANT(sv_eq(buf_sv(&whole), buf_sv(&cut)));
    }
    return 0;
}
