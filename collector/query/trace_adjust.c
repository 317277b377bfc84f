/* trace_adjust.c - doubles, shared ids and useless links.
 *
 * The store gives spans in order of start and id, so doubles stand side by side. Only some
 * neighbours are compared, so that a trace made of one id cannot cost the square of its length. */
#include "query/trace_adjust.h"
#include "base/map.h"

enum { NEIGHBOURS_MAX = 8 };

void span_warn(struct span_notes *n, struct sv warning)
{
    if (n->warnings_len < SPAN_WARNINGS_MAX)
        n->warnings[n->warnings_len++] = warning;
}

static struct sv key_of(const struct span_id *id)
{
    return sv_of(id->b, sizeof(id->b));
}

static bool is_double(const struct whole_trace *t, size_t kept, const struct span *s)
{
    for (size_t back = 1; back <= MIN(kept, NEIGHBOURS_MAX); back++) {
        const struct span *before = &t->spans[kept - back];
        if (before->start_ns != s->start_ns || !span_id_eq(before->span_id, s->span_id))
            return false;
        if (span_eq(before, s))
            return true;
    }
    return false;
}

void trace_drop_doubles(struct whole_trace *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->len; i++) {
        if (is_double(t, kept, &t->spans[i]))
            continue;
        t->spans[kept] = t->spans[i];
        t->notes[kept++] = t->notes[i];
    }
    t->len = kept;
}

/* The next id from 1 on that no span has. */
static struct span_id unused_id(const struct map *used, uint64_t *next)
{
    struct span_id id;
    do {
        uint64_t v = ++*next;
        for (size_t i = 0; i < sizeof(id.b); i++)
            id.b[i] = (uint8_t)(v >> (8 * (sizeof(id.b) - 1 - i)));
    } while (map_get(used, key_of(&id)));
    return id;
}

/* Clients by id; then servers that have a client's id. */
static int find_shared(struct whole_trace *t, struct map *clients, struct map *servers)
{
    uint64_t next = 0;
    for (size_t i = 0; i < t->len; i++)
        if (t->spans[i].kind == SPAN_KIND_CLIENT &&
            map_put(clients, key_of(&t->spans[i].span_id), &t->spans[i], NULL) < 0)
            return -1;
    for (size_t i = 0; clients->len && i < t->len; i++) {
        struct span *s = &t->spans[i];
        if (s->kind != SPAN_KIND_SERVER || !map_get(clients, key_of(&s->span_id)) ||
            map_get(servers, key_of(&s->span_id)))
            continue;
        if (map_put(servers, key_of(&s->span_id), s, NULL) < 0)
            return -1;
        s->parent_id = s->span_id;
        s->span_id = unused_id(clients, &next);
    }
    return 0;
}

int trace_split_shared(struct whole_trace *t)
{
    AUTO_DONE(map) clients = { 0 };
    AUTO_DONE(map) servers = { 0 };
    if (find_shared(t, &clients, &servers) < 0)
        return -1;
    for (size_t i = 0; servers.len && i < t->len; i++) {
        struct span *s = &t->spans[i];
        const struct span *server = map_get(&servers, key_of(&s->parent_id));
        if (server && server != s)
            s->parent_id = server->span_id;
    }
    return 0;
}

static void note_useless_links(struct whole_trace *t)
{
    for (size_t i = 0; i < t->len; i++)
        for (uint32_t l = 0; l < t->spans[i].links_len; l++) {
            const struct span_link *link = &t->spans[i].links[l];
            if (trace_id_is_set(link->trace_id) && span_id_is_set(link->span_id))
                continue;
            span_warn(&t->notes[i], SV("Invalid span link removed"));
            break;
        }
}

int trace_adjust(struct whole_trace *t, struct err *err)
{
    trace_drop_doubles(t);
    if (trace_split_shared(t) < 0 || trace_align_clocks(t) < 0)
        return err_set(err, ERR_NOMEM, "repairing a trace of %zu spans", t->len);
    note_useless_links(t);
    t->is_adjusted = true;
    return 0;
}
