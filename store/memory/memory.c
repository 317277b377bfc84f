/* memory.c - the backend that keeps everything in the process: the oracle of the contract tests.
 *
 * It is written to be seen to be right, not to be fast: batches are copied whole and every reader
 * walks all of them. One lock guards it all. Nothing survives the process. */
#include "store/memory/memory.h"
#include "base/mem.h"
#include "store/batch_copy.h"

static struct store *memory_close(struct store *s)
{
    struct memory_store *m = (struct memory_store *)s;
    for (size_t i = 0; i < m->batches_len; i++)
        batch_free(m->batches[i]);
    mem_free(m->batches);
    keys_done(&m->keys);
    memory_buckets_free(&m->buckets);
    edge_book_done(&m->edges);
    pthread_rwlock_destroy(&m->all);
    return mem_free(m);
}

static struct store *memory_open(const struct store_conf *conf, struct sv where, struct err *err)
{
    if (where.len) {
        err_set(err, ERR_USAGE, "memory: takes no file");
        return NULL;
    }
    struct memory_store *m = mem_zalloc(sizeof(*m));
    if (!m) {
        err_set(err, ERR_NOMEM, "memory store");
        return NULL;
    }
    m->super = (struct store){ &store_memory_ops, conf->is_read_only };
    m->keep = conf->keep;
    pthread_rwlockattr_t attr; /* readers that keep coming must not keep the writer out */
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&m->all, &attr);
    pthread_rwlockattr_destroy(&attr);
    return &m->super;
}

/* A copy of b, or NULL; *ret_is_repeat when its key was seen. */
static struct batch *take_in(struct memory_store *m, const struct batch *b, bool *ret_is_repeat)
{
    *ret_is_repeat = b->idempotency_key.len && keys_has(&m->keys, b->idempotency_key);
    if (*ret_is_repeat)
        return NULL;
    if (b->idempotency_key.len && keys_add(&m->keys, b->idempotency_key) < 0)
        return NULL;
    return batch_copy(b);
}

/* Copies of all but the repeated ones behind the last; -1 with nothing added. */
static int append_copies(struct memory_store *m, struct batch *const *batches, size_t n,
                         size_t *ret_added)
{
    size_t added = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_repeat;
        struct batch *copy = take_in(m, batches[i], &is_repeat);
        if (copy) {
            copy->seq = m->last_seq + added + 1;
            m->batches[m->batches_len + added++] = copy;
            batches[i]->seq = copy->seq;
        } else if (!is_repeat) {
            while (added)
                batch_free(m->batches[m->batches_len + --added]);
            for (size_t j = 0; j < n; j++)
                batches[j]->seq = 0;
            return -1;
        }
    }
    *ret_added = added;
    return 0;
}

static int put_locked(struct memory_store *m, struct batch *const *batches, size_t n)
{
    if (m->batches_len + n > m->batches_cap) {
        size_t cap = MAX(m->batches_cap * 2, m->batches_len + n);
        struct batch **list = mem_resize(m->batches, cap * sizeof(struct batch *));
        if (!list)
            return -1;
        m->batches = list;
        m->batches_cap = cap;
    }
    size_t added = 0;
    if (append_copies(m, batches, n, &added) < 0) {
        keys_take_back(&m->keys);
        return -1;
    }
    keys_settle(&m->keys, STORE_KEYS_KEPT);
    m->last_seq += added;
    for (; added; added--) {
        const struct batch *copy = m->batches[m->batches_len++];
        m->spans_len += copy->spans_len;
        m->calls_len += copy->calls_len;
    }
    return 0;
}

static int memory_put(struct store *s, struct batch *const *batches, size_t n, struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    pthread_rwlock_wrlock(&m->all);
    int rc = put_locked(m, batches, n);
    pthread_rwlock_unlock(&m->all);
    return rc < 0 ? err_set(err, ERR_NOMEM, "%zu batches", n) : 0;
}

static void drop_batches(struct memory_store *m, int64_t before_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->batches_len; i++) {
        struct batch *b = m->batches[i];
        if (b->received_ns >= before_ns || b->seq > m->progress.seq) {
            m->batches[kept++] = b;
            continue;
        }
        m->dropped.batches++;
        m->dropped.spans += b->spans_len;
        m->dropped.calls += b->calls_len;
        m->spans_len -= b->spans_len;
        m->calls_len -= b->calls_len;
        batch_free(b);
    }
    m->batches_len = kept;
}

int memory_retain(struct store *s, int64_t now_ns, struct store_dropped *ret_dropped,
                  struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    pthread_rwlock_wrlock(&m->all);
    if (m->keep.raw_ns)
        drop_batches(m, now_ns - m->keep.raw_ns);
    int64_t buckets = m->keep.edges_ns ? memory_drop_buckets(m, now_ns - m->keep.edges_ns) : 0;
    m->dropped.edge_buckets += (uint64_t)MAX(buckets, INT64_C(0));
    *ret_dropped = m->dropped;
    pthread_rwlock_unlock(&m->all);
    return buckets < 0 ? err_set(err, ERR_NOMEM, "edge buckets to drop") : 0;
}

static int memory_get_progress(struct store *s, struct store_progress *ret_p, struct err *err)
{
    (void)err;
    struct memory_store *m = (struct memory_store *)s;
    pthread_rwlock_rdlock(&m->all);
    *ret_p = m->progress;
    pthread_rwlock_unlock(&m->all);
    return 0;
}

static int memory_replay(struct store *s, uint64_t after_seq, int64_t since_ns,
                         store_batch_sink *sink, void *to, struct err *err)
{
    (void)err;
    struct memory_store *m = (struct memory_store *)s;
    pthread_rwlock_rdlock(&m->all);
    for (size_t i = 0; i < m->batches_len; i++) {
        const struct batch *b = m->batches[i];
        if ((b->seq > after_seq || b->received_ns >= since_ns) && sink(to, b) != 0)
            break;
    }
    pthread_rwlock_unlock(&m->all);
    return 0;
}

static int memory_stats(struct store *s, struct store_stats *ret_stats, struct err *err)
{
    (void)err;
    struct memory_store *m = (struct memory_store *)s;
    struct store_stats stats = { 0 };
    pthread_rwlock_rdlock(&m->all);
    stats.batches = m->batches_len;
    stats.spans = m->spans_len;
    stats.calls = m->calls_len;
    void *value;
    for (size_t i = 0; map_next(&m->buckets, &i, NULL, &value);)
        stats.edge_buckets += ((struct edge_bucket *)value)->width_ns == BUCKET_NS;
    pthread_rwlock_unlock(&m->all);
    *ret_stats = stats;
    return 0;
}

/* There is no file that could be damaged; only the counts are told. */
static int memory_check(struct store *s, store_finding_sink *sink, void *to,
                        struct store_checked *ret_checked, struct err *err)
{
    (void)sink;
    (void)to;
    struct store_stats stats = { 0 };
    int rc = memory_stats(s, &stats, err);
    if (rc == 0)
        *ret_checked = (struct store_checked){ .spans = stats.spans,
                                               .calls = stats.calls,
                                               .edge_buckets = stats.edge_buckets };
    return rc;
}

const struct store_ops store_memory_ops = {
    .scheme = "memory",
    .open = memory_open,
    .close = memory_close,
    .put = memory_put,
    .put_edges = memory_put_edges,
    .get_progress = memory_get_progress,
    .retain = memory_retain,
    .replay = memory_replay,
    .edges = memory_edges,
    .trace = memory_trace,
    .search = memory_search,
    .operations = memory_operations,
    .calls = memory_calls,
    .check = memory_check,
    .stats = memory_stats,
};
