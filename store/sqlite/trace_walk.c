/* trace_walk.c - putting traces together while reading every chunk only once.
 *
 * The spans of a trace usually lie in one segment, sometimes in two, and nothing in the file says
 * where a trace ends. The fingerprints do: each chunk's line lists those of its traces, so for
 * every fingerprint we know in how many of the chunks to read it occurs. When the last of them has
 * been read, its traces are whole and can be given. Held are the traces of one chunk and those that
 * lie across chunks, plus 8 bytes for each fingerprint; two traces of one fingerprint only wait for
 * each other.
 *
 * Which chunks: those with spans in the window, and every other one that holds a fingerprint of
 * theirs. Of those, traces that are not in the window's chunks are passed over. */
#include "store/sqlite/trace_walk.h"
#include "base/mem.h"

static struct sv id_key(const struct trace_id *id)
{
    return sv_of(id->b, sizeof(id->b));
}

static struct walked_trace *trace_free(struct walked_trace *t)
{
    if (t)
        arena_done(&t->mem);
    return mem_free(t);
}

static size_t find_print(const struct trace_walk *walk, uint32_t want)
{
    size_t from = 0, to = walk->prints_len;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (walk->prints[at] < want)
            from = at + 1;
        else
            to = at;
    }
    return from < walk->prints_len && walk->prints[from] == want ? from : SIZE_MAX;
}

static bool is_in(const struct chunk *c, struct window w)
{
    return c->span_range.from_ns <= c->span_range.to_ns && c->span_range.from_ns < w.to_ns &&
           c->span_range.to_ns >= w.from_ns;
}

static int list_prints(struct trace_walk *walk, const struct chunks *chunks, struct window w)
{
    size_t len = 0;
    for (size_t i = 0; i < chunks->len; i++)
        len += is_in(&chunks->list[i], w) ? chunks->list[i].traces_len : 0;
    walk->prints = mem_alloc(len * sizeof(*walk->prints));
    if (!walk->prints)
        return -1;
    for (size_t i = 0; i < chunks->len; i++) {
        const struct chunk *c = &chunks->list[i];
        if (!is_in(c, w) || c->traces_len == 0)
            continue;
        memcpy(walk->prints + walk->prints_len, c->traces, c->traces_len * sizeof(*c->traces));
        walk->prints_len += c->traces_len;
    }
    walk->prints_len = fingerprints_sort(walk->prints, walk->prints_len);
    return 0;
}

/* Counts the fingerprints of c that are wanted; false when it has none. */
static bool count_prints(struct trace_walk *walk, const struct chunk *c)
{
    bool has_any = false;
    for (size_t i = 0; i < c->traces_len; i++) {
        size_t at = find_print(walk, c->traces[i]);
        if (at == SIZE_MAX)
            continue;
        walk->left[at]++;
        has_any = true;
    }
    return has_any;
}

static int pick_chunks(struct trace_walk *walk, const struct chunks *chunks, struct window w,
                       const struct trace_id *id)
{
    if (id) {
        walk->prints = mem_alloc(sizeof(*walk->prints));
        if (!walk->prints)
            return -1;
        walk->prints[walk->prints_len++] = trace_fingerprint(*id);
    } else if (list_prints(walk, chunks, w) < 0) {
        return -1;
    }
    walk->left = mem_zalloc(walk->prints_len * sizeof(*walk->left));
    walk->refs = mem_alloc(chunks->len * sizeof(*walk->refs));
    if (!walk->left || !walk->refs)
        return -1;
    for (size_t i = chunks->len; i-- > 0;) { /* the newest first */
        const struct chunk *c = &chunks->list[i];
        if (count_prints(walk, c))
            walk->refs[walk->refs_len++] = (struct chunk_ref){ .kind = c->kind,
                                                               .id = c->id,
                                                               .newest_ns = c->span_range.to_ns,
                                                               .first_seq = c->first_seq,
                                                               .spans = c->spans };
    }
    return 0;
}

int trace_walk_begin(struct trace_walk *walk, struct session *session, struct window w,
                     const struct trace_id *id, struct err *err)
{
    struct chunks *chunks = &session->store->chunks;
    *walk = (struct trace_walk){ .session = session };
    if (id) {
        walk->id = *id;
        walk->choice = (struct trace_choice){ .ids = &walk->id, .len = 1 };
    }
    int rc = briefs_read_all_traces(session, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&chunks->lock);
    rc = pick_chunks(walk, chunks, w, id);
    pthread_mutex_unlock(&chunks->lock);
    return rc < 0 ? err_set(err, ERR_NOMEM, "list of traces") : 0;
}

