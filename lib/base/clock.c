/* clock.c - the only place that asks the system for the time. */
#include "base/clock.h"
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t fake_wall_ns, fake_mono_ns;
static atomic_bool is_fake;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_ns(void)
{
    return atomic_load(&is_fake) ? atomic_load(&fake_wall_ns) : read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
    return atomic_load(&is_fake) ? atomic_load(&fake_mono_ns) : read_clock(CLOCK_MONOTONIC);
}

void clock_fake(int64_t wall_ns, int64_t mono_ns)
{
    atomic_store(&fake_wall_ns, wall_ns);
    atomic_store(&fake_mono_ns, mono_ns);
    atomic_store(&is_fake, true);
}

void clock_real(void)
{
    atomic_store(&is_fake, false);
}

int clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return -1;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return rc == 0 ? 0 : -1;
}

char *clock_rfc3339(int64_t wall_ns, char out[CLOCK_RFC3339_SIZE])
{
    int64_t ms = wall_ns / NS_PER_MS - (wall_ns % NS_PER_MS < 0);
    time_t s = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm tm;
    gmtime_r(&s, &tm);
    const struct {
        int value, digits;
        char after;
    } parts[] = {
        { tm.tm_year + 1900, 4, '-' },
        { tm.tm_mon + 1, 2, '-' },
        { tm.tm_mday, 2, 'T' },
        { tm.tm_hour, 2, ':' },
        { tm.tm_min, 2, ':' },
        { tm.tm_sec, 2, '.' },
        { (int)(ms - (int64_t)s * 1000), 3, 'Z' },
    };
    /* By hand: answers of thousands of edges hold three of these each. */
    char *at = out;
    for (size_t i = 0; i < NELEMS(parts); i++) {
        int v = parts[i].value;
        for (int d = parts[i].digits - 1; d >= 0; d--, v /= 10)
            at[d] = (char)('0' + v % 10);
        at[parts[i].digits] = parts[i].after;
        at += parts[i].digits + 1;
    }
    *at = '\0';
    return out;
}
