/* log.h - a log line is an event name and typed pairs (logfmt), one write() to stderr.
 *
 *   LOG_INFO("segment.sealed", KV_UINT("spans", n), KV_NSEC("took", took_ns));
 *   t=2026-01-02T03:04:05.678Z lvl=info ev=segment.sealed spans=81233 took=38ms
 *
 * Thread-safe. Only main-side code logs; libraries return errors. Values are escaped. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/auto.h"
#include "base/clock.h"
#include "base/sv.h"
#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_kv_type { LOG_KV_STR, LOG_KV_UINT, LOG_KV_INT, LOG_KV_NSEC, LOG_KV_DOUBLE };

struct log_kv {
    const char *key;
    enum log_kv_type type;
    struct sv str;
    uint64_t u;
    int64_t i;
    double d;
};

#define KV_STR(k, v)    ((struct log_kv){ .key = (k), .type = LOG_KV_STR, .str = sv_z(v) })
#define KV_SV(k, v)     ((struct log_kv){ .key = (k), .type = LOG_KV_STR, .str = (v) })
#define KV_UINT(k, v)   ((struct log_kv){ .key = (k), .type = LOG_KV_UINT, .u = (v) })
#define KV_INT(k, v)    ((struct log_kv){ .key = (k), .type = LOG_KV_INT, .i = (v) })
#define KV_NSEC(k, v)   ((struct log_kv){ .key = (k), .type = LOG_KV_NSEC, .i = (v) })
#define KV_DOUBLE(k, v) ((struct log_kv){ .key = (k), .type = LOG_KV_DOUBLE, .d = (v) })

void log_set_level(enum log_level level);
enum log_level log_level_now(void);
const char *log_level_name(enum log_level level);
/* "error", "warn", "info", "debug"; false on another name. */
bool log_level_from_sv(struct sv name, enum log_level *ret_level);
void log_write(enum log_level level, const char *event, const struct log_kv *kv, size_t n);

#define LOG_AT(level, event, ...)                                                                  \
    log_write(level, event, (struct log_kv[]){ { .key = NULL }, ##__VA_ARGS__ } + 1,               \
              NELEMS(((struct log_kv[]){ { .key = NULL }, ##__VA_ARGS__ })) - 1)
#define LOG_ERROR(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
#define LOG_WARN(event, ...)  LOG_AT(LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define LOG_INFO(event, ...)  LOG_AT(LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define LOG_DEBUG(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)

/* LOG_EVERY(10 * NS_PER_S, LOG_WARN, "pair.full", ...): at most one line a period at this place. */
#define LOG_EVERY(period_ns, what, event, ...)                                                     \
    do {                                                                                           \
        static _Atomic int64_t last_ns_;                                                           \
        int64_t now_ns_ = clock_mono_ns(), was_ns_ = atomic_load(&last_ns_);                       \
        if ((was_ns_ == 0 || now_ns_ - was_ns_ >= (period_ns)) &&                                  \
            atomic_compare_exchange_strong(&last_ns_, &was_ns_, now_ns_))                          \
            what(event, ##__VA_ARGS__);                                                            \
    } while (0)

#endif
