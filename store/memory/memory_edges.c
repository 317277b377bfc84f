/* memory_edges.c - edge buckets in a map, at every width there is.
 *
 * A put works on copies: every bucket that changes is copied, merged into, and only when all of
 * them stand are the copies swapped in. So a put that fails changes nothing. */
#include "base/mem.h"
#include "base/varint.h"
#include "store/memory/memory.h"

static struct edge_bucket *bucket_free(struct edge_bucket *b)
{
    if (b)
        edge_bucket_done(b);
    return mem_free(b);
}

void memory_buckets_free(struct map *buckets)
{
    void *value;
    for (size_t i = 0; map_next(buckets, &i, NULL, &value);)
        bucket_free(value);
    map_done(buckets);
}

static int bucket_key(struct edge_bucket *at, struct buf *key)
{
    buf_clear(key);
    edge_key_put(at->edge, key);
    buf_put_le64(key, (uint64_t)at->width_ns);
    buf_put_le64(key, (uint64_t)at->start_ns);
    return key->failed ? -1 : 0;
}

/* The staged bucket of key: made from what is stored when this put has not touched it yet. */
static struct edge_bucket *stage(struct memory_store *m, struct map *staged, struct sv key,
                                 const struct edge_bucket *like)
{
    struct edge_bucket *b = map_get(staged, key);
    if (b)
        return b;
    b = mem_zalloc(sizeof(*b));
    if (!b)
        return NULL;
    b->edge = like->edge;
    b->start_ns = like->start_ns;
    b->width_ns = like->width_ns;
    const struct edge_bucket *stored = map_get(&m->buckets, key);
    if ((stored && edge_bucket_merge(b, stored) < 0) || map_put(staged, key, b, NULL) < 0)
        return bucket_free(b);
    return b;
}

static int stage_all(struct memory_store *m, struct map *staged, const struct edge_bucket *buckets,
                     size_t n)
{
    AUTO_DONE(buf) key = { 0 };
    for (size_t i = 0; i < n; i++) {
        struct edge_entry *entry = edge_book_find(&m->edges, buckets[i].edge);
        if (!entry)
            entry = edge_book_add(&m->edges, buckets[i].edge);
        if (!entry)
            return -1;
        if (edge_entry_is_news(entry, buckets[i].edge) &&
            edge_entry_learn(entry, buckets[i].edge) < 0)
            return -1;
        for (size_t w = 0; w < STORE_WIDTHS_LEN; w++) {
            struct edge_bucket like = { .edge = &entry->edge, .width_ns = store_widths[w] };
            like.start_ns = window_align_down(buckets[i].start_ns, store_widths[w]);
            if (bucket_key(&like, &key) < 0)
                return -1;
            struct edge_bucket *b = stage(m, staged, buf_sv(&key), &like);
            if (!b || edge_bucket_merge(b, &buckets[i]) < 0)
                return -1;
        }
    }
    return 0;
}

/* Makes every key exist first, so that the swap itself cannot fail. */
static int swap_in(struct memory_store *m, struct map *staged)
{
    struct sv key;
    void *value;
    for (size_t i = 0; map_next(staged, &i, &key, &value);) {
        if (map_get(&m->buckets, key))
            continue;
        struct edge_bucket *empty = mem_zalloc(sizeof(*empty)), *b = value;
        if (!empty)
            return -1;
        *empty = (struct edge_bucket){ .edge = b->edge, .start_ns = b->start_ns };
        empty->width_ns = b->width_ns;
        if (map_put(&m->buckets, key, empty, NULL) < 0) {
            bucket_free(empty);
            return -1;
        }
    }
    for (size_t i = 0; map_next(staged, &i, &key, &value);) {
        struct edge_bucket *to = map_get(&m->buckets, key), *from = value;
        edge_bucket_done(to);
        *to = *from;
        memset(from->cells, 0, sizeof(from->cells));
    }
    return 0;
}

int memory_put_edges(struct store *s, const struct edge_bucket *buckets, size_t n,
                     const struct store_progress *progress, struct err *err)
{
    struct memory_store *m = (struct memory_store *)s;
    struct map staged = { 0 };
    pthread_rwlock_wrlock(&m->all);
    int rc = stage_all(m, &staged, buckets, n);
    if (rc == 0)
        rc = swap_in(m, &staged);
    if (rc == 0)
        m->progress = *progress;
    pthread_rwlock_unlock(&m->all);
    memory_buckets_free(&staged);
    return rc < 0 ? err_set(err, ERR_NOMEM, "%zu edge buckets", n) : 0;
}

int64_t memory_drop_buckets(struct memory_store *m, int64_t before_ns)
{
    int64_t dropped = 0;
    void *value;
    for (size_t i = 0; map_next(&m->buckets, &i, NULL, &value);) {
        struct edge_bucket *b = value;
        if (b->start_ns > before_ns - b->width_ns)
            continue;
        dropped += b->width_ns == BUCKET_NS;
        map_remove_given(&m->buckets, &i);
        bucket_free(b);
    }
    return dropped;
}

static bool is_empty(const struct edge_bucket *b)
{
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        if (b->cells[r])
            return false;
    return true;
}

int memory_edges(struct store *s, const struct window *w, int64_t width_ns, store_edge_sink *sink,
                 void *to, struct err *err)
{
    (void)err;
    struct memory_store *m = (struct memory_store *)s;
    pthread_rwlock_rdlock(&m->all);
    void *value;
    for (size_t i = 0; map_next(&m->buckets, &i, NULL, &value);) {
        const struct edge_bucket *b = value;
        if (b->width_ns == width_ns && window_contains(*w, b->start_ns) && !is_empty(b) &&
            sink(to, b) != 0)
            break;
    }
    pthread_rwlock_unlock(&m->all);
    return 0;
}
