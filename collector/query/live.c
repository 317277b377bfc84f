/* live.c - one thread, many streams.
 *
 * Once a second, while somebody listens and something changed, the thread reads the graph once for
 * each kind of stream in use (each list of parameters) and puts the event into its clients' buffers:
 * the whole graph to those who joined or could not keep up, the difference to the others. A client
 * that has not read its last event gets no further one; when it has, it gets the whole graph. So a
 * slow reader holds at most one event and never sees a gap. With nobody listening the thread sleeps.
 *
 * One lock guards everything here; the graph is read without it. */
#include "query/live.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "query/live_graph.h"
#include "query/picture.h"
#include <pthread.h>

#define TICK_NS NS_PER_S
#define HEARTBEAT_NS                                                                               \
    (15 * NS_PER_S) /* proxies close connections that are silent for half a minute */

struct channel {
    struct list in_live;
    char *query; /* as the request had it, query_len bytes */
    size_t query_len;
    struct params params;
    struct picture picture;
    struct list clients;
    struct live_graph graph;
};
struct live_client {
    struct list in_channel;
    struct live *live;
    struct channel *channel;
    struct buf pending;
    bool needs_full, is_asleep;
    int64_t last_event_ns; /* monotonic */
    live_wake_fn *wake;
    void *to;
};
struct live {
    const struct api *api;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a client joined, or the end */
    struct list channels;
    size_t clients_len;
    bool is_over, has_joined;
};

static void wake(struct live_client *c)
{
    if (!c->is_asleep)
        return;
    c->is_asleep = false;
    c->wake(c->to);
}

static void put_event(struct live_client *c, const struct buf *json, int64_t mono_ns)
{
    buf_put(&c->pending, SV("event: graph\ndata: "));
    buf_put(&c->pending, buf_sv(json));
    buf_put(&c->pending, SV("\n\n"));
    c->last_event_ns = mono_ns;
    c->needs_full = c->pending.failed;
    if (c->pending.failed)
        buf_clear(&c->pending);
    wake(c);
}

static void serve(struct live_client *c, const struct live_graph *g, int64_t mono_ns)
{
    if (c->pending.len > 0) { /* has not read the last event */
        c->needs_full |= g->part.len > 0;
        return;
    }
    if (c->needs_full && g->full.len > 0) {
        put_event(c, &g->full, mono_ns);
    } else if (!c->needs_full && g->part.len > 0) {
        put_event(c, &g->part, mono_ns);
    } else if (mono_ns - c->last_event_ns >= HEARTBEAT_NS) {
        buf_put(&c->pending, SV(": nothing new\n\n"));
        c->last_event_ns = mono_ns;
        wake(c);
    }
}

/* Under the lock, which is let go while the graph is read: nobody else frees channels. */
static void update_channel(struct live *l, struct channel *ch, uint64_t generation)
{
    int64_t now_ns = clock_wall_ns();
    bool is_full_wanted = false;
    LIST_EACH (at, after, &ch->clients)
        is_full_wanted |= CONTAINER_OF(at, struct live_client, in_channel)->needs_full;
    buf_clear(&ch->graph.part);
    if (!live_graph_is_stale(&ch->graph, generation, now_ns) && !is_full_wanted)
        return;
    AUTO_DONE(view) v = { 0 };
    const char *blamed;
    pthread_mutex_unlock(&l->lock);
    picture_slide(&ch->picture, now_ns);
    int rc = picture_draw(l->api, &ch->picture, now_ns, &v, &blamed, NULL);
    if (rc == ERR_NOT_FOUND) { /* no such node or trace yet, or no more */
        view_done(&v);
        v = (struct view){ .window = ch->picture.wish.window,
                           .granularity = ch->picture.wish.granularity };
        rc = 0;
    }
    pthread_mutex_lock(&l->lock);
    if (rc < 0 || live_graph_update(&ch->graph, &v, now_ns) < 0)
        return; /* tried again in a second */
    ch->graph.generation = generation;
    ch->graph.bucket_ns = window_align_down(now_ns, BUCKET_NS);
}

static void channel_free(struct channel *ch)
{
    list_remove(&ch->in_live);
    live_graph_done(&ch->graph);
    params_done(&ch->params);
    mem_free(ch->query);
    mem_free(ch);
}

/* Clients without a channel's graph in hand stay; a channel without clients goes. */
static void tick(struct live *l)
{
    uint64_t generation = fold_generation(l->api->fold);
    int64_t mono_ns = clock_mono_ns();
    LIST_EACH (at, after, &l->channels) {
        struct channel *ch = CONTAINER_OF(at, struct channel, in_live);
        if (list_is_empty(&ch->clients)) {
            channel_free(ch);
            continue;
        }
        update_channel(l, ch, generation);
        LIST_EACH (c, next, &ch->clients)
            serve(CONTAINER_OF(c, struct live_client, in_channel), &ch->graph, mono_ns);
        after = ch->in_live.next; /* the list may have grown meanwhile */
    }
}

