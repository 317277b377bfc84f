/* owner.c - a lock that the kernel drops with the process.
 *
 * flock() on a file of its own: SQLite's locks on the database are POSIX locks, which vanish when
 * any descriptor of that file is closed, so ours must not be on the same file. The lock file stays
 * when the lock goes, for removing it would race with the next owner. */
#include "store/sqlite/owner.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int held_by_another(int fd, const char *path, struct err *err)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    return err_set(err, ERR_CONFLICT, "%s is held by process %s", path, pid[0] ? pid : "unknown");
}

static int write_pid(int fd)
{
    char pid[24];
    int n = snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)n, 0) == n ? 0 : -1;
}

int owner_lock(const char *file, int *ret_fd, struct err *err)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s-owner", file) >= sizeof(path))
        return err_set(err, ERR_USAGE, "file name of the store is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    int rc = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK ? held_by_another(fd, path, err)
                                  : err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    else if (write_pid(fd) < 0)
        rc = err_set(err, errno == ENOSPC ? ERR_BUSY : ERR_IO, "%s: %s", path, strerror(errno));
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int owner_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
    return -1;
}
