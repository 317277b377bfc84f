/* api_compare.c - /api/v1/compare: before and after, or one version and another.
 *
 * Reads one or two views and hands them to compare.c. Between windows the default is the service
 * granularity: a deploy changes versions and workloads, and every edge of the new one would be new. */
#include "base/clock.h"
#include "query/api.h"
#include "query/compare.h"
#include "query/graph_json.h"
#include <math.h>

#define WINDOW_DEFAULT_NS (600 * NS_PER_S)
#define WINDOW_MAX_NS     (24 * 3600 * NS_PER_S)

enum { PAIRS_DEFAULT = 1000, PAIRS_MAX = 10000 };

struct comparing {
    struct view_wish base, candidate; /* versions are compared in candidate's window */
    struct compare_versions versions;
    bool has_versions;
    uint64_t limit;
};

static bool is_given(const struct params *p, const char *name)
{
    struct sv text;
    return params_get(p, name, &text);
}

static int read_versions(struct params *p, struct comparing *c)
{
    static const char *const missing[] = { "service", "baseVersion", "version" };
    struct sv *texts[] = { &c->versions.service, &c->versions.base, &c->versions.candidate };
    for (size_t i = 0; i < NELEMS(missing); i++) {
        (void)params_get(p, missing[i], texts[i]);
        c->has_versions |= texts[i]->len > 0;
    }
    for (size_t i = 0; c->has_versions && i < NELEMS(missing); i++)
        if (!texts[i]->len)
            return params_fault(p, missing[i],
                                "missing; versions are compared by service, "
                                "baseVersion and version");
    if (c->has_versions && is_given(p, "granularity"))
        return params_fault(p, "granularity", "versions are compared service by service");
    if (c->has_versions && sv_eq(c->versions.base, c->versions.candidate))
        return params_fault(p, "version", "is the same as baseVersion");
    return 0;
}

/* baseFrom and baseTo, and from and to: two windows of their own. */
static int read_four(struct params *p, struct window *base, struct window *candidate)
{
    static const char *const names[] = { "baseFrom", "baseTo", "from" };
    for (size_t i = 0; i < NELEMS(names); i++)
        if (!is_given(p, names[i]))
            return params_fault(p, names[i], "missing; two windows are baseFrom, baseTo, from, to");
    candidate->to_ns = p->now_ns;
    if (params_time(p, "baseFrom", &base->from_ns) < 0 ||
        params_time(p, "baseTo", &base->to_ns) < 0 ||
        params_time(p, "from", &candidate->from_ns) < 0 ||
        params_time(p, "to", &candidate->to_ns) < 0)
        return -1;
    if (base->from_ns >= base->to_ns || base->to_ns - base->from_ns > WINDOW_MAX_NS)
        return params_fault(p, "baseFrom", "lies not before baseTo, or more than a day before");
    if (candidate->from_ns >= candidate->to_ns ||
        candidate->to_ns - candidate->from_ns > WINDOW_MAX_NS)
        return params_fault(p, "from", "lies not before to, or more than a day before");
    return 0;
}

/* A window before and one after a moment; without one, the last window and the one before it. */
static int read_moment(struct params *p, struct window *base, struct window *candidate)
{
    int64_t length_ns = WINDOW_DEFAULT_NS, at_ns;
    if (params_duration(p, "window", BUCKET_NS, WINDOW_MAX_NS, &length_ns) < 0)
        return -1;
    at_ns = p->now_ns - MIN(length_ns, p->now_ns);
    if (params_time(p, "at", &at_ns) < 0)
        return -1;
    if (at_ns >= p->now_ns)
        return params_fault(p, "at", "lies not before now");
    at_ns = window_align_down(at_ns, BUCKET_NS);
    *base = (struct window){ at_ns - MIN(length_ns, at_ns), at_ns };
    *candidate = (struct window){ at_ns, is_given(p, "at") ? at_ns + length_ns : p->now_ns };
    return 0;
}

