/* edge_sum.c - dense where it is added up, sparse where it is kept.
 *
 * A slim's counters are words of 32 bits, the counter's number in the upper eleven and what to add in
 * the rest; zero there means that the next two words hold a number that did not fit. Its other
 * fields are an edge_cell's facts, the texts at their length. */
#include "aggregate/edge_sum.h"
#include "base/mem.h"

enum {
    AT_SHIFT = 21,
    WIDE_WORDS = 3,
    HIST_AT = 64, /* number of the first histogram's first counter */
    COUNTERS_LEN = HIST_AT + SUM_HISTS_LEN * SUM_HIST_LEN,
};
_Static_assert((int)SUM_SMALL_LEN <= (int)HIST_AT && COUNTERS_LEN <= 1 << (32 - AT_SHIFT),
               "eleven bits");

/* What few cells have. */
struct extras {
    struct edge_moment first_plaintext, last_plaintext;
    struct edge_clock clock;
    uint32_t flags_len;
    struct flag_count flags[EDGE_FLAGS_MAX]; /* a slim keeps those in use */
};

struct slim {
    uint64_t bytes_received, bytes_sent;
    int64_t sum_ns[SUM_HISTS_LEN];
    int64_t first_ns, last_ns, cert_expiry_ns;
    struct trace_id exemplar_trace, error_trace;
    uint32_t extras_bytes, words_len;
    uint8_t evidence, version_len, cipher_len;
    _Alignas(8) char rest[]; /* extras, words, names */
};

static size_t extras_bytes(const struct extras *x)
{
    return offsetof(struct extras, flags) + x->flags_len * sizeof(x->flags[0]);
}

enum reporter slim_evidence(const struct slim *x)
{
    return (enum reporter)x->evidence;
}

static const uint32_t *words_of(const struct slim *x)
{
    return (const uint32_t *)(const void *)(x->rest + x->extras_bytes);
}

size_t slim_bytes(const struct slim *x)
{
    return sizeof(*x) + x->extras_bytes + x->words_len * sizeof(uint32_t) + x->version_len +
           x->cipher_len;
}

static void add_capped(uint64_t *to, uint64_t n)
{
    *to = *to > UINT64_MAX - n ? UINT64_MAX : *to + n;
}

static void add_ns(int64_t *to, int64_t ns)
{
    if (__builtin_add_overflow(*to, ns, to))
        *to = INT64_MAX;
}

void edge_sum_clear(struct edge_sum *s)
{
    memset(s->small, 0, sizeof(s->small));
    for (size_t h = 0; h < SUM_HISTS_LEN; h++) {
        if (s->end[h] > s->first[h])
            memset(&s->hist[h][s->first[h]], 0,
                   (size_t)(s->end[h] - s->first[h]) * sizeof(s->hist[h][0]));
        s->first[h] = s->end[h] = 0;
        s->sum_ns[h] = 0;
    }
    s->evidence = REPORTERS_LEN;
    s->facts.tls_version[0] = s->facts.tls_cipher[0] = '\0';
    s->facts.flags_len = 0;
    s->facts.first_plaintext = s->facts.last_plaintext = (struct edge_moment){ 0 };
    s->facts.clock = (struct edge_clock){ 0 };
    s->facts.bytes_received = s->facts.bytes_sent = 0;
    s->facts.first_ns = s->facts.last_ns = s->facts.cert_expiry_ns = 0;
    s->facts.exemplar_trace = s->facts.error_trace = (struct trace_id){ { 0 } };
}

/* Makes first..end of histogram h cover counters from..to. */
static void use_range(struct edge_sum *s, size_t h, int32_t from, int32_t to)
{
    bool is_empty = s->first[h] == s->end[h];
    s->first[h] = (int16_t)(is_empty ? from : MIN(s->first[h], from));
    s->end[h] = (int16_t)(is_empty ? to : MAX(s->end[h], to));
}

static void add_hist(struct edge_sum *s, enum sum_hist h, const struct hist *from)
{
    add_capped(&s->small[SUM_ZERO + h], from->zero);
    add_ns(&s->sum_ns[h], from->sum_ns);
    if (from->len == 0)
        return;
    int32_t first = from->first - HIST_INDEX_MIN;
    use_range(s, h, first, first + (int32_t)from->len);
    for (uint32_t i = 0; i < from->len; i++)
        add_capped(&s->hist[h][first + (int32_t)i], from->counts[i]);
}

