/* walk.c - reading a store chunk by chunk, so that what is held is one chunk whatever is read. */
#include "store/sqlite/walk.h"
#include "base/mem.h"

int walk_begin(struct walk *walk, struct session *session, struct window w,
               const struct trace_id *id, struct err *err)
{
    struct chunks *chunks = &session->store->chunks;
    *walk = (struct walk){ .session = session };
    if (id) {
        walk->id = *id;
        walk->choice = (struct trace_choice){ .ids = &walk->id, .len = 1 };
    }
    pthread_mutex_lock(&chunks->lock);
    int rc = id ? chunks_with_traces(chunks, id, 1, &walk->refs, &walk->len)
                : chunks_in_window(chunks, w, false, NULL, &walk->refs, &walk->len);
    pthread_mutex_unlock(&chunks->lock);
    if (rc < 0)
        return err_set(err, ERR_NOMEM, "list of chunks");
    return id ? briefs_confirm(session, &walk->id, 1, walk->refs, &walk->len, err) : 0;
}

int walk_next(struct walk *walk, struct err *err)
{
    walk->batch = batch_free(walk->batch);
    if (walk->at == walk->len)
        return 0;
    int rc = chunk_load(walk->session, &walk->refs[walk->at++], walk->choice, &walk->batch, err);
    return rc < 0 ? rc : 1;
}

void walk_done(struct walk *walk)
{
    walk->batch = batch_free(walk->batch);
    walk->refs = mem_free(walk->refs);
    walk->len = walk->at = 0;
}
