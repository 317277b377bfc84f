/* jaeger_traces.c - GET /api/traces: a search, or several traces by id, each whole.
 *
 * Traces are read and written one after the other, so memory holds one trace and the answer; an
 * answer that has grown to JAEGER_BODY_MAX ends with the trace it is at, which says so. */
#include "base/clock.h"
#include "base/flag.h"
#include "query/jaeger_search.h"
#include "query/jaeger_span.h"
#include "query/trace_adjust.h"
#include <stdio.h>

#define SEARCH_DEFAULT_NS (48 * 3600 * NS_PER_S) /* Jaeger's */

/* start, end; else lookback until now. "custom" is what Jaeger's page sends beside start. */
static int read_window(struct params *p, struct window *ret_w)
{
    int64_t to_ns = p->now_ns, length_ns = SEARCH_DEFAULT_NS;
    struct sv lookback;
    if (jaeger_time(p, "end", NS_PER_US, &to_ns) < 0)
        return -1;
    if (jaeger_get(p, "lookback", &lookback) && duration_from_sv(lookback, &length_ns) &&
        length_ns <= 0)
        length_ns = SEARCH_DEFAULT_NS;
    int64_t from_ns = to_ns - MIN(length_ns, to_ns);
    if (jaeger_time(p, "start", NS_PER_US, &from_ns) < 0)
        return -1;
    if (from_ns > to_ns)
        return params_fault(p, NULL, "'start' should be before 'end'");
    /* A span that begins in the last microsecond still counts; 0 to 0 would mean "any". */
    *ret_w = (struct window){ from_ns, to_ns + NS_PER_US };
    return 0;
}

static int read_tags(struct params *p, struct jaeger_search *s)
{
    for (size_t i = 0; i < p->len; i++) {
        struct sv text = p->list[i].value;
        size_t colon = sv_index(text, ':');
        if (sv_eq(p->list[i].name, SV("tags")) && text.len &&
            jaeger_add_tags(p, "tags", s, text) < 0)
            return -1;
        if (!sv_eq(p->list[i].name, SV("tag")) || !text.len)
            continue;
        if (colon == 0 || colon == text.len)
            return params_fault(p, NULL,
                                "malformed 'tag' parameter, expecting key:value, received: %.*s",
                                SV_ARG(sv_sub(text, 0, 100)));
        if (jaeger_add_tag(p, "tag", s, sv_sub(text, 0, colon), sv_from(text, colon + 1)) < 0)
            return -1;
    }
    return 0;
}

static int read_search(struct params *p, struct jaeger_search *s)
{
    uint64_t limit = JAEGER_TRACES_DEFAULT;
    struct span_query *q = &s->query;
    (void)jaeger_get(p, "service", &q->service);
    (void)jaeger_get(p, "operation", &q->operation);
    if (jaeger_bool(p, "raw", &s->is_raw) < 0 || read_window(p, &q->window) < 0 ||
        jaeger_go_duration(p, "minDuration", &q->min_duration_ns) < 0 ||
        jaeger_go_duration(p, "maxDuration", &q->max_duration_ns) < 0 ||
        jaeger_u64(p, "limit", INT64_MAX, &limit) < 0)
        return -1;
    if (q->max_duration_ns && q->min_duration_ns > q->max_duration_ns)
        return params_fault(p, NULL, "'maxDuration' should be greater than 'minDuration'");
    q->limit = limit ? (size_t)MIN(limit, JAEGER_TRACES_MAX) : JAEGER_TRACES_DEFAULT;
    return read_tags(p, s);
}

struct writer {
    const struct api *api;
    struct json_out *j;
    bool is_raw;
    size_t len;
};

/* left: traces that follow. 1: the answer is full. */
static int put_one(struct writer *w, struct trace_id id, size_t left, struct sv note,
                   struct err *err)
{
    AUTO_DONE(whole_trace) t = { 0 };
    char text[96];
    int rc = whole_trace_read(w->api->store, id, &t, err);
    if (rc == 0 && !w->is_raw)
        rc = trace_adjust(&t, err);
    if (rc < 0)
        return rc;
    bool is_full = left && w->j->to->len >= JAEGER_BODY_MAX;
    if (is_full) {
        int n = snprintf(text, sizeof(text), "the answer is cut here: %zu more traces were found",
                         left);
        note = sv_of(text, (size_t)n);
    }
    if (jaeger_put_trace(w->j, &t, note) < 0)
        return err_set(err, ERR_NOMEM, "processes of a trace");
    w->len++;
    return is_full;
}

