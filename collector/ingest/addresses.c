/* addresses.c - the caller's line knows the callee's address, the callee's line the caller's.
 *
 * A line of an Envoy access log names one workload, the proxy's own, and the other end by its
 * address only. Left so, the two lines of one request would be two edges, each with an end that
 * nobody knows. But each proxy's lines also hold the proxy's own address, so the address of a pod is
 * known as soon as one line has come from it. What is resolved here is written into the call before it
 * is stored, so counting it again after a restart gives the same edge.
 *
 * An address is believed for ten minutes after its owner's last line, because pods come and go and
 * addresses are given out again; a new owner takes over at once. At ADDRESSES_MAX further pods are not
 * learned (and counted): their calls keep the name of the service. */
#include "ingest/addresses.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tallies.h"

enum { ADDRESSES_MAX = 20000 /* as many as edges; 6 MB when full */ };
#define BELIEVED_NS (600 * NS_PER_S)
#define SWEEP_NS    (60 * NS_PER_S)

struct address {
    struct arena mem;
    struct identity who;
    int64_t seen_ns;
};

static struct address *address_free(struct address *a)
{
    if (a)
        arena_done(&a->mem);
    return mem_free(a);
}

void addresses_done(struct addresses *a)
{
    void *owner;
    for (size_t i = 0; map_next(&a->by_ip, &i, NULL, &owner);)
        address_free(owner);
    map_done(&a->by_ip);
    a->swept_ns = 0;
}

/* "10.1.2.3:80", "[fd00::1]:80"; empty for what is no pod's address. */
static struct sv ip_of(struct sv address)
{
    struct sv ip = sv_sub(address, 0, sv_rindex(address, ':'));
    if (ip.len > 2 && ip.p[0] == '[' && ip.p[ip.len - 1] == ']')
        ip = sv_sub(ip, 1, ip.len - 2);
    bool is_ip = ip.len && ip.len < address.len && ip.len <= 45 && !sv_starts(ip, SV("127.")) &&
                 !sv_eq(ip, SV("::1")) && !sv_eq(ip, SV("::6"));
    for (size_t i = 0; is_ip && i < ip.len; i++)
        is_ip = memchr("0123456789abcdefABCDEF.:", ip.p[i], 24) != NULL;
    return is_ip ? ip : SV_NONE;
}

static bool is_known(const struct identity *who)
{
    return who->workload.len && !sv_eq(who->workload, IDENTITY_UNKNOWN) &&
           !sv_eq(who->version,
                  IDENTITY_UNKNOWN); /* a name that others call it by has no version */
}

static void sweep(struct addresses *a, int64_t now_ns)
{
    void *owner;
    if (now_ns - a->swept_ns < SWEEP_NS && a->by_ip.len < ADDRESSES_MAX)
        return;
    a->swept_ns = now_ns;
    for (size_t i = 0; map_next(&a->by_ip, &i, NULL, &owner);) {
        if (now_ns - ((struct address *)owner)->seen_ns <= BELIEVED_NS)
            continue;
        map_remove_given(&a->by_ip, &i);
        address_free(owner);
    }
}

static int learn(struct addresses *a, struct sv ip, const struct identity *who, int64_t now_ns)
{
    struct address *known = map_get(&a->by_ip, ip);
    if (known && identity_same_node(&known->who, who) && sv_eq(known->who.service, who->service)) {
        known->seen_ns = now_ns;
        return 0;
    }
    if (!known && a->by_ip.len >= ADDRESSES_MAX) {
        tally(TALLY_ADDRESSES_FULL, 1);
        return 0;
    }
    struct address *fresh = mem_zalloc(sizeof(*fresh));
    void *old = NULL;
    if (!fresh || identity_copy(&fresh->mem, who, &fresh->who) < 0 ||
        map_put(&a->by_ip, ip, fresh, &old) < 0) {
        address_free(fresh);
        return ERR_NOMEM;
    }
    fresh->who.principal = IDENTITY_UNKNOWN; /* proven by a connection, not by an address */
    fresh->seen_ns = now_ns;
    address_free(old);
    return 0;
}

static int resolve(struct addresses *a, struct batch *b, struct call *c, int64_t now_ns)
{
    bool is_source = c->reporter == REPORTER_SOURCE;
    struct identity *other = is_source ? &c->destination : &c->source;
    struct sv ip = ip_of(c->peer_address);
    const struct address *owner = ip.len && !is_known(other) ? map_get(&a->by_ip, ip) : NULL;
    if (!owner || now_ns - owner->seen_ns > BELIEVED_NS)
        return 0;
    struct identity who;
    if (identity_copy(&b->mem, &owner->who, &who) < 0)
        return ERR_NOMEM;
    who.principal = other->principal;
    *other = who;
    return 0;
}

int addresses_settle(struct addresses *a, struct batch *b, int64_t now_ns)
{
    int rc = 0;
    for (size_t i = 0; i < b->calls_len && rc == 0; i++) {
        const struct call *c = &b->calls[i];
        struct sv ip = ip_of(c->own_address);
        const struct identity *own = c->reporter == REPORTER_SOURCE ? &c->source : &c->destination;
        if (ip.len && is_known(own)) {
            sweep(a, now_ns);
            rc = learn(a, ip, own, now_ns);
        }
    }
    for (size_t i = 0; i < b->calls_len && rc == 0; i++)
        if (b->calls[i].peer_address.len)
            rc = resolve(a, b, &b->calls[i], now_ns);
    return rc;
}
