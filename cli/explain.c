/* SPDX-License-Identifier: Apache-2.0
 * explain.c - `tulle explain`: what would become of a request or a connection, from the files alone.
 *
 * First the proxy that the request meets: the caller's own sidecar, a gateway, or with --inbound the one
 * before the application. Then, because a route says nothing about who lets the request in, the sidecar of
 * every workload it can be sent to. Each is the mesh as that very proxy would load it, asked with
 * the proxy's own code. */
#include "proxy/explain/explain.h"
#include "cli/cli.h"
#include "proxy/explain/request.h"

#define WORKLOADS_MAX 32 /* inbound sides told of one request */

/* clang-format off */
static const struct flag rows[] = {
    { "config",          FLAG_STR,    CLI_OFF(config),          ".",             "folder or file of Kubernetes-format YAML", NULL },
    { "role",            FLAG_CHOICE, CLI_OFF(role),            "sidecar",       "the proxy that the request meets first", "sidecar|gateway" },
    { "inbound",         FLAG_BOOL,   CLI_OFF(is_inbound),      "false",         "the request arrives at --workload instead of being sent by it", NULL },
    { "workload",        FLAG_STR,    CLI_OFF(workload),        "unknown",       "whose proxy that is", NULL },
    { "namespace",       FLAG_STR,    CLI_OFF(namespace),       "default",       "its namespace", NULL },
    { "labels",          FLAG_STR,    CLI_OFF(labels),          "",              "its labels, app=x,version=v1; empty: from its Pod", NULL },
    { "service-account", FLAG_STR,    CLI_OFF(service_account), "default",       "its account, when no Pod tells", NULL },
    { "trust-domain",    FLAG_STR,    CLI_OFF(trust_domain),    "cluster.local", "of SPIFFE ids", NULL },
    { "trust-domain-aliases", FLAG_STR, CLI_OFF(trust_domain_aliases), "",          "former names of it, a,b", NULL },
    { "header",          FLAG_LINES,  CLI_OFF(headers),         "",              "a field of the request, 'end-user: jason'; may be given again", "H" },
    { "source-principal", FLAG_STR,   CLI_OFF(principal),       "",              "who the caller proves to be, spiffe://TD/ns/NS/sa/SA; empty: as the route tells", NULL },
    { "source-ip",       FLAG_STR,    CLI_OFF(source_ip),       "",              "the caller's address", NULL },
    { "destination-ip",  FLAG_STR,    CLI_OFF(destination_ip),  "",              "the address it is made to; empty: the Service's own, or the endpoint's", NULL },
    { "outbound-traffic-policy", FLAG_CHOICE, CLI_OFF(outbound_policy), "ALLOW_ANY", "of a connection: may it be made to addresses that nobody knows?", "ALLOW_ANY|REGISTRY_ONLY" },
    { "plaintext",       FLAG_BOOL,   CLI_OFF(is_plaintext),    "false",         "the caller has no sidecar", NULL },
    { "port",            FLAG_PORT,   CLI_OFF(port),            "0",             "of the workload, or the one a gateway listens on; 0: as the URL and the Service have it", NULL },
    { "json",            FLAG_BOOL,   CLI_OFF(is_json),         "false",         "print the explanation as JSON", NULL },
};
/* clang-format on */

/* --- the walk --- */

struct answer {
    struct sv workload, namespace;
    bool is_passed_on;
    unsigned status;
    char why[sizeof(((struct explain_outcome *)0)->why)];
};
struct walk {
    const struct cli *cli;
    struct arena *mem;
    struct telling *tell;
    struct explain_request request;
    struct err *err;
    struct answer answers[WORKLOADS_MAX + 1];
    size_t answers_len;
    struct sv principal; /* of the caller, at the next hop */
};

