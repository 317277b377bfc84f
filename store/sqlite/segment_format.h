/* segment_format.h - what both sides of a segment agree on. Private to store/sqlite/. */
#ifndef SQLITE_SEGMENT_FORMAT_H
#define SQLITE_SEGMENT_FORMAT_H

#define SEGMENT_MAGIC SV("TSEG")
enum {
    SEGMENT_VERSION = 2,
    SEGMENT_VERSION_1 = 1, /* its texts are never patterns; still read */
};

/* Spans, or calls, in one segment: a bound for the reader's memory, far over what is sealed. */
enum { SEGMENT_RECORDS_MAX = 1000000 };

/* A parent: none, one outside the segment (its id follows in the stream of strangers), or a place
 * relative to the span's own, zigzag, plus PARENT_NEAR. */
enum { PARENT_NONE = 0, PARENT_STRANGER = 1, PARENT_NEAR = 2 };

/* What a shape says its spans have besides attributes. */
enum {
    SHAPE_MESSAGE = 1 << 0,
    SHAPE_TRACE_STATE = 1 << 1,
    SHAPE_EVENTS = 1 << 2,
    SHAPE_LINKS = 1 << 3,
    SHAPE_ALL = (1 << 4) - 1,
};

/* A call's trace: none, its id follows in the stream of strangers, or a trace of the segment. */
enum { CALL_TRACE_NONE = 0, CALL_TRACE_STRANGER = 1, CALL_TRACE_NEAR = 2 };

#endif