static int put_found_traces(struct writer *w, const struct found_traces *f, struct err *err)
{
    struct err gone = { 0 };
    for (size_t i = 0; i < f->len; i++) {
        size_t left = f->len - i - 1;
        struct sv note = !left && f->is_incomplete
                             ? SV("the search stopped here: narrow its window to look further back")
                             : SV_NONE;
        int rc = put_one(w, f->list[i].trace_id, left, note, &gone);
        if (rc < 0 && rc != ERR_NOT_FOUND) { /* retention may take a trace in between */
            *err = gone;
            return rc;
        }
        gone = (struct err){ 0 };
        if (rc > 0)
            break;
    }
    return 0;
}

static void answer_search(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(found_traces) found = { 0 };
    struct jaeger_search s = { 0 };
    struct err err = { 0 };
    if (read_search(&q->params, &s) < 0) {
        jaeger_fault(a, &q->params);
        return;
    }
    int rc = jaeger_find(api->store, &s, &found, &err);
    if (rc == ERR_LIMIT) {
        jaeger_error(a, 400, "%s", err.why);
        return;
    }
    struct json_out j = jaeger_open(a);
    struct writer w = { .api = api, .j = &j, .is_raw = s.is_raw };
    json_open(&j, '[');
    if (rc == 0)
        rc = put_found_traces(&w, &found, &err);
    if (rc < 0) {
        jaeger_failure(a, &err);
        return;
    }
    json_close(&j);
    jaeger_close(&j, 0);
}

/* "errors" of an answer that is none: which ids were not found. */
static void put_missing(struct json_out *j, struct sv errors)
{
    json_kv_u64(j, "total", 0);
    json_kv_u64(j, "limit", 0);
    json_kv_u64(j, "offset", 0);
    json_key(j, SV("errors"));
    if (errors.len) {
        json_open(j, '[');
        json_raw(j, errors);
        json_close(j);
    } else {
        json_null(j);
    }
    json_close(j);
}

static void add_missing(struct buf *errors, struct trace_id id)
{
    if (errors->len)
        buf_putc(errors, ',');
    struct json_out j = json_out_of(errors);
    json_open(&j, '{');
    json_kv_u64(&j, "code", 404);
    json_kv_str(&j, "msg", SV("trace not found"));
    jaeger_kv_trace_id(&j, "traceID", id);
    json_close(&j);
}

static int put_by_ids(struct writer *w, struct params *p, struct buf *errors, struct err *err)
{
    for (size_t i = 0; i < p->len; i++) {
        struct trace_id id;
        struct err gone = { 0 };
        if (!sv_eq(p->list[i].name, SV("traceID")) || !p->list[i].value.len)
            continue;
        if (!jaeger_trace_id(p->list[i].value, &id))
            return params_fault(p, "traceID", JAEGER_WANT_TRACE_ID);
        int rc = put_one(w, id, 0, SV_NONE, &gone);
        if (rc == ERR_NOT_FOUND)
            add_missing(errors, id);
        else if (rc < 0) {
            *err = gone;
            return rc;
        }
    }
    return 0;
}

static void answer_ids(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(buf) errors = { 0 };
    struct err err = { 0 };
    bool is_raw = false;
    struct json_out j = jaeger_open(a);
    struct writer w = { .api = api, .j = &j };
    json_open(&j, '[');
    int rc = jaeger_bool(&q->params, "raw", &is_raw);
    w.is_raw = is_raw;
    if (rc == 0)
        rc = put_by_ids(&w, &q->params, &errors, &err);
    if (q->params.why[0]) {
        jaeger_fault(a, &q->params);
        return;
    }
    if (rc < 0) {
        jaeger_failure(a, &err);
        return;
    }
    json_close(&j);
    put_missing(&j, buf_sv(&errors));
    a->body.failed |= errors.failed;
}

void jaeger_traces(const struct api *api, struct query *q, struct answer *a)
{
    struct sv id;
    if (jaeger_get(&q->params, "traceID", &id))
        answer_ids(api, q, a);
    else
        answer_search(api, q, a);
}