static int read_windows(struct params *p, struct comparing *c)
{
    static const char *const four[] = { "baseFrom", "baseTo", "from", "to" };
    bool is_four = false;
    for (size_t i = 0; i < NELEMS(four); i++)
        is_four |= is_given(p, four[i]);
    if (is_four && (is_given(p, "at") || is_given(p, "window")))
        return params_fault(p, is_given(p, "at") ? "at" : "window",
                            "give either at and window, or baseFrom, baseTo, from and to");
    return is_four ? read_four(p, &c->base.window, &c->candidate.window)
                   : read_moment(p, &c->base.window, &c->candidate.window);
}

/* One window for both versions, as everywhere. */
static int read_version_window(struct params *p, struct comparing *c)
{
    static const char *const two[] = { "at", "baseFrom", "baseTo" };
    for (size_t i = 0; i < NELEMS(two); i++)
        if (is_given(p, two[i]))
            return params_fault(p, two[i], "versions are compared in one window");
    c->candidate.granularity = GRANULARITY_VERSIONED_APP;
    return params_window(p, WINDOW_DEFAULT_NS, WINDOW_MAX_NS, &c->candidate.window);
}

static int read_request(struct params *p, struct comparing *c)
{
    *c = (struct comparing){ .limit = PAIRS_DEFAULT };
    c->candidate.granularity = GRANULARITY_SERVICE;
    (void)params_get(p, "namespace", &c->candidate.namespaces);
    if (read_versions(p, c) < 0 || params_u64(p, "limit", 1, PAIRS_MAX, &c->limit) < 0 ||
        params_granularity(p, &c->candidate.granularity) < 0)
        return -1;
    c->versions.namespace = c->candidate.namespaces;
    c->base.granularity = c->candidate.granularity;
    c->base.namespaces = c->candidate.namespaces;
    return c->has_versions ? read_version_window(p, c) : read_windows(p, c);
}

static void json_finding(struct json_out *j, const char *key, const struct compare_finding *f,
                         const char *change, const char *const *verdicts)
{
    json_kv_open(j, key, '{');
    if (f->test)
        json_kv_rounded(j, change, f->change, 6);
    else
        json_kv_double(j, change, NAN);
    json_kv_text_or_null(j, "test", sv_z(f->test));
    json_kv_double(j, "p", f->test ? f->p : NAN);
    json_kv_double(j, "pAdjusted", f->test ? f->p_adjusted : NAN);
    json_kv_str(j, "verdict", sv_z(verdicts[f->verdict]));
    json_close(j);
}

static void json_side(struct json_out *j, const char *key, const struct edge_cell *c,
                      double seconds)
{
    json_key(j, sv_z(key));
    if (c->requests == 0) {
        json_null(j);
        return;
    }
    json_open(j, '{');
    json_kv_u64(j, "requests", c->requests);
    json_kv_rounded(j, "rate", (double)c->requests / seconds, 4);
    json_kv_u64(j, "errors", c->errors);
    json_kv_rounded(j, "errorRate", (double)c->errors / (double)c->requests, 6);
    json_latency(j, "latency", &c->latency);
    json_close(j);
}

static const char *status_of(const struct compare_pair *p)
{
    return p->base.requests == 0 ? "new" : p->candidate.requests == 0 ? "gone" : "both";
}

static void json_pair(struct json_out *j, const struct comparison *c, const struct compare_pair *p,
                      bool has_versions)
{
    static const char *const quality[] = { "too little data", "same", "better", "worse" };
    static const char *const amount[] = { "too little data", "same", "less", "more" };
    json_open(j, '{');
    json_key(j, SV("id"));
    if (p->id)
        json_hex_id(j, p->id);
    else
        json_null(j);
    json_kv_str(j, "status", sv_z(status_of(p)));
    json_kv_open(j, "source", '{');
    json_identity(j, &p->source);
    json_close(j);
    json_kv_open(j, "destination", '{');
    json_identity(j, &p->destination);
    json_close(j);
    json_kv_str(j, "protocol", sv_z(protocol_name(p->protocol)));
    json_side(j, "base", &p->base, c->base_s);
    json_side(j, "candidate", &p->candidate, c->candidate_s);
    if (!has_versions)
        json_finding(j, "rate", &p->rate, "ratio", amount);
    json_finding(j, "errors", &p->errors, "difference", quality);
    json_finding(j, "latency", &p->latency, "probabilitySlower", quality);
    json_kv_str(j, "verdict", sv_z(compare_verdict_name(p->verdict)));
    json_close(j);
}

