/* outlier.c - consecutive errors eject an endpoint, time brings it back.
 *
 * A host is remembered from its first error until it has recovered, so a healthy mesh costs nothing
 * but an empty map. There are no timers: whether an ejection is over is seen when somebody asks.
 * Ejected for base x (ejections in a row), at most max(300 s, base) as in Envoy; each interval spent
 * in health takes one step back; one that answers well as a last resort is in at once. How many may go: max_percent of the cluster, but one of several may
 * always go (docs/adr/0007), unless the operator wrote 0. Bound: HOSTS_MAX; past it, hosts that have
 * been quiet are forgotten first, and if there are none a newcomer is not watched. */
#include "proxy/upstream/outlier.h"
#include "base/clock.h"
#include "base/mem.h"

#define HOSTS_MAX       4096 /* failing at the same time; 200 KiB */
#define EJECTION_MAX_NS (300 * NS_PER_S)
#define QUIET_NS        (600 * NS_PER_S) /* without an error: nobody asks about it any more */

struct host {
    uint32_t errors, gateway_errors; /* in a row */
    uint32_t steps;                  /* ejections in a row: what base is multiplied with */
    int64_t until_ns;                /* end of the last ejection */
    int64_t error_ns;                /* last error */
    uint32_t no_answers;             /* in a row, where the policy counts them apart */
    bool is_ejected;                 /* until_ns may have passed unseen */
};

void outlier_done(struct outlier *o)
{
    void *value;
    for (size_t i = 0; map_next(&o->hosts, &i, NULL, &value);)
        mem_free(value);
    map_done(&o->hosts);
    *o = (struct outlier){ 0 };
}

enum outlier_sign outlier_sign_of(unsigned status)
{
    if (status < 500)
        return OUTLIER_OK;
    return status >= 502 && status <= 504 ? OUTLIER_GATEWAY_ERROR : OUTLIER_5XX;
}

/* Ends an ejection whose time is over. */
static bool is_out(struct outlier *o, struct host *h, int64_t now_ns)
{
    if (h->is_ejected && now_ns >= h->until_ns) {
        h->is_ejected = false;
        h->errors = h->gateway_errors = h->no_answers = 0;
        o->ejected_len--;
    }
    return h->is_ejected;
}

int64_t outlier_out_ns(struct outlier *o, const struct endpoint *e, int64_t now_ns)
{
    struct host *h = o->ejected_len ? map_get(&o->hosts, e->text) : NULL;
    return h && is_out(o, h, now_ns) ? h->until_ns - now_ns : 0;
}

static size_t out_of(struct outlier *o, const struct cluster *c, int64_t now_ns)
{
    size_t n = 0;
    for (size_t i = 0; o->ejected_len && i < c->endpoints_len; i++)
        n += outlier_out_ns(o, c->endpoints[i], now_ns) > 0;
    return n;
}

bool outlier_is_in_force(struct outlier *o, const struct cluster *c, int64_t now_ns)
{
    if (!c->outlier || !o->ejected_len)
        return false;
    size_t out = out_of(o, c, now_ns);
    return out > 0 &&
           (c->endpoints_len - out) * 100 >= c->outlier->min_health_percent * c->endpoints_len;
}

bool outlier_pardon(struct outlier *o, const struct endpoint *e, int64_t now_ns)
{
    struct host *h = map_get(&o->hosts, e->text);
    if (!h || !is_out(o, h, now_ns))
        return false;
    h->until_ns = now_ns;
    return !is_out(o, h, now_ns);
}

size_t outlier_count(struct outlier *o, int64_t now_ns)
{
    void *value;
    for (size_t i = 0; map_next(&o->hosts, &i, NULL, &value);)
        (void)is_out(o, value, now_ns);
    return o->ejected_len;
}

static void forget_quiet(struct outlier *o, int64_t now_ns)
{
    void *value;
    for (size_t i = 0; map_next(&o->hosts, &i, NULL, &value);) {
        struct host *h = value;
        if (is_out(o, h, now_ns) || now_ns - h->error_ns < QUIET_NS)
            continue;
        map_remove_given(&o->hosts, &i);
        mem_free(h);
    }
}

