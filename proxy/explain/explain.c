/* SPDX-License-Identifier: Apache-2.0
 * explain.c - one proxy's part: mutual TLS, authorization, routing, in the order of a request's steps.
 *
 * Told is what decided and what was passed over. The first step that ends the request ends the
 * explanation, as it ends the request. */
#include "proxy/explain/explain.h"

void explain_origin(struct telling *t, const char *key, const struct origin *o)
{
    if (!t->is_json) {
        if (o)
            tell_printf(t, key, "%.*s %.*s/%.*s, %.*s:%u:%u", SV_ARG(o->kind), SV_ARG(o->namespace),
                        SV_ARG(o->name), SV_ARG(o->file), o->line, o->column);
        return;
    }
    if (key)
        json_key(&t->json, sv_z(key));
    if (!o) {
        json_null(&t->json);
        return;
    }
    json_open(&t->json, '{');
    json_kv_str(&t->json, "kind", o->kind);
    json_kv_str(&t->json, "namespace", o->namespace);
    json_kv_str(&t->json, "name", o->name);
    json_kv_str(&t->json, "file", o->file);
    json_kv_u64(&t->json, "line", o->line);
    json_kv_u64(&t->json, "column", o->column);
    json_close(&t->json);
}

bool explain_is_mutual(const struct cluster *c, const struct endpoint *e)
{
    return c->tls == TLS_MODE_ISTIO_MUTUAL || (c->tls == TLS_MODE_AUTO && e->has_sidecar);
}

void explain_caller(const struct explain_ask *q, struct telling *t)
{
    tell_open(t, "caller", '{');
    tell_str(t, "connection",
             q->is_mutual ? SV("mutual TLS")
             : q->is_tls  ? SV("TLS")
                          : SV("plaintext"));
    if (q->is_mutual)
        tell_str(t, "principal", q->principal);
    tell_close(t);
}

bool explain_mutual_tls(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret)
{
    static const char *const names[] = {
        [MTLS_PERMISSIVE] = "PERMISSIVE", [MTLS_STRICT] = "STRICT", [MTLS_DISABLE] = "DISABLE"
    };
    enum mtls_mode mode = mesh_inbound_mtls(q->mesh, q->port);
    const struct origin *by = mesh_inbound_mtls_by(q->mesh, q->port);
    bool is_refused = mode == MTLS_STRICT && !q->is_mutual;
    tell_open(t, "mutual_tls", '{');
    tell_str(t, "mode", sv_z(names[mode]));
    explain_origin(t, "decided_by", by);
    if (!by && !t->is_json)
        tell_str(t, "decided_by", SV("nobody: Istio's default"));
    tell_bool(t, "passes", !is_refused);
    tell_close(t);
    if (is_refused)
        snprintf(ret->why, sizeof(ret->why), "%s: the connection is closed without an answer",
                 q->is_tls ? "TLS that is not the mesh's where mutual TLS is STRICT"
                           : "plaintext where mutual TLS is STRICT");
    return !is_refused;
}

static void tell_answer(const struct explain_ask *q, const struct explain_outcome *o,
                        struct telling *t)
{
    if (o->is_passed_on)
        return;
    tell_open(t, "answer", '{');
    if (!q->is_connection)
        tell_u64(t, "status", o->status);
    tell_str(t, "why", sv_z(o->why));
    tell_close(t);
}

static void explain_inbound(const struct explain_ask *q, struct telling *t,
                            struct explain_outcome *ret)
{
    tell_u64(t, "port", q->port);
    explain_caller(q, t);
    if (!explain_mutual_tls(q, t, ret) || !explain_policies(q, t, ret))
        return;
    ret->is_passed_on = true;
    tell_str(t, "passed_on_to", SV("the application"));
}

void explain_hop(const struct explain_ask *q, struct arena *mem, struct telling *t,
                 struct explain_outcome *ret)
{
    static const char *const names[] = { [EXPLAIN_OUTBOUND] = "outbound",
                                         [EXPLAIN_INBOUND] = "inbound",
                                         [EXPLAIN_GATEWAY] = "gateway" };
    *ret = (struct explain_outcome){ .path = q->head.path, .authority = q->head.authority };
    tell_str(t, "proxy", sv_z(names[q->side]));
    tell_str(t, "workload", q->self->workload);
    tell_str(t, "namespace", q->self->namespace);
    if (!q->is_connection)
        tell_str(t, "path", q->head.path);
    if (q->is_connection) {
        explain_connection(q, t, ret);
    } else if (q->side == EXPLAIN_INBOUND) {
        explain_inbound(q, t, ret);
    } else {
        if (q->side == EXPLAIN_GATEWAY)
            explain_caller(q, t);
        if (q->side == EXPLAIN_OUTBOUND || explain_policies(q, t, ret))
            explain_routing(q, mem, t, ret);
    }
    tell_answer(q, ret, t);
}
