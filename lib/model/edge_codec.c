/* edge_codec.c - the stored form of an edge's cell.
 *
 * A version byte, then varints in the order of struct edge_cell (docs/store-format.md lists them);
 * times are zigzag deltas from the first request. Version 2 adds parts at the end, each a number and
 * a text, but only those that say something; a cell without any is written as version 1. Reading
 * believes nothing: lengths are checked against the fields they fill, counts against their limits,
 * and bytes left over are an error. */
#include "base/varint.h"
#include "model/edge.h"

enum { CELL_PLAIN = 1, CELL_WITH_PARTS = 2 };

enum part { PART_TLS_BASES = 1, PART_PLAINTEXT, PART_CLOCK, PART_RESENDS, PART_PARTS, PARTS_END };

static void put_counters(struct buf *out, const uint64_t *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_put_varint(out, list[i]);
}

static void get_counters(struct rd *r, uint64_t *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        list[i] = rd_varint(r);
}

/* Trace ids are mostly absent or present together: one byte says so, then 16 each. */
static void put_trace(struct buf *out, struct trace_id id)
{
    bool is_set = trace_id_is_set(id);
    buf_putc(out, (char)is_set);
    if (is_set)
        buf_append(out, id.b, sizeof(id.b));
}

static struct trace_id get_trace(struct rd *r)
{
    struct trace_id id = { { 0 } };
    if (rd_u8(r) == 0)
        return id;
    struct sv bytes = rd_bytes(r, sizeof(id.b));
    if (bytes.len == sizeof(id.b))
        memcpy(id.b, bytes.p, sizeof(id.b));
    return id;
}

/* Terminated text into a field of size bytes. */
static void get_name(struct rd *r, char *to, size_t size)
{
    struct sv text = rd_text(r);
    if (text.len >= size || (text.len && memchr(text.p, '\0', text.len)))
        rd_fail(r, ERR_MALFORMED, "name of %zu bytes, want fewer than %zu and no NUL", text.len,
                size);
    else
        (void)sv_to_z(text, to, size);
}

