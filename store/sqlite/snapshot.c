/* snapshot.c - a copy of the file while its owner goes on writing.
 *
 * SQLite's backup copies pages, a few at a time. The source is read inside one transaction, so the
 * copy is of the moment it began, and commits that come meanwhile do not make it start over (as
 * they would without). They are not held up either; only the write-ahead log cannot start over
 * until the copy is done. The target leaves write-ahead logging at the end: it is one file then,
 * with nothing beside it.
 *
 * The name is taken with O_EXCL first, so nothing is ever overwritten, not in a race either. */
#include "store/sqlite/sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define STEP_PAGES 256 /* 4 MiB */

static int take_name(const char *file, struct err *err)
{
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err,
                       errno == EEXIST   ? ERR_CONFLICT
                       : errno == ENOSPC ? ERR_BUSY
                                         : ERR_IO,
                       "%s: %s", file, strerror(errno));
    close(fd);
    return 0;
}

/* A transaction takes its snapshot with its first read. */
static int begin_reading(struct db *db, struct err *err)
{
    sqlite3_stmt *begin = db_statement(db, ST_BEGIN_READ, err);
    int rc = begin ? db_run(db, begin, "begin to read", err) : ERR_IO;
    if (rc < 0)
        return rc;
    sqlite3_stmt *st = db_statement(db, ST_PROGRESS, err);
    return st ? db_run(db, st, "first read", err) : ERR_IO;
}

static int copy_pages(struct db *from, struct db *to, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to->handle, "main", from->handle, "main");
    if (!backup)
        return db_fail(to, "copy", err);
    int code;
    do
        code = sqlite3_backup_step(backup, STEP_PAGES);
    while (code == SQLITE_OK);
    /* finish repeats what went wrong, and leaves it with the target's handle */
    code = sqlite3_backup_finish(backup);
    return code == SQLITE_OK ? 0 : db_fail(to, "copy", err);
}

static int copy_to(struct sqlite_store *s, const char *file, struct err *err)
{
    struct db from = { 0 }, to = { 0 };
    int rc = db_open(&from, s->file, DB_READER, s->durability, err);
    if (rc == 0)
        rc = begin_reading(&from, err);
    if (rc == 0 && sqlite3_open_v2(file, &to.handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                   NULL) != SQLITE_OK)
        rc = db_fail(&to, file, err);
    if (rc == 0)
        rc = copy_pages(&from, &to, err);
    if (rc == 0)
        rc = db_exec(&to, "PRAGMA journal_mode = DELETE", err);
    db_rollback(&from);
    db_close(&to);
    db_close(&from);
    return rc;
}

int sqlite_snapshot(struct store *store, const char *file, struct err *err)
{
    int rc = take_name(file, err);
    if (rc < 0)
        return rc;
    rc = copy_to((struct sqlite_store *)store, file, err);
    if (rc < 0)
        unlink(file);
    return rc;
}
