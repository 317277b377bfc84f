/* sqlite.c - opening and closing a store in one SQLite file.
 *
 * The owner's lock comes first, then a look at whose file it is, and only then anything is changed.
 * What queries need to find things (chunks, edges, keys) is read into memory at start. A read-only
 * store takes no lock, and reads that again when the owner has written. */
#include "store/sqlite/sqlite.h"
#include "base/mem.h"
#include "store/sqlite/owner.h"
#include "store/sqlite/schema.h"
#include <sys/stat.h>

static struct store *sqlite_close(struct store *store)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    s->sealer = sealer_stop(s->sealer);
    while (s->idle_len)
        db_close(&s->idle[--s->idle_len]);
    db_close(&s->writer);
    buf_done(&s->rows);
    keys_done(&s->keys);
    mem_free(s->operations.slots);
    edge_book_done(&s->edges);
    chunks_done(&s->chunks);
    stages_done(&s->stages);
    pthread_mutex_destroy(&s->writing);
    pthread_mutex_destroy(&s->edges_lock);
    pthread_mutex_destroy(&s->readers_lock);
    owner_unlock(s->owner_fd);
    mem_free(s->file);
    return mem_free(s);
}

/* Numbers go on behind the newest batch even when it was dropped: only what is folded ever is. */
static int load_last_seq(struct sqlite_store *s, struct db *db, struct err *err)
{
    int64_t seq = 0;
    int rc = db_integer(db, "SELECT seq FROM progress", &seq, err);
    if (rc == 0)
        s->last_seq = MAX(s->last_seq, (uint64_t)seq);
    return rc;
}

static int load_all(struct sqlite_store *s, struct db *db, struct err *err)
{
    int rc = chunks_load(s, db, err);
    if (rc == 0)
        rc = load_last_seq(s, db, err);
    if (rc == 0)
        rc = keys_load(s, db, err);
    if (rc == 0)
        rc = operations_load(s, db, err);
    if (rc == 0)
        rc = history_load(s, db, err);
    return rc;
}

static int open_to_write(struct sqlite_store *s, struct err *err)
{
    int rc = owner_lock(s->file, &s->owner_fd, err);
    if (rc == 0)
        rc = db_open(&s->writer, s->file, DB_WRITER, s->durability, err);
    if (rc == 0)
        rc = schema_migrate(&s->writer, err);
    if (rc == 0)
        rc = load_all(s, &s->writer, err);
    if (rc == 0)
        s->sealer = sealer_start(s);
    return rc == 0 && !s->sealer ? err_set(err, ERR_NOMEM, "thread that seals segments") : rc;
}

static int open_to_read(struct sqlite_store *s, struct err *err)
{
    struct db db;
    int rc = db_open(&db, s->file, DB_READER, s->durability, err);
    if (rc == 0)
        s->idle[s->idle_len++] = db; /* the first question loads the lists */
    return rc;
}

static struct store *sqlite_open(const struct store_conf *conf, struct sv where, struct err *err)
{
    if (where.len == 0 || where.p[0] == ':' || memchr(where.p, '\0', where.len)) {
        err_set(err, ERR_USAGE, "sqlite: needs the name of a file");
        return NULL;
    }
    struct sqlite_store *s = mem_zalloc(sizeof(*s));
    if (!s) {
        err_set(err, ERR_NOMEM, "sqlite store");
        return NULL;
    }
    s->owner_fd = -1;
    s->super = (struct store){ &store_sqlite_ops, conf->is_read_only };
    s->durability = conf->durability;
    s->keep = conf->keep;
    chunks_init(&s->chunks);
    if (conf->memory_bytes)
        s->chunks.held_max = conf->memory_bytes;
    stages_init(&s->stages);
    pthread_mutex_init(&s->writing, NULL);
    pthread_mutex_init(&s->edges_lock, NULL);
    pthread_mutex_init(&s->readers_lock, NULL);
    s->file = mem_dup_z(where.p, where.len);
    int rc = s->file ? 0 : err_set(err, ERR_NOMEM, "file name");
    if (rc == 0)
        rc = conf->is_read_only ? open_to_read(s, err) : open_to_write(s, err);
    if (rc < 0) {
        err_context(err, "%.*s", SV_ARG(where));
        sqlite_close(&s->super);
        return NULL;
    }
    return &s->super;
}

void sqlite_set_segment_records(struct sqlite_store *s, uint64_t records)
{
    pthread_mutex_lock(&s->writing);
    pthread_mutex_lock(&s->chunks.lock);
    s->chunks.segment_records = records;
    stages_drop(&s->stages);
    pthread_mutex_unlock(&s->chunks.lock);
    pthread_mutex_unlock(&s->writing);
    sealer_wake(s->sealer);
}

static uint64_t sqlite_held_bytes(struct store *store)
{
    struct chunks *c = &((struct sqlite_store *)store)->chunks;
    pthread_mutex_lock(&c->lock);
    uint64_t bytes = c->held_bytes;
    pthread_mutex_unlock(&c->lock);
    return bytes;
}

static uint64_t file_bytes(const char *file, const char *suffix)
{
    char path[4096];
    struct stat st;
    if ((size_t)snprintf(path, sizeof(path), "%s%s", file, suffix) >= sizeof(path))
        return 0;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int sqlite_stats(struct store *store, struct store_stats *ret_stats, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct store_stats stats = { 0 };
    struct session session;
    int rc = session_begin(s, &session, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->chunks.len; i++) {
        stats.batches += s->chunks.list[i].batches;
        stats.spans += s->chunks.list[i].spans;
        stats.calls += s->chunks.list[i].calls;
    }
    session_looked_up(&session);
    sqlite3_stmt *st = db_statement(&session.db, ST_BUCKETS_LEN, err);
    rc = st ? db_step(&session.db, st, "count buckets", err) : ERR_IO;
    if (rc > 0) {
        stats.edge_buckets = (uint64_t)sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    session_end(&session);
    if (rc < 0)
        return rc;
    stats.disk_bytes = file_bytes(s->file, "") + file_bytes(s->file, "-wal");
    *ret_stats = stats;
    return 0;
}

const struct store_ops store_sqlite_ops = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .put = sqlite_put,
    .put_edges = sqlite_put_edges,
    .get_progress = sqlite_get_progress,
    .retain = sqlite_retain,
    .replay = sqlite_replay,
    .edges = sqlite_edges,
    .trace = sqlite_trace,
    .search = sqlite_search,
    .operations = sqlite_operations,
    .calls = sqlite_calls,
    .check = sqlite_check,
    .snapshot = sqlite_snapshot,
    .held_bytes = sqlite_held_bytes,
    .stats = sqlite_stats,
};
