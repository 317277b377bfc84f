/* authz.h - may this request be served? Asked of the policies that apply to this workload.
 *
 * Istio's order: AUDIT takes notes; then any DENY policy that matches denies; then, when there are
 * ALLOW policies, one of them must match. Policies in dry run are judged beside them and change
 * nothing. Deciding allocates nothing and touches only the request and the policies. */
#ifndef PROXY_AUTHZ_AUTHZ_H
#define PROXY_AUTHZ_AUTHZ_H

#include "proxy/authz/policy.h"
#include "wire/http_msg.h"

/* All policies of one workload. All-zero: none, everything is allowed. */
struct authz {
    struct {
        struct authz_policy *first, *last;
        size_t len;
    } lists[AUTHZ_ACTIONS_LEN][2]; /* in force, dry run */
};
/* Is the policy asked at this port? 0: at one that is not known, so that all are. */
bool authz_is_at(const struct authz_policy *p, uint16_t port);
/* Takes p into its list; p lives as long as a. */
void authz_add(struct authz *a, struct authz_policy *p);

/* What is known of a request; absent text is empty. */
struct authz_request {
    const struct http_head *head; /* NULL: a TCP connection, of which requests' attributes vanish */
    struct sv path;               /* normalised, without query */
    struct sv principal;          /* proven, without "spiffe://" */
    struct sv trust_domain, namespace, account; /* its parts */
    struct sv sni;
    struct ip source_ip, remote_ip, destination_ip;
    uint16_t port; /* of the workload */
};

/* Views into the policies. */
struct authz_decision {
    bool is_allowed;
    struct sv rule;        /* the DENY or ALLOW rule that decided; empty: none matched */
    struct sv policy;      /* denied: whose decision it was; of several ALLOW policies the first */
    size_t policies_len;   /* how many those are */
    struct sv audit;       /* the first AUDIT rule that matched */
    struct sv would_deny;  /* dry run: the first DENY rule that matched */
    struct sv would_allow; /* dry run: the first ALLOW rule that matched */
    bool has_deny_dry_run, has_allow_dry_run; /* there are such policies at all */
};
/* What keeps a rule from matching, for people. */
struct authz_miss {
    const char *part; /* "from", "to", "when"; NULL: the rule cannot be decided at all */
    const struct authz_cond *cond; /* of the first block of that part */
    bool is_excluded;              /* a `not` value matches; else no value does */
};
/* Does the rule of a policy with this action match? Asked as authz_decide() asks; ret may be NULL. */
bool authz_rule_matches(const struct authz_rule *r, enum authz_action action,
                        const struct authz_request *q, struct authz_miss *ret);

void authz_decide(const struct authz *a, const struct authz_request *q, struct authz_decision *ret);

#endif
