/* rows_format.h - what both sides of the journal's row format agree on. */
#ifndef SQLITE_ROWS_FORMAT_H
#define SQLITE_ROWS_FORMAT_H

enum { ROWS_VERSION = 1 };

/* Resources or scopes that have a number at one time; then numbering starts over. */
enum { SEEN_MAX = 256 };

/* What a span has, as a varint in front of it. */
enum {
    ROW_SAME_TRACE = 1 << 0, /* trace id of the span before (all zero for the first) */
    ROW_PARENT = 1 << 1,
    ROW_STATUS = 1 << 2,
    ROW_FLAGS = 1 << 3,
    ROW_MESSAGE = 1 << 4,
    ROW_TRACE_STATE = 1 << 5,
    ROW_EVENTS = 1 << 6,
    ROW_LINKS = 1 << 7,
    ROW_DROPPED = 1 << 8,
    ROW_ALL = (1 << 9) - 1,
};

/* A call's texts behind the identities, in order; `at` stands in front of each: CALL_TEXTS(c->)
 * gives the values, CALL_TEXTS(&c->) their places. */
#define CALL_TEXTS(at)                                                                             \
    {                                                                                              \
        at response_flags, at response_code_details, at method, at path, at authority,             \
            at route_name, at request_id, at user_agent, at destination_service, at upstream_host, \
            at tls_version, at tls_cipher, at source_principal_seen, at destination_principal_seen \
    }

#endif
