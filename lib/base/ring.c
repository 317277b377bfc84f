/* ring.c - a mutex, a condition and a circle of pointers.
 *
 * Stages hand over whole batches, some thousands a second at most, so a lock costs nothing that
 * can be measured and keeps the order obvious. `lock` guards every field below it. */
#include "base/ring.h"
#include "base/mem.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    void **items;
    size_t cap, head, len;
    bool is_closed, is_woken;
};

struct ring *ring_new(size_t cap)
{
    struct ring *r = mem_zalloc(sizeof(*r));
    if (!r)
        return NULL;
    r->items = mem_zalloc(cap * sizeof(*r->items));
    if (!r->items)
        return mem_free(r);
    r->cap = cap;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->filled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

struct ring *ring_free(struct ring *r)
{
    if (!r)
        return NULL;
    pthread_cond_destroy(&r->filled);
    pthread_mutex_destroy(&r->lock);
    mem_free(r->items);
    return mem_free(r);
}

bool ring_push(struct ring *r, void *item)
{
    pthread_mutex_lock(&r->lock);
    bool has_room = !r->is_closed && r->len < r->cap;
    if (has_room) {
        r->items[(r->head + r->len++) % r->cap] = item;
        pthread_cond_signal(&r->filled);
    }
    pthread_mutex_unlock(&r->lock);
    return has_room;
}

static struct timespec deadline_after(int64_t wait_ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + wait_ns % 1000000000;
    t.tv_sec += wait_ns / 1000000000 + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

size_t ring_pop(struct ring *r, void **items, size_t max, int64_t wait_ns)
{
    struct timespec until = deadline_after(wait_ns > 0 ? wait_ns : 0);
    pthread_mutex_lock(&r->lock);
    while (r->len == 0 && !r->is_closed && !r->is_woken && wait_ns != 0) {
        int rc = wait_ns < 0 ? pthread_cond_wait(&r->filled, &r->lock)
                             : pthread_cond_timedwait(&r->filled, &r->lock, &until);
        if (rc == ETIMEDOUT)
            break;
    }
    r->is_woken = false;
    size_t n = MIN(r->len, max);
    for (size_t i = 0; i < n; i++)
        items[i] = r->items[(r->head + i) % r->cap];
    r->head = (r->head + n) % r->cap;
    r->len -= n;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void ring_close(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    r->is_closed = true;
    pthread_cond_broadcast(&r->filled);
    pthread_mutex_unlock(&r->lock);
}

bool ring_is_closed(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    bool is_closed = r->is_closed;
    pthread_mutex_unlock(&r->lock);
    return is_closed;
}

void ring_wake(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    r->is_woken = true;
    pthread_cond_signal(&r->filled);
    pthread_mutex_unlock(&r->lock);
}

size_t ring_len(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    size_t len = r->len;
    pthread_mutex_unlock(&r->lock);
    return len;
}
