/* edge.c - counting calls into the cells of an edge's bucket, and merging cells.
 *
 * A cell is plain counters around two histograms, so that adding up buckets of any width is field
 * by field. Everything is additive but four facts: the TLS version and cipher are the last seen,
 * the certificate's expiry is the earliest seen, and the exemplars are the newest. Cost: about
 * 700 bytes a cell and 8 for each latency bucket in use.
 *
 * Failure: only the histograms need memory, and they are grown before anything is counted. */
#include "model/edge.h"
#include "base/mem.h"
#include "base/varint.h"
#include "edge_clock.h"

#define OTHER_FLAG SV("other")

enum { GRPC_UNKNOWN = 2 };

static void add_capped(uint64_t *to, uint64_t n)
{
    *to = *to > UINT64_MAX - n ? UINT64_MAX : *to + n;
}

static enum code_class code_class_of(uint16_t code)
{
    return code >= 100 && code < 600 ? (enum code_class)(code / 100) : CODE_NONE;
}

static struct flag_count *find_flag(struct edge_cell *cell, struct sv flag)
{
    for (uint32_t i = 0; i < cell->flags_len; i++)
        if (sv_same(sv_z(cell->flags[i].flag), flag))
            return &cell->flags[i];
    return NULL;
}

/* One slot stays free for "other" until that exists. */
static void count_flag(struct edge_cell *cell, struct sv flag, uint64_t n)
{
    struct flag_count *at = find_flag(cell, flag);
    if (!at) {
        bool has_other = find_flag(cell, OTHER_FLAG) != NULL;
        bool has_room = cell->flags_len + (has_other ? 0 : 1) < EDGE_FLAGS_MAX;
        if (!has_room || flag.len >= sizeof(at->flag) || memchr(flag.p, '\0', flag.len)) {
            flag = OTHER_FLAG;
            at = find_flag(cell, flag);
        }
    }
    if (!at) {
        INVARIANT(cell->flags_len < EDGE_FLAGS_MAX);
        at = &cell->flags[cell->flags_len++];
        *at = (struct flag_count){ 0 };
        (void)sv_to_z(flag, at->flag, sizeof(at->flag));
    }
    add_capped(&at->count, n);
}

static void count_flags(struct edge_cell *cell, struct sv flags)
{
    for (struct sv flag; sv_cut(&flags, ',', &flag);)
        if (flag.len)
            count_flag(cell, flag, 1);
}

static void keep_first(struct edge_moment *to, const struct edge_moment *m)
{
    if (m->at_ns && (!to->at_ns || m->at_ns < to->at_ns))
        *to = *m;
}

static void keep_last(struct edge_moment *to, const struct edge_moment *m)
{
    if (m->at_ns && (!to->at_ns || m->at_ns >= to->at_ns))
        *to = *m;
}

static int64_t earlier_expiry(int64_t a_ns, int64_t b_ns)
{
    if (a_ns == 0 || b_ns == 0)
        return a_ns ? a_ns : b_ns;
    return MIN(a_ns, b_ns);
}

/* Nearly always it is there already. */
static inline void keep_name(char *to, size_t size, struct sv name)
{
    if (name.len < size && to[name.len] == '\0' && sv_same(sv_of(to, name.len), name))
        return;
    (void)sv_to_z(name, to, size);
}

/* Exemplars and TLS names follow the newest call; "newest" is judged before last_ns moves. */
static void keep_facts(struct edge_cell *cell, const struct call *c, bool is_error)
{
    bool is_newest = cell->requests == 0 || c->start_ns >= cell->last_ns;
    if (trace_id_is_set(c->trace_id)) {
        if (is_newest || !trace_id_is_set(cell->exemplar_trace))
            cell->exemplar_trace = c->trace_id;
        /* a 4xx stands in for an error where there is none */
        bool is_4xx = c->protocol == PROTOCOL_HTTP && code_class_of(c->response_code) == CODE_4XX;
        bool has_none = !trace_id_is_set(cell->error_trace);
        if (is_error ? is_newest || has_none : is_4xx && has_none)
            cell->error_trace = c->trace_id;
    }
    if (c->tls_version.len && (is_newest || !cell->tls_version[0]))
        keep_name(cell->tls_version, sizeof(cell->tls_version), c->tls_version);
    if (c->tls_cipher.len && (is_newest || !cell->tls_cipher[0]))
        keep_name(cell->tls_cipher, sizeof(cell->tls_cipher), c->tls_cipher);
    cell->cert_expiry_ns = earlier_expiry(cell->cert_expiry_ns, c->peer_cert_expiry_ns);
    if (c->tls == TLS_PLAINTEXT) {
        struct edge_moment here = { c->start_ns, c->trace_id };
        keep_first(&cell->first_plaintext, &here);
        keep_last(&cell->last_plaintext, &here);
    }
}

