/* policy.h - authorization policies as they were written, and compiled into what a request is asked.
 *
 * Both forms have one shape: a rule holds when one of its sources, one of its operations and all of
 * its conditions hold (none given: holds); a source or an operation is itself a block of conditions
 * that must all hold. A condition is about one attribute of a request: some value of `any` matches
 * (none given: holds) and none of `none` does.
 *
 * Compiled policies live in an arena and never change. */
#ifndef PROXY_AUTHZ_POLICY_H
#define PROXY_AUTHZ_POLICY_H

#include "base/arena.h"
#include "base/err.h"
#include "proxy/authz/ip_block.h"

enum authz_action { AUTHZ_AUDIT, AUTHZ_DENY, AUTHZ_ALLOW, AUTHZ_ACTIONS_LEN };
enum authz_attr {
    /* known of any connection */
    AUTHZ_PRINCIPAL, /* "cluster.local/ns/default/sa/backend" as the peer has proven */
    AUTHZ_NAMESPACE, /* of the principal; so are the next two */
    AUTHZ_ACCOUNT,
    AUTHZ_TRUST_DOMAIN,
    AUTHZ_SOURCE_IP, /* the peer */
    AUTHZ_REMOTE_IP, /* the original caller, as the last hop forwards it */
    AUTHZ_DESTINATION_IP,
    AUTHZ_PORT, /* of the workload */
    AUTHZ_SNI,
    /* known of requests only */
    AUTHZ_TOKEN, /* from a JSON web token: none is verified here, so never present */
    AUTHZ_HOST,
    AUTHZ_METHOD,
    AUTHZ_PATH,
    AUTHZ_HEADER,
};
#define AUTHZ_FIRST_OF_REQUESTS AUTHZ_TOKEN

/* As written. Everything is borrowed until authz_compile() returns. */
struct origin;
struct place; /* where in a file; only handed back */
struct authz_texts {
    const struct sv *list;
    size_t len;
};
struct authz_written_cond {
    enum authz_attr attr;
    struct sv header; /* AUTHZ_HEADER: its name */
    struct authz_texts any, none;
    const struct place *at;
};
struct authz_written_block {
    const struct authz_written_cond *conds;
    size_t len;
};
struct authz_written_rule {
    const struct authz_written_block *from, *to;
    size_t from_len, to_len;
    struct authz_written_block when;
    bool is_dropped; /* cannot be decided: never matches, but keeps its number */
};
struct authz_written {
    struct sv namespace, name;
    enum authz_action action;
    bool is_dry_run;
    struct authz_texts domains; /* the mesh's trust domain, then its aliases */
    const struct authz_written_rule *rules;
    size_t rules_len;
};

/* Compiled. */
enum authz_match_kind {
    AUTHZ_MATCH_EXACT,
    AUTHZ_MATCH_PREFIX,
    AUTHZ_MATCH_SUFFIX,
    AUTHZ_MATCH_PRESENT, /* and not empty */
    AUTHZ_MATCH_TEMPLATE,
    AUTHZ_MATCH_ACCOUNT,
    AUTHZ_MATCH_BLOCK,
    AUTHZ_MATCH_PORT,
};
struct authz_match {
    enum authz_match_kind kind;
    uint16_t port;
    struct sv text;      /* without its star; an account's name */
    struct sv namespace; /* of an account */
    struct ip_block block;
};
struct authz_matches {
    const struct authz_match *list;
    size_t len;
};
struct authz_cond {
    enum authz_attr attr;
    struct sv header;
    struct authz_matches any, none;
};
struct authz_block {
    const struct authz_cond *conds;
    size_t len;
};
struct authz_rule {
    struct sv id; /* "ns[default]-policy[database-policy]-rule[0]", Istio's name of it */
    const struct authz_block *from, *to;
    size_t from_len, to_len;
    struct authz_block when;
    bool is_dropped;
};
struct authz_policy {
    struct sv id; /* "default/database-policy" */
    enum authz_action action;
    bool is_dry_run;
    const uint16_t *ports; /* it applies at; lives as long as the policy. None: at every one */
    size_t ports_len;
    const struct authz_rule *rules;
    size_t rules_len;
    const struct origin *origin; /* proxy/config/mesh.h: where it was written; NULL: nobody knows */
    struct authz_policy *next;
};

/* A policy in mem. Fails when memory is out (ERR_NOMEM) or a value means nothing (ERR_USAGE, and
 * *ret_at is the condition's place): the caller must then refuse the configuration, because leaving
 * the policy out could let in what it was written to stop. */
int authz_compile(const struct authz_written *from, struct arena *mem, struct authz_policy **ret,
                  const struct place **ret_at, struct err *err) MUST_USE;

#endif
