/* SPDX-License-Identifier: Apache-2.0
 * authz_out.c - what authorization said of a request, as attributes of its record and its span.
 *
 * A denial names the policy even when it came from no rule matching, which response_code_details
 * calls "none". Dry-run results carry Istio's names of span tags. */
#include "proxy/authz/authz.h"
#include "proxy/telemetry/otlp_out.h"

static void put_dry_run(struct buf *to, uint32_t field, struct sv name_key, struct sv result_key,
                        struct sv rule, bool is_denied)
{
    otlp_put_text(to, field, name_key, rule);
    otlp_put_text(to, field, result_key, is_denied ? SV("denied") : SV("allowed"));
}

void otlp_put_authz(struct buf *to, uint32_t field, const struct authz_decision *a)
{
    if (!a)
        return;
    otlp_put_text(to, field, SV("authorization_policy"), a->policy);
    otlp_put_text(to, field, SV("authorization_audit"), a->audit);
    if (a->has_deny_dry_run)
        put_dry_run(to, field, SV("istio.authorization.dry_run.deny_policy.name"),
                    SV("istio.authorization.dry_run.deny_policy.result"), a->would_deny,
                    a->would_deny.len > 0);
    if (a->has_allow_dry_run)
        put_dry_run(to, field, SV("istio.authorization.dry_run.allow_policy.name"),
                    SV("istio.authorization.dry_run.allow_policy.result"), a->would_allow,
                    a->would_allow.len == 0);
}