void edge_cell_done(struct edge_cell *c)
{
    hist_done(&c->latency);
    hist_done(&c->server_latency);
    *c = (struct edge_cell){ 0 };
}

void edge_cell_clear(struct edge_cell *c)
{
    hist_clear(&c->latency);
    hist_clear(&c->server_latency);
    *c = (struct edge_cell){ .latency = c->latency, .server_latency = c->server_latency };
}

/* Of a connection that was counted when it began: its bytes, and of an end how it was. */
static int add_later_part(struct edge_cell *cell, const struct call *c)
{
    bool is_used = edge_cell_is_used(cell);
    if (call_has_end(c)) {
        if (hist_add(&cell->latency, c->duration_ns, 1) < 0)
            return -1;
        cell->errors += call_is_error(c);
        count_flags(cell, c->response_flags);
    } else {
        cell->parts[c->tls]++;
    }
    cell->first_ns = is_used ? MIN(cell->first_ns, c->start_ns) : c->start_ns;
    cell->last_ns = is_used ? MAX(cell->last_ns, c->start_ns) : c->start_ns;
    add_capped(&cell->bytes_received, c->bytes_received);
    add_capped(&cell->bytes_sent, c->bytes_sent);
    return 0;
}

int edge_cell_add(struct edge_cell *cell, const struct call *c)
{
    bool is_used = edge_cell_is_used(cell);
    if (!call_has_begin(c))
        return add_later_part(cell, c);
    if (call_has_end(c) && hist_add(&cell->latency, c->duration_ns, 1) < 0)
        return -1;
    bool is_error = call_has_end(c) && call_is_error(c);
    keep_facts(cell, c, is_error);
    cell->first_ns = is_used ? MIN(cell->first_ns, c->start_ns) : c->start_ns;
    cell->last_ns = is_used ? MAX(cell->last_ns, c->start_ns) : c->start_ns;
    cell->requests++;
    cell->errors += is_error;
    cell->codes[code_class_of(c->response_code)]++;
    if (c->grpc_status >= 0)
        cell->grpc[c->grpc_status < GRPC_STATUSES_LEN ? c->grpc_status : GRPC_UNKNOWN]++;
    INVARIANT((size_t)c->tls < TLS_STATES_LEN);
    cell->tls[c->tls]++;
    INVARIANT((size_t)c->tls_basis < TLS_BASES_LEN);
    cell->tls_bases[call_tls_basis(c)]++;
    add_capped(&cell->resends, c->resends);
    add_capped(&cell->bytes_received, c->bytes_received);
    add_capped(&cell->bytes_sent, c->bytes_sent);
    if (c->response_flags.len)
        count_flags(cell, c->response_flags);
    return 0;
}

static void count_alike(struct edge_cell *cell, const struct alike *a)
{
    struct call c = alike_call(a);
    struct sv flags = a->flags;
    bool is_error = call_is_error(&c);
    keep_facts(cell, &c, is_error);
    add_capped(&cell->requests, a->times);
    add_capped(&cell->errors, is_error ? a->times : 0);
    add_capped(&cell->codes[code_class_of(a->code)], a->times);
    if (a->grpc >= 0)
        add_capped(&cell->grpc[a->grpc < GRPC_STATUSES_LEN ? a->grpc : GRPC_UNKNOWN], a->times);
    add_capped(&cell->tls[a->tls], a->times);
    add_capped(&cell->tls_bases[a->tls == TLS_UNKNOWN ? TLS_BASIS_NONE : a->tls_basis], a->times);
    for (struct sv flag; sv_cut(&flags, ',', &flag);)
        if (flag.len)
            count_flag(cell, flag, a->times);
}

int edge_cell_add_alike(struct edge_cell *cell, const struct alike *a)
{
    bool is_used = edge_cell_is_used(cell);
    if (hist_merge(&cell->latency, &a->latency) < 0)
        return -1;
    if (a->times)
        count_alike(cell, a);
    else if (a->bytes_received || a->bytes_sent)
        add_capped(&cell->parts[a->tls], 1);
    cell->first_ns = is_used ? MIN(cell->first_ns, a->at_ns) : a->at_ns;
    cell->last_ns = is_used ? MAX(cell->last_ns, a->at_ns) : a->at_ns;
    add_capped(&cell->bytes_received, a->bytes_received);
    add_capped(&cell->bytes_sent, a->bytes_sent);
    return 0;
}

int edge_cell_add_pair(struct edge_cell *cell, const struct call *c,
                       const struct called_half *called)
{
    if (hist_reserve_at(&cell->server_latency, called->duration_ns) < 0 ||
        edge_cell_add(cell, c) < 0)
        return -1;
    int rc = hist_add(&cell->server_latency, called->duration_ns, 1);
    INVARIANT(rc == 0); /* there is room */
    edge_clock_add(&cell->clock, c, called);
    return 0;
}

