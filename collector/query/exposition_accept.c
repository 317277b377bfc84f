/* exposition_accept.c - which form a scraper wants, by its Accept header (RFC 9110, 12.5.1).
 *
 * Prometheus lists what it understands with weights: protobuf first when native histograms are on,
 * then OpenMetrics, then text. The highest weight wins, the first of equals. A range with a
 * wildcard means text, which everything reads; so do ranges of versions we do not write. */
#include "query/exposition.h"

#define PROTOBUF_TYPE                                                                              \
    "application/vnd.google.protobuf; "                                                            \
    "proto=io.prometheus.client.MetricFamily; encoding=delimited"
#define PROTOBUF    SV("application/vnd.google.protobuf")
#define OPENMETRICS SV("application/openmetrics-text")

/* One parameter of a media range, "; name=value", quotes taken off. */
static bool next_parameter(struct sv *rest, struct sv *ret_name, struct sv *ret_value)
{
    struct sv one;
    if (!sv_cut(rest, ';', &one))
        return false;
    *ret_value = one;
    (void)sv_cut(ret_value, '=', ret_name);
    *ret_name = sv_trim(*ret_name);
    *ret_value = sv_trim(*ret_value);
    struct sv v = *ret_value;
    if (v.len >= 2 && v.p[0] == '"' && v.p[v.len - 1] == '"')
        *ret_value = sv_sub(v, 1, v.len - 2);
    return true;
}

static bool is_version_served(struct sv version)
{
    return sv_eq(version, SV("1.0.0")) || sv_eq(version, SV("0.0.1"));
}

/* The form that one range of the list names, and its weight; false: none of ours. */
static bool read_range(struct sv range, enum exposition_format *ret_format, double *ret_weight)
{
    struct sv type, name, value;
    (void)sv_cut(&range, ';', &type);
    type = sv_trim(type);
    bool is_protobuf = sv_eq_nocase(type, PROTOBUF);
    bool is_openmetrics = sv_eq_nocase(type, OPENMETRICS);
    bool is_text = sv_eq_nocase(type, SV("text/plain")) || sv_eq_nocase(type, SV("text/*")) ||
                   sv_eq(type, SV("*/*"));
    bool is_family = false, is_delimited = false;
    *ret_weight = 1;
    while (next_parameter(&range, &name, &value)) {
        if (sv_eq_nocase(name, SV("q")) && !sv_to_double(value, ret_weight))
            return false;
        if (sv_eq_nocase(name, SV("version")) && is_openmetrics && !is_version_served(value))
            return false;
        is_family |= sv_eq_nocase(name, SV("proto")) &&
                     sv_eq(value, SV("io.prometheus.client.MetricFamily"));
        is_delimited |= sv_eq_nocase(name, SV("encoding")) && sv_eq(value, SV("delimited"));
    }
    *ret_format = is_protobuf      ? EXPOSITION_PROTOBUF
                  : is_openmetrics ? EXPOSITION_OPENMETRICS
                                   : EXPOSITION_TEXT;
    return is_protobuf ? is_family && is_delimited : is_openmetrics || is_text;
}

enum exposition_format exposition_wanted(struct sv accept)
{
    enum exposition_format best = EXPOSITION_TEXT, one;
    double best_weight = 0, weight;
    for (struct sv range; sv_cut(&accept, ',', &range);) {
        if (!read_range(range, &one, &weight) || !(weight > best_weight) || weight > 1)
            continue;
        best = one;
        best_weight = weight;
    }
    return best;
}

const char *exposition_content_type(enum exposition_format f)
{
    static const char *const types[EXPOSITION_FORMATS_LEN] = {
        [EXPOSITION_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
        [EXPOSITION_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        [EXPOSITION_PROTOBUF] = PROTOBUF_TYPE,
    };
    return types[f];
}
