/* assets.c - finds the dashboard's files among those compiled in.
 *
 * The array is made at build time by embed, sorted by path, and lies in read-only memory; a lookup
 * is a search by halves. Nothing is allocated and nothing can change, so any thread may ask. */
#include "web/assets.h"
#include "assets_data.h"
#include <libdeflate.h>

static const struct asset *asset_exact(struct sv path)
{
    size_t from = 0, to = assets_len;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = sv_cmp(path, assets_all[mid].path);
        if (order == 0)
            return &assets_all[mid];
        if (order < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return NULL;
}

static bool is_one_trace(struct sv path)
{
    struct sv id = sv_from(path, SV("/trace/").len);
    return sv_starts(path, SV("/trace/")) && id.len && !sv_contains(id, SV("/"));
}

/* The file of a page. A build without npm has one page, which tells how to get the others. */
static struct sv file_of(struct sv path)
{
    if (is_one_trace(path) || sv_eq(path, SV("/traces")) || sv_eq(path, SV("/search")))
        return asset_exact(SV("/trace.html")) ? SV("/trace.html") : SV("/index.html");
    return sv_eq(path, SV("/")) ? SV("/index.html") : path;
}

const struct asset *asset_find(struct sv path)
{
    return asset_exact(file_of(path));
}

const struct asset *asset_at(size_t i)
{
    return i < assets_len ? &assets_all[i] : NULL;
}

int asset_plain(const struct asset *a, struct buf *out, struct err *err)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    char *room = d ? buf_reserve(out, a->plain_bytes) : NULL;
    enum libdeflate_result rc = LIBDEFLATE_SUCCESS;
    if (room)
        rc = libdeflate_gzip_decompress(d, a->gzip.p, a->gzip.len, room, a->plain_bytes, NULL);
    libdeflate_free_decompressor(d);
    if (!room)
        return err_set(err, ERR_NOMEM, "no memory for %zu bytes of %.*s", a->plain_bytes,
                       SV_ARG(a->path));
    INVARIANT(rc == LIBDEFLATE_SUCCESS); /* we compressed it ourselves */
    buf_commit(out, a->plain_bytes);
    return 0;
}
