/* SPDX-License-Identifier: Apache-2.0
 * fingerprint.c - what stat() says of a folder, hashed.
 *
 * Looking twice a second costs some microseconds a file and works on every kind of mount. Watching
 * with inotify does not: network file systems tell nothing, and a mounted ConfigMap changes by
 * replacing a link in the middle of the path. */
#include "proxy/fingerprint.h"
#include "base/hash.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 3    /* secrets/NAMESPACE/NAME/file */
#define NAMES_MAX 4096 /* a folder with more is looked at that far */

static uint64_t mix(uint64_t h, const void *bytes, size_t len)
{
    return hash_bytes(bytes, len, h);
}

static uint64_t of_path(const char *path, unsigned depth, uint64_t h);

/* Sums over the names, so that the order in which a folder lists them does not matter. */
static uint64_t of_folder(const char *path, unsigned depth)
{
    uint64_t sum = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return 1;
    const struct dirent *e;
    for (unsigned n = 0; n < NAMES_MAX && (e = readdir(dir)); n++) {
        char inner[PATH_MAX];
        bool is_dot = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        int len = snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
        if (!is_dot && len > 0 && (size_t)len < sizeof(inner))
            sum += of_path(inner, depth + 1, mix(7, e->d_name, strlen(e->d_name)));
    }
    closedir(dir);
    return sum;
}

static uint64_t of_path(const char *path, unsigned depth, uint64_t h)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return mix(h, "gone", 4);
    bool is_folder = S_ISDIR(st.st_mode);
    const int64_t facts[] = {
        (int64_t)st.st_ino, (int64_t)st.st_dev, is_folder ? 0 : (int64_t)st.st_size,
        st.st_mtim.tv_sec,  st.st_mtim.tv_nsec, st.st_ctim.tv_sec,
        st.st_ctim.tv_nsec
    };
    h = mix(h, facts, sizeof(facts));
    uint64_t inside = is_folder && depth < DEPTH_MAX ? of_folder(path, depth) : 0;
    return mix(h, &inside, sizeof(inside));
}

uint64_t fingerprint_of(const char *path)
{
    uint64_t h = of_path(path, 0, 1);
    return h ? h : 1;
}
