/* fields.c - names to enum field.
 *
 * Twenty names against every header of every request: so a bit set of the lengths that occur
 * answers most of them, and only names of equal length are compared. */
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
    { { "x-request-id", 12 },                 FIELD_REQUEST_ID },
    { { "http2-settings", 14 },               FIELD_HOP },
    { { "content-length", 14 },               FIELD_CONTENT_LENGTH },
    { { "x-forwarded-for", 15 },              FIELD_XFF },
    { { "proxy-connection", 16 },             FIELD_HOP },
    { { "transfer-encoding", 17 },            FIELD_TRANSFER_ENCODING },
    { { "x-forwarded-proto", 17 },            FIELD_XFP },
    { { "x-envoy-peer-metadata", 21 },        FIELD_METADATA },
    { { "x-envoy-peer-metadata-id", 24 },     FIELD_METADATA_ID },
    { { "x-forwarded-client-cert", 23 },      FIELD_XFCC },
};
#define BIT(n) (UINT64_C(1) << (n))
static const uint64_t lengths = BIT(2) | BIT(4) | BIT(7) | BIT(10) | BIT(11) | BIT(12) | BIT(14) |
                                BIT(15) | BIT(16) | BIT(17) | BIT(21) | BIT(23) | BIT(24);
/* clang-format on */

enum field field_of(struct sv name)
{
    if (name.len > 24 || !(lengths & BIT(name.len)))
        return FIELD_OTHER;
    for (size_t i = 0; i < NELEMS(known); i++)
        if (known[i].name.len == name.len && sv_eq_nocase(known[i].name, name))
            return known[i].field;
    return FIELD_OTHER;
}