static struct mesh *load(struct walk *w, const struct identity *self, struct sv labels,
                         bool is_gateway)
{
    struct mesh_conf conf = {
        .dir = w->cli->config,
        .self = *self,
        .self_labels = labels,
        .trust_domain = sv_z(w->cli->trust_domain),
        .trust_domain_aliases = sv_z(w->cli->trust_domain_aliases),
        .is_gateway = is_gateway,
        .ingress_http = 80,
        .ingress_https = 443,
        .wants_tcp = w->request.is_connection,
    };
    return mesh_load(&conf, w->err);
}

static void note(struct walk *w, const struct identity *self, const struct explain_outcome *o)
{
    struct answer *a = &w->answers[w->answers_len++];
    *a = (struct answer){ .workload = arena_copy(w->mem, self->workload),
                          .namespace = arena_copy(w->mem, self->namespace),
                          .is_passed_on = o->is_passed_on,
                          .status = o->status };
    memcpy(a->why, o->why, sizeof(a->why));
}

/* What the caller shows where the mesh's mutual TLS is used. */
static struct sv principal_of(struct walk *w, const struct mesh *m)
{
    const struct cli *c = w->cli;
    const struct identity *self = mesh_self(m);
    AUTO_DONE(buf) text = { 0 };
    if (c->principal[0])
        return sv_z(c->principal);
    if (self && !sv_eq(self->principal, IDENTITY_UNKNOWN))
        return arena_copy(w->mem, self->principal);
    buf_printf(&text, "spiffe://%s/ns/%s/sa/%s", c->trust_domain, c->namespace, c->service_account);
    return arena_copy(w->mem, buf_sv(&text));
}

/* How a request or a connection comes to a workload's sidecar. */
struct arrival {
    uint16_t port;
    bool is_mutual;
    struct sv sni; /* of the mesh's mutual TLS */
    struct ip destination;
};

static int explain_arrival(struct walk *w, const struct identity *self, const struct arrival *how,
                           const struct http_head *head)
{
    struct mesh *m = load(w, self, sv_z(w->cli->is_inbound ? w->cli->labels : ""), false);
    struct explain_outcome out;
    if (!m)
        return w->err->code;
    struct explain_ask ask = { .mesh = m,
                               .side = EXPLAIN_INBOUND,
                               .self = self,
                               .head = *head,
                               .is_connection = w->request.is_connection,
                               .is_tls = how->is_mutual ||
                                         (w->request.is_connection && w->request.is_tls),
                               .is_mutual = how->is_mutual,
                               .principal = how->is_mutual ? w->principal : SV_NONE,
                               .sni = how->is_mutual ? how->sni : w->request.sni,
                               .source_ip = ip_of_text(sv_z(w->cli->source_ip)),
                               .destination_ip = how->destination,
                               .port = how->port };
    ask.remote_ip = ask.source_ip;
    tell_open(w->tell, NULL, '{');
    explain_hop(&ask, w->mem, w->tell, &out);
    tell_close(w->tell);
    note(w, self, &out);
    mesh_unref(m);
    return 0;
}

static bool is_told(const struct walk *w, const struct identity *who)
{
    for (size_t i = 0; i < w->answers_len; i++)
        if (sv_eq(w->answers[i].workload, who->workload) &&
            sv_eq(w->answers[i].namespace, who->namespace))
            return true;
    return false;
}

/* The sidecar of each workload behind a cluster, or of that one; a workload is told once. */
static int explain_behind(struct walk *w, const struct cluster *c, const struct endpoint *only,
                          const struct http_head *head)
{
    int rc = 0;
    for (size_t i = 0; i < c->endpoints_len && rc == 0; i++) {
        const struct endpoint *e = c->endpoints[i];
        bool is_known = e->has_sidecar && !sv_eq(e->identity.workload, IDENTITY_UNKNOWN);
        if (only && only != e)
            continue;
        if (!is_known || w->answers_len == WORKLOADS_MAX || is_told(w, &e->identity))
            continue;
        struct arrival how = { .port = w->cli->port ? w->cli->port : e->port,
                               .is_mutual = explain_is_mutual(c, e) && !w->cli->is_plaintext,
                               .sni = c->sni,
                               .destination = ip_of_text(e->address) };
        rc = explain_arrival(w, &e->identity, &how, head);
    }
    return rc;
}

