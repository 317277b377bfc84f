/* fuzz_pb.c - any bytes as a protobuf message: views stay inside the input, and what was read,
 * written again, reads the same. */
#include "wire/pb.h"

static void rewrite(struct sv in, struct buf *out, struct err *err)
{
    struct rd r = rd_of(in);
    for (struct pb_tag t; pb_next(&r, &t);) {
        switch (t.wire) {
        case PB_VARINT: pb_put_varint(out, t.field, pb_varint(&r, t)); break;
        case PB_FIXED64: pb_put_fixed64(out, t.field, pb_fixed64(&r, t)); break;
        case PB_FIXED32: pb_put_fixed32(out, t.field, pb_fixed32(&r, t)); break;
        case PB_BYTES: {
            struct sv s = pb_bytes(&r, t);
            INVARIANT(s.len == 0 || (s.p >= in.p && s.p + s.len <= in.p + in.len));
            size_t mark = pb_open(out, t.field);
            buf_put(out, s);
            pb_close(out, mark);
            break;
        }
        }
    }
    if (rd_finish(&r, err) < 0)
        INVARIANT(err->at <= in.len && err->why[0]);
}

/* Skipping must come to the same verdict as reading. */
static int skip_all(struct sv in)
{
    struct rd r = rd_of(in);
    for (struct pb_tag t; pb_next(&r, &t);)
        pb_skip(&r, t);
    return rd_finish(&r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct sv in = sv_of(p, n);
    AUTO_DONE(buf) first = { 0 };
    AUTO_DONE(buf) second = { 0 };
    struct err err = { 0 }, none = { 0 };
    rewrite(in, &first, &err);
    INVARIANT(skip_all(in) == (int)err.code);
    if (err.code)
        return 0;
    rewrite(buf_sv(&first), &second, &none);
    INVARIANT(none.code == 0 && sv_eq(buf_sv(&first), buf_sv(&second)) && first.len <= n);
    return 0;
}
