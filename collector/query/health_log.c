/* health_log.c - from states to changes.
 *
 * A node or edge is judged every ten seconds by the last minute. It gets worse at once and better
 * only after three judgements in a row, so that what fails every half a minute is one event and not
 * twelve. No traffic says nothing: the state stays. The first state that is seen is an event only
 * when it is a bad one.
 *
 * What is logged is a function of the buckets judged, so the same history gives the same events
 * with the same ids, which is how a restart finds them again. */
#include "query/health_log.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "query/graph_json.h"
#include <pthread.h>

enum { JUDGEMENTS_TO_RECOVER = 3 };
#define FORGET_NS (3600 * NS_PER_S) /* of silence */

struct subject {
    enum health state; /* HEALTH_IDLE: none seen yet */
    unsigned better;   /* judgements in a row that were better than state */
    enum health best;  /* the worst of those */
    int64_t seen_ns;
};
struct health_log {
    struct map subjects;  /* kind and id to struct subject; the adding thread's own */
    pthread_mutex_t lock; /* guards events */
    struct health_event events[HEALTH_EVENTS_MAX]; /* a ring */
    size_t len, next;
};

struct health_log *health_log_new(void)
{
    struct health_log *l = mem_zalloc(sizeof(*l));
    if (l && pthread_mutex_init(&l->lock, NULL) != 0)
        l = mem_free(l);
    return l;
}

static void event_free(struct health_event *e)
{
    mem_free((void *)(uintptr_t)e->json.p);
    *e = (struct health_event){ 0 };
}

struct health_log *health_log_free(struct health_log *l)
{
    void *subject;
    if (!l)
        return NULL;
    for (size_t i = 0; map_next(&l->subjects, &i, NULL, &subject);)
        mem_free(subject);
    map_done(&l->subjects);
    for (size_t i = 0; i < l->len; i++)
        event_free(&l->events[i]);
    pthread_mutex_destroy(&l->lock);
    return mem_free(l);
}

/* What a change is told with. */
struct change {
    bool is_edge;
    uint64_t subject;
    const struct edge_view *edge;
    const struct node_view *node;
    enum health from, to;
    int64_t at_ns;
};

static void put_numbers(struct json_out *j, const struct change *c)
{
    uint64_t requests, errors, failures;
    if (c->is_edge) {
        requests = c->edge->sum.requests;
        errors = c->edge->sum.errors;
        failures = edge_view_failures(c->edge);
    } else {
        requests = node_load_requests(&c->node->in) + node_load_requests(&c->node->out);
        errors = node_load_errors(&c->node->in) + node_load_errors(&c->node->out);
        failures = node_load_failures(&c->node->in) + node_load_failures(&c->node->out);
    }
    json_kv_u64(j, "requests", requests);
    json_kv_u64(j, "errors", errors);
    json_kv_rounded(j, "errorRate", requests ? (double)errors / (double)requests : 0, 6);
    json_kv_u64(j, "failures", failures);
    json_kv_rounded(j, "failureRate", requests ? (double)failures / (double)requests : 0, 6);
    json_key(j, SV("p95Ms"));
    if (c->is_edge)
        json_double(j, (double)hist_quantile(&c->edge->sum.latency, 0.95) / 1e6);
    else
        json_null(j);
    json_kv_double(j, "windowSeconds", (double)HEALTH_WINDOW_NS / 1e9);
}

static void put_who(struct json_out *j, const char *key, uint64_t id, const struct identity *who)
{
    json_kv_open(j, key, '{');
    json_kv_id(j, "id", id);
    json_identity(j, who);
    json_close(j);
}

static void put_event(struct buf *out, const struct change *c, uint64_t id)
{
    struct json_out j = json_out_of(out);
    json_open(&j, '{');
    json_kv_id(&j, "id", id);
    json_kv_time(&j, "time", c->at_ns);
    json_kv_str(&j, "kind", c->is_edge ? SV("edge") : SV("node"));
    json_kv_id(&j, "subject", c->subject);
    json_kv_text_or_null(&j, "from", c->from ? sv_z(health_name(c->from)) : SV_NONE);
    json_kv_str(&j, "to", sv_z(health_name(c->to)));
    if (c->is_edge) {
        put_who(&j, "source", c->edge->source_id, &c->edge->edge.source);
        put_who(&j, "destination", c->edge->destination_id, &c->edge->edge.destination);
        json_kv_str(&j, "protocol", sv_z(protocol_name(c->edge->edge.protocol)));
    } else {
        put_who(&j, "node", c->node->id, &c->node->who);
    }
    put_numbers(&j, c);
    json_close(&j);
}

