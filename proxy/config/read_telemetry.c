/* SPDX-License-Identifier: Apache-2.0
 * read_telemetry.c - telemetry.istio.io Telemetry: what is written and sent of requests.
 *
 * In force are of tracing randomSamplingPercentage and disableSpanReporting, of accessLogging disabled and
 * filters of the form `response.code >= 400`. Where the rest is sent is the proxy's option (--collector,
 * --access-log), so providers are read and mean nothing; other fields get a warning. */
#include "proxy/config/catalog.h"

enum mode { MODE_BOTH, MODE_CLIENT, MODE_SERVER };
static const struct choice modes[] = {
    { "CLIENT_AND_SERVER", MODE_BOTH },
    { "CLIENT", MODE_CLIENT },
    { "SERVER", MODE_SERVER },
};
static const char *const later_spec[] = { "metrics", NULL };
static const char *const later_tracing[] = { "customTags", "useRequestIdForTraceSampling",
                                             "enableIstioTags", NULL };

static bool is_for(enum mode mode, bool is_server)
{
    return mode == MODE_BOTH || (mode == MODE_SERVER) == is_server;
}

static enum mode read_mode(struct reader *r, struct node *n)
{
    struct node *match = field_map(r, n, "match");
    int mode = field_choice(r, match, "mode", modes, NELEMS(modes), MODE_BOTH);
    (void)field_any(r, n, "providers");
    fields_finish(r, match, NULL);
    return (enum mode)mode;
}

static void read_tracing(struct reader *r, struct node *n, struct telemetry_rules to[2])
{
    struct node *at = field_any(r, n, "randomSamplingPercentage");
    enum mode mode = read_mode(r, n);
    double percent = -1;
    if (at && !(at->kind == NODE_TEXT && !at->is_quoted && sv_to_double(at->text, &percent) &&
                percent >= 0 && percent <= 100))
        finding_error(r->to, at, "expected a percentage from 0 to 100");
    struct node *off = field_any(r, n, "disableSpanReporting");
    bool is_off = field_bool(r, n, "disableSpanReporting", false);
    for (int server = 0; server < 2; server++) {
        if (!is_for(mode, server))
            continue;
        if (at)
            to[server].sampling = percent;
        if (off)
            to[server].spans = is_off ? TELEMETRY_OFF : TELEMETRY_ON;
    }
    fields_finish(r, n, later_tracing);
}

/* "response.code >= 400"; 0: it is something else. */
static uint64_t least_status(struct sv expression)
{
    struct sv rest = sv_trim(expression), name = SV("response.code");
    uint64_t status;
    if (!sv_starts(rest, name))
        return 0;
    rest = sv_trim(sv_from(rest, name.len));
    bool is_more = sv_starts(rest, SV(">")) && !sv_starts(rest, SV(">="));
    if (!sv_starts(rest, SV(">")))
        return 0;
    rest = sv_trim(sv_from(rest, is_more ? 1 : 2));
    return sv_to_u64(rest, &status) && status <= 999 ? status + is_more : 0;
}

static void read_logging(struct reader *r, struct node *n, struct telemetry_rules to[2])
{
    struct node *filter = field_map(r, n, "filter"), *at = field_any(r, filter, "expression");
    enum mode mode = read_mode(r, n);
    bool is_off = field_bool(r, n, "disabled", false);
    uint64_t status = at ? least_status(node_text(r, at)) : 0;
    if (at && !status)
        finding_warn(r->to, at,
                     "only 'response.code >= N' is supported: a line is written for every request");
    for (int server = 0; server < 2; server++) {
        if (!is_for(mode, server))
            continue;
        to[server].log = is_off ? TELEMETRY_OFF : TELEMETRY_ON;
        to[server].log_from = (unsigned)status;
    }
    fields_finish(r, filter, NULL);
    fields_finish(r, n, NULL);
}

void read_telemetry(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->scratch };
    struct node *spec = field_map(&r, root, "spec"), *selector = field_map(&r, spec, "selector");
    struct node *tracing = field_list(&r, spec, "tracing");
    struct node *logging = field_list(&r, spec, "accessLogging");
    struct telemetry_object *t = read_array(&r, 1, sizeof(*t));
    if (!t)
        return;
    t->meta = *meta;
    t->selector = field_labels(&r, selector, "matchLabels");
    t->rules[0] = t->rules[1] = (struct telemetry_rules){ .sampling = -1 };
    for (struct node *n = tracing ? tracing->first : NULL; n; n = n->next)
        if (node_is_map(&r, n))
            read_tracing(&r, n, t->rules);
    for (struct node *n = logging ? logging->first : NULL; n; n = n->next)
        if (node_is_map(&r, n))
            read_logging(&r, n, t->rules);
    fields_finish(&r, selector, NULL);
    fields_finish(&r, spec, later_spec);
    CATALOG_ADD(&c->telemetries, t);
}