static void json_summary(struct json_out *j, const struct comparison *c)
{
    size_t verdicts[COMPARE_WORSE + 1] = { 0 }, fresh = 0, gone = 0;
    for (size_t i = 0; i < c->len; i++) {
        verdicts[c->pairs[i].verdict]++;
        fresh += c->pairs[i].base.requests == 0;
        gone += c->pairs[i].candidate.requests == 0;
    }
    json_kv_open(j, "summary", '{');
    json_kv_u64(j, "edges", c->len);
    json_kv_u64(j, "new", fresh);
    json_kv_u64(j, "gone", gone);
    json_kv_u64(j, "worse", verdicts[COMPARE_WORSE]);
    json_kv_u64(j, "better", verdicts[COMPARE_BETTER]);
    json_kv_u64(j, "same", verdicts[COMPARE_SAME]);
    json_kv_u64(j, "tooLittleData", verdicts[COMPARE_TOO_LITTLE]);
    json_close(j);
    json_kv_str(j, "verdict", sv_z(compare_verdict_name(c->verdict)));
}

static void json_window(struct json_out *j, const char *key, const struct view *v,
                        struct sv version, int64_t now_ns)
{
    json_kv_open(j, key, '{');
    json_view_head(j, v, now_ns);
    if (version.len)
        json_kv_str(j, "version", version);
    json_close(j);
}

static void write_answer(struct answer *a, const struct comparing *c, const struct comparison *r,
                         const struct view *base, const struct view *candidate, int64_t now_ns)
{
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_str(&j, "compared", c->has_versions ? SV("versions") : SV("windows"));
    if (c->has_versions)
        json_kv_str(&j, "service", c->versions.service);
    json_window(&j, "base", base, c->versions.base, now_ns);
    json_window(&j, "candidate", candidate, c->versions.candidate, now_ns);
    json_kv_double(&j, "alpha", COMPARE_ALPHA);
    json_kv_u64(&j, "minRequests", COMPARE_REQUESTS_MIN);
    json_kv_u64(&j, "tests", r->tests);
    json_kv_str(&j, "correction", SV("Benjamini-Hochberg"));
    json_summary(&j, r);
    json_kv_open(&j, "edges", '[');
    for (size_t i = 0; i < r->len && i < c->limit; i++)
        json_pair(&j, r, &r->pairs[i], c->has_versions);
    json_close(&j);
    json_close(&j);
}

void api_compare(const struct api *api, struct query *q, struct answer *a)
{
    struct comparing c;
    AUTO_DONE(view) base = { 0 };
    AUTO_DONE(view) candidate = { 0 };
    AUTO_DONE(comparison) r = { 0 };
    struct err err = { 0 };
    int64_t now_ns = q->params.now_ns;
    if (read_request(&q->params, &c) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    int rc = api_read_view(api, &c.candidate, &candidate, &err);
    double seconds = view_seconds(&candidate, now_ns);
    if (rc == 0 && c.has_versions) {
        rc = compare_versions(&c.versions, &candidate, seconds, &r, &err);
    } else if (rc == 0) {
        rc = api_read_view(api, &c.base, &base, &err);
        if (rc == 0)
            rc = compare_windows(&base, view_seconds(&base, now_ns), &candidate, seconds, &r, &err);
    }
    if (rc < 0)
        answer_failure(a, &err);
    else
        write_answer(a, &c, &r, c.has_versions ? &candidate : &base, &candidate, now_ns);
}
