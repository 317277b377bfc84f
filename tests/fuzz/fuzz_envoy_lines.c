/* fuzz_envoy_lines.c - any text is lines that are kept or refused, one verdict each; what is kept points
 * into the text, holds numbers in their ranges and names both ends; a text line taken apart is made of
 * parts of the line that do not overlap. */
#include "ingest/decode.h"
#include "ingest/envoy_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static size_t lines_in(struct sv body)
{
    size_t lines = 0;
    for (struct sv line; sv_cut(&body, '\n', &line);)
        lines += sv_trim(line).len > 0;
    return lines;
}

static void check_call(const struct call *c)
{
    const struct identity *ends[] = { &c->source, &c->destination };
    INVARIANT(c->reporter <= REPORTER_DESTINATION && c->response_code <= 999);
    INVARIANT(c->start_ns > 0 && c->duration_ns >= 0);
    INVARIANT((c->tls == TLS_UNKNOWN) == (c->tls_basis == TLS_BASIS_NONE));
    for (size_t i = 0; i < NELEMS(ends); i++)
        INVARIANT(ends[i]->workload.len && ends[i]->service.len && ends[i]->namespace.len &&
                  ends[i]->version.len && ends[i]->cluster.len && ends[i]->principal.len);
}

static void check_parts(struct sv text)
{
    struct envoy_line l;
    struct err err = { 0 };
    if (!envoy_line_from_text(text, &l, &err) || err.code) {
        INVARIANT(!err.code || err.at <= text.len);
        return;
    }
    size_t sum = 0;
    for (size_t f = 0; f < ENVOY_FIELDS_LEN; f++) {
        struct sv part = l.field[f];
        INVARIANT(!part.len || (part.p >= text.p && part.p + part.len <= text.p + text.len));
        sum += part.len;
    }
    INVARIANT(sum <= text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct limits lim = limits_for(1 << 20);
    struct sv body = sv_of(p, n);
    AUTO_FREE(batch) b = batch_new();
    struct err err = { 0 };
    INVARIANT(b);
    check_parts(body);
    if (envoy_lines_decode(body, b, &lim, &err) < 0) {
        INVARIANT(err.code == ERR_LIMIT && err.at <= n);
        return 0;
    }
    INVARIANT(b->calls_len + b->rejected == lines_in(body));
    INVARIANT(!b->rejected || b->first_rejection.at <= n);
    for (size_t i = 0; i < b->calls_len; i++)
        check_call(&b->calls[i]);
    return 0;
}
