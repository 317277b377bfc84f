/* disk_vfs.c - a VFS over SQLite's own.
 *
 * Every change of a file is one operation in a list, with the bytes. A power cut after operation n
 * leaves of each file: all that was written before its last sync among the first n, and of the rest
 * whatever the kind of loss says, sector by sector, in no order. Sectors are 512 bytes, the least
 * that disks write at once. Deleting counts as done: SQLite deletes a log only when the database
 * holds all of it and is synced. Shared memory is passed through and not kept; it does not survive
 * a power cut. */
#include "disk_vfs.h"
#include "base/mem.h"
#include "base/sv.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { FILES_MAX = 16, NAME_SIZE = 64, SECTOR = 512 };

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_DELETE, OP_MARK };
struct op {
    enum op_kind kind;
    int file;
    int64_t at; /* offset, size, or the mark */
    size_t len;
    char *bytes; /* owned */
};

/* The one disk; tests run one at a time. */
static struct {
    pthread_mutex_t lock;
    struct op *ops;
    size_t len, cap;
    char names[FILES_MAX][NAME_SIZE];
    int files;
    enum disk_fault fault;
    uint64_t fault_in, fault_times, failed;
    sqlite3_vfs vfs, *below;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct disk_file {
    sqlite3_file super;
    int file; /* -1: a temporary one */
    sqlite3_file *below;
};

static sqlite3_file *below(sqlite3_file *f)
{
    return ((struct disk_file *)f)->below;
}

static int file_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash)
        return -1;
    for (int i = 0; i < disk.files; i++)
        if (strcmp(disk.names[i], slash + 1) == 0)
            return i;
    INVARIANT(disk.files < FILES_MAX);
    INVARIANT(sv_to_z(sv_z(slash + 1), disk.names[disk.files], NAME_SIZE));
    return disk.files++;
}

static void note(enum op_kind kind, int file, int64_t at, const void *bytes, size_t len)
{
    if (file < 0)
        return;
    if (disk.len == disk.cap) {
        disk.cap = disk.cap ? disk.cap * 2 : 1024;
        disk.ops = mem_resize(disk.ops, disk.cap * sizeof(*disk.ops));
        INVARIANT(disk.ops);
    }
    struct op op = { .kind = kind, .file = file, .at = at, .len = len };
    if (len) {
        op.bytes = mem_alloc(len);
        INVARIANT(op.bytes);
        memcpy(op.bytes, bytes, len);
    }
    disk.ops[disk.len++] = op;
}

/* Whether this operation is one of those that shall fail. */
static bool is_hit(enum disk_fault fault)
{
    if (disk.fault != fault || disk.fault_times == 0 || --disk.fault_in > 0)
        return false;
    disk.fault_in = 1;
    disk.fault_times--;
    disk.failed++;
    return true;
}

static int disk_close(sqlite3_file *f)
{
    int rc = below(f)->pMethods ? below(f)->pMethods->xClose(below(f)) : SQLITE_OK;
    f->pMethods = NULL;
    return rc;
}

static int disk_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    pthread_mutex_lock(&disk.lock);
    bool fails = is_hit(DISK_BAD_READ);
    pthread_mutex_unlock(&disk.lock);
    return fails ? SQLITE_IOERR_READ : below(f)->pMethods->xRead(below(f), to, len, at);
}

