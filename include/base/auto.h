/* auto.h - the few language extensions every file uses: cleanup on scope exit, hand-over of
 * pointers, and assertions that stay on in release builds. */
#ifndef BASE_AUTO_H
#define BASE_AUTO_H

#include <stddef.h>

#define MUST_USE                __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define UNUSED                  __attribute__((unused))

#define NELEMS(a)                       (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))

/* Declares the cleanup that AUTO_FREE(name) uses; name_free() takes NULL and returns NULL. */
#define DEFINE_AUTO_FREE(name)                                                                     \
    static inline void name##_auto_free(struct name **p)                                           \
    {                                                                                              \
        name##_free(*p);                                                                           \
    }                                                                                              \
    struct name

/* AUTO_FREE(pool) p = pool_new(...);   frees p on every way out of the scope. */
#define AUTO_FREE(name) __attribute__((cleanup(name##_auto_free))) struct name *
/* AUTO_DONE(buf) b = {0};   the same for objects in the caller's memory. */
#define DEFINE_AUTO_DONE(name)                                                                     \
    static inline void name##_auto_done(struct name *p)                                            \
    {                                                                                              \
        name##_done(p);                                                                            \
    }                                                                                              \
    struct name
#define AUTO_DONE(name) __attribute__((cleanup(name##_auto_done))) struct name

/* Hands a pointer over: the value moves out, NULL stays behind. */
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

/* Our own bugs stop the program, in release builds too; peers' input never gets here. */
#define INVARIANT(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            invariant_failed(#cond, __FILE__, __LINE__);                                           \
    } while (0)

__attribute__((noreturn, cold)) void invariant_failed(const char *cond, const char *file, int line);

#endif
