/* SPDX-License-Identifier: Apache-2.0
 * yaml_doc.c - libyaml's events made into a tree, one document at a time.
 *
 * Configuration errors are only worth reporting with their place, and libyaml's own document tree
 * keeps places but makes an allocation a node; ours lies in an arena that the next document reuses.
 * The node being filled is found through the parent pointers, so nesting costs no C stack.
 *
 * Refused on purpose: aliases and merge keys (a few lines of them expand to gigabytes, and
 * Kubernetes objects do not need them), keys that are not plain text, and a key given twice (the
 * second would silently win). */
#include "proxy/config/yaml_doc.h"
#include "base/mem.h"
#include <yaml.h>

#define DEPTH_MAX 64      /* Kubernetes objects nest less than 20 deep */
#define KEYS_MAX  4096    /* a mapping: a duplicate check compares each with each */
#define NODES_MAX 2000000 /* a document: a List of some 10,000 objects, 250 MB while it is read */

struct yaml_stream {
    yaml_parser_t parser;
    bool is_over;
    /* of the document being built */
    struct arena *mem;
    struct node *root, *at; /* at: the open mapping or list */
    struct node *pending;   /* a mapping's entry that has its key and waits for its value */
    unsigned depth;
    uint32_t nodes;
};

struct yaml_stream *yaml_stream_new(struct sv text)
{
    struct yaml_stream *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    if (!yaml_parser_initialize(&s->parser)) {
        mem_free(s);
        return NULL;
    }
    yaml_parser_set_input_string(&s->parser, (const unsigned char *)(text.p ? text.p : ""),
                                 text.len);
    return s;
}

struct yaml_stream *yaml_stream_free(struct yaml_stream *s)
{
    if (s) {
        yaml_parser_delete(&s->parser);
        mem_free(s);
    }
    return NULL;
}

static uint32_t from_one(size_t mark)
{
    return (uint32_t)MIN(mark, (size_t)UINT32_MAX - 1) + 1;
}