static int log_change(struct health_log *l, const struct change *c, health_event_sink *sink,
                      void *to)
{
    AUTO_DONE(buf) json = { 0 };
    const uint64_t parts[] = { c->subject, (uint64_t)c->at_ns, (uint64_t)c->to, c->is_edge };
    struct health_event e = { .id = hash_bytes(parts, sizeof(parts), 0),
                              .at_ns = c->at_ns,
                              .subject = c->subject,
                              .is_edge = c->is_edge,
                              .to = c->to };
    put_event(&json, c, e.id);
    if (json.failed)
        return -1;
    e.json.p = buf_take(&json, &e.json.len);
    pthread_mutex_lock(&l->lock);
    event_free(&l->events[l->next]);
    l->events[l->next] = e;
    l->next = (l->next + 1) % HEALTH_EVENTS_MAX;
    l->len = MIN(l->len + 1, (size_t)HEALTH_EVENTS_MAX);
    pthread_mutex_unlock(&l->lock);
    if (sink)
        sink(to, &e); /* only this thread overwrites events */
    return 0;
}

static struct subject *subject_of(struct health_log *l, const struct change *c)
{
    uint64_t key[] = { c->is_edge, c->subject };
    struct subject *s = map_get(&l->subjects, sv_of(key, sizeof(key)));
    if (s || l->subjects.len == HEALTH_SUBJECTS_MAX)
        return s;
    s = mem_zalloc(sizeof(*s));
    if (s && map_put(&l->subjects, sv_of(key, sizeof(key)), s, NULL) < 0)
        s = mem_free(s);
    return s;
}

/* True when the state changes, to *ret_to. */
static bool settle(struct subject *s, enum health now, enum health *ret_to)
{
    if (now >= s->state) {
        s->better = 0;
        *ret_to = now;
        return now > s->state;
    }
    s->best = s->better ? MAX(s->best, now) : now;
    *ret_to = s->best;
    return ++s->better == JUDGEMENTS_TO_RECOVER;
}

static int judge_one(struct health_log *l, struct change *c, enum health now,
                     health_event_sink *sink, void *to)
{
    if (now == HEALTH_IDLE)
        return 0;
    struct subject *s = subject_of(l, c);
    if (!s)
        return l->subjects.len == HEALTH_SUBJECTS_MAX ? 0 : -1;
    s->seen_ns = c->at_ns;
    if (!settle(s, now, &c->to))
        return 0;
    c->from = s->state;
    bool is_told = c->from != HEALTH_IDLE || c->to != HEALTH_HEALTHY;
    if (is_told && log_change(l, c, sink, to) < 0)
        return -1;
    s->state = c->to;
    s->better = 0;
    return 0;
}

static void forget_silent(struct health_log *l, int64_t at_ns)
{
    void *value;
    for (size_t i = 0; map_next(&l->subjects, &i, NULL, &value);) {
        struct subject *s = value;
        if (at_ns - s->seen_ns <= FORGET_NS)
            continue;
        map_remove_given(&l->subjects, &i);
        mem_free(s);
    }
}

int health_log_judge(struct health_log *l, const struct view *v, int64_t at_ns,
                     health_event_sink *sink, void *to, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < v->edges_len; i++) {
        struct change c = {
            .is_edge = true, .subject = v->edges[i].id, .edge = &v->edges[i], .at_ns = at_ns
        };
        rc |= judge_one(l, &c, edge_view_health(c.edge), sink, to);
    }
    for (size_t i = 0; i < v->nodes_len; i++) {
        struct change c = { .subject = v->nodes[i].id, .node = &v->nodes[i], .at_ns = at_ns };
        rc |= judge_one(l, &c, node_view_health(c.node), sink, to);
    }
    forget_silent(l, at_ns);
    return rc < 0 ? err_set(err, ERR_NOMEM, "changes of health") : 0;
}

void health_log_read(struct health_log *l, health_event_sink *sink, void *to)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->len; i++)
        sink(to, &l->events[(l->next + HEALTH_EVENTS_MAX - 1 - i) % HEALTH_EVENTS_MAX]);
    pthread_mutex_unlock(&l->lock);
}
