/* balance.c - power of two choices.
 *
 * Two endpoints drawn at random, the less loaded one wins: nearly as even as asking all of them, at
 * the cost of two reads, and without the herd that "the least loaded of all" makes. While some are
 * ejected or were tried before, the draw is among those that are left, counted first, so that no
 * neighbour of a missing one gets its share as well. When a request has tried all that are in, it goes
 * to one that is ejected, which may be well again, before it goes to any of them twice (docs/adr/0035). */
#include "proxy/upstream/balance.h"
#include "base/hash.h"

/* Who is left in a draw. */
struct field {
    const struct cluster *cluster;
    const struct balance_ask *ask;
    bool skips_ejected, skips_down, skips_tried;
    size_t len;
};

static bool is_left(const struct field *f, const struct endpoint *e)
{
    const struct balance_ask *ask = f->ask;
    for (size_t i = 0; f->skips_tried && i < ask->tried_len; i++)
        if (ask->tried[i] == e)
            return false;
    if (f->skips_down && health_is_down(ask->health, f->cluster, e))
        return false;
    return !f->skips_ejected || outlier_out_ns(ask->outlier, e, ask->now_ns) == 0;
}

static size_t count_left(const struct field *f)
{
    size_t n = 0;
    if (!f->skips_ejected && !f->skips_down && !f->skips_tried)
        return f->cluster->endpoints_len;
    for (size_t i = 0; i < f->cluster->endpoints_len; i++)
        n += is_left(f, f->cluster->endpoints[i]);
    return n;
}

static const struct endpoint *nth(const struct field *f, size_t at)
{
    const struct endpoint *const *list = f->cluster->endpoints;
    if (f->len == f->cluster->endpoints_len)
        return list[at];
    for (size_t i = 0;; i++)
        if (is_left(f, list[i]) && at-- == 0)
            return list[i];
}

static const struct endpoint *draw(const struct field *f, uint32_t random)
{
    return nth(f, (size_t)(((uint64_t)random * f->len) >> 32));
}

/* Rendezvous hashing: each endpoint draws a number from the key and its own name, the highest wins.
 * When one goes, only its requests move, and evenly to all others. */
static const struct endpoint *highest(const struct field *f, uint64_t key)
{
    const struct endpoint *best = NULL;
    uint64_t best_score = 0;
    for (size_t i = 0; i < f->cluster->endpoints_len; i++) {
        const struct endpoint *e = f->cluster->endpoints[i];
        uint64_t score = hash_bytes(e->text.p, e->text.len, key);
        if (is_left(f, e) && (!best || score > best_score)) {
            best = e;
            best_score = score;
        }
    }
    return best;
}

/* Whom the cluster leaves out. */
static void choose_skips(struct field *f)
{
    const struct balance_ask *ask = f->ask;
    const struct cluster *c = f->cluster;
    f->skips_ejected = ask->outlier && outlier_is_in_force(ask->outlier, c, ask->now_ns);
    f->skips_down = ask->health && ask->health->down_len && c->check;
    if (!f->skips_down || !c->outlier || !c->outlier->min_health_percent)
        return;
    if (count_left(f) * 100 < c->outlier->min_health_percent * c->endpoints_len)
        f->skips_ejected = f->skips_down = false;
}

/* Nobody is left whom the request has not tried: the ejected ones, else those it has tried. */
static void widen(struct field *f)
{
    if (f->skips_ejected) {
        f->skips_ejected = false;
        f->len = count_left(f);
        if (f->len)
            return;
        f->skips_ejected = true;
    }
    f->skips_tried = false;
    f->len = count_left(f);
}

const struct endpoint *balance_pick(const struct cluster *c, const struct balance_ask *ask)
{
    struct field f = { .cluster = c, .ask = ask };
    choose_skips(&f);
    f.skips_tried = ask->tried_len > 0;
    f.len = count_left(&f);
    if (f.len == 0 && f.skips_tried)
        widen(&f);
    if (f.len == 0)
        return NULL;
    if (ask->hash)
        return highest(&f, *ask->hash);
    if (c->lb == LB_ROUND_ROBIN && ask->cursor)
        return nth(&f, (*ask->cursor)++ % f.len);
    const struct endpoint *a = draw(&f, (uint32_t)ask->random);
    const struct endpoint *b = f.len == 1 || c->lb == LB_RANDOM
                                   ? a
                                   : draw(&f, (uint32_t)(ask->random >> 32));
    return ask->active && ask->active[b->id] < ask->active[a->id] ? b : a;
}
