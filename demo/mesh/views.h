/* views.h - what the collector says about the edges: its JSON API and its /metrics, read over HTTP
 * into counts. */
#ifndef DEMO_MESH_VIEWS_H
#define DEMO_MESH_VIEWS_H

#include "base/buf.h"
#include "base/err.h"
#include "demo/mesh/counts.h"

/* The body of a GET; ERR_IO when no answer came, ERR_NOT_FOUND when it was not a 200. */
int http_get(const char *url, struct buf *ret_body, struct err *err) MUST_USE;
/* http://.../api/v1/edges since from_ns (wall clock); to is cleared first. */
int views_edges(const char *base_url, int64_t from_ns, struct counts *to, struct err *err) MUST_USE;
/* http://.../metrics, families tulle_edge_requests_total and tulle_edge_errors_total. */
int views_metrics(const char *base_url, struct counts *to, struct err *err) MUST_USE;

#endif
