/* replay_main.c - main() of a fuzz target when libFuzzer is not there: every file of the folders and
 * files named runs through the target once whole and again cut short at many places.
 *
 * The input lies in a block of exactly its size, so that a sanitizer sees a read past its end. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CUTS_MAX ((size_t)256)

static void run(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact)
        exit(1);
    if (n)
        memcpy(exact, bytes, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (size < 0 || fseek(f, 0, SEEK_SET) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    uint8_t *bytes = malloc((size_t)size + 1);
    size_t n = bytes ? fread(bytes, 1, (size_t)size, f) : 0;
    fclose(f);
    if (n != (size_t)size) {
        fprintf(stderr, "%s: not read\n", path);
        return 1;
    }
    run(bytes, n);
    size_t step = n / CUTS_MAX + 1;
    for (size_t cut = 0; cut < n; cut += step)
        run(bytes, cut);
    free(bytes);
    return 0;
}

static int replay(const char *path, size_t *files)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (!S_ISDIR(st.st_mode)) {
        ++*files;
        return replay_file(path);
    }
    DIR *dir = opendir(path);
    int failed = dir ? 0 : 1;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char inner[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
        failed |= replay(inner, files);
    }
    if (dir)
        closedir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i], &files);
    printf("%zu files replayed\n", files);
    return failed || files == 0;
}
