/* otlp_proto.h - the parts of OTLP's protobuf that spans and log records share.
 *
 * All of them read one field's message from r and latch failures there; records that are only
 * refused are told through gather_bad(). Text points into the body. */
#ifndef INGEST_OTLP_PROTO_H
#define INGEST_OTLP_PROTO_H

#include "ingest/gather.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

/* Latches a failure of gather_*() and pile_*(). */
void proto_check(struct rd *r, int rc);
/* An id of exactly `bytes`, or none at all (out stays as it is); otherwise the record is bad. */
void proto_id(struct rd *r, struct pb_tag t, struct gather *g, uint8_t *out, size_t bytes,
              const char *what);
/* A fixed64 of ns since the epoch; beyond year 2262 the record is bad. */
int64_t proto_time(struct rd *r, struct pb_tag t, struct gather *g, const char *what);
/* The KeyValue just announced, and those that follow it in the same field, onto the pile of attributes. */
void proto_attrs(struct rd *r, struct pb_tag t, struct gather *g);
/* An AnyValue. */
void proto_value(struct rd *r, struct pb_tag t, struct gather *g, struct value *ret_v);
/* Into g->resource and g->scope. */
void proto_resource(struct rd *r, struct pb_tag t, struct gather *g);
void proto_scope(struct rd *r, struct pb_tag t, struct gather *g);

/* Where a request's records lie; the nesting is the same for spans and logs. */
struct proto_group {
    uint32_t request_groups; /* field numbers */
    uint32_t group_resource, group_scopes, group_schema_url;
    uint32_t scope_scope, scope_records, scope_schema_url;
    void (*record)(struct rd *r, struct pb_tag t, struct gather *g);
};
int proto_request(struct sv body, struct gather *g, const struct proto_group *shape,
                  struct err *err) MUST_USE;

#endif
