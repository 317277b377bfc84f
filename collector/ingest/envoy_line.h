/* envoy_line.h - one line of Envoy's access log in Istio's format, text or JSON, taken apart.
 *
 * Pure. What is given points into the line, or into the arena where JSON had escapes. */
#ifndef INGEST_ENVOY_LINE_H
#define INGEST_ENVOY_LINE_H

#include "base/arena.h"
#include "base/err.h"
#include "model/span.h"

enum envoy_field {
/* clang-format off */
#define FIELD(id, key) ENVOY_##id,
#include "ingest/envoy_fields.def"
#undef FIELD
    ENVOY_FIELDS_LEN
    /* clang-format on */
};

/* As it stands in the line: "-" where Envoy had nothing to say, empty where the line has no such
 * field. Numbers are text. */
struct envoy_line {
    struct sv field[ENVOY_FIELDS_LEN];
};
/* The field, empty for "-" too. */
struct sv envoy_said(const struct envoy_line *l, enum envoy_field f);

/* Istio's text format, of today and from before Istio 1.9. False when text does not begin as one
 * does. Otherwise true, with *ret_line; err is set (ERR_MALFORMED with the offset) when the rest
 * is not as it must be. */
bool envoy_line_from_text(struct sv text, struct envoy_line *ret_line, struct err *err);
/* An object with Istio's keys (response_flags and upstream_cluster at least), in any order. False for
 * anything else, broken JSON too; ERR_NOMEM is told by err. */
bool envoy_line_from_json(struct sv text, struct arena *mem, struct envoy_line *ret_line,
                          struct err *err);
/* The same keys as attributes, as text or integers (the body of an OTLP record as a map, or labels). */
bool envoy_line_from_attrs(const struct attr *list, size_t n, struct arena *mem,
                           struct envoy_line *ret_line, struct err *err);

#endif
