/* envoy_als.c - Envoy's access log service: an entry is a call.
 *
 * What an entry says of the two ends is what a line of the text format says, so it is read by the same rules
 * (envoy_ends) once it is put into the same fields; numbers, flags and times need no text. The stream's
 * identifier tells who sends, as the resource does in OTLP.
 *
 * TLS: tls_properties are of the connection that came in. On the called side they are the handshake itself:
 * with a SPIFFE id in the peer's certificate mutual, without one-way, and where they are missing the call
 * was plaintext. The calling side's are of the application's own connection and say nothing. A TCP
 * connection that found no chain of filters was given up before it was known whether it was TLS.
 *
 * A request is told once, when it ends: periodic entries and those of a beginning are passed over and
 * counted (log_records_ignored_total), and so are UpstreamEnd, one for each attempt of a request that has its
 * own entry, and UDP. An entry that breaks its format or holds what cannot be is refused with its offset, its neighbours
 * stay; lengths that do not fit the message refuse it whole. */
#include "ingest/decode.h"
#include "ingest/envoy_access.h"
#include "ingest/envoy_als_entry.h"
#include "ingest/otlp_proto.h"
#include "tallies.h"

/* StreamAccessLogsMessage, its Identifier, and its HTTPAccessLogEntries or TCPAccessLogEntries */
enum { MESSAGE_IDENTIFIER = 1, MESSAGE_HTTP = 2, MESSAGE_TCP = 3 };
enum { IDENTIFIER_NODE = 1, IDENTIFIER_LOG_NAME = 2, ENTRIES_ENTRY = 1 };
/* AccessLogType of a request or connection that has ended */
enum { TYPE_NOT_SET = 0, TYPE_TCP_END = 3, TYPE_DOWNSTREAM_END = 6 };
enum { VERSION_HTTP10 = 1, VERSION_HTTP11 = 2, HTTP_CODE_MAX = 999, GRPC_CODE_UNKNOWN = 2 };

struct message {
    struct gather *g;
    struct sv log_name;
    struct envoy_node node;
    struct resource resource; /* of the node */
};

static const char *const flag_names[] = {
    NULL,    "LH",   "UH",   "UT",   "LR",   "UR", "UF",  "UC", "UO", "NR",
    "DI",    "FI",   "RL",   "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE",
    "UMSDR", "RFCF", "NFCF", "DT",   "UPE",  "NC", "OM",  "DF", "DR",
};
static const char *const methods[] = { "",       "GET",     "HEAD",    "POST",  "PUT",
                                       "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH" };
static const char *const tls_versions[] = { "", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };

