/* picture.h - what graph, edges, tls and the live stream show: a window or a trace, rolled up and
 * sifted as the parameters say. */
#ifndef COLLECTOR_QUERY_PICTURE_H
#define COLLECTOR_QUERY_PICTURE_H

#include "aggregate/view.h"
#include "query/sieve.h"

struct api;
struct picture {
    struct view_wish wish;
    int64_t window_ns; /* length of a window that ends now; 0: from was given */
    struct sieve sieve;
    bool has_trace;
    struct trace_id trace;
};

/* The window, granularity and namespace of any view; -1 with the fault in p. */
int picture_read_wish(struct params *p, struct view_wish *ret_wish, int64_t *ret_window_ns)
    MUST_USE;
/* All of it; what is given lives as long as p. -1 with the fault in p. */
int picture_parse(struct params *p, struct picture *ret_picture) MUST_USE;
/* Moves a window that ends now to another now. */
void picture_slide(struct picture *x, int64_t now_ns);
/* Draws it. ERR_NOT_FOUND: there is no such node or trace; *ret_blamed names the parameter. */
int picture_draw(const struct api *api, const struct picture *x, int64_t now_ns,
                 struct view *ret_view, const char **ret_blamed, struct err *err) MUST_USE;

#endif
