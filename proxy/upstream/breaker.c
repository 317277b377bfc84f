/* SPDX-License-Identifier: Apache-2.0
 * breaker.c - DestinationRule's connectionPool.
 *
 * With HTTP/1.1 a connection carries one request, so maxConnections bounds the requests under way;
 * the next ones wait in a queue of http1MaxPendingRequests, in the order they came. Whoever gives a
 * connection back hands its place on, so that a newcomer never overtakes. What does not fit is
 * refused at once: waiting for an overloaded service helps nobody. */
#include "proxy/upstream/breaker.h"
#include "base/mem.h"

void breakers_done(struct breakers *b)
{
    void *value;
    for (size_t i = 0; map_next(&b->uses, &i, NULL, &value);)
        mem_free(value);
    map_done(&b->uses);
}

static struct cluster_use *use_of(struct breakers *b, const struct cluster *c)
{
    struct cluster_use *u = map_get(&b->uses, c->name);
    if (u)
        return u;
    u = mem_zalloc(sizeof(*u));
    if (!u || map_put(&b->uses, c->name, u, NULL) < 0)
        return mem_free(u);
    list_init(&u->waiting);
    return u;
}

bool breaker_begin(struct breakers *b, struct breaker_seat *s, const struct cluster *c)
{
    bool is_counted = c->limits || c->lb == LB_ROUND_ROBIN;
    s->use = is_counted ? use_of(b, c) : NULL;
    s->limits = c->limits;
    if (!s->use || !s->limits)
        return true;
    if (s->use->requests >= s->limits->requests_max)
        return false;
    s->use->requests++;
    s->is_request = true;
    return true;
}

enum breaker_answer breaker_connect(struct breaker_seat *s)
{
    struct cluster_use *u = s->use;
    if (!u || !s->limits || s->is_connection)
        return BREAKER_GO;
    if (list_is_linked(&s->node))
        return BREAKER_WAIT;
    if (u->connections < s->limits->connections_max) {
        u->connections++;
        s->is_connection = true;
        return BREAKER_GO;
    }
    if (u->waiting_len >= s->limits->pending_max)
        return BREAKER_FULL;
    list_add_tail(&u->waiting, &s->node);
    u->waiting_len++;
    return BREAKER_WAIT;
}

void breaker_disconnect(struct breaker_seat *s, struct loop *loop, defer_fn *run)
{
    struct cluster_use *u = s->use;
    if (!s->is_connection)
        return;
    s->is_connection = s->has_turn = false;
    u->connections--;
    struct breaker_seat *next = LIST_FIRST(&u->waiting, struct breaker_seat, node);
    if (!next || u->connections >= next->limits->connections_max)
        return;
    list_remove(&next->node);
    u->waiting_len--;
    u->connections++;
    next->is_connection = next->has_turn = true;
    loop_defer(loop, &next->turn, run);
}

static uint32_t retries_max(const struct breaker_seat *s)
{
    const struct pool_limits *l = s->limits;
    double share = l->budget_percent * s->use->requests / 100;
    return !l->has_budget ? l->retries_max : MAX(l->budget_min, (uint32_t)share);
}

bool breaker_retry(struct breaker_seat *s)
{
    if (!s->use || !s->limits || s->is_retry)
        return true;
    if (s->use->retries >= retries_max(s))
        return false;
    s->use->retries++;
    s->is_retry = true;
    return true;
}

void breaker_end(struct breaker_seat *s, struct loop *loop, defer_fn *run)
{
    if (!s->use)
        return;
    if (list_is_linked(&s->node)) {
        list_remove(&s->node);
        s->use->waiting_len--;
    }
    defer_cancel(&s->turn);
    breaker_disconnect(s, loop, run);
    s->use->requests -= s->is_request;
    s->use->retries -= s->is_retry;
    *s = (struct breaker_seat){ 0 };
}
