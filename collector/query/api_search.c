/* api_search.c - finding traces by one of their spans, page by page.
 *
 * The cursor of a page is what the store needs to go on, and the window it is a page of: "the last
 * hour" means the same hour on every page. It says nothing of the other predicates, which the
 * client sends again. Clients give it back as it is; what is in it may change. */
#include "base/clock.h"
#include "query/api.h"
#include "query/graph_json.h"

#define SEARCH_DEFAULT_NS (3600 * NS_PER_S)
#define SEARCH_MAX_NS     INT64_MAX

enum { TRACES_DEFAULT = 20, TRACES_MAX = 1000, ATTRS_MAX = 16, CURSOR_VERSION = 1 };

/* A cursor's bytes: version, window, place. The numbers are big-endian. */
enum { CURSOR_BYTES = 1 + 3 * sizeof(int64_t) + sizeof(struct trace_id) };

/* What the attributes of one level begin with, in front of the key. */
static const struct {
    struct sv prefix;
    enum attr_level level;
} levels[] = {
    { SV("span:"), ATTR_OF_SPAN },   { SV("resource:"), ATTR_OF_RESOURCE },
    { SV("scope:"), ATTR_OF_SCOPE }, { SV("event:"), ATTR_OF_EVENT },
    { SV("link:"), ATTR_OF_LINK },   { SV("any:"), ATTR_ANYWHERE },
};

/* "5" in quotes is text; true, false, integers and decimals are what they look like. */
static struct value value_from_sv(struct sv text)
{
    struct value v = { .type = VALUE_STR, .str = text };
    if (text.len >= 2 && text.p[0] == '"' && text.p[text.len - 1] == '"') {
        v.str = sv_sub(text, 1, text.len - 2);
    } else if (sv_eq(text, SV("true")) || sv_eq(text, SV("false"))) {
        v.type = VALUE_BOOL;
        v.boolean = text.p[0] == 't';
    } else if (sv_to_i64(text, &v.integer)) {
        v.type = VALUE_INT;
    } else if (sv_to_double(text, &v.real)) {
        v.type = VALUE_DOUBLE;
    } else {
        v.str = text;
    }
    return v;
}

static int read_attr(struct params *p, struct sv text, struct attr_wish *to)
{
    *to = (struct attr_wish){ .level = ATTR_OF_SPAN_OR_RESOURCE };
    size_t eq = sv_index(text, '=');
    struct sv key = sv_sub(text, 0, eq);
    for (size_t i = 0; i < NELEMS(levels); i++)
        if (sv_starts(key, levels[i].prefix)) {
            to->level = levels[i].level;
            key = sv_from(key, levels[i].prefix.len);
            break;
        }
    if (key.len == 0 || eq == text.len)
        return params_fault(p, "attr",
                            "want key=value, or level:key=value with the level one of "
                            "span, resource, scope, event, link, any");
    to->attr = (struct attr){ key, value_from_sv(sv_from(text, eq + 1)) };
    return 0;
}

static int read_attrs(struct params *p, struct attr_wish *attrs, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < p->len; i++) {
        if (!sv_eq(p->list[i].name, SV("attr")))
            continue;
        if (n == ATTRS_MAX)
            return params_fault(p, "attr", "given more than %d times", ATTRS_MAX);
        if (read_attr(p, p->list[i].value, &attrs[n++]) < 0)
            return -1;
    }
    *ret_len = n;
    return 0;
}

static void put_number(uint8_t *to, int64_t v)
{
    for (size_t i = 0; i < sizeof(v); i++)
        to[i] = (uint8_t)((uint64_t)v >> 8 * (sizeof(v) - 1 - i));
}

static int64_t get_number(const uint8_t *from)
{
    uint64_t v = 0;
    for (size_t i = 0; i < sizeof(v); i++)
        v = v << 8 | from[i];
    return (int64_t)v;
}

static void put_next(struct json_out *j, const struct window *w, const struct search_position *at)
{
    uint8_t bytes[CURSOR_BYTES] = { CURSOR_VERSION };
    char text[2 * CURSOR_BYTES];
    put_number(bytes + 1, w->from_ns);
    put_number(bytes + 9, w->to_ns);
    put_number(bytes + 17, at->match_ns);
    memcpy(bytes + 25, at->id.b, sizeof(at->id.b));
    hex_encode(text, bytes, sizeof(bytes));
    json_kv_str(j, "next", sv_of(text, sizeof(text)));
}