/* The Service's or listening port that a gateway opens for what the URL names. */
static uint16_t gateway_listen(const struct mesh *m, uint16_t number)
{
    const struct gateway_port *list;
    size_t n = mesh_gateway_ports(m, &list);
    for (size_t i = 0; i < n; i++)
        if (list[i].number == number)
            return list[i].listen;
    return number;
}

static void describe_departure(struct walk *w, const struct mesh *m, const struct identity *self,
                               struct explain_ask *ask)
{
    bool is_gateway = strcmp(w->cli->role, "gateway") == 0;
    uint16_t usual = w->request.is_tls ? 443 : 80;
    uint16_t named = w->request.port ? w->request.port : usual;
    *ask = (struct explain_ask){ .mesh = m,
                                 .side = is_gateway ? EXPLAIN_GATEWAY : EXPLAIN_OUTBOUND,
                                 .self = self,
                                 .head = w->request.head,
                                 .is_connection = w->request.is_connection,
                                 .host = w->request.host,
                                 .sni = w->request.sni,
                                 .allows_any = strcmp(w->cli->outbound_policy, "ALLOW_ANY") == 0,
                                 .is_tls = w->request.is_tls,
                                 .destination_ip = w->request.address.is_known
                                                       ? w->request.address
                                                       : ip_of_text(sv_z(w->cli->destination_ip)),
                                 .source_ip = ip_of_text(sv_z(w->cli->source_ip)),
                                 .port = w->request.port };
    ask->remote_ip = ask->source_ip;
    if (!is_gateway)
        return;
    ask->port = w->cli->port ? w->cli->port : gateway_listen(m, named);
    ask->is_mutual = w->cli->principal[0];
    ask->principal = sv_z(w->cli->principal);
    w->request.port = ask->port;
}

static int explain_departure(struct walk *w, const struct identity *self)
{
    struct explain_ask ask;
    struct explain_outcome out;
    struct mesh *m = load(w, self, sv_z(w->cli->labels), strcmp(w->cli->role, "gateway") == 0);
    int rc = 0;
    if (!m)
        return w->err->code;
    describe_departure(w, m, self, &ask);
    tell_open(w->tell, NULL, '{');
    explain_hop(&ask, w->mem, w->tell, &out);
    tell_close(w->tell);
    struct http_head head = ask.head;
    head.path = out.path;
    head.authority = out.authority;
    w->principal = ask.side == EXPLAIN_GATEWAY && w->cli->principal[0] ? SV_NONE
                                                                       : principal_of(w, m);
    if (!out.is_passed_on)
        note(w, self, &out);
    size_t targets = out.is_passed_on && out.route ? out.route->targets_len : 0;
    for (size_t i = 0; rc == 0 && i < targets; i++) {
        const struct route_target *t = &out.route->targets[i];
        if (!t->is_broken && (t->weight || out.route->targets_len == 1))
            rc = explain_behind(w, t->cluster, out.endpoint, &head);
    }
    if (out.is_passed_on && !w->answers_len)
        note(w, &(struct identity){ .workload = SV("no sidecar"), .namespace = SV("there") }, &out);
    mesh_unref(m);
    return rc;
}

static void tell_answers(struct walk *w)
{
    tell_open(w->tell, "outcome", '[');
    for (size_t i = 0; i < w->answers_len; i++) {
        const struct answer *a = &w->answers[i];
        tell_open(w->tell, NULL, '{');
        tell_printf(w->tell, "at", "%.*s.%.*s", SV_ARG(a->workload), SV_ARG(a->namespace));
        if (a->is_passed_on) {
            tell_str(w->tell, "answer", SV("the application's"));
        } else {
            tell_printf(w->tell, "answer", a->status ? "%u" : "none", a->status);
            tell_str(w->tell, "why", sv_z(a->why));
        }
        tell_close(w->tell);
    }
    tell_close(w->tell);
}