static void wait_until(struct live *l, int64_t mono_ns)
{
    struct timespec until = { mono_ns / NS_PER_S, mono_ns % NS_PER_S };
    while (!l->is_over && !l->has_joined && clock_mono_ns() < mono_ns)
        if (pthread_cond_timedwait(&l->changed, &l->lock, &until) != 0)
            break;
}

static void *run(void *to)
{
    struct live *l = to;
    pthread_mutex_lock(&l->lock);
    while (!l->is_over) {
        while (!l->is_over && l->clients_len == 0)
            pthread_cond_wait(&l->changed, &l->lock);
        int64_t next_ns = clock_mono_ns() + TICK_NS;
        l->has_joined = false;
        tick(l);
        wait_until(l, next_ns);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct live *live_new(const struct api *api)
{
    struct live *l = mem_zalloc(sizeof(*l));
    if (!l)
        return NULL;
    l->api = api;
    list_init(&l->channels);
    if (pthread_mutex_init(&l->lock, NULL) != 0)
        return mem_free(l);
    if (clock_cond_init(&l->changed) == 0) {
        if (pthread_create(&l->thread, NULL, run, l) == 0)
            return l;
        pthread_cond_destroy(&l->changed);
    }
    pthread_mutex_destroy(&l->lock);
    return mem_free(l);
}

void live_stop(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    l->is_over = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_mutex_lock(&l->lock);
    LIST_EACH (at, after, &l->channels) {
        struct channel *ch = CONTAINER_OF(at, struct channel, in_live);
        LIST_EACH (c, next, &ch->clients)
            wake(CONTAINER_OF(c, struct live_client, in_channel));
    }
    pthread_mutex_unlock(&l->lock);
}

struct live *live_free(struct live *l)
{
    if (!l)
        return NULL;
    INVARIANT(l->is_over && l->clients_len == 0);
    LIST_EACH (at, after, &l->channels)
        channel_free(CONTAINER_OF(at, struct channel, in_live));
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    return mem_free(l);
}

/* NULL when memory is out. */
static struct channel *channel_new(struct live *l, struct sv query)
{
    struct channel *ch = mem_zalloc(sizeof(*ch));
    if (!ch)
        return NULL;
    list_init(&ch->clients);
    list_add_tail(&l->channels, &ch->in_live);
    ch->query = mem_dup_z(query.p, query.len);
    ch->query_len = query.len;
    if (!ch->query ||
        params_parse(&ch->params, sv_of(ch->query, query.len), NULL, clock_wall_ns()) < 0 ||
        picture_parse(&ch->params, &ch->picture) < 0) {
        channel_free(ch);
        return NULL;
    }
    return ch;
}

static struct channel *channel_of(struct live *l, struct sv query)
{
    LIST_EACH (at, after, &l->channels) {
        struct channel *ch = CONTAINER_OF(at, struct channel, in_live);
        if (sv_eq(sv_of(ch->query, ch->query_len), query))
            return ch;
    }
    return channel_new(l, query);
}

struct live_client *live_join(struct live *l, struct sv query, live_wake_fn *wake_fn, void *to)
{
    struct live_client *c = mem_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    pthread_mutex_lock(&l->lock);
    bool has_room = !l->is_over && l->clients_len < LIVE_CLIENTS_MAX;
    c->channel = has_room ? channel_of(l, query) : NULL;
    if (!c->channel) {
        pthread_mutex_unlock(&l->lock);
        return mem_free(c);
    }
    c->live = l;
    c->needs_full = true;
    c->wake = wake_fn;
    c->to = to;
    c->last_event_ns = clock_mono_ns();
    list_add_tail(&c->channel->clients, &c->in_channel);
    l->clients_len++;
    l->has_joined = true; /* its first event comes at once */
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return c;
}

struct live_client *live_leave(struct live_client *c)
{
    if (!c)
        return NULL;
    pthread_mutex_lock(&c->live->lock);
    list_remove(&c->in_channel);
    c->live->clients_len--;
    pthread_mutex_unlock(&c->live->lock);
    buf_done(&c->pending);
    return mem_free(c);
}

long live_read(struct live_client *c, char *out, size_t max, live_sleep_fn *sleep)
{
    struct live *l = c->live;
    pthread_mutex_lock(&l->lock);
    size_t n = MIN(c->pending.len, max);
    long rc = (long)n;
    if (n > 0) {
        memcpy(out, buf_sv(&c->pending).p, n);
        buf_consume(&c->pending, n);
        if (c->pending.len == 0)
            buf_done(&c->pending); /* a whole graph may be megabytes; keep none of it */
    } else if (l->is_over) {
        rc = LIVE_END;
    } else {
        c->is_asleep = true;
        sleep(c->to);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}
