/* params.h - strict reading of a request's query string.
 *
 * The first fault is kept: which parameter, and what was expected. One thread owns a params. */
#ifndef COLLECTOR_QUERY_PARAMS_H
#define COLLECTOR_QUERY_PARAMS_H

#include "base/arena.h"
#include "base/clock.h"
#include "model/window.h"

enum {
    PARAMS_MAX = 32,       /* a page has less than ten; attr may repeat */
    PARAM_RULES_MAX = 20,  /* the longest list of any route */
    PARAM_TEXT_MAX = 4096, /* bytes of a query string */
};

/* The year 2200: 64 bits of nanoseconds end in 2262, and windows are widened. */
#define PARAM_TIME_MAX_NS (INT64_C(7258118400) * NS_PER_S)

struct param_rule {
    const char *name;
    bool is_repeatable;
};
struct param {
    struct sv name, value; /* decoded */
};
struct params {
    struct arena mem;
    const struct param_rule *rules; /* up to the first without a name; NULL: any name, repeated */
    struct param list[PARAMS_MAX];
    size_t len;
    int64_t now_ns; /* what "now" and the end of a window mean */
    struct sv bad;  /* name of the parameter to blame; in mem or static */
    char why[512];  /* empty while nothing is wrong */
};

/* Parses what stands behind '?'. -1 with bad and why set. rules NULL: every name is taken, however
 * often, for dialects whose clients send more than is read. */
int params_parse(struct params *p, struct sv query, const struct param_rule *rules, int64_t now_ns)
    MUST_USE;
void params_done(struct params *p);
/* A segment of a path, percent-decoded into mem; false when it is no percent-encoded UTF-8. */
bool params_path_text(struct params *p, struct sv raw, struct sv *ret_text);
/* Blames a parameter; returns -1. */
int params_fault(struct params *p, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* False when it is missing. */
bool params_get(const struct params *p, const char *name, struct sv *ret_value);
/* All of these leave *ret_v alone when the parameter is missing, and answer -1 with the fault set
 * when its value is wrong. */
int params_u64(struct params *p, const char *name, uint64_t min, uint64_t max, uint64_t *ret_v)
    MUST_USE;
int params_number(struct params *p, const char *name, double min, double max, double *ret_v)
    MUST_USE;
int params_duration(struct params *p, const char *name, int64_t min_ns, int64_t max_ns,
                    int64_t *ret_ns) MUST_USE;
int params_time(struct params *p, const char *name, int64_t *ret_ns) MUST_USE;
/* words: "a|b|c"; *ret_at is the index of the one given. */
int params_choice(struct params *p, const char *name, const char *words, size_t *ret_at) MUST_USE;
/* window=..., or from=... and to=...; default_ns long and ending now when nothing is given. */
int params_window(struct params *p, int64_t default_ns, int64_t max_ns, struct window *ret_w)
    MUST_USE;

/* RFC 3339, or a whole number since the epoch in s, ms, us or ns, told apart by its size. */
bool time_from_sv(struct sv text, int64_t *ret_ns);

DEFINE_AUTO_DONE(params);

#endif