/* IANA's numbers, and the names that OpenSSL and Envoy's text format have for them. */
static const struct cipher {
    uint16_t number;
    const char *name;
} ciphers[] = {
    { 0x1301, "TLS_AES_128_GCM_SHA256" },
    { 0x1302, "TLS_AES_256_GCM_SHA384" },
    { 0x1303, "TLS_CHACHA20_POLY1305_SHA256" },
    { 0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256" },
    { 0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384" },
    { 0xc02f, "ECDHE-RSA-AES128-GCM-SHA256" },
    { 0xc030, "ECDHE-RSA-AES256-GCM-SHA384" },
    { 0xcca8, "ECDHE-RSA-CHACHA20-POLY1305" },
    { 0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305" },
    { 0xc009, "ECDHE-ECDSA-AES128-SHA" },
    { 0xc00a, "ECDHE-ECDSA-AES256-SHA" },
    { 0xc013, "ECDHE-RSA-AES128-SHA" },
    { 0xc014, "ECDHE-RSA-AES256-SHA" },
    { 0x009c, "AES128-GCM-SHA256" },
    { 0x009d, "AES256-GCM-SHA384" },
    { 0x002f, "AES128-SHA" },
    { 0x0035, "AES256-SHA" },
};

static struct sv name_of(const char *const *names, size_t len, uint64_t number)
{
    return number < len ? sv_z(names[number]) : SV_NONE;
}

/* Empty: not told, or none that a mesh would use. */
static struct sv cipher_of(const struct als_tls *tls)
{
    for (size_t i = 0; tls->has_cipher && i < NELEMS(ciphers); i++)
        if (ciphers[i].number == tls->cipher)
            return sv_z(ciphers[i].name);
    return SV_NONE;
}

/* "UF,URX"; one alone needs no memory. */
static int flags_text(struct arena *mem, uint32_t flags, struct sv *ret_text)
{
    char text[NELEMS(flag_names) * 6];
    size_t len = 0;
    *ret_text = SV_NONE;
    for (size_t i = 1; i < NELEMS(flag_names); i++) {
        if (!(flags & 1u << i))
            continue;
        if (!(flags & (flags - 1))) {
            *ret_text = sv_z(flag_names[i]);
            return 0;
        }
        int n = snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "", flag_names[i]);
        len += (size_t)n;
    }
    if (len)
        *ret_text = arena_copy(mem, sv_of(text, len));
    return len && !ret_text->p ? ERR_NOMEM : 0;
}

/* "10.1.2.3:80", "[fd00::1]:80", "/run/socket". */
static int address_text(struct arena *mem, const struct als_address *a, struct sv *ret_text)
{
    bool is_path = a->ip.len && a->ip.p[0] == '/', is_v6 = sv_index(a->ip, ':') < a->ip.len;
    *ret_text = a->ip;
    if (!a->ip.len || is_path)
        return 0;
    char digits[sizeof("4294967295") - 1];
    char *text = arena_alloc(mem, a->ip.len + sizeof("[]:") + sizeof(digits)), *to = text;
    if (!text)
        return ERR_NOMEM;
    if (is_v6)
        *to++ = '[';
    memcpy(to, a->ip.p, a->ip.len);
    to += a->ip.len;
    if (is_v6)
        *to++ = ']';
    *to++ = ':';
    size_t at = sizeof(digits);
    uint32_t port = a->port;
    do {
        digits[--at] = (char)('0' + port % 10);
        port /= 10;
    } while (port);
    memcpy(to, digits + at, sizeof(digits) - at);
    *ret_text = sv_of(text, (size_t)(to - text) + sizeof(digits) - at);
    return 0;
}

static void fill_line(const struct als_entry *e, struct envoy_line *l)
{
    *l = (struct envoy_line){ 0 };
    l->field[ENVOY_CLUSTER] = e->cluster;
    l->field[ENVOY_AUTHORITY] = e->authority;
    l->field[ENVOY_DETAILS] = e->details;
    l->field[ENVOY_SERVER_NAME] = e->tls.sni;
}

/* Of the addresses those that say something about that side. */
static int fill_addresses(struct gather *g, const struct als_entry *e, bool is_calling,
                          struct envoy_line *l)
{
    const struct als_address *a = e->address;
    struct arena *mem = &g->b->mem;
    bool has_direct = a[ALS_DOWNSTREAM_DIRECT].ip.len > 0;
    enum als_end caller = has_direct ? ALS_DOWNSTREAM_DIRECT : ALS_DOWNSTREAM_REMOTE;
    int rc = address_text(mem, &a[ALS_UPSTREAM_REMOTE], &l->field[ENVOY_UPSTREAM_HOST]);
    if (rc == 0 && is_calling)
        return address_text(mem, &a[ALS_UPSTREAM_LOCAL], &l->field[ENVOY_UPSTREAM_LOCAL]);
    if (rc == 0)
        rc = address_text(mem, &a[ALS_DOWNSTREAM_LOCAL], &l->field[ENVOY_DOWNSTREAM_LOCAL]);
    if (rc == 0)
        rc = address_text(mem, &a[caller], &l->field[ENVOY_DOWNSTREAM_REMOTE]);
    return rc;
}

static bool is_grpc(const struct als_entry *e)
{
    bool is_http1 = e->http_version == VERSION_HTTP10 || e->http_version == VERSION_HTTP11;
    return e->is_http && !is_http1 &&
           (e->has_grpc_type || e->grpc_status.len || sv_starts(e->user_agent, SV("grpc-")));
}

/* As a client reads it: a status that is no number is UNKNOWN. */
static int16_t grpc_status_of(const struct als_entry *e, const struct call *c)
{
    uint64_t status;
    if (!e->grpc_status.len)
        return c->response_code == 200 && !c->response_flags.len ? 0 : -1;
    return sv_to_u64(e->grpc_status, &status) && status <= INT16_MAX ? (int16_t)status
                                                                     : GRPC_CODE_UNKNOWN;
}

static int fill_request(struct gather *g, const struct als_entry *e, struct call *c)
{
    int rc = flags_text(&g->b->mem, e->flags, &c->response_flags);
    if (e->code > HTTP_CODE_MAX)
        gather_bad(g, ERR_MALFORMED, e->at, "access-log entry: response_code %llu is above %d",
                   (unsigned long long)e->code, HTTP_CODE_MAX);
    if (e->bytes_received > INT64_MAX || e->bytes_sent > INT64_MAX)
        gather_bad(g, ERR_MALFORMED, e->at, "access-log entry: more than 2^63 bytes");
    if (e->start_ns <= 0)
        gather_bad(g, ERR_MALFORMED, e->at, "access-log entry: start_time is missing");
    c->response_code = (uint16_t)e->code;
    c->response_code_details = e->details.len       ? e->details
                               : e->termination.len ? e->termination
                                                    : e->transport_failure;
    c->start_ns = e->start_ns;
    c->duration_ns = e->duration_ns;
    c->bytes_received = e->bytes_received;
    c->bytes_sent = e->bytes_sent;
    c->trace_id = e->trace_id;
    c->method = name_of(methods, NELEMS(methods), e->method);
    c->path = e->original_path.len ? e->original_path : e->path;
    c->authority = e->authority;
    c->route_name = e->route;
    c->request_id = e->request_id;
    c->user_agent = e->user_agent;
    c->protocol = is_grpc(e) ? PROTOCOL_GRPC : e->is_http ? PROTOCOL_HTTP : PROTOCOL_TCP;
    c->grpc_status = c->protocol == PROTOCOL_GRPC ? grpc_status_of(e, c) : -1;
    return rc;
}

static int add_label(struct gather *g, const struct als_entry *e, struct sv key, struct sv text)
{
    struct attr a = { .key = key, .value = { .type = VALUE_STR, .str = text } };
    return text.len ? pile_add(g, &g->attrs, &a, sizeof(a), e->at) : 0;
}

/* What the called side knows of its connection, by the names of Envoy's operators. */
static int add_tls(struct gather *g, const struct als_entry *e)
{
    struct sv version = name_of(tls_versions, NELEMS(tls_versions), e->tls.version);
    bool is_decided = e->is_http || e->cluster.len;
    if (!e->tls.is_there)
        return is_decided ? add_label(g, e, SV("downstream_tls_version"), SV("-")) : 0;
    int rc = add_label(g, e, SV("downstream_tls_version"), version);
    if (rc == 0)
        rc = add_label(g, e, SV("downstream_tls_cipher"), cipher_of(&e->tls));
    if (rc == 0)
        rc = add_label(g, e, SV("downstream_peer_uri_san"), e->tls.peer);
    if (rc == 0 && sv_starts(e->tls.peer, SV("spiffe://")))
        rc = add_label(g, e, SV("destination_principal"), e->tls.own);
    return rc;
}

static int fill(struct message *m, const struct als_entry *e, size_t mark, struct call *c)
{
    struct gather *g = m->g;
    struct envoy_line l;
    fill_line(e, &l);
    bool is_unmatched = !e->is_http && !e->cluster.len &&
                        sv_eq(m->log_name, SV("listener_envoy_accesslog"));
    bool is_calling = !is_unmatched && !envoy_is_called_side(&l);
    int rc = fill_addresses(g, e, is_calling, &l);
    if (rc == 0)
        rc = fill_request(g, e, c);
    if (rc == 0 && !is_calling)
        rc = add_tls(g, e);
    if (rc < 0)
        return rc;
    if (is_calling && e->has_upstream_peer) {
        struct attrs peer = envoy_node_attrs(&e->upstream_peer);
        c->destination = envoy_identity(g, &peer);
    } else if (!is_calling && e->has_downstream_peer) {
        struct attrs peer = envoy_node_attrs(&e->downstream_peer);
        c->source = envoy_identity(g, &peer);
    }
    size_t n = (g->attrs.len - mark) / sizeof(struct attr);
    const struct attr *labels = (const struct attr *)(const void *)g->attrs.mem;
    c->upstream_host = l.field[ENVOY_UPSTREAM_HOST];
    envoy_ends(g, &l, is_calling, n ? labels + mark / sizeof(*labels) : NULL, n, c);
    return 0;
}

static int keep(struct message *m, const struct als_entry *e, size_t mark)
{
    struct call *c;
    int rc = gather_call(m->g, &c);
    if (rc == 0 && !m->g->bad.code)
        rc = fill(m, e, mark, c);
    if (rc == 0 && !gather_record_ends(m->g))
        m->g->b->calls_len--;
    return rc;
}

static bool is_counted(const struct als_entry *e)
{
    return !e->is_intermediate &&
           (e->type == TYPE_NOT_SET || e->type == TYPE_TCP_END || e->type == TYPE_DOWNSTREAM_END);
}

/* What is broken inside the entry's own length concerns nobody else. */
static void read_entry(struct rd *r, struct pb_tag t, struct message *m, bool is_http)
{
    struct gather *g = m->g;
    struct als_entry e;
    size_t mark = g->attrs.len;
    const uint8_t *outer = pb_enter(r, t);
    struct rd inner = *r;
    if (rd_ok(r)) {
        als_entry_read(&inner, g, is_http, &e);
        int rc = inner.failed.code == ERR_NOMEM || inner.failed.code == ERR_LIMIT
                     ? (int)inner.failed.code
                     : 0;
        if (rc == 0 && !rd_ok(&inner))
            gather_bad(g, inner.failed.code, inner.failed.at, "%s", inner.failed.why);
        if (rc == 0 && (g->bad.code || is_counted(&e)))
            rc = keep(m, &e, mark);
        else if (rc == 0)
            tally(TALLY_LOGS_IGNORED, 1);
        proto_check(r, rc);
        g->attrs.len = mark;
    }
    pb_leave(r, outer);
}

static void read_entries(struct rd *r, struct pb_tag t, struct message *m)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == ENTRIES_ENTRY)
            read_entry(r, u, m, t.field == MESSAGE_HTTP);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
}

static void read_identifier(struct rd *r, struct pb_tag t, struct message *m)
{
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case IDENTIFIER_NODE: envoy_node_read(r, u, &m->node); break;
        case IDENTIFIER_LOG_NAME: m->log_name = pb_bytes(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
}

int envoy_als_decode(struct sv body, struct batch *b, const struct limits *lim, struct err *err)
{
    AUTO_DONE(gather) g;
    gather_init(&g, b, lim);
    struct message m = { .g = &g, .node = envoy_node_empty() };
    struct rd r = rd_of(body);
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field == MESSAGE_IDENTIFIER)
            read_identifier(&r, t, &m);
        else
            pb_skip(&r, t);
    }
    m.resource.attrs = envoy_node_attrs(&m.node);
    g.resource = &m.resource;
    if (!rd_ok(&r))
        return rd_finish(&r, err);
    r = rd_of(body);
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field == MESSAGE_HTTP || t.field == MESSAGE_TCP)
            read_entries(&r, t, &m);
        else
            pb_skip(&r, t);
    }
    return rd_finish(&r, err);
}
