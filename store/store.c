/* store.c - opening by URL, and the checks that are the same for every backend.
 *
 * A backend is a row in backends[]. Everything here is checking and dispatch; nothing is kept. */
#include "store/store_ops.h"

static const struct store_ops *const backends[] = { &store_sqlite_ops, &store_memory_ops };

const int64_t store_widths[STORE_WIDTHS_LEN] = { BUCKET_NS, 6 * BUCKET_NS, 360 * BUCKET_NS };

struct store *store_open(const struct store_conf *conf, struct err *err)
{
    size_t colon = sv_index(conf->url, ':');
    struct sv scheme = sv_sub(conf->url, 0, colon);
    for (size_t i = 0; i < NELEMS(backends) && colon < conf->url.len; i++) {
        if (sv_eq(scheme, sv_z(backends[i]->scheme)))
            return backends[i]->open(conf, sv_from(conf->url, colon + 1), err);
    }
    err_set(err, ERR_USAGE, "store \"%.*s\": want sqlite:FILE or memory:", SV_ARG(conf->url));
    return NULL;
}

struct store *store_close(struct store *s)
{
    return s ? s->ops->close(s) : NULL;
}

static int refuse_read_only(const struct store *s, struct err *err)
{
    return s->is_read_only ? err_set(err, ERR_UNSUPPORTED, "the store was opened read-only") : 0;
}

int store_put(struct store *s, struct batch *const *batches, size_t n, struct err *err)
{
    int rc = refuse_read_only(s, err);
    if (rc < 0 || n == 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        batches[i]->seq = 0;
    return s->ops->put(s, batches, n, err);
}

int store_put_edges(struct store *s, const struct edge_bucket *buckets, size_t n,
                    const struct store_progress *progress, struct err *err)
{
    int rc = refuse_read_only(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (buckets[i].width_ns != BUCKET_NS ||
            window_align_down(buckets[i].start_ns, BUCKET_NS) != buckets[i].start_ns)
            return err_set(err, ERR_USAGE, "bucket %zu is not one of 10 s on a step of 10 s", i);
    return s->ops->put_edges(s, buckets, n, progress, err);
}

int store_retain(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                 struct err *err)
{
    int rc = refuse_read_only(s, err);
    return rc < 0 ? rc : s->ops->retain(s, now_ns, ret_dropped, err);
}

int store_get_progress(struct store *s, struct store_progress *ret_p, struct err *err)
{
    return s->ops->get_progress(s, ret_p, err);
}

int store_replay(struct store *s, uint64_t after_seq, int64_t since_ns, store_batch_sink *sink,
                 void *to, struct err *err)
{
    return s->ops->replay(s, after_seq, since_ns, sink, to, err);
}

int store_edges(struct store *s, const struct window *w, int64_t width_ns, store_edge_sink *sink,
                void *to, struct err *err)
{
    for (size_t i = 0; i < STORE_WIDTHS_LEN; i++)
        if (width_ns == store_widths[i])
            return s->ops->edges(s, w, width_ns, sink, to, err);
    return err_set(err, ERR_USAGE, "width of %lld ns: want 10 s, 1 min or 1 h",
                   (long long)width_ns);
}

int store_trace(struct store *s, struct trace_id id, store_span_sink *sink, void *to,
                struct err *err)
{
    return s->ops->trace(s, id, sink, to, err);
}

int store_search(struct store *s, const struct span_query *q, store_trace_sink *sink, void *to,
                 struct search_end *ret_end, struct err *err)
{
    *ret_end = (struct search_end){ 0 };
    if (q->limit == 0)
        return err_set(err, ERR_USAGE, "a search needs a limit");
    return s->ops->search(s, q, sink, to, ret_end, err);
}

const char *search_bound_name(enum search_bound b)
{
    static const char *const names[SEARCH_BOUNDS_LEN] = { "none", "spans", "time" };
    return names[b];
}

int store_operations(struct store *s, store_operation_sink *sink, void *to, struct err *err)
{
    return s->ops->operations(s, sink, to, err);
}

int store_calls(struct store *s, const struct window *w, size_t limit, store_call_sink *sink,
                void *to, struct err *err)
{
    if (limit == 0)
        return err_set(err, ERR_USAGE, "reading calls needs a limit");
    return s->ops->calls(s, w, limit, sink, to, err);
}

int store_check(struct store *s, store_finding_sink *sink, void *to,
                struct store_checked *ret_checked, struct err *err)
{
    return s->ops->check(s, sink, to, ret_checked, err);
}

int store_snapshot(struct store *s, const char *file, struct err *err)
{
    if (!s->ops->snapshot)
        return err_set(err, ERR_UNSUPPORTED, "a %s: store cannot be copied to a file",
                       s->ops->scheme);
    return s->ops->snapshot(s, file, err);
}

int store_get_stats(struct store *s, struct store_stats *ret_stats, struct err *err)
{
    return s->ops->stats(s, ret_stats, err);
}

uint64_t store_held_bytes(struct store *s)
{
    return s->ops->held_bytes ? s->ops->held_bytes(s) : 0;
}

const char *store_scheme(const struct store *s)
{
    return s->ops->scheme;
}
