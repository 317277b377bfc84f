/* cells.c - the blob of an edge's bucket: which reporters it has, then each one's cell.
 *
 * A varint with a bit a reporter, then for each of them the length and bytes of
 * edge_cell_encode(). */
#include "store/sqlite/cells.h"
#include "base/mem.h"
#include "base/varint.h"

int cells_encode(const struct edge_bucket *b, struct buf *out, struct buf *scratch)
{
    uint64_t mask = 0;
    for (unsigned r = 0; r < REPORTERS_LEN; r++)
        mask |= b->cells[r] ? UINT64_C(1) << r : 0;
    buf_clear(out);
    buf_put_varint(out, mask);
    for (unsigned r = 0; r < REPORTERS_LEN; r++) {
        if (!b->cells[r])
            continue;
        buf_clear(scratch);
        edge_cell_encode(b->cells[r], scratch);
        buf_put_text(out, buf_sv(scratch));
        if (scratch->failed)
            return -1;
    }
    return out->failed ? -1 : 0;
}

/* Adds the encoded cell to *cell; nearly always there is none yet, and it is read in place. */
static int cell_merge(struct sv bytes, struct edge_cell **cell, struct err *err)
{
    if (!*cell) {
        struct edge_cell *fresh = mem_alloc(sizeof(*fresh));
        int rc = fresh ? edge_cell_decode(bytes, fresh, err)
                       : err_set(err, ERR_NOMEM, "edge bucket");
        if (rc < 0)
            mem_free(fresh);
        else
            *cell = fresh;
        return rc;
    }
    struct edge_cell stored = { 0 };
    int rc = edge_cell_decode(bytes, &stored, err);
    if (rc < 0)
        return rc;
    if (edge_cell_merge(*cell, &stored) < 0)
        rc = err_set(err, ERR_NOMEM, "edge bucket");
    edge_cell_done(&stored);
    return rc;
}

/* Merges what is in the blob into b. */
int cells_merge(struct sv in, struct edge_bucket *b, struct err *err)
{
    struct rd r = rd_of(in);
    uint64_t mask = rd_varint(&r);
    if (mask >> REPORTERS_LEN)
        return err_set(err, ERR_MALFORMED, "edge bucket with reporters %llx",
                       (unsigned long long)mask);
    for (unsigned i = 0; i < REPORTERS_LEN; i++) {
        if (!(mask >> i & 1))
            continue;
        struct sv bytes = rd_text(&r);
        int rc = rd_finish(&r, err);
        if (rc == 0)
            rc = cell_merge(bytes, &b->cells[i], err);
        if (rc < 0)
            return rc;
    }
    return rd_finish(&r, err); /* a blob cut within its first number says nothing at all */
}
