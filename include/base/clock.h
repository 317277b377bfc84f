/* clock.h - time as int64_t nanoseconds: wall time since the Unix epoch, monotonic since boot.
 *
 * Thread-safe. Tests may freeze both with clock_fake(). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/sv.h"
#include <pthread.h>
#include <stdint.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

int64_t clock_wall_ns(void);
int64_t clock_mono_ns(void);
/* Tests: both clocks stand at these values until clock_real(). */
void clock_fake(int64_t wall_ns, int64_t mono_ns);
void clock_real(void);

/* A condition whose timed waits go by clock_mono_ns() (not the fake one). 0 or -1. */
int clock_cond_init(pthread_cond_t *cond);

#define CLOCK_RFC3339_SIZE 32
/* "2026-01-02T03:04:05.678Z" (UTC, milliseconds), terminated; returns out. */
char *clock_rfc3339(int64_t wall_ns, char out[CLOCK_RFC3339_SIZE]);
/* "2026-01-02T03:04:05.678Z" or with "+02:00", up to nine digits of a second, years 1970 to 2200; false
 * and *ret_ns untouched when it is anything else. */
bool clock_from_rfc3339(struct sv text, int64_t *ret_ns);

#endif
