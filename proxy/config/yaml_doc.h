/* yaml_doc.h - YAML documents as trees whose every node knows its line and column.
 *
 * Nodes and text live in the arena given to yaml_next(). One thread. */
#ifndef PROXY_CONFIG_YAML_DOC_H
#define PROXY_CONFIG_YAML_DOC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/sv.h"
#include <stdint.h>

enum node_kind { NODE_NULL, NODE_TEXT, NODE_MAP, NODE_LIST };

struct node {
    enum node_kind kind;
    bool is_quoted;        /* "80" is text, 80 is a number */
    bool is_read;          /* a reader knew this field; the others get a warning */
    uint32_t line, column; /* of the value, from 1 */
    uint32_t key_line, key_column;
    uint32_t index; /* place in the parent */
    uint32_t len;   /* children */
    struct sv key;  /* in a mapping */
    struct sv text; /* NODE_TEXT */
    struct node *parent, *first, *last, *next;
};

struct yaml_stream;
/* Reads text, which must outlive the stream. Gives; NULL when memory is out. */
struct yaml_stream *yaml_stream_new(struct sv text) MUST_USE;
struct yaml_stream *yaml_stream_free(struct yaml_stream *s);
/* The next document, NULL in *ret_root at the end. On failure err->why says what is wrong and
 * *ret_line, *ret_column where; the stream is then over. */
int yaml_next(struct yaml_stream *s, struct arena *mem, struct node **ret_root, uint32_t *ret_line,
              uint32_t *ret_column, struct err *err) MUST_USE;

DEFINE_AUTO_FREE(yaml_stream);

#endif
