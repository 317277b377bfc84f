/* api_health.c - /api/v1/health/events: when what became how healthy. */
#include "base/clock.h"
#include "query/api.h"
#include "query/graph_json.h"
#include "query/health_log.h"

#define WINDOW_DEFAULT_NS (3600 * NS_PER_S)

enum { EVENTS_DEFAULT = 100 };

struct event_search {
    struct window window;
    uint64_t subject;
    bool has_subject;
    size_t kind, state; /* 0: any */
    uint64_t limit, offset;
    uint64_t found;
    struct json_out *j;
};

static int read_search(struct params *p, struct event_search *s)
{
    struct sv text;
    uint8_t id[8];
    *s = (struct event_search){ .limit = EVENTS_DEFAULT };
    if (params_window(p, WINDOW_DEFAULT_NS, INT64_MAX, &s->window) < 0 ||
        params_choice(p, "kind", "any|node|edge", &s->kind) < 0 ||
        params_choice(p, "state", "any|healthy|degraded|failing", &s->state) < 0 ||
        params_u64(p, "limit", 1, HEALTH_EVENTS_MAX, &s->limit) < 0 ||
        params_u64(p, "offset", 0, UINT32_MAX, &s->offset) < 0)
        return -1;
    if (!params_get(p, "subject", &text))
        return 0;
    if (!sv_to_bytes(text, id, sizeof(id)))
        return params_fault(p, "subject",
                            "want the 16 hexadecimal digits of a node's or edge's id");
    s->has_subject = true;
    for (size_t i = 0; i < sizeof(id); i++)
        s->subject = s->subject << 8 | id[i];
    return 0;
}

static void put_event(void *to, const struct health_event *e)
{
    static const enum health states[] = { HEALTH_IDLE, HEALTH_HEALTHY, HEALTH_DEGRADED,
                                          HEALTH_FAILING };
    struct event_search *s = to;
    bool is_in = e->at_ns >= s->window.from_ns && e->at_ns <= s->window.to_ns;
    if (!is_in || (s->has_subject && e->subject != s->subject) ||
        (s->kind && e->is_edge != (s->kind == 2)) || (s->state && e->to != states[s->state]))
        return;
    if (s->found >= s->offset && s->found - s->offset < s->limit)
        json_raw(s->j, e->json);
    s->found++;
}

void api_health_events(const struct api *api, struct query *q, struct answer *a)
{
    struct event_search s;
    if (read_search(&q->params, &s) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    struct json_out j = json_out_of(&a->body);
    s.j = &j;
    json_open(&j, '{');
    json_kv_time(&j, "from", s.window.from_ns);
    json_kv_time(&j, "to", s.window.to_ns);
    json_kv_open(&j, "events", '[');
    if (api->events)
        health_log_read(api->events, put_event, &s);
    json_close(&j);
    json_kv_u64(&j, "total", s.found);
    json_close(&j);
}
