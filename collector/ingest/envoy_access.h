/* envoy_access.h - an access-log line of Envoy becomes a call. */
#ifndef INGEST_ENVOY_ACCESS_H
#define INGEST_ENVOY_ACCESS_H

#include "ingest/access.h"
#include "ingest/envoy_line.h"

/* Fills *c (zeroed, in the batch) from l; resource and labels (n attributes) say who wrote it. What
 * cannot be read is told by gather_bad(). */
void envoy_call(struct gather *g, const struct log_record *rec, const struct envoy_line *l,
                const struct attr *labels, size_t n, struct call *c);

/* The parts of envoy_call() that Envoy's other forms of access log share. Which side wrote l; */
bool envoy_is_called_side(const struct envoy_line *l);
/* ... who took part, by which addresses, and whether it was protected: the rest of *c but what was
 * asked and answered. What *c already says of the other end stays. */
void envoy_ends(struct gather *g, const struct envoy_line *l, bool is_calling,
                const struct attr *labels, size_t n, struct call *c);
/* ... and who is described by attributes with the names of semconv.def. */
struct identity envoy_identity(struct gather *g, const struct attrs *a);

/* A record whose body or attributes are such a line, or one of ztunnel's: keeps or refuses it, *ret_is_line true. 0,
 * ERR_LIMIT, ERR_NOMEM. */
int envoy_record(struct gather *g, const struct log_record *rec, const struct attr *labels,
                 size_t n, bool *ret_is_line) MUST_USE;

#endif
