/* counts.c - a small table of edges under one lock. */
#include "demo/mesh/counts.h"
#include <string.h>

void counts_init(struct counts *c)
{
    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
}

void counts_done(struct counts *c)
{
    pthread_mutex_destroy(&c->lock);
}

void counts_clear(struct counts *c)
{
    pthread_mutex_lock(&c->lock);
    c->len = 0;
    c->lost = 0;
    pthread_mutex_unlock(&c->lock);
}

static struct edge_count *find(struct counts *c, struct sv source, struct sv destination)
{
    for (size_t i = 0; i < c->len; i++)
        if (sv_eq(sv_z(c->edges[i].source), source) &&
            sv_eq(sv_z(c->edges[i].destination), destination))
            return &c->edges[i];
    return NULL;
}

static struct edge_count *find_or_make(struct counts *c, struct sv source, struct sv destination)
{
    struct edge_count *e = find(c, source, destination);
    if (e || c->len == COUNTS_MAX)
        return e;
    e = &c->edges[c->len++];
    memset(e, 0, sizeof(*e));
    sv_to_z(source, e->source, sizeof(e->source));
    sv_to_z(destination, e->destination, sizeof(e->destination));
    return e;
}

void counts_add(struct counts *c, struct sv source, struct sv destination, struct sv tls,
                uint64_t requests, uint64_t errors)
{
    pthread_mutex_lock(&c->lock);
    struct edge_count *e = find_or_make(c, source, destination);
    if (e) {
        e->requests += requests;
        e->errors += errors;
        if (!e->tls[0])
            sv_to_z(tls, e->tls, sizeof(e->tls));
        else if (tls.len && !sv_eq(sv_z(e->tls), tls))
            sv_to_z(SV("mixed"), e->tls, sizeof(e->tls));
    } else {
        c->lost++;
    }
    pthread_mutex_unlock(&c->lock);
}

struct edge_count counts_get(struct counts *c, struct sv source, struct sv destination)
{
    struct edge_count copy = { 0 };
    pthread_mutex_lock(&c->lock);
    const struct edge_count *e = find(c, source, destination);
    if (e)
        copy = *e;
    pthread_mutex_unlock(&c->lock);
    return copy;
}

size_t counts_sum(struct counts *c, uint64_t *ret_requests, uint64_t *ret_errors)
{
    uint64_t requests = 0, errors = 0;
    pthread_mutex_lock(&c->lock);
    size_t len = c->len;
    for (size_t i = 0; i < c->len; i++) {
        requests += c->edges[i].requests;
        errors += c->edges[i].errors;
    }
    pthread_mutex_unlock(&c->lock);
    *ret_requests = requests;
    *ret_errors = errors;
    return len;
}
