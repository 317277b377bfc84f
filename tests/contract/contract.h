/* contract.h - one world a test: a fresh store of one backend. */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include "random_batch.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct world {
    bool is_durable;          /* the backend keeps things across world_reopen() */
    uint64_t segment_records; /* sqlite: a segment's worth; 0 as it comes */
    struct store_keep keep;   /* for the next world_open() */
    char dir[64];
    char file[96]; /* of the store; empty for memory */
    char url[128];
    struct store *store;
};

struct contract_case {
    const char *name;
    void (*run)(struct world *w);
};
extern const struct contract_case put_cases[], find_cases[], search_cases[], edge_cases[],
    safety_cases[], file_cases[], retain_cases[];
extern const size_t put_cases_len, find_cases_len, search_cases_len, edge_cases_len,
    safety_cases_len, file_cases_len, retain_cases_len;

void world_reopen(struct world *w); /* close and open; nothing for a backend that forgets */
void world_settle(struct world *w); /* waits until the sealing thread has sealed what is due */
struct store *world_open(const struct world *w, bool is_read_only, struct err *err);
/* An in-memory store beside the world's, fed with the same things. */
struct store *oracle_open(void);

void put_one(struct store *s, struct batch *b);
struct batch *one_span_batch(uint8_t trace, uint8_t span, int64_t start_ns);
struct trace_id trace_of(uint8_t first);

/* What a store answers, as text and copies that outlive the sinks. */
struct seen {
    struct batch *copy; /* spans, calls */
    size_t traces_len;
    struct trace_summary traces[64];
    struct arena mem;
    struct buf text; /* operations and edges, a line each */
};
void seen_done(struct seen *seen);
int see_span(void *to, const struct span *s);
int see_call(void *to, const struct call *c);
int see_trace(void *to, const struct trace_summary *t);
int see_operation(void *to, struct sv service, struct sv name, enum span_kind kind);
void assert_same_trace(struct store *a, struct store *b, struct trace_id id);

#endif
