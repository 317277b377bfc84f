/* SPDX-License-Identifier: Apache-2.0
 * authorize.c - the step behind the head: one spelling of the path, and may this request be served?
 *
 * The path is normalised where it lies, for every side, so that routes, policies, the record and
 * the next hop all read the same one. Policies are asked where requests arrive for a workload: in
 * front of an application and at a gateway. Only what mutual TLS has proven counts as who somebody
 * is; what headers claim does not. */
#include "proxy/authz/authz.h"
#include "proxy/route/path.h"
#include "proxy/stream.h"

static void normalize_path(struct stream *s)
{
    struct http_head *h = s->req;
    const struct buf *b = &s->req_block;
    bool is_ours = s->down_h2 || (h->path.p >= b->mem && h->path.p < b->mem + b->cap);
    if (is_ours) /* else it is the codec's own "/" of a target without path */
        h->path.len = path_normalize((char *)(uintptr_t)h->path.p, h->path.len);
}

static struct sv path_of(const struct stream *s)
{
    return s->req->path;
}

/* A fragment is never sent (RFC 9112 section 3.2); some servers drop it, so that "/private#" is not
 * "/private" to a rule and is to them. */
static enum step_result refuse_fragment(struct stream *s)
{
    snprintf(s->why, sizeof(s->why), "the request target has a fragment");
    return stream_fail(s, 400, TALLY_REPLIES_DPE, "DPE", "path_normalization_failed");
}

static void describe(const struct stream *s, struct authz_request *q)
{
    const struct down *d = s->down;
    const struct tls_info *tls = conn_tls(d->conn);
    *q = (struct authz_request){
        .head = s->req,
        .path = http_path_only(s->req),
        .source_ip = ip_of_addr(conn_peer(d->conn)),
        .destination_ip = ip_of_addr(d->has_original ? &d->original : conn_local(d->conn)),
        .remote_ip = caller_ip(s),
        .port = s->side == SIDE_INBOUND ? down_app_port(d) : d->port->number,
    };
    if (!tls)
        return;
    q->sni = tls->sni;
    who_has_proven(tls, q);
}

static enum step_result deny(struct stream *s)
{
    const struct authz_decision *a = &s->authz;
    s->is_why_inside = true;
    if (a->rule.len)
        snprintf(s->why, sizeof(s->why), "denied by policy %.*s",
                 (int)MIN(a->policy.len, (size_t)200), a->policy.p);
    else
        snprintf(s->why, sizeof(s->why), "no rule matches of %s %.*s%s",
                 a->policies_len > 1 ? "policies" : "policy", (int)MIN(a->policy.len, (size_t)200),
                 a->policy.p, a->policies_len > 1 ? " and others" : "");
    s->own_body = SV("RBAC: access denied");
    return stream_fail(s, 403, TALLY_AUTHZ_DENIED, NULL, "rbac_access_denied_matched_policy[%.*s]",
                       SV_ARG(a->rule.len ? a->rule : SV("none")));
}

enum step_result authorize_run(struct stream *s)
{
    const struct authz *policies = mesh_authz(s->mesh);
    struct authz_request q;
    if (sv_index(path_of(s), '#') < path_of(s).len)
        return refuse_fragment(s);
    normalize_path(s);
    s->state = ST_ROUTE;
    if (s->side == SIDE_OUTBOUND || !policies)
        return STEP_AGAIN;
    describe(s, &q);
    authz_decide(policies, &q, &s->authz);
    if (s->authz.audit.len)
        tally(TALLY_AUTHZ_AUDITED);
    if (s->authz.would_deny.len || (s->authz.has_allow_dry_run && !s->authz.would_allow.len))
        tally(TALLY_AUTHZ_WOULD_DENY);
    return s->authz.is_allowed ? STEP_AGAIN : deny(s);
}
