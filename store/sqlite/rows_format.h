/* rows_format.h - what both sides of the journal's row format agree on. */
#ifndef SQLITE_ROWS_FORMAT_H
#define SQLITE_ROWS_FORMAT_H

enum { ROWS_VERSION = 2, ROWS_VERSION_1 = 1 };

/* In the byte of a call's TLS state: how it is known stands above these bits. */
enum { ROW_TLS_BASIS_SHIFT = 2, ROW_PART_SHIFT = 5 };

/* Resources or scopes that have a number at one time; then numbering starts over. */
enum { SEEN_MAX = 256 };

/* In front of a span: the number of its shape plus one (0: a new one follows) above these bits. */
enum {
    ROW_SAME_TRACE = 1 << 0, /* trace id of the span before (all zero for the first) */
    ROW_PARENT = 1 << 1,
    ROW_SHAPE_SHIFT = 2,
};

/* Version 1: what a span has, as a varint in front of it. */
enum {
    ROW_1_SAME_TRACE = 1 << 0,
    ROW_1_PARENT = 1 << 1,
    ROW_1_STATUS = 1 << 2,
    ROW_1_FLAGS = 1 << 3,
    ROW_1_MESSAGE = 1 << 4,
    ROW_1_TRACE_STATE = 1 << 5,
    ROW_1_EVENTS = 1 << 6,
    ROW_1_LINKS = 1 << 7,
    ROW_1_DROPPED = 1 << 8,
    ROW_1_ALL = (1 << 9) - 1,
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
