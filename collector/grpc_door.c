/* SPDX-License-Identifier: Apache-2.0
 * grpc_door.c - listening, stopping; by the rules of door.c: what the pipeline has is waited for, the rest is
 * refused at once. */
#include "base/log.h"
#include "base/mem.h"
#include "grpc_priv.h"

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    struct grpc_door *d = owner;
    if (grpc_peer_new(d, fd, peer)) {
        d->peers_len++;
        tally(TALLY_GRPC_CONNS_IN, 1);
        tally_set(TALLY_GRPC_CONNS_OPEN, d->peers_len);
        return;
    }
    listener_conn_gone(l);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "grpc.accept_failed", KV_STR("why", "out of memory"));
}

void grpc_peer_gone(struct grpc_door *d)
{
    d->peers_len--;
    tally_set(TALLY_GRPC_CONNS_OPEN, d->peers_len);
    if (d->listener)
        listener_conn_gone(d->listener);
}

struct grpc_door *grpc_door_open(const struct door_conf *c, struct err *err)
{
    struct grpc_door *d = mem_zalloc(sizeof(*d));
    if (!d) {
        err_set(err, ERR_NOMEM, "gRPC door");
        return NULL;
    }
    d->conf = *c;
    list_init(&d->peers);
    struct listener_conf lc = { .host = sv_z(c->listen),
                                .port = c->port,
                                .max_conns = c->conns_max };
    d->listener = listener_open(c->loop, &lc, on_accept, d, err);
    return d->listener ? d : mem_free(d);
}

uint16_t grpc_door_port(const struct grpc_door *d)
{
    return listener_port(d->listener);
}

static void tell_drained(struct defer *def)
{
    struct grpc_door *d = CONTAINER_OF(def, struct grpc_door, drained);
    door_drained_fn *fn = TAKE(d->on_drained);
    timer_stop(&d->give_up);
    if (fn)
        fn(d->on_drained_to);
}

void grpc_check_drained(struct grpc_door *d)
{
    if (d->is_stopping && d->committing_len == 0)
        loop_defer(d->conf.loop, &d->drained, tell_drained);
}

static void on_give_up(struct timer *t)
{
    struct grpc_door *d = CONTAINER_OF(t, struct grpc_door, give_up);
    LOG_WARN("grpc.drain_timeout", KV_UINT("waiting", d->committing_len));
    loop_defer(d->conf.loop, &d->drained, tell_drained);
}

void grpc_door_drain(struct grpc_door *d, int64_t wait_ns, door_drained_fn *fn, void *to)
{
    d->is_stopping = true;
    d->on_drained = fn;
    d->on_drained_to = to;
    d->listener = listener_close(d->listener);
    LIST_EACH (it, after, &d->peers)
        grpc_peer_drain(CONTAINER_OF(it, struct grpc_peer, node));
    timer_init(&d->give_up, d->conf.loop, on_give_up);
    timer_after(&d->give_up, wait_ns);
    grpc_check_drained(d);
}

struct grpc_door *grpc_door_close(struct grpc_door *d)
{
    if (!d)
        return NULL;
    timer_stop(&d->give_up);
    defer_cancel(&d->drained);
    d->listener = listener_close(d->listener);
    LIST_EACH (it, after, &d->peers)
        grpc_peer_close(CONTAINER_OF(it, struct grpc_peer, node), 0);
    buf_done(&d->out);
    return mem_free(d);
}
