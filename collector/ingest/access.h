/* access.h - a log record that is an access record becomes a call.
 *
 * Attribute names are those of wire/access_attrs.def. */
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
};

/* Ends the record: keeps it as a call, refuses it, or counts it as no access record; takes its
 * attributes off the pile. Text of the call points where the attributes' text points. 0, ERR_LIMIT,
 * ERR_NOMEM. */
int access_record_ends(struct gather *g, struct log_record *rec) MUST_USE;

#endif
