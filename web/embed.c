/* embed.c - build tool: turns the dashboard's files into one C array.
 *
 *   embed PAGE_MAX_BYTES ALL_MAX_BYTES OUT.c FILE...
 *
 * Each file is compressed once, here, so that serving it costs no CPU. Scripts, styles and pictures
 * get the hash of their content into their name ("app.js" becomes "app.3f9c21ab04de.js") and may
 * then be cached for ever; pages keep their name, and every "/app.js" in them, quotes included, is
 * replaced by the hashed name. So pages are handled after everything they may refer to.
 *
 * The build fails when a page with all it names passes PAGE_MAX_BYTES compressed, or all files
 * together ALL_MAX_BYTES: the size of the dashboard is a promise, and this is where the bytes that
 * travel are known. */
#define _GNU_SOURCE /* memmem; build tools do not get the project's arguments */
#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    GZIP_LEVEL = 12,          /* libdeflate's strongest; a few milliseconds for our sizes */
    FILES_MAX = 32,           /* the dashboard has six */
    FILE_BYTES_MAX = 4 << 20, /* one file; far above the budget, so a mistake is told early */
    HASH_DIGITS = 32,
    NAME_DIGITS = 12, /* of the hash in a name: 48 bits are plenty to tell builds apart */
    PATH_SIZE = 256,
    BYTES_PER_LINE = 20,
};

struct file {
    char name[PATH_SIZE]; /* "app.js" */
    char path[PATH_SIZE]; /* "/app.3f9c21ab04de.js" */
    char hash[HASH_DIGITS + 1];
    const char *content_type;
    bool is_page;
    char *bytes;
    size_t bytes_len;
    void *gzip;
    size_t gzip_len;
    size_t named_len; /* a page: compressed bytes of the files it names */
};

static const struct {
    const char *suffix, *content_type;
    bool is_page;
} types[] = {
    { ".html", "text/html; charset=utf-8", true },
    { ".js", "text/javascript; charset=utf-8", false },
    { ".css", "text/css; charset=utf-8", false },
    { ".svg", "image/svg+xml", false },
};

static int fail(const char *what, const char *which)
{
    fprintf(stderr, "embed: %s: %s%s%s\n", which, what, errno ? ": " : "",
            errno ? strerror(errno) : "");
    return -1;
}

static int file_read(struct file *f, const char *from)
{
    FILE *in = fopen(from, "rb");
    if (!in)
        return fail("cannot open", from);
    f->bytes = malloc(FILE_BYTES_MAX + 1);
    f->bytes_len = f->bytes ? fread(f->bytes, 1, FILE_BYTES_MAX + 1, in) : 0;
    bool is_bad = !f->bytes || ferror(in);
    fclose(in);
    if (is_bad)
        return fail("cannot read", from);
    if (f->bytes_len > FILE_BYTES_MAX)
        return fail("too large", from);
    return 0;
}

static int file_open(struct file *f, const char *from)
{
    const char *slash = strrchr(from, '/');
    int n = snprintf(f->name, sizeof(f->name), "%s", slash ? slash + 1 : from);
    /* Room for the hash that the served name gains. */
    if (n < 0 || (size_t)n + NAME_DIGITS + 3 > sizeof(f->name))
        return fail("name too long", from);
    const char *dot = strrchr(f->name, '.');
    for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(dot, types[i].suffix) == 0) {
            f->content_type = types[i].content_type;
            f->is_page = types[i].is_page;
            return file_read(f, from);
        }
    }
    return fail("no content type known for this name", from);
}

/* Puts `with` where `what` stands in the file; nothing happens when it does not occur. */
static int file_replace(struct file *f, const char *what, const char *with)
{
    size_t what_len = strlen(what), with_len = strlen(with);
    char *at;
    for (size_t from = 0; (at = memmem(f->bytes + from, f->bytes_len - from, what, what_len));) {
        size_t head = (size_t)(at - f->bytes), tail = f->bytes_len - head - what_len;
        char *joined = malloc(head + with_len + tail);
        if (!joined)
            return fail("out of memory", f->name);
        memcpy(joined, f->bytes, head);
        memcpy(joined + head, with, with_len);
        memcpy(joined + head + with_len, at + what_len, tail);
        free(f->bytes);
        f->bytes = joined;
        f->bytes_len = head + with_len + tail;
        from = head + with_len;
    }
    return 0;
}

