/* fields.c - names to enum field.
 *
 * Twenty names against every header of every request: so the table is by length, and only names of equal
 * length are compared. */
#include "proxy/fields.h"

struct known {
    struct sv name;
    enum field field;
};
#define SAME_LENGTH_MAX 5
#define NAME(text, id)                                                                             \
    {                                                                                              \
        { (text), sizeof(text) - 1 }, (id)                                                         \
    }

/* clang-format off */
static const struct known by_length[][SAME_LENGTH_MAX] = {
    [2]  = { NAME("te", FIELD_TE) },
    [4]  = { NAME("host", FIELD_HOST) },
    [7]  = { NAME("upgrade", FIELD_HOP) },
    [10] = { NAME("connection", FIELD_CONNECTION), NAME("keep-alive", FIELD_HOP),
             NAME("tracestate", FIELD_TRACESTATE), NAME("user-agent", FIELD_USER_AGENT) },
    [11] = { NAME("traceparent", FIELD_TRACEPARENT), NAME("grpc-status", FIELD_GRPC_STATUS) },
    [12] = { NAME("x-request-id", FIELD_REQUEST_ID), NAME("content-type", FIELD_CONTENT_TYPE),
             NAME("grpc-timeout", FIELD_GRPC_TIMEOUT) },
    [14] = { NAME("content-length", FIELD_CONTENT_LENGTH), NAME("http2-settings", FIELD_HOP),
             NAME("x-tulle-reason", FIELD_REASON) },
    [15] = { NAME("x-forwarded-for", FIELD_XFF) },
    [16] = { NAME("proxy-connection", FIELD_HOP) },
    [17] = { NAME("transfer-encoding", FIELD_TRANSFER_ENCODING), NAME("x-forwarded-proto", FIELD_XFP) },
    [21] = { NAME("x-envoy-peer-metadata", FIELD_METADATA) },
    [23] = { NAME("x-forwarded-client-cert", FIELD_XFCC) },
    [24] = { NAME("x-envoy-peer-metadata-id", FIELD_METADATA_ID) },
};
/* clang-format on */

enum field field_of(struct sv name)
{
    if (name.len >= NELEMS(by_length))
        return FIELD_OTHER;
    const struct known *k = by_length[name.len];
    for (size_t i = 0; i < SAME_LENGTH_MAX && k[i].name.len; i++)
        if (sv_eq_nocase(k[i].name, name))
            return k[i].field;
    return FIELD_OTHER;
}
