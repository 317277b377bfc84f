/* segment_calls.c - access records in columns, both ways.
 *
 * Their fields are fixed, so a column is a field. They stay in order of arrival. A record's trace
 * is nearly always one whose spans are in the same segment, and then it is a number. */
#include "store/sqlite/segment_calls.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

#define TEXT(field) offsetof(struct call, field)
#define WHO(side)                                                                                  \
    TEXT(side.cluster), TEXT(side.namespace), TEXT(side.workload), TEXT(side.service),             \
        TEXT(side.version), TEXT(side.principal)

static const size_t texts[] = {
    WHO(source),
    WHO(destination),
    TEXT(response_flags),
    TEXT(response_code_details),
    TEXT(method),
    TEXT(path),
    TEXT(authority),
    TEXT(route_name),
    TEXT(request_id),
    TEXT(user_agent),
    TEXT(destination_service),
    TEXT(upstream_host),
    TEXT(tls_version),
    TEXT(tls_cipher),
    TEXT(source_principal_seen),
    TEXT(destination_principal_seen),
};

/* Every number of a call, in the order of the streams. */
enum call_number {
    N_KINDS,
    N_START,
    N_DURATION,
    N_RECEIVED,
    N_SENT,
    N_CODE,
    N_GRPC,
    N_EXPIRY,
    NUMBERS
};

_Static_assert(CALL_REPORTERS_LEN <= 4 && PROTOCOLS_LEN <= 4 && TLS_STATES_LEN <= 4,
               "two bits each");
_Static_assert(TLS_BASES_LEN <= 8, "three bits"); /* above them the part */

_Static_assert(NELEMS(texts) == CALL_TEXTS_LEN, "a dictionary each");

const struct added_call *segment_add_call(struct segment_w *w, const struct call *c)
{
    if (w->calls_len == w->calls_cap) {
        struct added_call *more = segment_grow(w, w->calls, &w->calls_cap, w->calls_len + 1,
                                               sizeof(*more));
        if (!more)
            return NULL;
        w->calls = more;
    }
    struct added_call *a = &w->calls[w->calls_len];
    *a = (struct added_call){
        .trace_id = c->trace_id,
        .span_id = c->span_id,
        .start_ns = c->start_ns,
        .duration_ns = c->duration_ns,
        .peer_cert_expiry_ns = c->peer_cert_expiry_ns,
        .bytes_received = c->bytes_received,
        .bytes_sent = c->bytes_sent,
        .response_code = c->response_code,
        .grpc_status = c->grpc_status,
        .reporter = (uint8_t)c->reporter,
        .protocol = (uint8_t)c->protocol,
        .tls = (uint8_t)c->tls,
        .tls_basis = (uint8_t)c->tls_basis,
        .part = (uint8_t)c->part,
    };
    for (size_t t = 0; t < CALL_TEXTS_LEN; t++) {
        struct sv text;
        memcpy(&text, (const char *)c + texts[t], sizeof(text));
        a->texts[t] = dict_add(&w->call_texts[t], &w->mem, text);
        w->failed |= a->texts[t] == DICT_FULL;
    }
    if (w->failed)
        return NULL;
    w->calls_len++;
    return a;
}

static uint64_t number_of(const struct added_call *c, enum call_number which,
                          const struct added_call *before)
{
    switch (which) {
    case N_KINDS:
        return (unsigned)c->reporter | (unsigned)c->protocol << 2 | (unsigned)c->tls << 4 |
               (unsigned)c->tls_basis << 6 | (unsigned)c->part << 9;
    case N_START: return zigzag((int64_t)((uint64_t)c->start_ns - (uint64_t)before->start_ns));
    case N_DURATION: return zigzag(c->duration_ns);
    case N_RECEIVED: return c->bytes_received;
    case N_SENT: return c->bytes_sent;
    case N_CODE: return c->response_code;
    case N_GRPC: return zigzag(c->grpc_status);
    case N_EXPIRY:
        return zigzag(
            (int64_t)((uint64_t)c->peer_cert_expiry_ns - (uint64_t)before->peer_cert_expiry_ns));
    case NUMBERS: break;
    }
    return 0;
}

static void put_numbers(struct segment_w *w)
{
    for (unsigned which = 0; which < NUMBERS; which++) {
        static const struct added_call zero;
        const struct added_call *before = &zero;
        struct buf *b = stream_begin(&w->streams);
        for (size_t i = 0; i < w->calls_len; i++) {
            buf_put_varint(b, number_of(&w->calls[i], (enum call_number)which, before));
            before = &w->calls[i];
        }
        stream_end(&w->streams);
    }
}

static void put_traces_of_calls(struct segment_w *w)
{
    AUTO_DONE(buf) strangers = { 0 };
    struct buf *b = stream_begin(&w->streams);
    for (size_t i = 0; i < w->calls_len; i++) {
        struct trace_id id = w->calls[i].trace_id;
        uint32_t number = trace_id_is_set(id) ? segment_trace(w, id) : 0;
        if (!trace_id_is_set(id)) {
            buf_put_varint(b, CALL_TRACE_NONE);
        } else if (number != UINT32_MAX) {
            buf_put_varint(b, (uint64_t)number + CALL_TRACE_NEAR);
        } else {
            buf_put_varint(b, CALL_TRACE_STRANGER);
            buf_append(&strangers, id.b, sizeof(id.b));
        }
    }
    stream_end(&w->streams);
    buf_put(stream_begin(&w->streams), buf_sv(&strangers));
    stream_end(&w->streams);
    w->failed |= strangers.failed;
}

static void put_span_ids(struct segment_w *w)
{
    struct buf *b = stream_begin(&w->streams);
    for (size_t i = 0; i < w->calls_len; i++)
        buf_append(b, w->calls[i].span_id.b, sizeof(struct span_id));
    stream_end(&w->streams);
}