static int file_finish(struct file *f)
{
    XXH128_hash_t h = XXH3_128bits(f->bytes, f->bytes_len);
    snprintf(f->hash, sizeof(f->hash), "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    const char *dot = strrchr(f->name, '.');
    if (f->is_page)
        snprintf(f->path, sizeof(f->path), "/%.*s", PATH_SIZE - 2, f->name);
    else
        snprintf(f->path, sizeof(f->path), "/%.*s.%.*s%s", (int)(dot - f->name), f->name,
                 NAME_DIGITS, f->hash, dot);
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(GZIP_LEVEL);
    size_t bound = c ? libdeflate_gzip_compress_bound(c, f->bytes_len) : 0;
    f->gzip = c ? malloc(bound) : NULL;
    if (f->gzip)
        f->gzip_len = libdeflate_gzip_compress(c, f->bytes, f->bytes_len, f->gzip, bound);
    libdeflate_free_compressor(c);
    return f->gzip_len ? 0 : fail("cannot compress", f->name);
}

static void file_done(struct file *f)
{
    free(f->bytes);
    free(f->gzip);
}

/* Pages last, and with the names of all others put in. */
static int finish_all(struct file *files, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!files[i].is_page && file_finish(&files[i]) < 0)
            return -1;
    for (size_t i = 0; i < len; i++) {
        for (size_t k = 0; files[i].is_page && k < len; k++) {
            char plain[PATH_SIZE + 4], hashed[PATH_SIZE + 4];
            snprintf(plain, sizeof(plain), "\"/%.*s\"", PATH_SIZE - 1, files[k].name);
            snprintf(hashed, sizeof(hashed), "\"%.*s\"", PATH_SIZE - 1, files[k].path);
            if (files[k].is_page)
                continue;
            if (memmem(files[i].bytes, files[i].bytes_len, plain, strlen(plain)))
                files[i].named_len += files[k].gzip_len;
            if (file_replace(&files[i], plain, hashed) < 0)
                return -1;
        }
        if (files[i].is_page && file_finish(&files[i]) < 0)
            return -1;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void print_all(FILE *out, const struct file *files, size_t len)
{
    fprintf(out, "/* Made by embed; do not edit. */\n#include \"assets_data.h\"\n");
    for (size_t i = 0; i < len; i++) {
        const unsigned char *p = files[i].gzip;
        fprintf(out, "\nstatic const unsigned char gzip_%zu[] = {", i);
        for (size_t k = 0; k < files[i].gzip_len; k++)
            fprintf(out, "%s%u,", k % BYTES_PER_LINE ? "" : "\n", p[k]);
        fprintf(out, "\n};\n");
    }
    fprintf(out, "\nconst struct asset assets_all[] = {\n");
    for (size_t i = 0; i < len; i++)
        fprintf(out,
                "    { { \"%s\", %zu }, { \"%s\", %zu }, { \"\\\"%s\\\"\", %d },\n"
                "      { (const char *)gzip_%zu, sizeof(gzip_%zu) }, %zu, %s },\n",
                files[i].path, strlen(files[i].path), files[i].content_type,
                strlen(files[i].content_type), files[i].hash, HASH_DIGITS + 2, i, i,
                files[i].bytes_len, files[i].is_page ? "false" : "true");
    fprintf(out, "};\nconst size_t assets_len = %zu;\n", len);
}

static int check_budget(const char *what, size_t bytes, size_t bytes_max)
{
    if (bytes <= bytes_max)
        return 0;
    fprintf(stderr, "embed: %s: %zu bytes compressed, the budget is %zu\n", what, bytes, bytes_max);
    return -1;
}

static int check_budgets(const struct file *files, size_t len, size_t page_max, size_t all_max)
{
    size_t total = 0;
    int rc = 0;
    for (size_t i = 0; i < len; i++) {
        total += files[i].gzip_len;
        if (files[i].is_page &&
            check_budget(files[i].name, files[i].gzip_len + files[i].named_len, page_max) < 0)
            rc = -1;
    }
    return check_budget("all files", total, all_max) < 0 ? -1 : rc;
}

static int embed(const char *to, struct file *files, size_t len)
{
    qsort(files, len, sizeof(files[0]), by_path); /* assets_find() searches by halves */
    FILE *out = fopen(to, "wb");
    if (!out)
        return fail("cannot write", to);
    print_all(out, files, len);
    bool is_bad = ferror(out);
    if (fclose(out) != 0 || is_bad)
        return fail("cannot write", to);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc - 4 > FILES_MAX) {
        fprintf(stderr, "usage: embed PAGE_MAX_BYTES ALL_MAX_BYTES OUT.c FILE... (at most %d)\n",
                FILES_MAX);
        return 2;
    }
    static struct file files[FILES_MAX];
    size_t len = (size_t)(argc - 4);
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++)
        rc = file_open(&files[i], argv[4 + i]);
    if (rc == 0)
        rc = finish_all(files, len);
    if (rc == 0)
        rc = check_budgets(files, len, strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10));
    if (rc == 0)
        rc = embed(argv[3], files, len);
    for (size_t i = 0; i < len; i++)
        file_done(&files[i]);
    return rc == 0 ? 0 : 1;
}