/* is_used: into told of something before. */
static void merge_facts(struct edge_cell *into, const struct edge_cell *from, bool is_used)
{
    bool is_newer = !is_used || from->last_ns >= into->last_ns;
    if (trace_id_is_set(from->exemplar_trace) &&
        (is_newer || !trace_id_is_set(into->exemplar_trace)))
        into->exemplar_trace = from->exemplar_trace;
    if (trace_id_is_set(from->error_trace) && (is_newer || !trace_id_is_set(into->error_trace)))
        into->error_trace = from->error_trace;
    if (from->tls_version[0] && (is_newer || !into->tls_version[0]))
        memcpy(into->tls_version, from->tls_version, sizeof(into->tls_version));
    if (from->tls_cipher[0] && (is_newer || !into->tls_cipher[0]))
        memcpy(into->tls_cipher, from->tls_cipher, sizeof(into->tls_cipher));
    into->cert_expiry_ns = earlier_expiry(into->cert_expiry_ns, from->cert_expiry_ns);
    keep_first(&into->first_plaintext, &from->first_plaintext);
    keep_last(&into->last_plaintext, &from->last_plaintext);
    edge_clock_merge(&into->clock, &from->clock);
}

static void merge_counters(struct edge_cell *into, const struct edge_cell *from)
{
    for (size_t i = 0; i < CODES_LEN; i++)
        add_capped(&into->codes[i], from->codes[i]);
    for (size_t i = 0; i < GRPC_STATUSES_LEN; i++)
        add_capped(&into->grpc[i], from->grpc[i]);
    for (size_t i = 0; i < TLS_STATES_LEN; i++)
        add_capped(&into->tls[i], from->tls[i]);
    for (size_t i = 0; i < TLS_STATES_LEN; i++)
        add_capped(&into->parts[i], from->parts[i]);
    for (size_t i = 0; i < TLS_BASES_LEN; i++)
        add_capped(&into->tls_bases[i], from->tls_bases[i]);
    add_capped(&into->resends, from->resends);
    for (uint32_t i = 0; i < from->flags_len; i++)
        count_flag(into, sv_z(from->flags[i].flag), from->flags[i].count);
    add_capped(&into->requests, from->requests);
    add_capped(&into->errors, from->errors);
    add_capped(&into->bytes_received, from->bytes_received);
    add_capped(&into->bytes_sent, from->bytes_sent);
}

int edge_cell_merge(struct edge_cell *into, const struct edge_cell *from)
{
    bool is_used = edge_cell_is_used(into);
    if (hist_reserve(&into->latency, &from->latency) < 0 ||
        hist_merge(&into->server_latency, &from->server_latency) < 0)
        return -1;
    int rc = hist_merge(&into->latency, &from->latency);
    INVARIANT(rc == 0); /* there is room */
    merge_facts(into, from, is_used);
    if (edge_cell_is_used(from)) {
        into->first_ns = is_used ? MIN(into->first_ns, from->first_ns) : from->first_ns;
        into->last_ns = is_used ? MAX(into->last_ns, from->last_ns) : from->last_ns;
    }
    merge_counters(into, from);
    return 0;
}

void edge_bucket_done(struct edge_bucket *b)
{
    for (size_t r = 0; r < REPORTERS_LEN; r++) {
        if (b->cells[r])
            edge_cell_done(b->cells[r]);
        b->cells[r] = mem_free(b->cells[r]);
    }
}

struct edge_cell *edge_bucket_cell(struct edge_bucket *b, enum reporter r)
{
    INVARIANT((size_t)r < REPORTERS_LEN);
    if (!b->cells[r])
        b->cells[r] = mem_zalloc(sizeof(*b->cells[r]));
    return b->cells[r];
}

/* Cells made here start empty, so a failure half-way has merged some reporters and not others;
 * the caller's transaction is what makes the whole atomic. */
int edge_bucket_merge(struct edge_bucket *into, const struct edge_bucket *from)
{
    for (size_t r = 0; r < REPORTERS_LEN; r++) {
        if (!from->cells[r])
            continue;
        struct edge_cell *cell = edge_bucket_cell(into, (enum reporter)r);
        if (!cell || edge_cell_merge(cell, from->cells[r]) < 0)
            return -1;
    }
    return 0;
}

bool edge_same(const struct edge *a, const struct edge *b)
{
    return a->protocol == b->protocol && identity_same_node(&a->source, &b->source) &&
           identity_same_node(&a->destination, &b->destination);
}

static void node_key_put(const struct identity *who, struct buf *out)
{
    buf_put_text(out, who->cluster);
    buf_put_text(out, who->namespace);
    buf_put_text(out, who->workload);
    buf_put_text(out, who->version);
}

void edge_key_put(const struct edge *e, struct buf *out)
{
    node_key_put(&e->source, out);
    node_key_put(&e->destination, out);
    buf_putc(out, (char)e->protocol);
}
