/* fields.h - the header fields a proxy has a say in. */
#ifndef PROXY_FIELDS_H
#define PROXY_FIELDS_H

#include "base/sv.h"

enum field {
    FIELD_OTHER, /* passed on as it is */
    FIELD_HOST,
    FIELD_CONNECTION,
    FIELD_HOP, /* Keep-Alive, Proxy-Connection, Upgrade, HTTP2-Settings: this hop only */
    FIELD_TE,
    FIELD_TRANSFER_ENCODING,
    FIELD_CONTENT_LENGTH,
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
    FIELD_REQUEST_ID,
    FIELD_METADATA,
    FIELD_METADATA_ID,
    FIELD_XFF,
    FIELD_XFP,
    FIELD_XFCC,
    FIELD_USER_AGENT,
    FIELD_GRPC_STATUS,
    FIELD_GRPC_TIMEOUT,
    FIELD_CONTENT_TYPE,
    FIELD_REASON, /* ours, of answers that a proxy made itself */
    FIELDS_LEN
};

/* Any case; a length compare for nearly every other name. */
enum field field_of(struct sv name);

#endif
