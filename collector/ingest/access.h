/* access.h - a log record that is an access record becomes a call.
 *
 * Attribute names are those of wire/access_attrs.def; a body in the format of Istio's access log is
 * read by envoy_access. */
#ifndef INGEST_ACCESS_H
#define INGEST_ACCESS_H

#include "ingest/gather.h"

/* The fields of a LogRecord that matter; zero or empty where absent. */
struct log_record {
    size_t at; /* byte offset of the record in the body */
    int64_t time_ns, observed_ns;
    struct trace_id trace_id;
    struct span_id span_id;
    struct sv event_name; /* of the record, else its attribute "event.name" */
    size_t attrs_mark;    /* its attributes lie above this mark on the pile */
    struct value body;
};

/* Ends the record: keeps it as a call, refuses it, or counts it as no access record; takes its
 * attributes off the pile. Text of the call points where the attributes' text points. 0, ERR_LIMIT,
 * ERR_NOMEM. */
int access_record_ends(struct gather *g, struct log_record *rec) MUST_USE;

/* Parts of both identities that are empty become "unknown". */
void access_fill_unknown(struct call *c);
/* What attributes of a record of another kind say, by the same names, of who called and who answered,
 * and the gRPC status; others are passed over, and so is "-". */
void access_name_both_ends(struct call *c, const struct attr *list, size_t n);

#endif
