/* sample.h - one span with something in every field, for the decoders' tests. */
#ifndef INGEST_SAMPLE_H
#define INGEST_SAMPLE_H

#include "base/auto.h"
#include "model/span.h"

static const struct value sample_list[] = {
    { .type = VALUE_STR, .str = { "a", 1 } },
    { .type = VALUE_INT, .integer = -7 },
    { .type = VALUE_EMPTY },
};
static const struct attr sample_map[] = {
    { { "inner", 5 }, { .type = VALUE_ARRAY, .len = NELEMS(sample_list), .array = sample_list } },
    { { "none", 4 }, { .type = VALUE_EMPTY } },
};
static const struct attr sample_attrs[] = {
    { { "s", 1 }, { .type = VALUE_STR, .str = { "na\xc3\xafve \"q\"\n", 12 } } },
    { { "empty", 5 }, { .type = VALUE_STR, .str = { "", 0 } } },
    { { "b", 1 }, { .type = VALUE_BOOL, .boolean = true } },
    { { "i", 1 }, { .type = VALUE_INT, .integer = INT64_MIN } },
    { { "d", 1 }, { .type = VALUE_DOUBLE, .real = 0.1 } },
    { { "y", 1 }, { .type = VALUE_BYTES, .str = { "\x00\xff\x10\x20", 4 } } },
    { { "l", 1 }, { .type = VALUE_ARRAY, .len = NELEMS(sample_list), .array = sample_list } },
    { { "m", 1 }, { .type = VALUE_KVLIST, .len = NELEMS(sample_map), .kvlist = sample_map } },
    { { "s", 1 }, { .type = VALUE_INT, .integer = 1 } }, /* a key twice is kept twice */
};
static const struct span_event sample_events[] = {
    { .time_ns = 5,
      .name = { "first", 5 },
      .attrs = { .list = sample_attrs, .len = 2, .dropped = 1 } },
    { .time_ns = 6, .name = { "second", 6 } },
};
static const struct span_link sample_links[] = {
    { .trace_id = { { 9 } },
      .span_id = { { 8 } },
      .trace_state = { "k=v", 3 },
      .flags = 1,
      .attrs = { .list = sample_attrs, .len = 1, .dropped = 2 } },
};
static const struct resource sample_resource = {
    .attrs = { .list = sample_attrs, .len = 3, .dropped = 3 },
    .schema_url = { "https://schema/1", 16 },
};
static const struct scope sample_scope = {
    .name = { "lib", 3 },
    .version = { "2", 1 },
    .attrs = { .list = sample_attrs, .len = 1, .dropped = 4 },
    .schema_url = { "https://schema/2", 16 },
};
static const struct span sample_span = {
    .trace_id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
    .span_id = { { 1, 2, 3, 4, 5, 6, 7, 8 } },
    .parent_id = { { 8, 7, 6, 5, 4, 3, 2, 1 } },
    .kind = SPAN_KIND_CLIENT,
    .status = STATUS_ERROR,
    .start_ns = INT64_C(1544712660000000000),
    .end_ns = INT64_C(1544712661000000001),
    .name = { "GET /cart", 9 },
    .status_message = { "gone", 4 },
    .trace_state = { "congo=t61", 9 },
    .flags = 0x101,
    .events_len = NELEMS(sample_events),
    .links_len = NELEMS(sample_links),
    .dropped_events = 5,
    .dropped_links = 6,
    .attrs = { .list = sample_attrs, .len = NELEMS(sample_attrs), .dropped = 7 },
    .events = sample_events,
    .links = sample_links,
    .resource = &sample_resource,
    .scope = &sample_scope,
};

#endif
