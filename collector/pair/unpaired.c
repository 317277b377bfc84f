/* unpaired.c - the list behind "why is this edge missing?".
 *
 * A row for each workload, kind of span, cause and peer, with a count and the newest examples; rows
 * are never forgotten, since an operator asks hours after it happened, so their number is bounded
 * and what does not fit is only counted. Cost: 300 bytes a row. */
#include "pair/unpaired.h"
#include "base/mem.h"

enum { ROWS_MAX = 2000 }; /* 600 KB: four causes for each of 500 services */

static const struct {
    const char *name, *text;
} causes[UNPAIRED_CAUSES_LEN] = {
    [UNPAIRED_NO_ID] = { "no_id", "the span has no trace id or no span id, so it belongs to no "
                                  "call; the exporter is broken" },
    [UNPAIRED_FULL] = { "table_full", "too many spans were waiting for their other half, and this "
                                      "was the oldest; most of them name no peer: see the other "
                                      "rows for whose" },
    [UNPAIRED_LATE] = { "late", "its other half came more than the waiting time earlier; the "
                                "exporter of one side batches or retries for too long" },
    [UNPAIRED_CLOCK] = { "clock", "it arrived more than the waiting time after it ended, or before "
                                  "it; the exporter is late or the host's clock is wrong" },
    [UNPAIRED_ATTEMPT] = { "attempt", "its caller's span is paired with another called span: a "
                                      "request that was sent again, or one trace context used for "
                                      "several calls" },
    [UNPAIRED_NO_CALL] = { "no_call_span", "its parent is a called span: the caller hands the "
                                           "trace on without a client span of its own; instrument "
                                           "the caller's HTTP client" },
    [UNPAIRED_UNSAMPLED] = { "unsampled", "its trace is not sampled, so the other side sent "
                                          "nothing; sample by parent everywhere" },
    [UNPAIRED_NO_CALLER] = { "no_caller", "nothing came from the caller: it is not instrumented, "
                                          "exports elsewhere, or its span was sampled away or "
                                          "lost" },
    [UNPAIRED_NO_CALLEE] = { "no_callee", "nothing came from the callee, and the caller does not "
                                          "name it (server.address, peer.service): instrument the "
                                          "callee, or check that the trace context reaches it" },
    [UNPAIRED_NO_CONSUMER] = { "no_consumer", "no consumer has reported, and the producer does not "
                                              "name the queue (messaging.destination.name)" },
};

const char *unpaired_cause_name(enum unpaired_cause c)
{
    INVARIANT((size_t)c < UNPAIRED_CAUSES_LEN);
    return causes[c].name;
}

const char *unpaired_cause_text(enum unpaired_cause c)
{
    INVARIANT((size_t)c < UNPAIRED_CAUSES_LEN);
    return causes[c].text;
}

void unpaired_done(struct unpaired *u)
{
    map_done(&u->by_key);
    arena_done(&u->mem);
}

/* Identities are interned, so their addresses are their names. */
struct row_key {
    const struct identity *who, *peer;
    uint32_t kind, cause;
};

static struct unpaired_row *row_of(struct unpaired *u, const struct row_key *key)
{
    struct sv bytes = sv_of(key, sizeof(*key));
    struct unpaired_row *row = map_get(&u->by_key, bytes);
    if (row || u->by_key.len >= ROWS_MAX)
        return row;
    row = arena_zalloc(&u->mem, sizeof(*row));
    if (!row || map_put(&u->by_key, bytes, row, NULL) < 0)
        return NULL;
    row->who = key->who;
    row->peer = key->peer;
    row->kind = (enum span_kind)key->kind;
    row->cause = (enum unpaired_cause)key->cause;
    return row;
}

void unpaired_add(struct unpaired *u, const struct half *h, enum unpaired_cause cause,
                  const struct identity *peer, int64_t now_ns)
{
    struct row_key key = { h->who, peer, h->kind, cause };
    struct unpaired_row *row = row_of(u, &key);
    if (!row) {
        u->overflow++;
        return;
    }
    if (row->count == 0)
        row->first_ns = now_ns;
    row->last_ns = now_ns;
    row->examples[row->count % UNPAIRED_EXAMPLES] = (struct unpaired_example){ h->trace, h->own,
                                                                               h->start_ns };
    row->count++;
    row->examples_len = (uint32_t)MIN(row->count, (uint64_t)UNPAIRED_EXAMPLES);
}

const struct unpaired_row *unpaired_next(const struct unpaired *u, size_t *at)
{
    void *row;
    return map_next(&u->by_key, at, NULL, &row) ? row : NULL;
}
