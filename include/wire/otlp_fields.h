/* otlp_fields.h - OTLP's protobuf field numbers, once for the writer (proxy) and the reader
 * (collector). The wire type stands in the comment where it is not length-delimited.
 * Source: opentelemetry-proto, collector/{trace,logs}/v1, trace/v1, logs/v1, common/v1,
 * resource/v1; google.rpc.Status. */
#ifndef WIRE_OTLP_FIELDS_H
#define WIRE_OTLP_FIELDS_H

/* ExportTraceServiceRequest, ExportTraceServiceResponse, ExportTracePartialSuccess */
enum {
    OTLP_TRACE_REQUEST_RESOURCE_SPANS = 1, /* repeated */
    OTLP_TRACE_RESPONSE_PARTIAL_SUCCESS = 1,
    OTLP_PARTIAL_SUCCESS_REJECTED = 1, /* int64: spans or log records */
    OTLP_PARTIAL_SUCCESS_ERROR_MESSAGE = 2,
};
/* ExportLogsServiceRequest, ExportLogsServiceResponse; partial success as above */
enum {
    OTLP_LOGS_REQUEST_RESOURCE_LOGS = 1, /* repeated */
    OTLP_LOGS_RESPONSE_PARTIAL_SUCCESS = 1,
};

/* ResourceSpans */
enum {
    OTLP_RESOURCE_SPANS_RESOURCE = 1,
    OTLP_RESOURCE_SPANS_SCOPE_SPANS = 2, /* repeated */
    OTLP_RESOURCE_SPANS_SCHEMA_URL = 3,
};
/* ScopeSpans */
enum {
    OTLP_SCOPE_SPANS_SCOPE = 1,
    OTLP_SCOPE_SPANS_SPANS = 2, /* repeated */
    OTLP_SCOPE_SPANS_SCHEMA_URL = 3,
};
/* Span */
enum {
    OTLP_SPAN_TRACE_ID = 1, /* 16 bytes */
    OTLP_SPAN_SPAN_ID = 2,  /* 8 bytes */
    OTLP_SPAN_TRACE_STATE = 3,
    OTLP_SPAN_PARENT_SPAN_ID = 4, /* 8 bytes, or none */
    OTLP_SPAN_NAME = 5,
    OTLP_SPAN_KIND = 6,                /* enum */
    OTLP_SPAN_START_TIME = 7,          /* fixed64, ns since the epoch */
    OTLP_SPAN_END_TIME = 8,            /* fixed64 */
    OTLP_SPAN_ATTRIBUTES = 9,          /* repeated KeyValue */
    OTLP_SPAN_DROPPED_ATTRIBUTES = 10, /* uint32 */
    OTLP_SPAN_EVENTS = 11,             /* repeated */
    OTLP_SPAN_DROPPED_EVENTS = 12,     /* uint32 */
    OTLP_SPAN_LINKS = 13,              /* repeated */
    OTLP_SPAN_DROPPED_LINKS = 14,      /* uint32 */
    OTLP_SPAN_STATUS = 15,
    OTLP_SPAN_FLAGS = 16, /* fixed32 */
};
/* Span.Event */
enum {
    OTLP_EVENT_TIME = 1, /* fixed64 */
    OTLP_EVENT_NAME = 2,
    OTLP_EVENT_ATTRIBUTES = 3,         /* repeated KeyValue */
    OTLP_EVENT_DROPPED_ATTRIBUTES = 4, /* uint32 */
};
/* Span.Link */
enum {
    OTLP_LINK_TRACE_ID = 1,
    OTLP_LINK_SPAN_ID = 2,
    OTLP_LINK_TRACE_STATE = 3,
    OTLP_LINK_ATTRIBUTES = 4,         /* repeated KeyValue */
    OTLP_LINK_DROPPED_ATTRIBUTES = 5, /* uint32 */
    OTLP_LINK_FLAGS = 6,              /* fixed32 */
};
/* Status */
enum {
    OTLP_STATUS_MESSAGE = 2,
    OTLP_STATUS_CODE = 3, /* enum */
};

/* ResourceLogs */
enum {
    OTLP_RESOURCE_LOGS_RESOURCE = 1,
    OTLP_RESOURCE_LOGS_SCOPE_LOGS = 2, /* repeated */
    OTLP_RESOURCE_LOGS_SCHEMA_URL = 3,
};
/* ScopeLogs */
enum {
    OTLP_SCOPE_LOGS_SCOPE = 1,
    OTLP_SCOPE_LOGS_LOG_RECORDS = 2, /* repeated */
    OTLP_SCOPE_LOGS_SCHEMA_URL = 3,
};
/* LogRecord; 4 is reserved (was a name) */
enum {
    OTLP_LOG_TIME = 1,            /* fixed64, ns since the epoch */
    OTLP_LOG_SEVERITY_NUMBER = 2, /* enum */
    OTLP_LOG_SEVERITY_TEXT = 3,
    OTLP_LOG_BODY = 5,               /* AnyValue */
    OTLP_LOG_ATTRIBUTES = 6,         /* repeated KeyValue */
    OTLP_LOG_DROPPED_ATTRIBUTES = 7, /* uint32 */
    OTLP_LOG_FLAGS = 8,              /* fixed32 */
    OTLP_LOG_TRACE_ID = 9,
    OTLP_LOG_SPAN_ID = 10,
    OTLP_LOG_OBSERVED_TIME = 11, /* fixed64 */
    OTLP_LOG_EVENT_NAME = 12,
};

/* Resource */
enum {
    OTLP_RESOURCE_ATTRIBUTES = 1,         /* repeated KeyValue */
    OTLP_RESOURCE_DROPPED_ATTRIBUTES = 2, /* uint32 */
};
/* InstrumentationScope */
enum {
    OTLP_SCOPE_NAME = 1,
    OTLP_SCOPE_VERSION = 2,
    OTLP_SCOPE_ATTRIBUTES = 3,         /* repeated KeyValue */
    OTLP_SCOPE_DROPPED_ATTRIBUTES = 4, /* uint32 */
};
/* KeyValue */
enum {
    OTLP_KEY_VALUE_KEY = 1,
    OTLP_KEY_VALUE_VALUE = 2, /* AnyValue */
};
/* AnyValue: one of these, or none */
enum {
    OTLP_VALUE_STRING = 1,
    OTLP_VALUE_BOOL = 2,   /* varint */
    OTLP_VALUE_INT = 3,    /* int64 */
    OTLP_VALUE_DOUBLE = 4, /* fixed64 */
    OTLP_VALUE_ARRAY = 5,  /* ArrayValue: repeated AnyValue in field 1 */
    OTLP_VALUE_KVLIST = 6, /* KeyValueList: repeated KeyValue in field 1 */
    OTLP_VALUE_BYTES = 7,
};
enum { OTLP_LIST_VALUES = 1 }; /* of ArrayValue and KeyValueList */

/* google.rpc.Status, the body of an error answer */
enum {
    RPC_STATUS_CODE = 1, /* int32, a gRPC code */
    RPC_STATUS_MESSAGE = 2,
};

#endif
