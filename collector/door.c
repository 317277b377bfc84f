/* door.c - listening, stopping.
 *
 * Stopping keeps promise and patience apart: what the pipeline has will be committed and is waited
 * for; what is still being sent was promised nothing and is refused at once, so that its sender
 * turns to another collector or to us after the restart. */
#include "base/log.h"
#include "base/mem.h"
#include "door_priv.h"
#include "tallies.h"

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    struct door *d = owner;
    if (caller_new(d, fd, peer)) {
        d->callers_len++;
        tally(TALLY_CONNS_IN, 1);
        tally_set(TALLY_CONNS_OPEN, d->callers_len);
        return;
    }
    listener_conn_gone(l);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "door.accept_failed", KV_STR("why", "out of memory"));
}

void door_caller_gone(struct door *d)
{
    d->callers_len--;
    tally_set(TALLY_CONNS_OPEN, d->callers_len);
    if (d->listener)
        listener_conn_gone(d->listener);
}

struct door *door_open(const struct door_conf *c, struct err *err)
{
    struct door *d = mem_zalloc(sizeof(*d));
    if (!d) {
        err_set(err, ERR_NOMEM, "door");
        return NULL;
    }
    d->conf = *c;
    list_init(&d->callers);
    struct listener_conf lc = { .host = sv_z(c->listen),
                                .port = c->port,
                                .max_conns = c->conns_max };
    d->listener = listener_open(c->loop, &lc, on_accept, d, err);
    return d->listener ? d : mem_free(d);
}

uint16_t door_port(const struct door *d)
{
    return listener_port(d->listener);
}

static void tell_drained(struct defer *def)
{
    struct door *d = CONTAINER_OF(def, struct door, drained);
    door_drained_fn *fn = TAKE(d->on_drained);
    timer_stop(&d->give_up);
    if (fn)
        fn(d->on_drained_to);
}

void door_check_drained(struct door *d)
{
    if (d->is_stopping && d->committing_len == 0)
        loop_defer(d->conf.loop, &d->drained, tell_drained);
}

static void on_give_up(struct timer *t)
{
    struct door *d = CONTAINER_OF(t, struct door, give_up);
    LOG_WARN("door.drain_timeout", KV_UINT("waiting", d->committing_len));
    loop_defer(d->conf.loop, &d->drained, tell_drained);
}

void door_drain(struct door *d, int64_t wait_ns, door_drained_fn *fn, void *to)
{
    d->is_stopping = true;
    d->on_drained = fn;
    d->on_drained_to = to;
    d->listener = listener_close(d->listener);
    LIST_EACH (it, after, &d->callers) {
        struct caller *c = CONTAINER_OF(it, struct caller, node);
        bool is_idle = c->state == CALLER_HEAD && c->in.len == 0;
        if (c->state == CALLER_COMMITTING)
            continue;
        if (!is_idle && c->state != CALLER_GONE) {
            export_refuse(c, 503, RPC_UNAVAILABLE, "the collector is stopping");
            c->req.is_keep_alive = false;
            export_send_refusal(c);
        } else {
            caller_close(c, 0);
        }
    }
    timer_init(&d->give_up, d->conf.loop, on_give_up);
    timer_after(&d->give_up, wait_ns);
    door_check_drained(d);
}

struct door *door_close(struct door *d)
{
    if (!d)
        return NULL;
    timer_stop(&d->give_up);
    defer_cancel(&d->drained);
    d->listener = listener_close(d->listener);
    LIST_EACH (it, after, &d->callers)
        caller_close(CONTAINER_OF(it, struct caller, node), 0);
    return mem_free(d);
}
