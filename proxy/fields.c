/* fields.c - names to enum field.
 *
 * Twenty names against every header of every request: so the table is ordered
 * by length, and only names of equal length are compared. */
#include "proxy/fields.h"

/* clang-format off */
static const struct {
    struct sv name;
    enum field field;
} known[] = {
    { { "te", 2 },                            FIELD_TE },
    { { "host", 4 },                          FIELD_HOST },
    { { "upgrade", 7 },                       FIELD_HOP },
    { { "connection", 10 },                   FIELD_CONNECTION },
    { { "keep-alive", 10 },                   FIELD_HOP },
    { { "tracestate", 10 },                   FIELD_TRACESTATE },
    { { "user-agent", 10 },                   FIELD_USER_AGENT },
    { { "traceparent", 11 },                  FIELD_TRACEPARENT },
    { { "grpc-status", 11 },                  FIELD_GRPC_STATUS },
    { { "grpc-timeout", 12 },                 FIELD_GRPC_TIMEOUT },
    { { "content-type", 12 },                 FIELD_CONTENT_TYPE },
    { { "x-request-id", 12 },                 FIELD_REQUEST_ID },
    { { "http2-settings", 14 },               FIELD_HOP },
    { { "content-length", 14 },               FIELD_CONTENT_LENGTH },
    { { "x-forwarded-for", 15 },              FIELD_XFF },
    { { "proxy-connection", 16 },             FIELD_HOP },
    { { "transfer-encoding", 17 },            FIELD_TRANSFER_ENCODING },
    { { "x-forwarded-proto", 17 },            FIELD_XFP },
    { { "x-envoy-peer-metadata", 21 },        FIELD_METADATA },
    { { "x-forwarded-client-cert", 23 },      FIELD_XFCC },
    { { "x-envoy-peer-metadata-id", 24 },     FIELD_METADATA_ID },
};
/* Where the names of a length begin, and how many there are. */
static const struct {
    uint8_t at, len;
} by_length[] = {
    [2] = { 0, 1 },   [4] = { 1, 1 },   [7] = { 2, 1 },   [10] = { 3, 4 },  [11] = { 7, 2 },
    [12] = { 9, 1 },  [14] = { 10, 2 }, [15] = { 12, 1 }, [16] = { 13, 1 }, [17] = { 14, 2 },
    [21] = { 16, 1 }, [23] = { 17, 1 }, [24] = { 18, 1 },
};
/* clang-format on */

enum field field_of(struct sv name)
{
    if (name.len >= NELEMS(by_length))
        return FIELD_OTHER;
    size_t at = by_length[name.len].at, end = at + by_length[name.len].len;
    for (; at < end; at++)
        if (sv_eq_nocase(known[at].name, name))
            return known[at].field;
    return FIELD_OTHER;
}
