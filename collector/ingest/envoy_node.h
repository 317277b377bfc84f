/* envoy_node.h - who an Envoy says it is, or its peer: core.v3.Node with the metadata that Istio puts into it. */
#ifndef INGEST_ENVOY_NODE_H
#define INGEST_ENVOY_NODE_H

#include "model/span.h"
#include "wire/pb.h"

enum { ENVOY_NODE_ATTRS = 12 };
/* Each row under a name of semconv.def; VALUE_EMPTY where nothing was said. Text points into the
 * message. */
struct envoy_node {
    struct attr said[ENVOY_NODE_ATTRS];
};

struct envoy_node envoy_node_empty(void);
/* Read one field's message from r and latch failures there; what is said again counts instead of what was. */
void envoy_node_read(struct rd *r, struct pb_tag t, struct envoy_node *n);
/* A peer's, as google.protobuf.Struct in one of Istio's two forms; its fields are those of r up to its end. */
void envoy_node_read_peer(struct rd *r, struct envoy_node *n);
/* Borrowed from n. */
struct attrs envoy_node_attrs(const struct envoy_node *n);

#endif
