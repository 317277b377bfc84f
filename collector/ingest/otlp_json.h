/* otlp_json.h - the parts of OTLP/JSON that spans and log records share.
 *
 * As otlp_proto.h, with the rules of OTLP/JSON: lowerCamelCase keys, ids in hex, 64-bit integers
 * as string or number, enums as number or name, unknown keys ignored, null as if absent. A key
 * that comes twice: the last value counts, lists are joined. */
#ifndef INGEST_OTLP_JSON_H
#define INGEST_OTLP_JSON_H

#include "base/json_in.h"
#include "ingest/gather.h"

/* The next key whose value is not null. */
bool json_field(struct json_in *j, struct sv *ret_key);
/* Index of key in names, or len when it is none of them. */
size_t json_which(struct sv key, const struct sv *names, size_t len);
/* Latches a failure of gather_*() and pile_*(). */
void json_check(struct json_in *j, int rc);
void json_id(struct json_in *j, struct gather *g, uint8_t *out, size_t bytes, const char *what);
int64_t json_time(struct json_in *j, struct gather *g, const char *what);
uint32_t json_u32(struct json_in *j); /* cut to 32 bits */
/* A number, or names[i] which means i; unknown names are 0. */
uint64_t json_enum(struct json_in *j, const struct sv *names, size_t len);
/* An array of KeyValue onto the pile of attributes. */
void json_attrs(struct json_in *j, struct gather *g);

/* An AnyValue. */
void json_value(struct json_in *j, struct gather *g, struct value *ret_v);

/* The names that differ between spans and logs. */
struct json_group {
    struct sv groups, scopes, records; /* "resourceSpans", "scopeSpans", "spans" */
    void (*record)(struct json_in *j, struct gather *g);
};
int json_request(struct sv body, struct gather *g, const struct json_group *shape, struct err *err)
    MUST_USE;

#endif
