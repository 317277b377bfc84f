/* jaeger.h - what the presenters of Jaeger's API share: envelopes, errors, ids, parameters.
 *
 * Two generations: "/api/..." with an envelope around everything, "/api/v3/..." with OTLP JSON.
 * Private to query/jaeger_*.c. */
#ifndef COLLECTOR_QUERY_JAEGER_H
#define COLLECTOR_QUERY_JAEGER_H

#include "base/json_out.h"
#include "query/api.h"
#include "query/whole_trace.h"

enum {
    JAEGER_TRACES_DEFAULT = 100,
    JAEGER_TRACES_MAX = 1500,    /* what Jaeger's own page asks for at most */
    JAEGER_BODY_MAX = 64 << 20,  /* bytes of an answer; a browser's parser needs ten times that */
    JAEGER_PRETTY_MAX = 8 << 20, /* bytes that prettyPrint makes three times as many of */
    JAEGER_TAGS_MAX = 16,        /* as many as our own search takes */
};

/* Opens {"data": ; a value and jaeger_close() have to follow. */
struct json_out jaeger_open(struct answer *a);
void jaeger_close(struct json_out *j, uint64_t total);
/* The envelope with an error in it; replaces what the body held. */
void jaeger_error(struct answer *a, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
void jaeger_failure(struct answer *a, const struct err *err);
/* {"error":{"httpCode":404,"message":"..."}} */
void jaeger3_error(struct answer *a, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
void jaeger3_failure(struct answer *a, const struct err *err);
fault_fn jaeger3_fault;

/* 1 to 32 hexadecimal digits, zeros in front may be missing; else base64 of 8 or 16 bytes, as in JSON of
 * protobuf. All zero is refused. */
#define JAEGER_WANT_TRACE_ID "want 1 to 32 hexadecimal digits, or base64"
bool jaeger_trace_id(struct sv text, struct trace_id *ret_id);
/* The same of what stood in the path. */
bool jaeger_path_trace_id(struct query *q, struct trace_id *ret_id);
/* 16 digits when the high half is zero, else 32. */
void jaeger_kv_trace_id(struct json_out *j, const char *key, struct trace_id id);
void jaeger_kv_span_id(struct json_out *j, const char *key, struct span_id id);

/* Typed parameters as Jaeger has them: an empty value is a missing one; all leave *ret alone then,
 * and answer -1 with the fault set when the value is wrong. */
bool jaeger_get(const struct params *p, const char *name, struct sv *ret_value);
int jaeger_bool(struct params *p, const char *name, bool *ret_v) MUST_USE;
int jaeger_u64(struct params *p, const char *name, uint64_t max, uint64_t *ret_v) MUST_USE;
/* A whole number of units since the epoch. */
int jaeger_time(struct params *p, const char *name, int64_t unit_ns, int64_t *ret_ns) MUST_USE;
int jaeger_go_duration(struct params *p, const char *name, int64_t *ret_ns) MUST_USE;
int jaeger_rfc3339(struct params *p, const char *name, int64_t *ret_ns) MUST_USE;
/* "server", "client", ...; "" or missing: not *ret_is_given. */
int jaeger_kind(struct params *p, const char *name, bool *ret_is_given, enum span_kind *ret_kind)
    MUST_USE;

/* Handlers. */
route_fn jaeger_services, jaeger_service_operations, jaeger_operations;
route_fn jaeger_traces, jaeger_trace, jaeger_dependencies;
route_fn jaeger_transform, jaeger_archive;
route_fn jaeger_latencies, jaeger_calls, jaeger_errors, jaeger_minstep;
route_fn jaeger3_services, jaeger3_operations, jaeger3_traces, jaeger3_trace, jaeger3_summaries;

#endif
