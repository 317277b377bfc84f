/* stages.c - which segment in the making is whose.
 *
 * The writing thread fills one; when it is whole it waits among the ready ones until the group it
 * belongs to is committed, and then for the sealing thread. When too many wait, the newest is
 * forgotten instead: memory stays bounded, and the sealing thread reads those rows from the
 * journal. One that was sealed is kept for its memory. */
#include "store/sqlite/stages.h"

void stages_init(struct stages *s)
{
    *s = (struct stages){ 0 };
    pthread_mutex_init(&s->lock, NULL);
}

void stages_done(struct stages *s)
{
    segment_w_free(s->open.w);
    for (size_t i = 0; i < s->ready_len; i++)
        segment_w_free(s->ready[i].w);
    segment_w_free(s->spare);
    pthread_mutex_destroy(&s->lock);
}

/* Keeps it for the next one, or frees it. Called with the lock held. */
static void give_back(struct stages *s, struct segment_w *w)
{
    if (!s->spare)
        s->spare = w;
    else
        segment_w_free(w);
}

struct segment_w *stages_open(struct stages *s, uint64_t seq)
{
    pthread_mutex_lock(&s->lock);
    struct segment_w *w = s->open.w;
    if (!w) {
        w = s->spare ? TAKE(s->spare) : segment_w_new();
        if (w)
            segment_start(w);
        s->open = (struct stage){ w, seq, seq };
    }
    pthread_mutex_unlock(&s->lock);
    return w;
}

void stages_added(struct stages *s, uint64_t seq, uint64_t records, uint64_t rows)
{
    struct segment_size size = segment_size(s->open.w);
    pthread_mutex_lock(&s->lock);
    s->open.last_seq = seq;
    if (size.spans >= records || size.calls >= records || size.batches >= rows) {
        if (s->ready_len < STAGES_READY_MAX)
            s->ready[s->ready_len++] = s->open;
        else
            give_back(s, s->open.w);
        s->open = (struct stage){ 0 };
    }
    pthread_mutex_unlock(&s->lock);
}

void stages_commit(struct stages *s)
{
    pthread_mutex_lock(&s->lock);
    s->committed = s->ready_len;
    pthread_mutex_unlock(&s->lock);
}

void stages_drop(struct stages *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->ready_len > s->committed)
        give_back(s, s->ready[--s->ready_len].w);
    if (s->open.w)
        give_back(s, s->open.w);
    s->open = (struct stage){ 0 };
    pthread_mutex_unlock(&s->lock);
}

bool stages_first(struct stages *s, struct stage *ret)
{
    pthread_mutex_lock(&s->lock);
    bool is_there = s->committed > 0;
    if (is_there)
        *ret = s->ready[0];
    pthread_mutex_unlock(&s->lock);
    return is_there;
}

void stages_pop(struct stages *s)
{
    pthread_mutex_lock(&s->lock);
    give_back(s, s->ready[0].w);
    s->ready_len--;
    s->committed--;
    memmove(s->ready, s->ready + 1, s->ready_len * sizeof(*s->ready));
    pthread_mutex_unlock(&s->lock);
}

uint64_t stages_from_seq(struct stages *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t seq = s->ready_len ? s->ready[0].first_seq
                   : s->open.w  ? s->open.first_seq
                                : UINT64_MAX;
    pthread_mutex_unlock(&s->lock);
    return seq;
}
