/* prom_text.h - Prometheus' text format (0.0.4) and OpenMetrics', sample by sample. */
#ifndef COLLECTOR_SCRAPE_PROM_TEXT_H
#define COLLECTOR_SCRAPE_PROM_TEXT_H

#include "base/arena.h"
#include "base/err.h"

enum { PROM_LABELS_MAX = 64 }; /* Istio's have 25, and some for what a platform adds */

struct prom_label {
    struct sv name, value; /* value without escapes */
};
struct prom_sample {
    struct sv name;
    struct sv series; /* name and labels as they stand in the text: the same in every scrape */
    struct prom_label labels[PROM_LABELS_MAX];
    size_t labels_len;
    double value; /* may be NaN or infinite */
};
struct prom_text {
    const char *base; /* offsets in errors count from here */
    struct sv rest;
    size_t line_at;    /* where the line read last begins */
    struct arena *mem; /* for values with escapes */
};

/* Borrows text and mem as long as its samples are used. */
struct prom_text prom_text_of(struct sv text, struct arena *mem);
/* 1 and the next sample; 0 at the end; ERR_MALFORMED or ERR_LIMIT with err->at: this line is none, the
 * next call goes on behind it; ERR_NOMEM. Comments and empty lines are passed over. */
int prom_next(struct prom_text *t, struct prom_sample *ret, struct err *err) MUST_USE;
/* The label's value; empty when the sample has none of that name. */
struct sv prom_label(const struct prom_sample *s, struct sv name);

#endif