void segment_put_calls(struct segment_w *w)
{
    if (w->calls_len == 0)
        return;
    put_span_ids(w);
    put_traces_of_calls(w);
    uint32_t *list = segment_scratch(w, w->calls_len, sizeof(*list));
    for (size_t t = 0; t < CALL_TEXTS_LEN && !w->failed; t++) {
        for (size_t i = 0; i < w->calls_len; i++)
            list[i] = w->calls[i].texts[t];
        segment_put_texts(w, &w->call_texts[t], list, w->calls_len);
    }
    put_numbers(w);
}

/* Adds the calls, zeroed; the first of them, or NULL. */
static struct call *add_calls(struct streams_r *r, struct batch *b, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (!batch_add_call(b)) {
            rd_fail(&r->rd, ERR_NOMEM, "%llu access records", (unsigned long long)n);
            return NULL;
        }
    }
    return b->calls + (b->calls_len - n);
}

static void set_kinds(struct streams_r *r, struct call *c, uint64_t kinds)
{
    unsigned reporter = kinds & 3, protocol = kinds >> 2 & 3, tls = kinds >> 4 & 3;
    uint64_t basis = kinds >> 6 & 7, part = kinds >> 9;
    if (basis >= TLS_BASES_LEN || part >= CALL_PARTS_LEN || reporter >= CALL_REPORTERS_LEN ||
        protocol >= PROTOCOLS_LEN || tls >= TLS_STATES_LEN) {
        rd_fail(&r->rd, ERR_MALFORMED, "kinds %llx of a call", (unsigned long long)kinds);
        return;
    }
    c->reporter = (enum reporter)reporter;
    c->protocol = (enum protocol)protocol;
    c->tls = (enum tls_state)tls;
    c->tls_basis = (enum tls_basis)basis;
    c->part = (enum call_part)part;
}

static void set_number(struct streams_r *r, struct call *c, enum call_number which, uint64_t v,
                       const struct call *before)
{
    switch (which) {
    case N_KINDS: set_kinds(r, c, v); break;
    case N_START:
        c->start_ns = (int64_t)((uint64_t)before->start_ns + (uint64_t)unzigzag(v));
        break;
    case N_DURATION: c->duration_ns = unzigzag(v); break;
    case N_RECEIVED: c->bytes_received = v; break;
    case N_SENT: c->bytes_sent = v; break;
    case N_CODE: c->response_code = (uint16_t)v; break;
    case N_GRPC: c->grpc_status = (int16_t)unzigzag(v); break;
    case N_EXPIRY:
        c->peer_cert_expiry_ns = (int64_t)((uint64_t)before->peer_cert_expiry_ns +
                                           (uint64_t)unzigzag(v));
        break;
    case NUMBERS: break;
    }
}

static void get_numbers(struct streams_r *r, struct call *list, uint64_t n)
{
    for (unsigned which = 0; which < NUMBERS && rd_ok(&r->rd); which++) {
        static const struct call zero;
        struct rd rd = rd_of(stream_get(r));
        for (uint64_t i = 0; i < n && rd_ok(&rd); i++)
            set_number(r, &list[i], (enum call_number)which, rd_varint(&rd),
                       i ? &list[i - 1] : &zero);
        if (!rd_ok(&rd))
            rd_fail(&r->rd, rd.failed.code, "numbers of calls: %s", rd.failed.why);
    }
}

static void get_traces(struct streams_r *r, struct call *list, uint64_t n, struct sv traces)
{
    struct rd numbers = rd_of(stream_get(r)), strangers = rd_of(stream_get(r));
    for (uint64_t i = 0; i < n && rd_ok(&r->rd); i++) {
        uint64_t number = rd_varint(&numbers);
        struct sv id = SV_NONE;
        if (number == CALL_TRACE_STRANGER)
            id = rd_bytes(&strangers, sizeof(struct trace_id));
        else if (number >= CALL_TRACE_NEAR && number - CALL_TRACE_NEAR < traces.len / 16)
            id = sv_sub(traces, (size_t)(number - CALL_TRACE_NEAR) * 16, 16);
        else if (number != CALL_TRACE_NONE)
            rd_fail(&numbers, ERR_MALFORMED, "no trace of that number");
        if (!rd_ok(&numbers) || !rd_ok(&strangers)) {
            rd_fail(&r->rd, ERR_MALFORMED, "traces of calls");
            return;
        }
        if (id.len)
            memcpy(list[i].trace_id.b, id.p, sizeof(list[i].trace_id.b));
    }
}

void segment_get_calls(struct streams_r *r, struct batch *b, uint64_t n, struct sv traces)
{
    if (n == 0)
        return;
    struct sv span_ids = stream_get(r);
    if (span_ids.len / sizeof(struct span_id) != n) { /* before memory is asked for */
        rd_fail(&r->rd, ERR_MALFORMED, "%zu bytes of span ids of calls", span_ids.len);
        return;
    }
    struct call *list = add_calls(r, b, n);
    if (!list)
        return;
    for (uint64_t i = 0; i < n; i++)
        memcpy(list[i].span_id.b, span_ids.p + i * sizeof(struct span_id), sizeof(struct span_id));
    get_traces(r, list, n, traces);
    for (size_t t = 0; t < NELEMS(texts) && rd_ok(&r->rd); t++) {
        struct strings_r column = strings_get(r);
        for (uint64_t i = 0; i < n && rd_ok(&r->rd); i++) {
            struct sv text = string_next(r, &column);
            memcpy((char *)&list[i] + texts[t], &text, sizeof(text));
        }
    }
    get_numbers(r, list, n);
}
