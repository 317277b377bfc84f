/* log.c - structured lines on stderr.
 *
 * A line is built on the stack and written with one call, so lines of several threads do not mix;
 * what does not fit in 2 KiB is cut. Peers' bytes may be in the values: everything outside
 * printable ASCII, quotes and backslashes is escaped. */
#include "base/log.h"
#include "base/buf.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 2048

static _Atomic int level_now = LOG_LEVEL_INFO;
static const char *const level_names[] = { "error", "warn", "info", "debug" };

struct line {
    char text[LINE_BYTES];
    size_t len;
};

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, (int)level);
}

enum log_level log_level_now(void)
{
    return (enum log_level)atomic_load(&level_now);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_level_from_sv(struct sv name, enum log_level *ret_level)
{
    for (size_t i = 0; i < NELEMS(level_names); i++) {
        if (sv_eq(name, sv_z(level_names[i]))) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void put(struct line *l, const char *p, size_t n)
{
    n = MIN(n, sizeof(l->text) - 1 - l->len);
    memcpy(l->text + l->len, p, n);
    l->len += n;
}

static void put_z(struct line *l, const char *z)
{
    put(l, z, strlen(z));
}

static void put_value(struct line *l, struct sv s)
{
    bool needs_quotes = s.len == 0;
    for (size_t i = 0; i < s.len; i++)
        needs_quotes |= s.p[i] <= ' ' || s.p[i] >= 127 || strchr("\"\\=", s.p[i]) != NULL;
    if (!needs_quotes) {
        put(l, s.p, s.len);
        return;
    }
    put(l, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char escaped[8];
        if (c == '"' || c == '\\')
            put(l, (char[]){ '\\', (char)c }, 2);
        else if (c < ' ' || c >= 127)
            put(l, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\x%02x", c));
        else
            put(l, (char[]){ (char)c }, 1);
    }
    put(l, "\"", 1);
}

static void put_duration(struct line *l, int64_t ns)
{
    char text[32];
    double v = (double)ns;
    if (ns >= NS_PER_S)
        snprintf(text, sizeof(text), "%.3gs", v / 1e9);
    else if (ns >= NS_PER_MS)
        snprintf(text, sizeof(text), "%.3gms", v / 1e6);
    else
        snprintf(text, sizeof(text), "%.3gus", v / 1e3);
    put_z(l, text);
}

static void put_kv(struct line *l, const struct log_kv *kv)
{
    char text[32];
    put(l, " ", 1);
    put_z(l, kv->key);
    put(l, "=", 1);
    switch (kv->type) {
    case LOG_KV_STR: put_value(l, kv->str); return;
    case LOG_KV_NSEC: put_duration(l, kv->i); return;
    case LOG_KV_UINT: snprintf(text, sizeof(text), "%" PRIu64, kv->u); break;
    case LOG_KV_INT: snprintf(text, sizeof(text), "%" PRId64, kv->i); break;
    case LOG_KV_DOUBLE: snprintf(text, sizeof(text), "%g", kv->d); break;
    }
    put_z(l, text);
}

void log_write(enum log_level level, const char *event, const struct log_kv *kv, size_t n)
{
    if ((int)level > atomic_load_explicit(&level_now, memory_order_relaxed))
        return;
    struct line l = { .len = 0 };
    char when[CLOCK_RFC3339_SIZE];
    put_z(&l, "t=");
    put_z(&l, clock_rfc3339(clock_wall_ns(), when));
    put_z(&l, " lvl=");
    put_z(&l, level_names[level]);
    put_z(&l, " ev=");
    put_z(&l, event);
    for (size_t i = 0; i < n; i++)
        put_kv(&l, &kv[i]);
    l.text[l.len++] = '\n';
    ssize_t written = write(STDERR_FILENO, l.text, l.len);
    (void)written; /* nowhere to tell */
}

void invariant_failed(const char *cond, const char *file, int line)
{
    LOG_ERROR("invariant.failed", KV_STR("cond", cond), KV_STR("file", file), KV_INT("line", line));
    abort();
}