/* What is no counter, of a cell or a slim. */
struct facts {
    int64_t first_ns, last_ns, cert_expiry_ns;
    const struct trace_id *exemplar, *error;
    struct sv version, cipher;
    const struct extras *extras; /* NULL: none */
    bool is_used;
};

static void add_extras(struct edge_sum *s, const struct extras *x)
{
    struct edge_cell only = { .flags_len = x->flags_len, /* seldom there, so by the usual way */
                              .first_plaintext = x->first_plaintext,
                              .last_plaintext = x->last_plaintext,
                              .clock = x->clock };
    memcpy(only.flags, x->flags, x->flags_len * sizeof(only.flags[0]));
    int rc = edge_cell_merge(&s->facts, &only);
    INVARIANT(rc == 0); /* there is nothing to make room for */
}

/* As edge_cell_merge() does it; before the counters of f are added. */
static void add_facts(struct edge_sum *s, const struct facts *f)
{
    struct edge_cell *to = &s->facts;
    bool is_first = !to->first_ns && !to->last_ns;
    bool is_newer = is_first || f->last_ns >= to->last_ns;
    if (trace_id_is_set(*f->exemplar) && (is_newer || !trace_id_is_set(to->exemplar_trace)))
        to->exemplar_trace = *f->exemplar;
    if (trace_id_is_set(*f->error) && (is_newer || !trace_id_is_set(to->error_trace)))
        to->error_trace = *f->error;
    if (f->version.len && (is_newer || !to->tls_version[0]))
        (void)sv_to_z(f->version, to->tls_version, sizeof(to->tls_version));
    if (f->cipher.len && (is_newer || !to->tls_cipher[0]))
        (void)sv_to_z(f->cipher, to->tls_cipher, sizeof(to->tls_cipher));
    if (f->cert_expiry_ns && (!to->cert_expiry_ns || f->cert_expiry_ns < to->cert_expiry_ns))
        to->cert_expiry_ns = f->cert_expiry_ns;
    if (f->extras)
        add_extras(s, f->extras);
    if (!f->is_used)
        return;
    to->first_ns = is_first ? f->first_ns : MIN(to->first_ns, f->first_ns);
    to->last_ns = is_first ? f->last_ns : MAX(to->last_ns, f->last_ns);
}

static struct facts facts_of_cell(const struct edge_cell *c, const struct extras *x)
{
    return (struct facts){
        .first_ns = c->first_ns,
        .last_ns = c->last_ns,
        .cert_expiry_ns = c->cert_expiry_ns,
        .exemplar = &c->exemplar_trace,
        .error = &c->error_trace,
        .version = sv_z(c->tls_version),
        .cipher = sv_z(c->tls_cipher),
        .extras = x,
        .is_used = edge_cell_is_used(c),
    };
}

/* False: c has none. */
static bool extras_of(const struct edge_cell *c, struct extras *ret)
{
    if (!c->flags_len && !c->first_plaintext.at_ns && !c->last_plaintext.at_ns && !c->clock.pairs)
        return false;
    *ret = (struct extras){ .first_plaintext = c->first_plaintext,
                            .last_plaintext = c->last_plaintext,
                            .clock = c->clock,
                            .flags_len = c->flags_len };
    memcpy(ret->flags, c->flags, c->flags_len * sizeof(ret->flags[0]));
    return true;
}