/* The window and place of a cursor, which take the place of what window, from and to say. */
static int read_cursor(struct params *p, struct span_query *q, struct search_position *after)
{
    struct sv text;
    uint8_t bytes[CURSOR_BYTES];
    if (!params_get(p, "cursor", &text))
        return 0;
    if (!sv_to_bytes(text, bytes, sizeof(bytes)) || bytes[0] != CURSOR_VERSION)
        return params_fault(p, "cursor", "want what an earlier answer had as \"next\"");
    q->window = (struct window){ get_number(bytes + 1), get_number(bytes + 9) };
    after->match_ns = get_number(bytes + 17);
    memcpy(after->id.b, bytes + 25, sizeof(after->id.b));
    if (q->window.from_ns < 0 || q->window.to_ns < q->window.from_ns)
        return params_fault(p, "cursor", "was changed: its window ends before it begins");
    q->after = after;
    return 0;
}

static int read_search(struct params *p, struct span_query *q, struct attr_wish *attrs,
                       struct search_position *after)
{
    /* By index of the words: any first, then as the wire numbers them. */
    static const uint32_t statuses[] = { 0, 1u << STATUS_ERROR, 1u << STATUS_OK,
                                         1u << STATUS_UNSET };
    size_t status = 0, kind = 0;
    uint64_t limit = TRACES_DEFAULT;
    (void)params_get(p, "service", &q->service);
    (void)params_get(p, "operation", &q->operation);
    if (params_window(p, SEARCH_DEFAULT_NS, SEARCH_MAX_NS, &q->window) < 0 ||
        params_choice(p, "status", "any|error|ok|unset", &status) < 0 ||
        params_choice(p, "kind", "any|internal|server|client|producer|consumer", &kind) < 0 ||
        params_duration(p, "minDuration", 0, INT64_MAX, &q->min_duration_ns) < 0 ||
        params_duration(p, "maxDuration", 0, INT64_MAX, &q->max_duration_ns) < 0 ||
        params_u64(p, "limit", 1, TRACES_MAX, &limit) < 0 ||
        read_attrs(p, attrs, &q->attrs_len) < 0 || read_cursor(p, q, after) < 0)
        return -1;
    if (q->max_duration_ns && q->min_duration_ns > q->max_duration_ns)
        return params_fault(p, "minDuration", "is more than maxDuration");
    q->statuses = statuses[status];
    q->kinds = kind ? 1u << kind : 0;
    q->attrs = attrs;
    q->limit = (size_t)limit;
    return 0;
}

static int put_summary(void *to, const struct trace_summary *t)
{
    struct json_out *j = to;
    json_open(j, '{');
    json_kv_hex(j, "traceId", t->trace_id.b, sizeof(t->trace_id.b));
    json_kv_time(j, "start", t->start_ns);
    json_kv_ns(j, "startNs", t->start_ns);
    json_kv_span_ms(j, "durationMs", t->start_ns, t->end_ns);
    json_kv_u64(j, "spans", t->spans_len);
    json_kv_u64(j, "errors", t->errors_len);
    json_kv_str(j, "rootService", t->root_service);
    json_kv_str(j, "rootName", t->root_name);
    json_close(j);
    return 0;
}

void api_traces(const struct api *api, struct query *q, struct answer *a)
{
    struct attr_wish attrs[ATTRS_MAX];
    struct span_query search = { 0 };
    struct search_position after;
    struct search_end end;
    struct err err = { 0 };
    if (read_search(&q->params, &search, attrs, &after) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_time(&j, "from", search.window.from_ns);
    json_kv_time(&j, "to", search.window.to_ns);
    json_kv_open(&j, "traces", '[');
    if (store_search(api->store, &search, put_summary, &j, &end, &err) < 0) {
        answer_failure(a, &err);
        return;
    }
    json_close(&j);
    json_kv_bool(&j, "incomplete", end.bound != SEARCH_NO_BOUND);
    if (end.bound != SEARCH_NO_BOUND)
        json_kv_str(&j, "incompleteBecause", sv_z(search_bound_name(end.bound)));
    if (end.has_more)
        put_next(&j, &search.window, &end.next);
    json_close(&j);
}
