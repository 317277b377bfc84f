/* fuzz_envoy_als.c - any bytes are a message that is refused whole or whose entries are kept, refused or passed over,
 * one verdict each; what is kept holds numbers in their ranges and names both ends; and whether it is kept
 * does not depend on who sent it: an identifier in front changes no verdict. */
#include "ingest/decode.h"
#include "tallies.h"
#include "wire/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Of a message whose lengths fit. */
static size_t entries_in(struct sv body)
{
    struct rd r = rd_of(body);
    size_t entries = 0;
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field != 2 && t.field != 3) {
            pb_skip(&r, t);
            continue;
        }
        const uint8_t *outer = pb_enter(&r, t);
        for (struct pb_tag u; pb_next(&r, &u); pb_skip(&r, u))
            entries += u.field == 1;
        pb_leave(&r, outer);
    }
    INVARIANT(rd_ok(&r));
    return entries;
}

static void check_call(const struct call *c)
{
    const struct identity *ends[] = { &c->source, &c->destination };
    INVARIANT(c->reporter <= REPORTER_DESTINATION && c->response_code <= 999);
    INVARIANT(c->start_ns > 0 && c->duration_ns >= 0 && c->grpc_status >= -1);
    INVARIANT(c->bytes_received <= INT64_MAX && c->bytes_sent <= INT64_MAX);
    INVARIANT((c->tls == TLS_UNKNOWN) == (c->tls_basis == TLS_BASIS_NONE));
    INVARIANT(c->protocol == PROTOCOL_GRPC || c->grpc_status == -1);
    for (size_t i = 0; i < NELEMS(ends); i++)
        INVARIANT(ends[i]->workload.len && ends[i]->service.len && ends[i]->namespace.len &&
                  ends[i]->version.len && ends[i]->cluster.len && ends[i]->principal.len);
}

static void check_prefixed(struct sv body, const struct batch *want)
{
    static const struct sv identifier = { "\x0a\x0b\x0a\x09\x12\x07web.two", 13 };
    struct limits lim = limits_for(1 << 20);
    AUTO_FREE(batch) b = batch_new();
    AUTO_DONE(buf) longer = { 0 };
    buf_put(&longer, identifier);
    buf_put(&longer, body);
    INVARIANT(b && !longer.failed);
    INVARIANT(envoy_als_decode(buf_sv(&longer), b, &lim, NULL) == 0);
    INVARIANT(b->calls_len == want->calls_len && b->rejected == want->rejected);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct limits lim = limits_for(1 << 20);
    struct sv body = sv_of(p, n);
    AUTO_FREE(batch) b = batch_new();
    struct err err = { 0 };
    uint64_t before = collector_tallies.cells[TALLY_LOGS_IGNORED];
    INVARIANT(b);
    if (envoy_als_decode(body, b, &lim, &err) < 0) {
        INVARIANT(err.code && err.code != ERR_NOMEM && err.at <= n);
        return 0;
    }
    uint64_t ignored = collector_tallies.cells[TALLY_LOGS_IGNORED] - before;
    INVARIANT(b->calls_len + b->rejected + ignored == entries_in(body));
    INVARIANT(!b->rejected || b->first_rejection.at <= n);
    for (size_t i = 0; i < b->calls_len; i++)
        check_call(&b->calls[i]);
    check_prefixed(body, b);
    return 0;
}