static int add_node(struct yaml_stream *s, struct node **ret_n, struct err *err)
{
    if (++s->nodes > NODES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d values in one document", NODES_MAX);
    struct node *n = arena_zalloc(s->mem, sizeof(*n));
    if (!n)
        return err_set(err, ERR_NOMEM, "out of memory");
    n->parent = s->at;
    *ret_n = n;
    return 0;
}

static int link_node(struct yaml_stream *s, struct node *n, struct err *err)
{
    struct node *at = s->at;
    if (at->kind == NODE_MAP && at->len >= KEYS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d keys in one mapping", KEYS_MAX);
    n->index = at->len++;
    if (at->last)
        at->last->next = n;
    else
        at->first = n;
    at->last = n;
    return 0;
}

/* A scalar where a mapping expects a key: the entry waits for its value. */
static int on_key(struct yaml_stream *s, const yaml_event_t *ev, struct err *err)
{
    struct node *n = NULL;
    struct sv key = sv_of(ev->data.scalar.value, ev->data.scalar.length);
    if (sv_eq(key, SV("<<")))
        return err_set(err, ERR_MALFORMED, "YAML merge keys are not supported");
    for (const struct node *other = s->at->first; other; other = other->next)
        if (sv_eq(other->key, key))
            return err_set(err, ERR_MALFORMED, "key '%.*s' is given twice (first in line %u)",
                           SV_ARG(sv_sub(key, 0, 64)), other->key_line);
    int rc = add_node(s, &n, err);
    if (rc < 0)
        return rc;
    n->key = arena_copy(s->mem, key);
    if (!n->key.p)
        return err_set(err, ERR_NOMEM, "out of memory");
    n->key_line = from_one(ev->start_mark.line);
    n->key_column = from_one(ev->start_mark.column);
    s->pending = n;
    return 0;
}

/* The node an event's value belongs to: the waiting entry, a new list item, or the root. */
static int value_node(struct yaml_stream *s, const yaml_event_t *ev, struct node **ret_n,
                      struct err *err)
{
    int rc = 0;
    struct node *n = TAKE(s->pending);
    if (!n)
        rc = add_node(s, &n, err);
    if (rc == 0 && s->at)
        rc = link_node(s, n, err);
    if (rc < 0)
        return rc;
    if (!s->at)
        s->root = n;
    n->line = from_one(ev->start_mark.line);
    n->column = from_one(ev->start_mark.column);
    if (!n->key_line) {
        n->key_line = n->line;
        n->key_column = n->column;
    }
    *ret_n = n;
    return 0;
}

static bool is_null(const yaml_event_t *ev)
{
    struct sv text = sv_of(ev->data.scalar.value, ev->data.scalar.length);
    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && ev->data.scalar.plain_implicit &&
           (text.len == 0 || sv_eq(text, SV("~")) || sv_eq(text, SV("null")));
}

static int on_scalar(struct yaml_stream *s, const yaml_event_t *ev, struct err *err)
{
    struct node *n;
    int rc = value_node(s, ev, &n, err);
    if (rc < 0)
        return rc;
    n->kind = is_null(ev) ? NODE_NULL : NODE_TEXT;
    n->is_quoted = !ev->data.scalar.plain_implicit ||
                   ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = arena_copy(s->mem, sv_of(ev->data.scalar.value, ev->data.scalar.length));
    return n->text.p ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

static int on_open(struct yaml_stream *s, const yaml_event_t *ev, struct err *err)
{
    struct node *n;
    if (++s->depth > DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "nested more than %d deep", DEPTH_MAX);
    int rc = value_node(s, ev, &n, err);
    if (rc < 0)
        return rc;
    n->kind = ev->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_LIST;
    s->at = n;
    return 0;
}

static int on_event(struct yaml_stream *s, const yaml_event_t *ev, struct err *err)
{
    bool wants_key = s->at && s->at->kind == NODE_MAP && !s->pending;
    switch (ev->type) {
    case YAML_SCALAR_EVENT: return wants_key ? on_key(s, ev, err) : on_scalar(s, ev, err);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        if (wants_key)
            return err_set(err, ERR_MALFORMED, "a key must be plain text");
        return on_open(s, ev, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        s->at = s->at->parent;
        s->depth--;
        return 0;
    case YAML_ALIAS_EVENT: return err_set(err, ERR_MALFORMED, "YAML aliases are not supported");
    default: return 0;
    }
}

static int parse_failed(const yaml_parser_t *p, uint32_t *ret_line, uint32_t *ret_column,
                        struct err *err)
{
    yaml_mark_t at = p->problem_mark.line || p->problem_mark.column ? p->problem_mark : p->mark;
    *ret_line = from_one(at.line);
    *ret_column = from_one(at.column);
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(err, ERR_NOMEM, "out of memory");
    return err_set(err, ERR_MALFORMED, "not YAML: %s", p->problem ? p->problem : "unreadable");
}

int yaml_next(struct yaml_stream *s, struct arena *mem, struct node **ret_root, uint32_t *ret_line,
              uint32_t *ret_column, struct err *err)
{
    s->mem = mem;
    s->root = s->at = s->pending = NULL;
    s->depth = s->nodes = 0;
    int rc = 0;
    for (bool is_end = s->is_over; rc == 0 && !is_end;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&s->parser, &ev)) {
            s->is_over = true;
            return parse_failed(&s->parser, ret_line, ret_column, err);
        }
        s->is_over = ev.type == YAML_STREAM_END_EVENT;
        is_end = s->is_over || ev.type == YAML_DOCUMENT_END_EVENT;
        rc = on_event(s, &ev, err);
        *ret_line = from_one(ev.start_mark.line);
        *ret_column = from_one(ev.start_mark.column);
        yaml_event_delete(&ev);
    }
    if (rc < 0) {
        s->is_over = true;
        return rc;
    }
    *ret_root = s->root;
    return 0;
}