/* The host's state; with is_new made when it is not watched yet. NULL: it has none. */
static struct host *host_of(struct outlier *o, const struct endpoint *e, bool is_new,
                            int64_t now_ns)
{
    struct host *h = map_get(&o->hosts, e->text);
    if (h || !is_new)
        return h;
    if (o->hosts.len >= HOSTS_MAX)
        forget_quiet(o, now_ns);
    h = o->hosts.len < HOSTS_MAX ? mem_zalloc(sizeof(*h)) : NULL;
    if (h && map_put(&o->hosts, e->text, h, NULL) < 0)
        h = mem_free(h);
    return h;
}

/* Intervals in health since the last ejection, taken off the steps. */
static uint32_t steps_left(const struct host *h, const struct outlier_policy *p, int64_t now_ns)
{
    int64_t healthy = h->steps && now_ns > h->until_ns ? (now_ns - h->until_ns) / p->interval_ns
                                                       : 0;
    return healthy >= h->steps ? 0 : h->steps - (uint32_t)healthy;
}

static void succeeded(struct outlier *o, struct host *h, const struct cluster *c,
                      const struct endpoint *e, int64_t now_ns)
{
    h->errors = h->gateway_errors = h->no_answers = 0;
    if (is_out(o, h, now_ns) || steps_left(h, c->outlier, now_ns) > 0)
        return;
    map_remove(&o->hosts, e->text);
    mem_free(h);
}

static bool may_go(struct outlier *o, const struct cluster *c, int64_t now_ns)
{
    size_t out = out_of(o, c, now_ns), max = c->outlier->max_percent;
    bool is_first_of_several = out == 0 && c->endpoints_len > 1 && max > 0;
    return is_first_of_several || (out + 1) * 100 <= max * c->endpoints_len;
}

static enum outlier_verdict eject(struct outlier *o, struct host *h, const struct cluster *c,
                                  int64_t now_ns, int64_t *ret_out_ns)
{
    const struct outlier_policy *p = c->outlier;
    h->errors = h->gateway_errors = h->no_answers = 0;
    if (!may_go(o, c, now_ns))
        return OUTLIER_SPARED;
    int64_t longest = MAX(EJECTION_MAX_NS, p->base_ns);
    h->steps = steps_left(h, p, now_ns) + 1;
    int64_t out_ns = h->steps > longest / p->base_ns ? longest : p->base_ns * h->steps;
    h->until_ns = now_ns + out_ns;
    h->is_ejected = true;
    o->ejected_len++;
    if (ret_out_ns)
        *ret_out_ns = out_ns;
    return OUTLIER_EJECTED;
}

/* Whether it is due. With splitExternalLocalOriginErrors answers and their absence are two rows of errors. */
static bool count(struct host *h, const struct outlier_policy *p, enum outlier_sign sign)
{
    if (sign == OUTLIER_NO_ANSWER && p->splits_local) {
        h->no_answers++;
        return p->consecutive_local && h->no_answers >= p->consecutive_local;
    }
    bool is_gateway_error = sign == OUTLIER_GATEWAY_ERROR || sign == OUTLIER_NO_ANSWER;
    h->no_answers = 0;
    h->errors++;
    h->gateway_errors = is_gateway_error ? h->gateway_errors + 1 : 0;
    return (p->consecutive_5xx && h->errors >= p->consecutive_5xx) ||
           (p->consecutive_gateway && h->gateway_errors >= p->consecutive_gateway);
}

enum outlier_verdict outlier_report(struct outlier *o, const struct cluster *c,
                                    const struct endpoint *e, enum outlier_sign sign,
                                    int64_t now_ns, int64_t *ret_out_ns)
{
    const struct outlier_policy *p = c->outlier;
    if (!p || (sign == OUTLIER_OK && o->hosts.len == 0))
        return OUTLIER_UNCHANGED;
    struct host *h = host_of(o, e, sign != OUTLIER_OK, now_ns);
    if (!h)
        return OUTLIER_UNCHANGED;
    if (sign == OUTLIER_OK) {
        succeeded(o, h, c, e, now_ns);
        return OUTLIER_UNCHANGED;
    }
    bool is_ejected = is_out(o, h, now_ns); /* a late answer of one that is out already */
    h->error_ns = now_ns;
    return count(h, p, sign) && !is_ejected ? eject(o, h, c, now_ns, ret_out_ns)
                                            : OUTLIER_UNCHANGED;
}
