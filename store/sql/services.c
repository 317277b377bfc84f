/* services.c - the table `services`: a row for each service, counted over the spans there are.
 *
 * Everything is read before the first row is given; held is one row a service and one hash a
 * service and span name. */
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/match.h"
#include "store/sql/table.h"
#include "store/sqlite/walk.h"

struct service {
    struct sv name; /* empty: the spans that name none */
    uint64_t spans, errors;
    int64_t first_ns, last_ns;
    struct map names; /* distinct span names, values unused */
    struct service *next;
    struct arena mem;
};

struct service_cursor {
    struct sql_cursor super;
    struct map by_name;   /* "=" and the name -> struct service */
    struct service *list; /* owned, the one found last first */
    struct service *at;   /* next to give */
    struct buf key;
};

static void services_done(struct sql_cursor *super)
{
    struct service_cursor *c = (struct service_cursor *)super;
    while (c->list) {
        struct service *s = c->list;
        c->list = s->next;
        map_done(&s->names);
        arena_done(&s->mem);
        mem_free(s);
    }
    map_done(&c->by_name);
    buf_done(&c->key);
    c->at = NULL;
}

static struct service *service_of(struct service_cursor *c, struct sv name)
{
    buf_clear(&c->key);
    buf_putc(&c->key, '=');
    buf_put(&c->key, name);
    struct service *s = c->key.failed ? NULL : map_get(&c->by_name, buf_sv(&c->key));
    if (s || c->key.failed)
        return s;
    s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    s->next = c->list;
    c->list = s;
    s->name = arena_copy(&s->mem, name);
    if (!s->name.p || map_put(&c->by_name, buf_sv(&c->key), s, NULL) < 0)
        return NULL;
    return s;
}

static int count_span(struct service_cursor *c, const struct span *span)
{
    struct service *s = service_of(c, span_service(span));
    if (!s)
        return -1;
    s->first_ns = s->spans ? MIN(s->first_ns, span->start_ns) : span->start_ns;
    s->last_ns = s->spans ? MAX(s->last_ns, span->start_ns) : span->start_ns;
    s->spans++;
    s->errors += span->status == STATUS_ERROR;
    uint64_t hash = hash_bytes(span->name.p, span->name.len, 0);
    struct sv key = sv_of(&hash, sizeof(hash));
    return map_get(&s->names, key) ? 0 : map_put(&s->names, key, s, NULL);
}

static int count_chunk(struct service_cursor *c, const struct batch *b,
                       const struct sql_given *given)
{
    for (size_t i = 0; i < b->spans_len; i++) {
        const struct span *s = &b->spans[i];
        if (given->has_service && !sv_eq(span_service(s), given->service))
            continue;
        if (count_span(c, s) < 0)
            return -1;
    }
    return 0;
}

static int services_filter(struct sql_cursor *super, const struct sql_given *given, struct err *err)
{
    struct service_cursor *c = (struct service_cursor *)super;
    struct walk walk;
    int rc = walk_begin(&walk, &super->moment->session, given->window, NULL, err);
    while (rc == 0 && (rc = walk_next(&walk, err)) > 0)
        rc = count_chunk(c, walk.batch, given) < 0 ? err_set(err, ERR_NOMEM, "services") : 0;
    walk_done(&walk);
    c->at = c->list;
    return rc;
}

static int services_next(struct sql_cursor *super, struct err *err)
{
    struct service_cursor *c = (struct service_cursor *)super;
    (void)err;
    super->row = c->at;
    if (c->at)
        c->at = c->at->next;
    return 0;
}

#define COLUMN(name) static void put_##name(sqlite3_context *to, const void *row)
#define SERVICE      ((const struct service *)row)

COLUMN(service)
{
    sql_put_text_or_null(to, SERVICE->name);
}
COLUMN(spans)
{
    sqlite3_result_int64(to, (sqlite3_int64)SERVICE->spans);
}
COLUMN(errors)
{
    sqlite3_result_int64(to, (sqlite3_int64)SERVICE->errors);
}
COLUMN(operations)
{
    sqlite3_result_int64(to, (sqlite3_int64)SERVICE->names.len);
}
COLUMN(first_seen)
{
    sql_put_time(to, SERVICE->first_ns);
}
COLUMN(last_seen)
{
    sql_put_time(to, SERVICE->last_ns);
}

/* clang-format off */
static const struct sql_column columns[] = {
    { "service",    "TEXT",    "service.name; NULL: spans without one", put_service },
    { "spans",      "INTEGER", "", put_spans },
    { "errors",     "INTEGER", "spans with status error", put_errors },
    { "operations", "INTEGER", "distinct span names", put_operations },
    { "first_seen", "TEXT",    "start of its earliest span that is kept: UTC", put_first_seen },
    { "last_seen",  "TEXT",    "start of its latest span", put_last_seen },
};
enum { COL_SERVICE = 0 };

static const struct sql_constraint constraints[] = {
    { COL_SERVICE, BOUND_EQ, PUSHED_SERVICE, "service=", 0.3 },
};
/* clang-format on */

const struct sql_table sql_services = {
    .name = "services",
    .about = "every service that sent spans (reads all of them); pushed down: service =",
    .columns = columns,
    .columns_len = NELEMS(columns),
    .constraints = constraints,
    .constraints_len = NELEMS(constraints),
    .cursor_bytes = sizeof(struct service_cursor),
    .filter = services_filter,
    .next = services_next,
    .done = services_done,
};
