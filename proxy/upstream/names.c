/* SPDX-License-Identifier: Apache-2.0
 * names.c - looks names up, remembers the answers, and says when one has changed.
 *
 * The system's resolver tells no time to live, so every name is asked for again after --dns-refresh;
 * one that fails after a second, then two, four ... at most as seldom. Answers are kept sorted: a
 * resolver that turns its addresses around says nothing new. */
#include "proxy/upstream/names.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/tallies.h"
#include "proxy/telemetry/lookup.h"
#include <stdlib.h>

#define RETRY_NS  NS_PER_S
#define SETTLE_NS (20 * NS_PER_MS)

struct name {
    struct names *names;
    struct sv text; /* lies behind the struct */
    struct lookup *lookup;
    struct timer timer;
    int64_t retry_ns;
    struct arena mem; /* of what follows */
    struct sv *addresses;
    size_t len;
    bool is_wanted;
};

static void ask(struct name *n);

static void on_timer(struct timer *t)
{
    ask(CONTAINER_OF(t, struct name, timer));
}

static int by_text(const void *a, const void *b)
{
    return sv_cmp(*(const struct sv *)a, *(const struct sv *)b);
}

static bool is_same(const struct name *n, const struct sv *list, size_t len)
{
    bool same = n->len == len;
    for (size_t i = 0; same && i < len; i++)
        same = sv_eq(n->addresses[i], list[i]);
    return same;
}

/* Sorted, each once, as text in mem. */
static size_t read_answer(struct arena *mem, const struct addr *list, size_t len, struct sv *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        char text[ADDR_TEXT_SIZE];
        to[i] = arena_copy(mem, addr_host(&list[i], text));
        if (!to[i].p)
            return 0;
    }
    qsort(to, len, sizeof(*to), by_text);
    for (size_t i = 0; i < len; i++)
        if (!kept || !sv_eq(to[kept - 1], to[i]))
            to[kept++] = to[i];
    return kept;
}

static void take_answer(struct name *n, const struct addr *list, size_t len)
{
    struct arena mem = { 0 };
    struct sv *texts = arena_array(&mem, len, sizeof(*texts));
    size_t kept = texts ? read_answer(&mem, list, len, texts) : 0;
    if (!kept || is_same(n, texts, kept)) {
        arena_done(&mem);
        return;
    }
    arena_done(&n->mem);
    n->mem = mem;
    n->addresses = texts;
    n->len = kept;
    tally(TALLY_DNS_CHANGED);
    LOG_INFO("names.changed", KV_SV("name", n->text), KV_UINT("addresses", kept),
             KV_SV("first", texts[0]));
    if (!timer_is_set(&n->names->tell))
        timer_after(&n->names->tell, SETTLE_NS);
}

static void on_answer(void *to, const struct addr *list, size_t len, const struct err *err)
{
    struct name *n = to;
    n->lookup = NULL;
    if (len) {
        tally(TALLY_DNS_OK);
        n->retry_ns = RETRY_NS;
        timer_after(&n->timer, n->names->refresh_ns);
        take_answer(n, list, len);
        return;
    }
    tally(TALLY_DNS_FAILED);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "names.failed", KV_SV("name", n->text),
              KV_STR("why", err->why), KV_UINT("addresses_kept", n->len));
    timer_after(&n->timer, n->retry_ns);
    n->retry_ns = MIN(n->retry_ns * 2, n->names->refresh_ns);
}

static void ask(struct name *n)
{
    struct err err = { 0 };
    n->lookup = lookup_all(n->names->loop, n->text, on_answer, n, &err);
    if (!n->lookup)
        on_answer(n, NULL, 0, &err);
}

static void on_tell(struct timer *t)
{
    struct names *n = CONTAINER_OF(t, struct names, tell);
    n->changed(n->to);
}

static void forget(struct name *n)
{
    timer_stop(&n->timer);
    lookup_cancel(n->lookup);
    arena_done(&n->mem);
    mem_free(n);
}

void names_init(struct names *n, struct loop *loop, int64_t refresh_ns, names_changed_fn *changed,
                void *to)
{
    *n = (struct names){ .loop = loop, .refresh_ns = refresh_ns, .changed = changed, .to = to };
    timer_init(&n->tell, loop, on_tell);
}

void names_done(struct names *n)
{
    void *value;
    if (!n->loop)
        return;
    timer_stop(&n->tell);
    for (size_t i = 0; map_next(&n->map, &i, NULL, &value);)
        forget(value);
    map_done(&n->map);
}

/* Without memory the name is not looked up until the next change of the configuration. */
static void add(struct names *names, struct sv text)
{
    struct name *n = mem_zalloc(sizeof(*n) + text.len + 1);
    if (!n || map_put(&names->map, text, n, NULL) < 0) {
        mem_free(n);
        return;
    }
    memcpy(n + 1, text.p, text.len);
    n->text = sv_of((const char *)(n + 1), text.len);
    n->names = names;
    n->retry_ns = RETRY_NS;
    n->is_wanted = true;
    timer_init(&n->timer, names->loop, on_timer);
    ask(n);
}

void names_want(struct names *names, const struct sv *list, size_t len)
{
    void *value;
    for (size_t i = 0; map_next(&names->map, &i, NULL, &value);)
        ((struct name *)value)->is_wanted = false;
    for (size_t i = 0; i < len; i++) {
        struct name *n = map_get(&names->map, list[i]);
        if (n)
            n->is_wanted = true;
        else
            add(names, list[i]);
    }
    for (size_t i = 0; map_next(&names->map, &i, NULL, &value);) {
        struct name *n = value;
        if (n->is_wanted)
            continue;
        map_remove_given(&names->map, &i);
        forget(n);
    }
}

size_t names_addresses(void *to, struct sv name, const struct sv **ret_list)
{
    struct names *names = to;
    const struct name *n = map_get(&names->map, name);
    *ret_list = n ? n->addresses : NULL;
    return n ? n->len : 0;
}