static void tell_request(struct walk *w)
{
    const struct explain_request *q = &w->request;
    if (q->is_connection)
        tell_printf(w->tell, "connection", "%s://%.*s", q->is_tls ? "tls" : "tcp",
                    SV_ARG(q->head.authority));
    else
        tell_printf(w->tell, "request", "%.*s http%s://%.*s%.*s", SV_ARG(q->head.method),
                    q->is_tls ? "s" : "", SV_ARG(q->head.authority), SV_ARG(q->head.path));
}

static int walk(struct walk *w)
{
    const struct cli *c = w->cli;
    struct identity self = identity_unknown();
    self.workload = sv_z(c->workload);
    self.namespace = sv_z(c->namespace);
    tell_open(w->tell, NULL, '{');
    tell_request(w);
    tell_open(w->tell, "hops", '[');
    int rc;
    if (c->is_inbound) {
        uint16_t named = w->request.port ? w->request.port : 80;
        w->principal = sv_z(c->principal);
        struct arrival how = { .port = c->port ? c->port : named,
                               .is_mutual = !c->is_plaintext && c->principal[0],
                               .destination = ip_of_text(sv_z(c->destination_ip)) };
        rc = explain_arrival(w, &self, &how, &w->request.head);
    } else {
        rc = explain_departure(w, &self);
    }
    tell_close(w->tell);
    tell_answers(w);
    tell_close(w->tell);
    return rc;
}

static int check_usage(const struct cli *c, struct err *err)
{
    if (c->is_inbound && strcmp(c->role, "sidecar") != 0)
        return err_set(err, ERR_USAGE, "--inbound is a sidecar's: not with --role gateway");
    if (c->source_ip[0] && !ip_of_text(sv_z(c->source_ip)).is_known)
        return err_set(err, ERR_USAGE, "--source-ip: '%s' is no address", c->source_ip);
    if (c->destination_ip[0] && !ip_of_text(sv_z(c->destination_ip)).is_known)
        return err_set(err, ERR_USAGE, "--destination-ip: '%s' is no address", c->destination_ip);
    if (c->principal[0] && !sv_starts(sv_z(c->principal), SV("spiffe://")))
        return err_set(err, ERR_USAGE, "--source-principal: '%s' does not begin with spiffe://",
                       c->principal);
    return 0;
}

static int run_explain(const struct cli *c)
{
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) out = { 0 };
    struct err err = { 0 };
    struct telling tell = telling_of(&out, c->is_json);
    static struct walk w; /* large, and there is one */
    w = (struct walk){ .cli = c, .mem = &mem, .tell = &tell, .err = &err };
    AUTO_DONE(buf) words = { 0 };
    for (int i = 0; i < c->operands_len; i++)
        buf_printf(&words, "%s%s", i ? " " : "", c->operands[i]);
    int rc = check_usage(c, &err);
    if (rc == 0)
        rc = explain_parse(&w.request, buf_sv(&words), sv_z(c->headers), &mem, &err);
    if (rc < 0) {
        fprintf(stderr, "tulle explain: %s\nTry: tulle explain --help\n", err.why);
        return EXIT_USAGE;
    }
    if (walk(&w) < 0)
        return cli_fail(&err);
    if (c->is_json)
        buf_putc(&out, '\n');
    return cli_print(&out);
}

const struct command command_explain = {
    .name = "explain",
    .flags = { "tulle explain", "say what would become of a request or a connection, rule by rule",
               " [METHOD] URL", rows, NELEMS(rows) },
    .run = run_explain,
    .operands_min = 1,
    .operands_max = 2,
};
