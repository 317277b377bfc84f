/* ztunnel_line.h - one line of the access log of ztunnel, Istio's node proxy, as a call. */
#ifndef INGEST_ZTUNNEL_LINE_H
#define INGEST_ZTUNNEL_LINE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/sv.h"

enum ztunnel_field {
    ZTUNNEL_TIME,
    ZTUNNEL_MESSAGE, /* "connection complete" */
    ZTUNNEL_DIRECTION,
    ZTUNNEL_SRC_ADDR,
    ZTUNNEL_SRC_WORKLOAD,
    ZTUNNEL_SRC_NAMESPACE,
    ZTUNNEL_SRC_CLUSTER,
    ZTUNNEL_SRC_IDENTITY,
    ZTUNNEL_DST_ADDR,
    ZTUNNEL_DST_HBONE_ADDR,
    ZTUNNEL_DST_SERVICE,
    ZTUNNEL_DST_WORKLOAD,
    ZTUNNEL_DST_NAMESPACE,
    ZTUNNEL_DST_CLUSTER,
    ZTUNNEL_DST_IDENTITY,
    ZTUNNEL_SENT,
    ZTUNNEL_RECEIVED,
    ZTUNNEL_DURATION,
    ZTUNNEL_ERROR,
    ZTUNNEL_FIELDS_LEN
};
/* Empty: the line has no such field. Views into the line, or into the arena where JSON had escapes. */
struct ztunnel_line {
    struct sv field[ZTUNNEL_FIELDS_LEN];
};

/* Pure. A line of text or JSON that tells of a finished connection; false for any other (err is set only
 * for ERR_NOMEM). */
bool ztunnel_line_read(struct sv text, struct arena *mem, struct ztunnel_line *ret_line,
                       struct err *err);

struct gather;
struct log_record;
struct call;
/* Fills *c (zeroed, in the batch) from l. What cannot be read is told by gather_bad(). */
void ztunnel_call(struct gather *g, const struct log_record *rec, const struct ztunnel_line *l,
                  struct call *c);

#endif
