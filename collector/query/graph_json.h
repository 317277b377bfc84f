/* graph_json.h - nodes, edges and latencies as docs/api.md writes them. */
#ifndef COLLECTOR_QUERY_GRAPH_JSON_H
#define COLLECTOR_QUERY_GRAPH_JSON_H

#include "aggregate/view.h"
#include "base/json_out.h"

/* The ends of a view's edges as they were written before: the same text for every edge of a node.
 * All-zero is empty; must not outlive the view. Beyond 3,072 nodes each is written anew. */
enum { JSON_ENDS_CAP = 4096 };
struct json_ends {
    struct end_slot *slots;
    size_t len;
    struct buf text;
};
void json_ends_done(struct json_ends *x);
DEFINE_AUTO_DONE(json_ends);

/* ends: of the edges written before, NULL for one edge alone. */
void json_edge(struct json_out *j, const struct edge_view *e, double seconds,
               struct json_ends *ends);
void json_node(struct json_out *j, const struct node_view *n, double seconds);
/* "from", "to", "seconds" and "granularity" of the view, as members of an open object. */
void json_view_head(struct json_out *j, const struct view *v, int64_t now_ns);
/* Members of an open object: cluster, namespace, workload, service, version, principal. */
void json_identity(struct json_out *j, const struct identity *who);
/* "key":{"state",...}: how c's requests were protected, and how that is known. */
void json_tls(struct json_out *j, const char *key, const struct edge_cell *c);
/* {"p50Ms",...}, null when h is empty. */
void json_latency(struct json_out *j, const char *key, const struct hist *h);

/* "key":"2026-..." or null when ns is 0. */
void json_kv_time(struct json_out *j, const char *key, int64_t ns);
/* "key":"123" as text, because JavaScript's numbers lose digits. */
void json_kv_ns(struct json_out *j, const char *key, int64_t ns);
void json_kv_ms(struct json_out *j, const char *key, int64_t ns);
/* end - start in milliseconds, to the nanosecond. */
void json_kv_span_ms(struct json_out *j, const char *key, int64_t start_ns, int64_t end_ns);
/* Lower-case hexadecimal, null when all bytes are zero. */
void json_kv_hex(struct json_out *j, const char *key, const uint8_t *bytes, size_t len);
void json_hex_id(struct json_out *j, uint64_t id);
void json_kv_id(struct json_out *j, const char *key, uint64_t id);
/* Text, or null when it is empty. */
void json_kv_text_or_null(struct json_out *j, const char *key, struct sv text);
/* v rounded to that many decimals, so that answers stay short. */
void json_kv_rounded(struct json_out *j, const char *key, double v, unsigned decimals);

#endif
