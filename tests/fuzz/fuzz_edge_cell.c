/* fuzz_edge_cell.c - property: a cell that decodes encodes to bytes that decode to the same bytes,
 * and can be merged with itself. */
#include "model/edge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct edge_cell cell, again;
    if (edge_cell_decode(sv_of(data, size), &cell, NULL) < 0)
        return 0;
    AUTO_DONE(buf) first = { 0 }, second = { 0 };
    edge_cell_encode(&cell, &first);
    INVARIANT(edge_cell_decode(buf_sv(&first), &again, NULL) == 0);
    edge_cell_encode(&again, &second);
    INVARIANT(sv_eq(buf_sv(&first), buf_sv(&second)));
    INVARIANT(edge_cell_merge(&again, &cell) == 0);
    INVARIANT(again.flags_len <= EDGE_FLAGS_MAX);
    edge_cell_done(&cell);
    edge_cell_done(&again);
    return 0;
}