static int64_t delta_of(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static void put_moment(struct buf *out, const struct edge_moment *m, int64_t since_ns)
{
    buf_put_zigzag(out, delta_of(m->at_ns, since_ns));
    put_trace(out, m->trace);
}

/* False when the part says nothing. */
static bool put_part(struct buf *out, const struct edge_cell *c, enum part part)
{
    const struct edge_clock *k = &c->clock;
    switch (part) {
    case PART_TLS_BASES:
        put_counters(out, c->tls_bases + 1, TLS_BASES_LEN - 1);
        return c->tls_bases[1] | c->tls_bases[2] | c->tls_bases[3] | c->tls_bases[4];
    case PART_PLAINTEXT:
        put_moment(out, &c->first_plaintext, c->first_ns);
        put_moment(out, &c->last_plaintext, c->first_ns);
        return c->first_plaintext.at_ns || c->last_plaintext.at_ns;
    case PART_CLOCK:
        buf_put_varint(out, k->pairs);
        buf_put_zigzag(out, k->sum_ns);
        buf_put_zigzag(out, k->low_ns);
        buf_put_zigzag(out, k->high_ns);
        return k->pairs > 0;
    case PART_RESENDS: buf_put_varint(out, c->resends); return c->resends > 0;
    case PART_PARTS:
        put_counters(out, c->parts, TLS_STATES_LEN);
        return c->parts[0] | c->parts[1] | c->parts[2] | c->parts[3];
    default: return false;
    }
}

static void get_moment(struct rd *r, struct edge_moment *m, int64_t since_ns)
{
    m->at_ns = delta_of(rd_zigzag(r), delta_of(0, since_ns));
    m->trace = get_trace(r);
}

static void get_part(struct rd *whole, struct edge_cell *c)
{
    uint64_t part = rd_varint(whole);
    struct rd r = rd_of(rd_text(whole));
    switch (part) {
    case PART_TLS_BASES: get_counters(&r, c->tls_bases + 1, TLS_BASES_LEN - 1); break;
    case PART_PLAINTEXT:
        get_moment(&r, &c->first_plaintext, c->first_ns);
        get_moment(&r, &c->last_plaintext, c->first_ns);
        break;
    case PART_CLOCK:
        c->clock.pairs = rd_varint(&r);
        c->clock.sum_ns = rd_zigzag(&r);
        c->clock.low_ns = rd_zigzag(&r);
        c->clock.high_ns = rd_zigzag(&r);
        break;
    case PART_RESENDS: c->resends = rd_varint(&r); break;
    case PART_PARTS: get_counters(&r, c->parts, TLS_STATES_LEN); break;
    default:
        rd_fail(whole, ERR_UNSUPPORTED, "part %llu of a cell", (unsigned long long)part);
        return;
    }
    if (!rd_ok(&r) || rd_left(&r))
        rd_fail(whole, ERR_MALFORMED, "part %llu of a cell", (unsigned long long)part);
}

/* Every part is shorter than 128 bytes, so its length is one byte, and so is their count. */
static void put_parts(struct buf *out, const struct edge_cell *c, size_t version_at)
{
    size_t count_at = out->len;
    char count = 0;
    buf_putc(out, 0);
    for (enum part part = PART_TLS_BASES; part < PARTS_END; part++) {
        size_t part_at = out->len;
        buf_putc(out, (char)part);
        buf_putc(out, 0);
        bool says_something = put_part(out, c, part);
        if (out->failed)
            return;
        size_t len = out->len - part_at - 2;
        INVARIANT(len < 128);
        out->mem[out->from + part_at + 1] = (char)len;
        if (says_something)
            count++;
        else
            out->len = part_at;
    }
    if (!count) {
        out->len = count_at;
        return;
    }
    out->mem[out->from + count_at] = count;
    out->mem[out->from + version_at] = CELL_WITH_PARTS;
}

void edge_cell_encode(const struct edge_cell *c, struct buf *out)
{
    size_t version_at = out->len;
    buf_putc(out, CELL_PLAIN);
    buf_put_varint(out, c->requests);
    buf_put_varint(out, c->errors);
    put_counters(out, c->codes, CODES_LEN);
    put_counters(out, c->grpc, GRPC_STATUSES_LEN);
    put_counters(out, c->tls, TLS_STATES_LEN);
    buf_put_varint(out, c->bytes_received);
    buf_put_varint(out, c->bytes_sent);
    buf_put_varint(out, c->flags_len);
    for (uint32_t i = 0; i < c->flags_len; i++) {
        buf_put_text(out, sv_z(c->flags[i].flag));
        buf_put_varint(out, c->flags[i].count);
    }
    hist_encode(&c->latency, out);
    hist_encode(&c->server_latency, out);
    buf_put_text(out, sv_z(c->tls_version));
    buf_put_text(out, sv_z(c->tls_cipher));
    buf_put_zigzag(out, c->cert_expiry_ns);
    put_trace(out, c->exemplar_trace);
    put_trace(out, c->error_trace);
    buf_put_zigzag(out, c->first_ns);
    buf_put_zigzag(out, delta_of(c->last_ns, c->first_ns));
    put_parts(out, c, version_at);
}

static void get_flags(struct rd *r, struct edge_cell *c)
{
    uint64_t len = rd_varint(r);
    if (len > EDGE_FLAGS_MAX) {
        rd_fail(r, ERR_MALFORMED, "%llu response flags, want at most %d", (unsigned long long)len,
                EDGE_FLAGS_MAX);
        return;
    }
    for (uint64_t i = 0; i < len && rd_ok(r); i++) {
        get_name(r, c->flags[i].flag, sizeof(c->flags[i].flag));
        c->flags[i].count = rd_varint(r);
        c->flags_len++;
    }
}

static void get_tail(struct rd *r, struct edge_cell *c, bool has_parts)
{
    get_name(r, c->tls_version, sizeof(c->tls_version));
    get_name(r, c->tls_cipher, sizeof(c->tls_cipher));
    c->cert_expiry_ns = rd_zigzag(r);
    c->exemplar_trace = get_trace(r);
    c->error_trace = get_trace(r);
    c->first_ns = rd_zigzag(r);
    c->last_ns = (int64_t)((uint64_t)c->first_ns + (uint64_t)rd_zigzag(r));
    for (uint64_t left = has_parts ? rd_varint(r) : 0; left > 0 && rd_ok(r); left--)
        get_part(r, c);
    if (rd_ok(r) && rd_left(r))
        rd_fail(r, ERR_MALFORMED, "%zu bytes after the cell", rd_left(r));
}

/* What no other basis accounts for. */
static void count_no_basis(struct edge_cell *c)
{
    uint64_t left = c->requests;
    for (size_t i = 1; i < TLS_BASES_LEN; i++)
        left -= MIN(left, c->tls_bases[i]);
    c->tls_bases[TLS_BASIS_NONE] = left;
}

int edge_cell_decode(struct sv in, struct edge_cell *ret_c, struct err *err)
{
    struct rd r = rd_of(in);
    struct edge_cell c = { 0 };
    uint8_t version = rd_u8(&r);
    if (rd_ok(&r) && version != CELL_PLAIN && version != CELL_WITH_PARTS)
        return err_set(err, ERR_UNSUPPORTED, "edge cell version %u", version);
    c.requests = rd_varint(&r);
    c.errors = rd_varint(&r);
    get_counters(&r, c.codes, CODES_LEN);
    get_counters(&r, c.grpc, GRPC_STATUSES_LEN);
    get_counters(&r, c.tls, TLS_STATES_LEN);
    c.bytes_received = rd_varint(&r);
    c.bytes_sent = rd_varint(&r);
    get_flags(&r, &c);
    int rc = hist_decode(&r, &c.latency, err);
    if (rc == 0)
        rc = hist_decode(&r, &c.server_latency, err);
    if (rc == 0) {
        get_tail(&r, &c, version == CELL_WITH_PARTS);
        rc = rd_finish(&r, err);
    }
    if (rc < 0) {
        edge_cell_done(&c);
        return rc;
    }
    count_no_basis(&c);
    *ret_c = c;
    return 0;
}
