/* graph.c - what ./dev bench graph needs besides the real programs.
 *
 *   bench-graph seed   fills a store with the buckets of a day: every 10 s for the last minutes,
 *                      one a minute for the last hours, one an hour before
 *   bench-graph load   sends spans of random edges over OTLP/HTTP, paced, until it is ended
 *
 * Prints JSON. */
#include "base/clock.h"
#include "base/flag.h"
#include "graph_mesh.h"
#include "otlp_write.h"
#include "store/store.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct conf {
    const char *store;
    uint64_t services, edges, rate;
    int64_t fine_ns, minutes_ns, hours_ns;
    uint16_t port;
};

#define OFF(field) offsetof(struct conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "store",    FLAG_STR,  OFF(store),      "",       "seed: where to, sqlite:FILE", NULL },
    { "services", FLAG_UINT, OFF(services),   "1000",   "of the mesh", NULL },
    { "edges",    FLAG_UINT, OFF(edges),      "5000",   "of the mesh", NULL },
    { "fine",     FLAG_NSEC, OFF(fine_ns),    "4m",     "seed: how far back every bucket of 10 s is used", NULL },
    { "minutes",  FLAG_NSEC, OFF(minutes_ns), "65m",    "seed: how far back one bucket a minute is", NULL },
    { "hours",    FLAG_NSEC, OFF(hours_ns),   "25h",    "seed: how far back one bucket an hour is", NULL },
    { "port",     FLAG_PORT, OFF(port),       "4318",   "load: of the OTLP/HTTP door on 127.0.0.1", NULL },
    { "rate",     FLAG_UINT, OFF(rate),       "1000",   "load: calls a second", NULL },
};
/* clang-format on */

/* One bucket of every edge, told by both proxies. */
static int put_slot(struct graph_mesh *m, struct store *s, int64_t start_ns, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct edge_bucket *list = arena_array(&mem, m->edges_len, sizeof(*list));
    struct store_progress progress = { .time_ns = start_ns };
    int rc = list ? 0 : ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < m->edges_len; i++) {
        list[i] = (struct edge_bucket){ .edge = &m->edges[i],
                                        .start_ns = start_ns,
                                        .width_ns = BUCKET_NS };
        for (int r = REPORTER_SOURCE; rc == 0 && r <= REPORTER_DESTINATION; r++) {
            struct edge_cell *cell = edge_bucket_cell(&list[i], (enum reporter)r);
            for (int n = 0; cell && rc == 0 && n < 4; n++) {
                int64_t at_ns = start_ns + (int64_t)random_below(&m->random, BUCKET_NS);
                struct call c = graph_mesh_call(m, i, (enum reporter)r, at_ns);
                rc = edge_cell_add(cell, &c);
            }
            rc = cell ? rc : ERR_NOMEM;
        }
    }
    if (rc == 0)
        rc = store_put_edges(s, list, m->edges_len, &progress, err);
    for (size_t i = 0; list && i < m->edges_len; i++)
        edge_bucket_done(&list[i]);
    return rc;
}

static int seed(const struct conf *c, struct graph_mesh *m, struct err *err)
{
    struct store_conf conf = { .url = sv_z(c->store), .durability = STORE_DURABILITY_NONE };
    struct store *s = store_open(&conf, err);
    if (!s)
        return (int)err->code;
    int64_t now_ns = clock_wall_ns();
    const struct {
        int64_t back_ns, step_ns;
    } parts[] = {
        { c->hours_ns, 3600 * NS_PER_S },
        { c->minutes_ns, 60 * NS_PER_S },
        { c->fine_ns, BUCKET_NS },
        { 0, 0 },
    };
    int rc = 0;
    size_t slots = 0;
    for (size_t i = 0; parts[i].step_ns; i++) {
        int64_t at_ns = window_align_down(now_ns - parts[i].back_ns, BUCKET_NS);
        int64_t end_ns = window_align_down(now_ns - parts[i + 1].back_ns, BUCKET_NS);
        for (; rc == 0 && at_ns < end_ns; at_ns += parts[i].step_ns, slots++)
            rc = put_slot(m, s, at_ns, err);
    }
    store_close(s);
    if (rc == 0)
        printf("{\"slots\":%zu,\"edges\":%zu}\n", slots, m->edges_len);
    return rc;
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -1 : fd;
}

static int send_all(int fd, struct sv bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.p, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        bytes = sv_from(bytes, (size_t)n);
    }
    return 0;
}

/* A tenth of a second's calls in one export; answers are small and read whole. */
static int send_export(struct graph_mesh *m, int fd, size_t calls)
{
    AUTO_FREE(batch) b = batch_new();
    AUTO_DONE(buf) body = { 0 };
    AUTO_DONE(buf) head = { 0 };
    char answer[4096];
    for (size_t i = 0; b && i < calls; i++)
        if (graph_mesh_spans(m, random_below(&m->random, m->edges_len), clock_wall_ns(), b) < 0)
            return -1;
    if (!b)
        return -1;
    otlp_write_proto(b->spans, b->spans_len, &body);
    buf_printf(&head,
               "POST /v1/traces HTTP/1.1\r\nHost: collector\r\nContent-Type: application/"
               "x-protobuf\r\nContent-Length: %zu\r\n\r\n",
               body.len);
    if (send_all(fd, buf_sv(&head)) < 0 || send_all(fd, buf_sv(&body)) < 0)
        return -1;
    return recv(fd, answer, sizeof(answer), 0) > 0 ? 0 : -1;
}

static int load(const struct conf *c, struct graph_mesh *m, struct err *err)
{
    int fd = dial(c->port);
    if (fd < 0)
        return err_set(err, ERR_IO, "no connection to port %u", c->port);
    int64_t due_ns = clock_mono_ns();
    for (;;) {
        if (send_export(m, fd, MAX(c->rate / 10, (uint64_t)1)) < 0)
            return err_set(err, ERR_IO, "the collector closed the connection");
        due_ns += NS_PER_S / 10;
        int64_t wait_ns = due_ns - clock_mono_ns();
        struct timespec pause = { .tv_nsec = wait_ns };
        if (wait_ns > 0)
            nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    struct conf conf = { 0 };
    struct graph_mesh mesh = { 0 };
    AUTO_DONE(arena) mem = { 0 };
    struct err err = { 0 };
    int operand = argc;
    const struct flag_table table = { "bench-graph", "stores and sends a mesh", " seed|load", rows,
                                      NELEMS(rows) };
    int rc = flag_parse(&table, &conf, &mem, argc, argv, &operand, &err);
    if (rc == FLAG_EXIT)
        return 0;
    bool is_seed = operand == argc - 1 && strcmp(argv[operand], "seed") == 0;
    bool is_load = operand == argc - 1 && strcmp(argv[operand], "load") == 0;
    if (rc < 0 || (!is_seed && !is_load)) {
        fprintf(stderr, "bench-graph: %s\n", rc < 0 ? err.why : "want seed or load");
        return 2;
    }
    rc = graph_mesh_init(&mesh, conf.services, conf.edges);
    mesh.random.state = is_seed ? 1 : (uint64_t)clock_wall_ns(); /* a trace sent again is none */
    if (rc == 0)
        rc = is_seed ? seed(&conf, &mesh, &err) : load(&conf, &mesh, &err);
    graph_mesh_done(&mesh);
    if (rc == 0)
        return 0;
    fprintf(stderr, "bench-graph: %s\n", err.code ? err.why : "out of memory");
    return 1;
}