static void add_cell(struct edge_sum *s, const struct edge_cell *c)
{
    struct extras extras;
    struct facts facts = facts_of_cell(c, extras_of(c, &extras) ? &extras : NULL);
    add_facts(s, &facts);
    add_capped(&s->facts.bytes_received, c->bytes_received);
    add_capped(&s->facts.bytes_sent, c->bytes_sent);
    add_capped(&s->small[SUM_REQUESTS], c->requests);
    add_capped(&s->small[SUM_ERRORS], c->errors);
    add_capped(&s->small[SUM_RESENDS], c->resends);
    for (size_t i = 0; i < CODES_LEN; i++)
        add_capped(&s->small[SUM_CODES + i], c->codes[i]);
    for (size_t i = 0; i < GRPC_STATUSES_LEN; i++)
        add_capped(&s->small[SUM_GRPC + i], c->grpc[i]);
    for (size_t i = 0; i < TLS_STATES_LEN; i++)
        add_capped(&s->small[SUM_TLS + i], c->tls[i]);
    for (size_t i = 0; i < TLS_STATES_LEN; i++)
        add_capped(&s->small[SUM_PARTS + i], c->parts[i]);
    for (size_t i = 0; i < TLS_BASES_LEN; i++)
        add_capped(&s->small[SUM_TLS_BASES + i], c->tls_bases[i]);
    add_hist(s, SUM_LATENCY, &c->latency);
    add_hist(s, SUM_SERVER, &c->server_latency);
}

void edge_sum_add(struct edge_sum *s, enum reporter r, const struct edge_cell *c)
{
    add_cell(s, c);
    add_capped(&s->small[SUM_COUNTED + r], c->requests);
    s->evidence = MIN(s->evidence, r);
}

void edge_sum_add_total(struct edge_sum *s, const struct edge_total *t)
{
    add_cell(s, &t->cell);
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        add_capped(&s->small[SUM_COUNTED + r], t->counted[r]);
    s->evidence = MIN(s->evidence, t->evidence);
}

static uint32_t *put_word(uint32_t *to, uint32_t at, uint64_t n)
{
    if (n == 0)
        return to;
    if (n < UINT32_C(1) << AT_SHIFT) {
        *to++ = at << AT_SHIFT | (uint32_t)n;
        return to;
    }
    *to++ = at << AT_SHIFT;
    *to++ = (uint32_t)n;
    *to++ = (uint32_t)(n >> 32);
    return to;
}

static uint32_t hist_at(size_t h)
{
    return (uint32_t)(HIST_AT + h * SUM_HIST_LEN);
}

/* Writes all counters that are not 0; how many words. */
static uint32_t put_words(const struct edge_sum *s, uint32_t *words)
{
    uint32_t *to = words;
    for (uint32_t i = 0; i < SUM_SMALL_LEN; i++)
        to = put_word(to, i, s->small[i]);
    for (size_t h = 0; h < SUM_HISTS_LEN; h++)
        for (int16_t i = s->first[h]; i < s->end[h]; i++)
            to = put_word(to, hist_at(h) + (uint32_t)i, s->hist[h][i]);
    return (uint32_t)(to - words);
}

struct slim *slim_new(const struct edge_sum *s)
{
    uint32_t words[COUNTERS_LEN * WIDE_WORDS];
    struct extras extras;
    const struct edge_cell *f = &s->facts;
    struct sv version = sv_z(f->tls_version), cipher = sv_z(f->tls_cipher);
    struct slim head = {
        .bytes_received = f->bytes_received,
        .bytes_sent = f->bytes_sent,
        .first_ns = f->first_ns,
        .last_ns = f->last_ns,
        .cert_expiry_ns = f->cert_expiry_ns,
        .exemplar_trace = f->exemplar_trace,
        .error_trace = f->error_trace,
        .extras_bytes = extras_of(f, &extras) ? (uint32_t)extras_bytes(&extras) : 0,
        .words_len = put_words(s, words),
        .evidence = (uint8_t)s->evidence,
        .version_len = (uint8_t)version.len,
        .cipher_len = (uint8_t)cipher.len,
    };
    memcpy(head.sum_ns, s->sum_ns, sizeof(head.sum_ns));
    struct slim *x = mem_alloc(slim_bytes(&head));
    if (!x)
        return NULL;
    memcpy(x, &head, sizeof(head));
    char *to = x->rest;
    if (x->extras_bytes)
        memcpy(to, &extras, x->extras_bytes);
    to += x->extras_bytes;
    memcpy(to, words, x->words_len * sizeof(uint32_t));
    to += x->words_len * sizeof(uint32_t);
    memcpy(to, version.p, version.len);
    memcpy(to + version.len, cipher.p, cipher.len);
    return x;
}

