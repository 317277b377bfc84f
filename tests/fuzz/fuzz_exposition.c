/* fuzz_exposition.c - property: whatever a scraper's Accept header says, one of the three forms is
 * written, and whatever a label holds (the input behind the first line), it stays inside its quotes:
 * the text is UTF-8 and has the lines it has without the label; protobuf reads back. */
#include "query/exposition.h"
#include "wire/pb.h"

static void write_one(enum exposition_format f, struct sv value, struct buf *out)
{
    struct labels l = { .format = f };
    struct family c = family_of(f, FAMILY_COUNTER, "c", "a counter");
    labels_put(&l, "who", value);
    family_put_count(&c, &l, 1, 1);
    family_end(&c, out);
    exposition_end(f, out);
    INVARIANT(!out->failed && !l.bytes.failed);
    labels_done(&l);
}

static size_t count(struct sv text, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.p[i] == c;
    return n;
}

/* The quotes that are not escaped. */
static size_t count_quotes(struct sv text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\\')
            i++;
        else
            n += text.p[i] == '"';
    }
    return n;
}

static void read_back(struct sv bytes)
{
    struct rd r = rd_of(bytes);
    size_t values = 0;
    INVARIANT(rd_varint(&r) == rd_left(&r));
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field != 4) {
            pb_skip(&r, t);
            continue;
        }
        const uint8_t *family = pb_enter(&r, t);
        INVARIANT(pb_next(&r, &t) && t.field == 1);
        const uint8_t *metric = pb_enter(&r, t);
        for (struct pb_tag part; pb_next(&r, &part); values++)
            INVARIANT(sv_is_utf8(pb_bytes(&r, part)));
        pb_leave(&r, metric);
        pb_leave(&r, family);
    }
    INVARIANT(rd_ok(&r) && values == 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv value = sv_of(data, size), accept;
    if (!sv_cut(&value, '\n', &accept))
        accept = SV_NONE;
    enum exposition_format wanted = exposition_wanted(accept);
    INVARIANT(wanted < EXPOSITION_FORMATS_LEN && exposition_content_type(wanted));
    for (int f = 0; f < EXPOSITION_FORMATS_LEN; f++) {
        AUTO_DONE(buf) out = { 0 }, plain = { 0 };
        write_one((enum exposition_format)f, value, &out);
        write_one((enum exposition_format)f, SV_NONE, &plain);
        if (f == EXPOSITION_PROTOBUF) {
            read_back(buf_sv(&out));
            continue;
        }
        INVARIANT(sv_is_utf8(buf_sv(&out)));
        INVARIANT(count(buf_sv(&out), '\n') == count(buf_sv(&plain), '\n'));
        INVARIANT(count_quotes(buf_sv(&out)) == count_quotes(buf_sv(&plain)));
    }
    return 0;
}
