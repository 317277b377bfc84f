/* envoy_node.c - an Envoy's node as attributes.
 *
 * Istio tells its proxies who they are in the node of their bootstrap: its id is
 * "sidecar~IP~POD.NAMESPACE~DOMAIN", its cluster "app.NAMESPACE", its metadata has fields with names
 * that are older than OpenTelemetry's. Under the latter they are what a resource of OTLP says, and
 * mean the same to everybody behind. What proxies tell each other of themselves
 * (filter state upstream_peer, downstream_peer) is such metadata too, or the same facts under short
 * names on one level ("workload", "service", "revision"), as Istio's filters log it.
 *
 * Two levels are looked at (LABELS is a Struct in a Value), so depth costs nothing; other fields are
 * skipped, and there are as many attributes as rows, so a node cannot grow. */
#include "ingest/envoy_node.h"

/* core.v3.Node; google.protobuf.Struct, its entries, and Value */
enum { NODE_ID = 1, NODE_CLUSTER = 2, NODE_METADATA = 3 };
enum { STRUCT_FIELDS = 1, ENTRY_KEY = 1, ENTRY_VALUE = 2, VALUE_STRING = 3, VALUE_STRUCT = 5 };

enum { ROW_ID, ROW_CLUSTER, ROWS_OF_METADATA };
static const struct row {
    struct sv key;      /* of the metadata */
    bool is_label;      /* in its LABELS */
    struct sv peer_key; /* of a peer's short form */
    struct sv name;
} rows[] = {
    [ROW_ID] = { .name = SV("node_name") },
    [ROW_CLUSTER] = { .name = SV("cluster_name") },
#define ROW(key, is_label, peer_key, name)                                                         \
    {                                                                                              \
        SV(key), is_label, SV(peer_key), SV(name)                                                  \
    }
#define LABEL(key, peer_key) ROW(key, true, peer_key, "k8s.pod.label." key)
    ROW("NAME", false, "name", "k8s.pod.name"),
    ROW("NAMESPACE", false, "namespace", "k8s.namespace.name"),
    ROW("WORKLOAD_NAME", false, "workload", "k8s.deployment.name"),
    ROW("CLUSTER_ID", false, "cluster", "k8s.cluster.name"),
    LABEL("service.istio.io/canonical-name", "service"),
    LABEL("service.istio.io/canonical-revision", "revision"),
    LABEL("app.kubernetes.io/name", ""),
    LABEL("app.kubernetes.io/version", ""),
    LABEL("app", "app"),
    LABEL("version", "version"),
#undef LABEL
#undef ROW
};
_Static_assert(NELEMS(rows) == ENVOY_NODE_ATTRS, "an attribute each");

struct envoy_node envoy_node_empty(void)
{
    struct envoy_node n = { 0 };
    for (size_t i = 0; i < NELEMS(rows); i++)
        n.said[i].key = rows[i].name;
    return n;
}

struct attrs envoy_node_attrs(const struct envoy_node *n)
{
    return (struct attrs){ .list = n->said, .len = ENVOY_NODE_ATTRS };
}

static void say(struct envoy_node *n, size_t row, struct sv text)
{
    if (text.len)
        n->said[row].value = (struct value){ .type = VALUE_STR, .str = text };
}

static void read_value(struct rd *r, struct pb_tag t, struct sv *ret_text, struct sv *ret_struct)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case VALUE_STRING: *ret_text = pb_bytes(r, u); break;
        case VALUE_STRUCT: *ret_struct = pb_bytes(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

/* One entry of a Struct. */
static void read_entry(struct rd *r, struct pb_tag t, struct sv *ret_key, struct sv *ret_text,
                       struct sv *ret_struct)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case ENTRY_KEY: *ret_key = pb_bytes(r, u); break;
        case ENTRY_VALUE: read_value(r, u, ret_text, ret_struct); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

enum form { FORM_NODE, FORM_LABELS, FORM_PEER };

static bool is_row(const struct row *row, enum form form, struct sv key)
{
    return (row->is_label == (form == FORM_LABELS) && sv_eq(row->key, key)) ||
           (form == FORM_PEER && sv_eq(row->peer_key, key));
}

/* A Struct's fields; the last LABELS goes to *ret_labels. */
static void read_fields(struct rd *r, enum form form, struct envoy_node *n, struct sv *ret_labels)
{
    for (struct pb_tag t; pb_next(r, &t);) {
        struct sv key = SV_NONE, text = SV_NONE, nested = SV_NONE;
        if (t.field != STRUCT_FIELDS) {
            pb_skip(r, t);
            continue;
        }
        read_entry(r, t, &key, &text, &nested);
        for (size_t i = ROWS_OF_METADATA; i < NELEMS(rows); i++)
            if (key.len && is_row(&rows[i], form, key))
                say(n, i, text);
        if (sv_eq(key, SV("LABELS")) && nested.len)
            *ret_labels = nested;
    }
}

static void read_struct(struct rd *r, enum form form, struct envoy_node *n)
{
    struct sv labels = SV_NONE, none = SV_NONE;
    read_fields(r, form, n, &labels);
    if (!labels.len || !rd_ok(r))
        return;
    struct rd inner = rd_of(labels);
    inner.base = r->base;
    read_fields(&inner, FORM_LABELS, n, &none);
    if (!rd_ok(&inner)) {
        rd_fail(r, inner.failed.code, "%s", inner.failed.why);
        r->failed.at = inner.failed.at;
    }
}

void envoy_node_read_peer(struct rd *r, struct envoy_node *n)
{
    read_struct(r, FORM_PEER, n);
}

void envoy_node_read(struct rd *r, struct pb_tag t, struct envoy_node *n)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case NODE_ID: say(n, ROW_ID, pb_bytes(r, u)); break;
        case NODE_CLUSTER: say(n, ROW_CLUSTER, pb_bytes(r, u)); break;
        case NODE_METADATA: {
            const uint8_t *node = pb_enter(r, u);
            read_struct(r, FORM_NODE, n);
            pb_leave(r, node);
            break;
        }
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}
