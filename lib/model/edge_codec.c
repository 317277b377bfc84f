/* edge_codec.c - the stored form of an edge's cell.
 *
 * A version byte, then varints in the order of struct edge_cell (docs/store-format.md lists them);
 * times are zigzag deltas from the first request. Reading believes nothing: lengths are checked
 * against the fields they fill, counts against their limits, and bytes left over are an error. */
#include "base/varint.h"
#include "model/edge.h"

enum { CELL_VERSION = 1 };

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

void edge_cell_encode(const struct edge_cell *c, struct buf *out)
{
    buf_putc(out, CELL_VERSION);
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
    buf_put_zigzag(out, (int64_t)((uint64_t)c->last_ns - (uint64_t)c->first_ns));
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

static void get_tail(struct rd *r, struct edge_cell *c)
{
    get_name(r, c->tls_version, sizeof(c->tls_version));
    get_name(r, c->tls_cipher, sizeof(c->tls_cipher));
    c->cert_expiry_ns = rd_zigzag(r);
    c->exemplar_trace = get_trace(r);
    c->error_trace = get_trace(r);
    c->first_ns = rd_zigzag(r);
    c->last_ns = (int64_t)((uint64_t)c->first_ns + (uint64_t)rd_zigzag(r));
    if (rd_ok(r) && rd_left(r))
        rd_fail(r, ERR_MALFORMED, "%zu bytes after the cell", rd_left(r));
}

int edge_cell_decode(struct sv in, struct edge_cell *ret_c, struct err *err)
{
    struct rd r = rd_of(in);
    struct edge_cell c = { 0 };
    uint8_t version = rd_u8(&r);
    if (rd_ok(&r) && version != CELL_VERSION)
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
        get_tail(&r, &c);
        rc = rd_finish(&r, err);
    }
    if (rc < 0) {
        edge_cell_done(&c);
        return rc;
    }
    *ret_c = c;
    return 0;
}