static int disk_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 at)
{
    struct disk_file *file = (struct disk_file *)f;
    pthread_mutex_lock(&disk.lock);
    int rc = is_hit(DISK_FULL)        ? SQLITE_FULL
             : is_hit(DISK_BAD_WRITE) ? SQLITE_IOERR_WRITE
                                      : SQLITE_OK;
    bool is_short = rc == SQLITE_OK && is_hit(DISK_SHORT_WRITE);
    if (is_short)
        len /= 2;
    if (rc == SQLITE_OK)
        rc = below(f)->pMethods->xWrite(below(f), bytes, len, at);
    if (rc == SQLITE_OK)
        note(OP_WRITE, file->file, at, bytes, (size_t)len);
    pthread_mutex_unlock(&disk.lock);
    return is_short ? SQLITE_IOERR_WRITE : rc;
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    pthread_mutex_lock(&disk.lock);
    int rc = is_hit(DISK_BAD_TRUNCATE) ? SQLITE_IOERR_TRUNCATE
                                       : below(f)->pMethods->xTruncate(below(f), size);
    if (rc == SQLITE_OK)
        note(OP_TRUNCATE, ((struct disk_file *)f)->file, size, NULL, 0);
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

/* The real one is not synced: the test cuts no real power, and syncing takes its time. */
static int disk_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    pthread_mutex_lock(&disk.lock);
    int rc = is_hit(DISK_BAD_SYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    if (rc == SQLITE_OK)
        note(OP_SYNC, ((struct disk_file *)f)->file, 0, NULL, 0);
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

#define PASS(name, args, ...)                                                                      \
    static int disk_##name args                                                                    \
    {                                                                                              \
        return below(f)->pMethods->__VA_ARGS__;                                                    \
    }
PASS(size, (sqlite3_file * f, sqlite3_int64 *ret), xFileSize(below(f), ret))
PASS(lock, (sqlite3_file * f, int level), xLock(below(f), level))
PASS(unlock, (sqlite3_file * f, int level), xUnlock(below(f), level))
PASS(check_lock, (sqlite3_file * f, int *ret), xCheckReservedLock(below(f), ret))
PASS(control, (sqlite3_file * f, int op, void *arg), xFileControl(below(f), op, arg))
PASS(sector, (sqlite3_file * f), xSectorSize(below(f)))
PASS(shm_map, (sqlite3_file * f, int page, int size, int extend, void volatile **ret),
     xShmMap(below(f), page, size, extend, ret))
PASS(shm_lock, (sqlite3_file * f, int at, int n, int flags), xShmLock(below(f), at, n, flags))
PASS(shm_unmap, (sqlite3_file * f, int remove), xShmUnmap(below(f), remove))

static void disk_shm_barrier(sqlite3_file *f)
{
    below(f)->pMethods->xShmBarrier(below(f));
}

/* What the real one promises is promised here: bytes beside a write are safe, nothing else. */
PASS(characteristics, (sqlite3_file * f), xDeviceCharacteristics(below(f)))

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_characteristics,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
    struct disk_file *file = (struct disk_file *)f;
    (void)vfs;
    file->below = (sqlite3_file *)(file + 1);
    pthread_mutex_lock(&disk.lock);
    file->file = file_of(path);
    pthread_mutex_unlock(&disk.lock);
    int rc = disk.below->xOpen(disk.below, path, file->below, flags, ret_flags);
    file->super.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    pthread_mutex_lock(&disk.lock);
    int rc = disk.below->xDelete(disk.below, path, sync_dir);
    if (rc == SQLITE_OK)
        note(OP_DELETE, file_of(path), 0, NULL, 0);
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static void forget(void)
{
    for (size_t i = 0; i < disk.len; i++)
        mem_free(disk.ops[i].bytes);
    disk.ops = mem_free(disk.ops);
    disk.len = disk.cap = 0;
    disk.files = 0;
    disk.fault = DISK_FAULT_NONE;
}

void disk_start(void)
{
    forget();
    disk.below = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.below;
    disk.vfs.zName = "tulle-test-disk";
    disk.vfs.szOsFile += (int)sizeof(struct disk_file);
    disk.vfs.xOpen = disk_open;
    disk.vfs.xDelete = disk_delete;
    INVARIANT(sqlite3_vfs_register(&disk.vfs, 1) == SQLITE_OK);
}

void disk_stop(void)
{
    sqlite3_vfs_unregister(&disk.vfs);
    INVARIANT(sqlite3_vfs_register(disk.below, 1) == SQLITE_OK);
    disk.fault = DISK_FAULT_NONE;
}

void disk_mark(uint64_t value)
{
    pthread_mutex_lock(&disk.lock);
    note(OP_MARK, 0, (int64_t)value, NULL, 0);
    pthread_mutex_unlock(&disk.lock);
}

size_t disk_len(void)
{
    pthread_mutex_lock(&disk.lock);
    size_t len = disk.len;
    pthread_mutex_unlock(&disk.lock);
    return len;
}

void disk_fail(enum disk_fault fault, uint64_t nth, uint64_t times)
{
    pthread_mutex_lock(&disk.lock);
    disk.fault = fault;
    disk.fault_in = nth;
    disk.fault_times = times;
    disk.failed = 0;
    pthread_mutex_unlock(&disk.lock);
}

uint64_t disk_failed(void)
{
    pthread_mutex_lock(&disk.lock);
    uint64_t failed = disk.failed;
    pthread_mutex_unlock(&disk.lock);
    return failed;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* What a disk may have made of a write that was under way. */
static void write_some_sectors(FILE *f, const struct op *op, uint64_t *random)
{
    char rubbish[SECTOR];
    for (size_t at = 0; at < op->len; at += SECTOR) {
        size_t len = MIN(op->len - at, (size_t)SECTOR);
        uint64_t fate = next_random(random) % 8;
        if (fate < 3)
            continue; /* never arrived */
        memset(rubbish, fate == 3 ? 0 : (int)next_random(random), sizeof(rubbish));
        INVARIANT(fseek(f, (long)(op->at + (int64_t)at), SEEK_SET) == 0);
        INVARIANT(fwrite(fate < 5 ? rubbish : op->bytes + at, 1, len, f) == len);
    }
}

static void write_first(FILE *f, const struct op *op, size_t len)
{
    INVARIANT(fseek(f, (long)op->at, SEEK_SET) == 0);
    INVARIANT(fwrite(op->bytes, 1, len, f) == len);
}

static void redo(FILE *f, const struct op *op, bool is_synced, bool is_last, enum disk_loss loss,
                 uint64_t *random)
{
    bool is_sure = is_synced || loss == DISK_LOSE_NONE;
    if (op->kind == OP_WRITE && (is_sure || (loss == DISK_TEAR_LAST && !is_last)))
        write_first(f, op, op->len);
    else if (op->kind == OP_WRITE && loss == DISK_TEAR_LAST)
        write_first(f, op, next_random(random) % op->len);
    else if (op->kind == OP_WRITE && loss == DISK_LOSE_RANDOM)
        write_some_sectors(f, op, random);
    else if (op->kind == OP_TRUNCATE && (is_sure || loss == DISK_TEAR_LAST ||
                                         (loss == DISK_LOSE_RANDOM && next_random(random) % 2))) {
        (void)fflush(f);
        INVARIANT(ftruncate(fileno(f), op->at) == 0);
    }
}

static void lay_out_file(int file, size_t len, enum disk_loss loss, uint64_t *random,
                         const char *path)
{
    size_t from = 0, synced = 0, last = SIZE_MAX;
    bool is_there = false;
    for (size_t i = 0; i < len; i++) {
        if (disk.ops[i].kind == OP_MARK || disk.ops[i].file != file)
            continue;
        is_there = disk.ops[i].kind != OP_DELETE;
        from = is_there ? from : i + 1;
        synced = disk.ops[i].kind == OP_SYNC ? i : synced;
        last = disk.ops[i].kind == OP_WRITE ? i : last;
    }
    if (!is_there) {
        (void)remove(path);
        return;
    }
    FILE *f = fopen(path, "w+");
    INVARIANT(f);
    for (size_t i = from; i < len; i++)
        if (disk.ops[i].kind != OP_MARK && disk.ops[i].file == file)
            redo(f, &disk.ops[i], i < synced, i == last, loss, random);
    INVARIANT(fclose(f) == 0);
}

uint64_t disk_lay_out(size_t len, enum disk_loss loss, uint64_t seed, const char *dir)
{
    uint64_t random = seed, mark = 0;
    INVARIANT(len <= disk.len);
    for (int i = 0; i < disk.files; i++) {
        char path[200];
        snprintf(path, sizeof(path), "%s/%s", dir, disk.names[i]);
        lay_out_file(i, len, loss, &random, path);
    }
    for (size_t i = 0; i < len; i++)
        if (disk.ops[i].kind == OP_MARK)
            mark = (uint64_t)disk.ops[i].at;
    return mark;
}
