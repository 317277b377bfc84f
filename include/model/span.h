/* span.h - OpenTelemetry's span, complete: nothing that came in is lost on the way out.
 *
 * Everything a span points to belongs to the batch (or arena) it lies in; copying a struct copies
 * pointers only. Source: opentelemetry-proto trace/v1, common/v1, resource/v1. */
#ifndef MODEL_SPAN_H
#define MODEL_SPAN_H

#include "base/sv.h"
#include "model/key_order.h"
#include <stdbool.h>
#include <stdint.h>

struct trace_id {
    uint8_t b[16]; /* all zero: none */
};
struct span_id {
    uint8_t b[8]; /* all zero: none */
};

static inline bool trace_id_is_set(struct trace_id id)
{
    uint64_t a, b;
    memcpy(&a, id.b, sizeof(a));
    memcpy(&b, id.b + sizeof(a), sizeof(b));
    return (a | b) != 0;
}
static inline bool span_id_is_set(struct span_id id)
{
    uint64_t a;
    memcpy(&a, id.b, sizeof(a));
    return a != 0;
}
static inline bool trace_id_eq(struct trace_id a, struct trace_id b)
{
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}
static inline bool span_id_eq(struct span_id a, struct span_id b)
{
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

enum value_type {
    VALUE_EMPTY, /* an AnyValue without a value */
    VALUE_STR,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_BYTES,
    VALUE_ARRAY,
    VALUE_KVLIST,
};

struct attr;
struct value {
    enum value_type type;
    uint32_t len; /* elements of array or kvlist */
    union {
        struct sv str; /* VALUE_STR and VALUE_BYTES */
        bool boolean;
        int64_t integer;
        double real;
        const struct value *array;
        const struct attr *kvlist;
    };
};
struct attr {
    struct sv key;
    struct value value;
};
struct attrs {
    const struct attr *list; /* in the order they came; duplicates are kept */
    uint32_t len;
    uint32_t dropped; /* dropped_attributes_count */
};

struct resource {
    struct attrs attrs;
    struct sv schema_url;
};
struct scope {
    struct sv name, version;
    struct attrs attrs;
    struct sv schema_url;
};
struct span_event {
    int64_t time_ns;
    struct sv name;
    struct attrs attrs;
};
struct span_link {
    struct trace_id trace_id;
    struct span_id span_id;
    struct sv trace_state;
    uint32_t flags;
    struct attrs attrs;
};

enum span_kind { /* the wire's numbers */
                 SPAN_KIND_UNSPECIFIED = 0,
                 SPAN_KIND_INTERNAL = 1,
                 SPAN_KIND_SERVER = 2,
                 SPAN_KIND_CLIENT = 3,
                 SPAN_KIND_PRODUCER = 4,
                 SPAN_KIND_CONSUMER = 5,
};
enum span_status { STATUS_UNSET = 0, STATUS_OK = 1, STATUS_ERROR = 2 }; /* the wire's numbers */

struct span {
    struct trace_id trace_id;
    struct span_id span_id, parent_id;
    enum span_kind kind;
    enum span_status status;
    int64_t start_ns, end_ns; /* since the Unix epoch, as sent */
    struct sv name, status_message, trace_state;
    uint32_t flags;
    uint32_t events_len, links_len;
    uint32_t dropped_events, dropped_links;
    struct attrs attrs;
    const struct key_order *key_order; /* of attrs.list, within its batch; NULL: not known */
    const struct span_event *events;
    const struct span_link *links;
    const struct resource *resource; /* never NULL in a batch */
    const struct scope *scope;       /* never NULL in a batch */
};

/* The first attribute of that name, or NULL. */
const struct value *attrs_get(const struct attrs *a, struct sv key);
/* Its text when it is a string, else an empty view. */
struct sv attrs_str(const struct attrs *a, struct sv key);
bool value_eq(const struct value *a, const struct value *b);
/* Every field, attribute order included; resource and scope by content. */
bool span_eq(const struct span *a, const struct span *b);
const char *span_kind_name(enum span_kind kind); /* "server", "client", ... ; static */

#endif
