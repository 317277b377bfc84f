/* SPDX-License-Identifier: Apache-2.0
 * read_files.c - finds and reads the configuration's files.
 *
 * A folder is read in name order, not recursively, and without names that begin with a dot: a
 * mounted Kubernetes volume keeps its versions in such folders (..data) and links to them, which
 * is why a link to a file counts as a file. */
#include "base/buf.h"
#include "base/mem.h"
#include "proxy/config/catalog.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024) /* some 30,000 services in one file */

static void cannot_read(struct catalog *c, const char *path, const char *why)
{
    struct place at = { .file = path };
    finding_place(&c->findings, true, &at, "%s", why);
}

static int read_all(int fd, struct buf *to)
{
    for (;;) {
        char *room = buf_reserve(to, 65536);
        if (!room)
            return ENOMEM;
        ssize_t n = read(fd, room, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        buf_commit(to, (size_t)n);
        if (to->len > FILE_BYTES_MAX)
            return EFBIG;
    }
}

static void read_file(struct catalog *c, const char *path)
{
    AUTO_DONE(buf) text = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? errno : read_all(fd, &text);
    if (fd >= 0)
        close(fd);
    if (rc == ENOMEM)
        c->findings.is_nomem = true;
    else if (rc)
        cannot_read(c, path, strerror(rc));
    else
        catalog_read_text(c, path, buf_sv(&text));
}

static int is_config_name(const struct dirent *e)
{
    struct sv name = sv_z(e->d_name);
    return !sv_starts(name, SV(".")) && (sv_ends(name, SV(".yaml")) || sv_ends(name, SV(".yml")));
}

/* Terminated, in memory that outlives the findings. */
static char *join(struct arena *mem, struct sv folder, const char *name)
{
    while (folder.len > 1 && folder.p[folder.len - 1] == '/')
        folder.len--;
    size_t size = folder.len + strlen(name) + 2;
    char *path = arena_alloc(mem, size);
    if (path)
        snprintf(path, size, "%.*s/%s", SV_ARG(folder), name);
    return path;
}

static void read_folder(struct catalog *c, const char *folder)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, is_config_name, alphasort);
    if (n < 0)
        cannot_read(c, folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *path = join(c->scratch, sv_z(folder), names[i]->d_name);
        if (path)
            read_file(c, path);
        else
            c->findings.is_nomem = true;
        free(names[i]);
    }
    free(names);
}

void catalog_read_path(struct catalog *c, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        cannot_read(c, path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        read_folder(c, path);
    else
        read_file(c, path);
}
