/* health.h - endpoints that are asked whether they are well, and which of them are not.
 *
 * Only those of clusters with a health_check. An endpoint counts as well until checks say otherwise.
 * State is a worker's own and kept by cluster and endpoint as text, so it survives a reload of the
 * configuration. Times are monotonic. One thread: the worker's. */
#ifndef PROXY_UPSTREAM_HEALTH_H
#define PROXY_UPSTREAM_HEALTH_H

#include "base/map.h"
#include "net/loop.h"
#include "proxy/config/mesh.h"

#define HEALTH_USER_AGENT SV("tulle-health-check")

struct worker;
struct health_asking; /* health_probe.c: a check under way */

struct health {
    struct loop *loop;
    struct worker *worker;
    struct map checked; /* check_key and endpoint text to struct health_checked */
    size_t down_len;    /* of these, not well */
    size_t asking_len;  /* checks under way */
    bool is_stopped;
};
/* One endpoint of a cluster. */
struct health_checked {
    struct health *health;
    const struct cluster *cluster; /* here and next: of the mesh in force */
    const struct endpoint *endpoint;
    struct timer timer;
    struct health_asking *asking; /* NULL: no check is under way */
    uint32_t good, bad;           /* in a row */
    bool is_down, is_wanted;
    int64_t told_ns; /* the last answer; 0: none yet */
    char why[96];    /* what that was */
};

void health_init(struct health *h, struct loop *l, struct worker *w);
/* The mesh in force is now m: new endpoints are asked from soon on, those that are gone no more. */
void health_follow(struct health *h, const struct mesh *m);
void health_stop(struct health *h);   /* nobody is asked; what is believed stays */
void health_resume(struct health *h); /* takes health_stop() back */
void health_done(struct health *h);   /* all-zero is fine */

/* Is e of c to be left out? False when it is not checked. */
bool health_is_down(const struct health *h, const struct cluster *c, const struct endpoint *e);
/* NULL: not checked. */
struct health_checked *health_find(const struct health *h, const struct cluster *c,
                                   const struct endpoint *e);
/* A check has ended. */
void health_report(struct health_checked *k, bool is_ok, const char *why);

/* health_probe.c: asks k's endpoint once; health_report() follows unless it is cancelled. ERR_NOMEM,
 * ERR_IO, ERR_TLS: nothing was begun. */
int health_ask(struct health_checked *k, struct err *err) MUST_USE;
void health_cancel(struct health_checked *k); /* fine when nothing is under way */

#endif