static int add_service(struct walked_trace *t, struct sv name)
{
    struct service_name **at = &t->services;
    for (; *at; at = &(*at)->next)
        if (sv_eq((*at)->name, name))
            return 0;
    struct service_name *one = arena_zalloc(&t->mem, sizeof(*one));
    if (!one)
        return -1;
    one->name = arena_copy(&t->mem, name);
    if (!one->name.p)
        return -1;
    *at = one;
    return 0;
}

static int add_span(struct trace_walk *walk, const struct span *s)
{
    struct walked_trace *t = map_get(&walk->unfinished, id_key(&s->trace_id));
    if (!t) {
        size_t print = find_print(walk, trace_fingerprint(s->trace_id));
        if (print == SIZE_MAX || (walk->choice.ids && !trace_id_eq(s->trace_id, walk->id)))
            return 0;
        t = mem_zalloc(sizeof(*t));
        if (!t || map_put(&walk->unfinished, id_key(&s->trace_id), t, NULL) < 0) {
            trace_free(t);
            return -1;
        }
        t->print = print;
    }
    struct sv service = span_service(s);
    if (service.len && add_service(t, service) < 0)
        return -1;
    return summary_add(&t->sum, s, &t->mem);
}

/* The fingerprints of the chunk that was just read: from its spans, each once. */
static int count_down(struct trace_walk *walk, const struct batch *b)
{
    uint32_t *prints = mem_alloc(b->spans_len * sizeof(*prints));
    if (!prints)
        return -1;
    size_t len = 0;
    const struct trace_id *before = NULL;
    for (size_t i = 0; i < b->spans_len; i++) {
        if (!before || !trace_id_eq(*before, b->spans[i].trace_id))
            prints[len++] = trace_fingerprint(b->spans[i].trace_id);
        before = &b->spans[i].trace_id;
    }
    len = fingerprints_sort(prints, len);
    for (size_t i = 0; i < len; i++) {
        size_t at = find_print(walk, prints[i]);
        if (at != SIZE_MAX && walk->left[at])
            walk->left[at]--;
    }
    mem_free(prints);
    return 0;
}

/* Traces of which no chunk is left to read. */
static void move_whole_traces(struct trace_walk *walk, bool is_last)
{
    void *value;
    for (size_t i = 0; map_next(&walk->unfinished, &i, NULL, &value);) {
        struct walked_trace *t = value;
        if (walk->left[t->print] && !is_last)
            continue;
        t->next = walk->ready;
        walk->ready = t;
        map_remove_given(&walk->unfinished, &i);
    }
}

static int read_chunk(struct trace_walk *walk, struct err *err)
{
    AUTO_FREE(batch) b = NULL;
    int rc = chunk_load(walk->session, &walk->refs[walk->at++], walk->choice, &b, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < b->spans_len; i++)
        if (add_span(walk, &b->spans[i]) < 0)
            return err_set(err, ERR_NOMEM, "trace");
    if (count_down(walk, b) < 0)
        return err_set(err, ERR_NOMEM, "fingerprints");
    move_whole_traces(walk, walk->at == walk->refs_len);
    return 0;
}

int trace_walk_next(struct trace_walk *walk, const struct walked_trace **ret_trace, struct err *err)
{
    walk->given = trace_free(walk->given);
    while (!walk->ready && walk->at < walk->refs_len) {
        int rc = read_chunk(walk, err);
        if (rc < 0)
            return rc;
    }
    walk->given = walk->ready;
    if (walk->ready)
        walk->ready = walk->ready->next;
    *ret_trace = walk->given;
    return 0;
}

void trace_walk_done(struct trace_walk *walk)
{
    void *value;
    for (size_t i = 0; map_next(&walk->unfinished, &i, NULL, &value);)
        trace_free(value);
    map_done(&walk->unfinished);
    while (walk->ready) {
        struct walked_trace *t = walk->ready;
        walk->ready = t->next;
        trace_free(t);
    }
    walk->given = trace_free(walk->given);
    walk->refs = mem_free(walk->refs);
    walk->prints = mem_free(walk->prints);
    walk->left = mem_free(walk->left);
    walk->refs_len = walk->at = walk->prints_len = 0;
}
