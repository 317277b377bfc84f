/* kept.h - answers that take long to make, kept ready for who asks for them again and again.
 *
 * An answer is kept when making it took KEPT_MIN_NS or longer, so those of a small mesh never are. While
 * somebody asks for it, a thread makes it anew as often as it has changed, at most a tenth of the
 * time; what is given is at most KEPT_MAX_AGE_NS behind. Thread-safe. */
#ifndef COLLECTOR_QUERY_KEPT_H
#define COLLECTOR_QUERY_KEPT_H

#include "query/api.h"

#define KEPT_MIN_NS     (10 * NS_PER_MS)
#define KEPT_MAX_AGE_NS (950 * NS_PER_MS) /* so that what has come is shown within a second */

struct kept;
/* Starts the thread. Gives; NULL: memory is out or there is no thread. api is borrowed. */
struct kept *kept_new(const struct api *api) MUST_USE;
struct kept *kept_free(struct kept *k); /* takes; ends the thread */
/* Fills *ret_answer when an answer for rq is there and not too old. */
bool kept_get(struct kept *k, const struct request *rq, struct answer *ret_answer);
/* Keeps a copy of a, made for rq in took_ns since the fold had that generation, if it is worth it; then
 * a has an ETag. */
void kept_offer(struct kept *k, const struct request *rq, struct answer *a, uint64_t generation,
                int64_t took_ns);

DEFINE_AUTO_FREE(kept);

#endif
