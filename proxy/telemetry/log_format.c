/* SPDX-License-Identifier: Apache-2.0
 * log_format.c - "%REQ(:METHOD)% %RESPONSE_CODE%" and the other command operators of Envoy that Istio's
 * users write.
 *
 *   %OPERATOR%   %OPERATOR(ARGUMENT)%   %OPERATOR(ARGUMENT):BYTES%   %%
 *
 * An operator is a row with a function. What Envoy has and this proxy does not know is refused when
 * the format is read: a column of "-" would look like an answer. */
#include "proxy/telemetry/log_format.h"
#include "base/clock.h"
#include "wire/http_msg.h"
#include <unistd.h>

const char log_format_istio[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%";

#define SCRATCH 64 /* of a value that is made: numbers, times, ids */
struct log_value {
    const struct exchange *x;
    struct sv argument, other; /* "A?B": B when A is absent */
    char scratch[SCRATCH];
};
typedef struct sv value_fn(struct log_value *v);

struct log_part {
    value_fn *value; /* NULL: text */
    struct sv text;  /* or the argument */
    struct sv other;
    size_t bytes_max; /* 0: all */
};

/* --- values --- */

static struct sv number(struct log_value *v, int64_t n)
{
    int len = snprintf(v->scratch, sizeof(v->scratch), "%lld", (long long)n);
    return sv_of(v->scratch, (size_t)MAX(len, 0));
}

static struct sv start_time(struct log_value *v)
{
    _Static_assert(SCRATCH >= CLOCK_RFC3339_SIZE, "it has room");
    return sv_z(clock_rfc3339(v->x->call.start_ns, v->scratch));
}

/* A field of the request, or of what Envoy makes of its first line. */
static struct sv request_field(struct log_value *v, struct sv name)
{
    const struct exchange *x = v->x;
    const struct call *c = &x->call;
    const struct {
        struct sv name, value;
    } known[] = {
        { SV(":METHOD"), c->method },
        { SV(":PATH"), c->path },
        { SV(":AUTHORITY"), c->authority },
        { SV("HOST"), c->authority },
        { SV("USER-AGENT"), c->user_agent },
        { SV("X-REQUEST-ID"), c->request_id },
        { SV("X-FORWARDED-FOR"), x->x_forwarded_for },
    };
    for (size_t i = 0; i < NELEMS(known); i++)
        if (sv_eq_nocase(known[i].name, name))
            return known[i].value;
    return x->request ? http_get(x->request, name) : SV_NONE;
}

static struct sv req(struct log_value *v)
{
    struct sv first = request_field(v, v->argument);
    return first.len || !v->other.len ? first : request_field(v, v->other);
}

static struct sv service_time(struct log_value *v)
{
    int64_t ns = v->x->upstream_service_time_ns;
    return ns < 0 ? SV_NONE : number(v, ns / NS_PER_MS);
}

static struct sv protocol(struct log_value *v)
{
    return v->x->protocol_text;
}

static struct sv response_code(struct log_value *v)
{
    return number(v, v->x->call.response_code);
}

static struct sv response_flags(struct log_value *v)
{
    return v->x->call.response_flags;
}

static struct sv response_code_details(struct log_value *v)
{
    return v->x->call.response_code_details;
}

static struct sv termination_details(struct log_value *v)
{
    return v->x->connection_termination_details;
}

static struct sv failure_reason(struct log_value *v)
{
    return v->x->upstream_transport_failure_reason;
}

static struct sv bytes_received(struct log_value *v)
{
    return number(v, (int64_t)v->x->call.bytes_received);
}

static struct sv bytes_sent(struct log_value *v)
{
    return number(v, (int64_t)v->x->call.bytes_sent);
}

static struct sv duration(struct log_value *v)
{
    return number(v, v->x->call.duration_ns / NS_PER_MS);
}

static struct sv upstream_host(struct log_value *v)
{
    return v->x->call.upstream_host;
}

static struct sv upstream_cluster(struct log_value *v)
{
    return v->x->upstream_cluster;
}

static struct sv upstream_local(struct log_value *v)
{
    return v->x->upstream_local_address;
}

static struct sv downstream_local(struct log_value *v)
{
    return v->x->downstream_local_address;
}

static struct sv downstream_remote(struct log_value *v)
{
    return v->x->downstream_remote_address;
}

static struct sv host_of(struct sv address)
{
    return sv_sub(address, 0, sv_rindex(address, ':'));
}

static struct sv port_of(struct sv address)
{
    return sv_from(address, sv_rindex(address, ':') + 1);
}

static struct sv upstream_host_only(struct log_value *v)
{
    return host_of(v->x->call.upstream_host);
}

static struct sv upstream_port_only(struct log_value *v)
{
    return port_of(v->x->call.upstream_host);
}

static struct sv downstream_local_host(struct log_value *v)
{
    return host_of(v->x->downstream_local_address);
}

static struct sv downstream_local_port(struct log_value *v)
{
    return port_of(v->x->downstream_local_address);
}

static struct sv downstream_remote_host(struct log_value *v)
{
    return host_of(v->x->downstream_remote_address);
}

static struct sv downstream_remote_port(struct log_value *v)
{
    return port_of(v->x->downstream_remote_address);
}

static struct sv server_name(struct log_value *v)
{
    return v->x->requested_server_name;
}

static struct sv route_name(struct log_value *v)
{
    return v->x->call.route_name;
}

/* The TLS of the record is that of the hop it tells of: the caller's connection for what comes in, the
 * upstream's for what goes out. */
static bool is_from_caller(const struct log_value *v)
{
    return v->x->call.reporter == REPORTER_DESTINATION;
}

static struct sv down_peer_san(struct log_value *v)
{
    return is_from_caller(v) ? v->x->call.source_principal_seen : SV_NONE;
}

static struct sv down_local_san(struct log_value *v)
{
    return is_from_caller(v) ? v->x->call.destination_principal_seen : SV_NONE;
}

static struct sv up_peer_san(struct log_value *v)
{
    return is_from_caller(v) ? SV_NONE : v->x->call.destination_principal_seen;
}

static struct sv up_local_san(struct log_value *v)
{
    return is_from_caller(v) ? SV_NONE : v->x->call.source_principal_seen;
}

static struct sv down_tls_version(struct log_value *v)
{
    return is_from_caller(v) ? v->x->call.tls_version : SV_NONE;
}

static struct sv down_tls_cipher(struct log_value *v)
{
    return is_from_caller(v) ? v->x->call.tls_cipher : SV_NONE;
}

static struct sv up_tls_version(struct log_value *v)
{
    return is_from_caller(v) ? SV_NONE : v->x->call.tls_version;
}

static struct sv up_tls_cipher(struct log_value *v)
{
    return is_from_caller(v) ? SV_NONE : v->x->call.tls_cipher;
}

static struct sv grpc_status(struct log_value *v)
{
    return v->x->call.grpc_status < 0 ? SV_NONE : number(v, v->x->call.grpc_status);
}

static struct sv trace_id(struct log_value *v)
{
    const struct trace_id *id = &v->x->call.trace_id;
    _Static_assert(SCRATCH > sizeof(id->b) * 2, "it has room");
    if (!trace_id_is_set(*id))
        return SV_NONE;
    hex_encode(v->scratch, id->b, sizeof(id->b));
    return sv_of(v->scratch, sizeof(id->b) * 2);
}

static struct sv attempts(struct log_value *v)
{
    bool was_sent = v->x->call.upstream_host.len > 0;
    return number(v, was_sent ? (int64_t)v->x->resends + 1 : 0);
}

static struct sv hostname(struct log_value *v)
{
    if (gethostname(v->scratch, sizeof(v->scratch)) < 0)
        return SV_NONE;
    v->scratch[sizeof(v->scratch) - 1] = '\0';
    return sv_z(v->scratch);
}

static struct sv reason(struct log_value *v)
{
    return v->x->reason;
}

/* --- operators --- */

enum argument { NO_ARGUMENT, A_FIELD, SERVICE_TIME_ONLY };

static const struct log_operator {
    const char *name;
    value_fn *value;
    enum argument argument;
} operators[] = {
    { "START_TIME", start_time, NO_ARGUMENT },
    { "REQ", req, A_FIELD },
    { "RESP", service_time, SERVICE_TIME_ONLY },
    { "PROTOCOL", protocol, NO_ARGUMENT },
    { "RESPONSE_CODE", response_code, NO_ARGUMENT },
    { "RESPONSE_FLAGS", response_flags, NO_ARGUMENT },
    { "RESPONSE_CODE_DETAILS", response_code_details, NO_ARGUMENT },
    { "CONNECTION_TERMINATION_DETAILS", termination_details, NO_ARGUMENT },
    { "UPSTREAM_TRANSPORT_FAILURE_REASON", failure_reason, NO_ARGUMENT },
    { "BYTES_RECEIVED", bytes_received, NO_ARGUMENT },
    { "BYTES_SENT", bytes_sent, NO_ARGUMENT },
    { "DURATION", duration, NO_ARGUMENT },
    { "UPSTREAM_HOST", upstream_host, NO_ARGUMENT },
    { "UPSTREAM_REMOTE_ADDRESS", upstream_host, NO_ARGUMENT },
    { "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", upstream_host_only, NO_ARGUMENT },
    { "UPSTREAM_REMOTE_PORT", upstream_port_only, NO_ARGUMENT },
    { "UPSTREAM_CLUSTER", upstream_cluster, NO_ARGUMENT },
    { "UPSTREAM_CLUSTER_RAW", upstream_cluster, NO_ARGUMENT },
    { "UPSTREAM_LOCAL_ADDRESS", upstream_local, NO_ARGUMENT },
    { "UPSTREAM_REQUEST_ATTEMPT_COUNT", attempts, NO_ARGUMENT },
    { "UPSTREAM_PEER_URI_SAN", up_peer_san, NO_ARGUMENT },
    { "UPSTREAM_LOCAL_URI_SAN", up_local_san, NO_ARGUMENT },
    { "UPSTREAM_TLS_VERSION", up_tls_version, NO_ARGUMENT },
    { "UPSTREAM_TLS_CIPHER", up_tls_cipher, NO_ARGUMENT },
    { "DOWNSTREAM_LOCAL_ADDRESS", downstream_local, NO_ARGUMENT },
    { "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", downstream_local_host, NO_ARGUMENT },
    { "DOWNSTREAM_LOCAL_PORT", downstream_local_port, NO_ARGUMENT },
    { "DOWNSTREAM_REMOTE_ADDRESS", downstream_remote, NO_ARGUMENT },
    { "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", downstream_remote_host, NO_ARGUMENT },
    { "DOWNSTREAM_REMOTE_PORT", downstream_remote_port, NO_ARGUMENT },
    { "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", downstream_remote, NO_ARGUMENT },
    { "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", downstream_remote_host, NO_ARGUMENT },
    { "DOWNSTREAM_PEER_URI_SAN", down_peer_san, NO_ARGUMENT },
    { "DOWNSTREAM_LOCAL_URI_SAN", down_local_san, NO_ARGUMENT },
    { "DOWNSTREAM_TLS_VERSION", down_tls_version, NO_ARGUMENT },
    { "DOWNSTREAM_TLS_CIPHER", down_tls_cipher, NO_ARGUMENT },
    { "REQUESTED_SERVER_NAME", server_name, NO_ARGUMENT },
    { "ROUTE_NAME", route_name, NO_ARGUMENT },
    { "GRPC_STATUS_NUMBER", grpc_status, NO_ARGUMENT },
    { "TRACE_ID", trace_id, NO_ARGUMENT },
    { "HOSTNAME", hostname, NO_ARGUMENT },
    { "TULLE_REASON", reason, NO_ARGUMENT },
};

static const struct log_operator *find_operator(struct sv name)
{
    for (size_t i = 0; i < NELEMS(operators); i++)
        if (sv_eq(sv_z(operators[i].name), name))
            return &operators[i];
    return NULL;
}

/* --- compiling --- */

struct compiler {
    struct log_part *parts;
    size_t len;
    struct sv whole;
    struct err *err;
};

static int refuse(struct compiler *c, struct sv at, const char *what)
{
    size_t from = (size_t)(at.p - c->whole.p);
    int rc = err_set(c->err, ERR_USAGE, "at byte %zu: '%.*s': %s", from,
                     (int)MIN(at.len, (size_t)60), at.p, what);
    if (c->err)
        c->err->at = from;
    return rc;
}

static int add(struct compiler *c, const struct log_part *part, struct sv at)
{
    if (c->len == LOG_FORMAT_PARTS_MAX)
        return refuse(c, sv_sub(at, 0, 20), "too many operators");
    c->parts[c->len++] = *part;
    return 0;
}

static int check_argument(struct compiler *c, const struct log_operator *o, struct sv at,
                          struct log_part *part)
{
    if (o->argument == NO_ARGUMENT)
        return part->text.len ? refuse(c, at, "takes no argument here") : 0;
    if (!part->text.len)
        return refuse(c, at, "the name of a field is missing in parentheses");
    if (o->argument == SERVICE_TIME_ONLY &&
        !sv_eq_nocase(part->text, SV("x-envoy-upstream-service-time")))
        return refuse(c, at, "only X-ENVOY-UPSTREAM-SERVICE-TIME is known of a response");
    size_t question = sv_index(part->text, '?');
    part->other = sv_from(part->text, question + 1);
    part->text = sv_sub(part->text, 0, question);
    return 0;
}

/* What stands between two percent signs. */
static int compile_operator(struct compiler *c, struct sv in)
{
    struct log_part part = { .value = NULL };
    size_t open = sv_index(in, '('), close = sv_rindex(in, ')');
    struct sv rest = sv_from(in, open < in.len ? close + 1 : sv_index(in, ':'));
    uint64_t max = 0;
    if (open < in.len && (close == in.len || close < open))
        return refuse(c, in, "a parenthesis is open");
    if (rest.len && (rest.p[0] != ':' || !sv_to_u64(sv_from(rest, 1), &max) || max == 0))
        return refuse(c, in, "expected ':' and a number of bytes at the end");
    const struct log_operator *o = find_operator(sv_sub(in, 0, MIN(open, in.len - rest.len)));
    if (!o)
        return refuse(c, in, "no operator that is known here");
    part.value = o->value;
    part.text = open < in.len ? sv_sub(in, open + 1, close - open - 1) : SV_NONE;
    part.bytes_max = (size_t)max;
    int rc = check_argument(c, o, in, &part);
    return rc < 0 ? rc : add(c, &part, in);
}

int log_format_compile(struct sv text, struct arena *mem, struct log_format *ret, struct err *err)
{
    struct sv whole = arena_copy(mem, text);
    struct compiler c = { .whole = whole, .err = err };
    c.parts = arena_array(mem, LOG_FORMAT_PARTS_MAX, sizeof(*c.parts));
    if (!whole.p || !c.parts)
        return err_set(err, ERR_NOMEM, "access log format");
    for (struct sv rest = whole; rest.len;) {
        size_t percent = sv_index(rest, '%');
        int rc = percent ? add(&c, &(struct log_part){ .text = sv_sub(rest, 0, percent) }, rest)
                         : 0;
        struct sv inside = sv_from(rest, percent + 1);
        size_t end = sv_index(inside, '%');
        if (rc == 0 && percent < rest.len && end == inside.len)
            rc = refuse(&c, sv_from(rest, percent), "the closing % is missing");
        if (rc == 0 && percent < rest.len)
            rc = end == 0 ? add(&c, &(struct log_part){ .text = SV("%") }, rest)
                          : compile_operator(&c, sv_sub(inside, 0, end));
        if (rc < 0)
            return rc;
        rest = sv_from(inside, end + 1);
    }
    *ret = (struct log_format){ c.parts, c.len };
    return 0;
}

/* --- lines --- */

static void put_clean(struct buf *to, struct sv text)
{
    char *at = text.len ? buf_reserve(to, text.len) : NULL;
    if (!at)
        return;
    for (size_t i = 0; i < text.len; i++)
        at[i] = (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i];
    buf_commit(to, text.len);
}

void log_format_put(const struct log_format *f, const struct exchange *x, struct buf *to)
{
    for (size_t i = 0; i < f->len; i++) {
        const struct log_part *p = &f->parts[i];
        struct log_value v = { .x = x, .argument = p->text, .other = p->other };
        if (!p->value) {
            buf_put(to, p->text);
            continue;
        }
        struct sv value = p->value(&v);
        if (!value.len)
            buf_putc(to, '-');
        else
            put_clean(to, p->bytes_max ? sv_sub(value, 0, p->bytes_max) : value);
    }
}
