/* api.h - the routes of the query door as functions from a request to an answer; no sockets.
 *
 * Any thread may call them; everything struct api points to is borrowed and thread-safe. */
#ifndef COLLECTOR_QUERY_API_H
#define COLLECTOR_QUERY_API_H

#include "aggregate/fold.h"
#include "aggregate/health.h"
#include "base/tally.h"
#include "query/answer.h"
#include "store/store.h"

struct health_log;
struct kept;
struct api {
    struct store *store;
    struct fold *fold;
    const struct tally_table *tallies; /* may be NULL */
    bool (*is_ready)(void *to, char *why, size_t why_size);
    void *is_ready_to;
    int64_t started_ns;
    struct health_rules health; /* latency tolerance */
    struct health_log *events;  /* NULL: nobody watches */
    struct kept *kept;          /* answers made before; may be NULL */
};

struct request {
    struct sv method;        /* "GET" */
    struct sv target;        /* as sent: path, and query behind '?' */
    struct sv if_none_match; /* empty: not sent */
    struct sv accept;        /* the same */
    bool accepts_gzip;
    struct sv body;       /* of a POST that a route takes; longer than API_BODY_MAX: cut there */
    bool is_body_refused; /* there was no room to read it */
};
enum { API_BODY_MAX = 4 << 20 }; /* a trace of ten thousand spans */
/* Whether a POST to this target is taken, so that its body is worth reading. */
bool api_takes_post(struct sv target);
/* Fills *ret_answer (all-zero before), whatever the request is. A route takes GET and HEAD, or POST.
 * The body of the answer is compressed when it pays and the client accepts it. */
void api_answer(const struct api *api, const struct request *rq, struct answer *ret_answer);
/* Likewise, without asking what is kept; what is made may be kept. */
void api_answer_anew(const struct api *api, const struct request *rq, struct answer *ret_answer);

/* A handler's view of its request. */
struct query {
    struct params params;
    struct sv id;     /* what stood in the path for {id} */
    struct sv accept; /* the Accept header, empty when it was not sent */
    struct sv body;   /* of a POST */
};
typedef void route_fn(const struct api *api, struct query *q, struct answer *a);
typedef void fault_fn(struct answer *a, const struct params *p);
struct route {
    const char *path; /* one segment may be "{id}" */
    route_fn *run;
    struct param_rule params[PARAM_RULES_MAX + 1];
};
/* The i-th of our own routes, which openapi.json describes; NULL past the last. */
const struct route *route_at(size_t i);
/* The i-th route of Jaeger's API, which Jaeger describes; NULL past the last. It takes whatever
 * parameters come; *ret_fault is how its dialect says 400. */
const struct route *jaeger_route_at(size_t i, fault_fn **ret_fault);
fault_fn jaeger_fault; /* of the older of Jaeger's generations */
/* prettyPrint of the older of Jaeger's generations: indents what a handler has made. */
void jaeger_prettify(const struct params *p, struct answer *a);
/* Whether a route of either table takes POST alone. */
bool route_is_post(const struct route *r);

/* The handlers, one file a subject. */
route_fn api_graph, api_edges, api_edge_history, api_edge_exemplars, api_compare, api_tls;
route_fn api_traces, api_trace;
route_fn api_unpaired;
route_fn api_services, api_calls, api_stats, api_health_events;
route_fn api_live, api_openapi;
route_fn api_metrics, api_healthz, api_readyz;

/* Reads a window into *ret_view by the wish; for the handlers and the live stream. */
int api_read_view(const struct api *api, const struct view_wish *w, struct view *ret_view,
                  struct err *err) MUST_USE;
/* What graph, edges and tls show: a window or a trace, sifted as the parameters say. False when the
 * answer is made already. */
bool api_read_picture(const struct api *api, struct query *q, struct view *ret_view,
                      struct answer *a) MUST_USE;
/* Where a window that slides with the clock begins, if it should be length_ns long: earlier by up to a
 * sixth, so that it stays the same for a while and what lies in it need not be added up again. */
int64_t window_begin(int64_t from_ns, int64_t length_ns);
/* How much of the view's window has passed at now_ns, in seconds, never 0. */
double view_seconds(const struct view *v, int64_t now_ns);
/* The {id} of the path as that of an edge; false when the answer is made already. */
bool api_edge_id(const struct query *q, uint64_t *ret_id, struct answer *a) MUST_USE;
/* granularity=...; 0 or -1 with the fault in p. */
int params_granularity(struct params *p, enum granularity *ret_g) MUST_USE;

#endif