static struct facts facts_of_slim(const struct slim *x)
{
    const char *names = (const char *)(words_of(x) + x->words_len);
    return (struct facts){
        .first_ns = x->first_ns,
        .last_ns = x->last_ns,
        .cert_expiry_ns = x->cert_expiry_ns,
        .exemplar = &x->exemplar_trace,
        .error = &x->error_trace,
        .version = sv_of(names, x->version_len),
        .cipher = sv_of(names + x->version_len, x->cipher_len),
        .extras = x->extras_bytes ? (const struct extras *)(const void *)x->rest : NULL,
        .is_used = x->evidence < REPORTERS_LEN,
    };
}

/* The next counter of a slim. */
static const uint32_t *next_word(const uint32_t *at, uint32_t *ret_at, uint64_t *ret_n)
{
    *ret_at = *at >> AT_SHIFT;
    *ret_n = *at & ((UINT32_C(1) << AT_SHIFT) - 1);
    if (*ret_n)
        return at + 1;
    *ret_n = at[1] | (uint64_t)at[2] << 32;
    return at + WIDE_WORDS;
}

static void add_counter(struct edge_sum *s, uint32_t at, uint64_t n)
{
    if (at < HIST_AT) {
        add_capped(&s->small[at], n);
        return;
    }
    size_t h = (at - HIST_AT) / SUM_HIST_LEN;
    int32_t i = (int32_t)((at - HIST_AT) % SUM_HIST_LEN);
    use_range(s, h, i, i + 1);
    add_capped(&s->hist[h][i], n);
}

void edge_sum_add_slim(struct edge_sum *s, const struct slim *x)
{
    struct facts facts = facts_of_slim(x);
    const uint32_t *at = words_of(x), *end = at + x->words_len;
    add_facts(s, &facts);
    while (at < end) {
        uint32_t counter;
        uint64_t n;
        at = next_word(at, &counter, &n);
        add_counter(s, counter, n);
    }
    for (size_t h = 0; h < SUM_HISTS_LEN; h++)
        add_ns(&s->sum_ns[h], x->sum_ns[h]);
    add_capped(&s->facts.bytes_received, x->bytes_received);
    add_capped(&s->facts.bytes_sent, x->bytes_sent);
    s->evidence = MIN(s->evidence, (enum reporter)x->evidence);
}

/* A view on a histogram of s. */
static struct hist hist_of(struct edge_sum *s, enum sum_hist h)
{
    struct hist x = {
        .count = s->small[SUM_ZERO + h],
        .zero = s->small[SUM_ZERO + h],
        .sum_ns = s->sum_ns[h],
        .first = s->first[h] + HIST_INDEX_MIN,
        .len = (uint32_t)(s->end[h] - s->first[h]),
        .counts = &s->hist[h][s->first[h]],
    };
    for (uint32_t i = 0; i < x.len; i++)
        add_capped(&x.count, x.counts[i]);
    if (x.len == 0) {
        x.counts = NULL;
        x.first = 0;
    }
    return x;
}

void edge_sum_cell(struct edge_sum *s, struct edge_cell *ret)
{
    *ret = s->facts;
    ret->requests = s->small[SUM_REQUESTS];
    ret->errors = s->small[SUM_ERRORS];
    ret->resends = s->small[SUM_RESENDS];
    memcpy(ret->codes, s->small + SUM_CODES, sizeof(ret->codes));
    memcpy(ret->grpc, s->small + SUM_GRPC, sizeof(ret->grpc));
    memcpy(ret->tls, s->small + SUM_TLS, sizeof(ret->tls));
    memcpy(ret->parts, s->small + SUM_PARTS, sizeof(ret->parts));
    memcpy(ret->tls_bases, s->small + SUM_TLS_BASES, sizeof(ret->tls_bases));
    ret->latency = hist_of(s, SUM_LATENCY);
    ret->server_latency = hist_of(s, SUM_SERVER);
}

void edge_sum_total(struct edge_sum *s, struct edge_total *ret)
{
    edge_sum_cell(s, &ret->cell);
    memcpy(ret->counted, s->small + SUM_COUNTED, sizeof(ret->counted));
    ret->evidence = s->evidence;
}
