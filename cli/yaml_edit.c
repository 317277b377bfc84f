/* SPDX-License-Identifier: Apache-2.0
 * yaml_edit.c - libyaml's document as something to change.
 *
 * libyaml only adds at the ends, but a document is arrays of numbers: putting in front is appending and
 * turning round. Text that is a string is quoted, so that a version "1" stays one. */
#include "cli/yaml_edit.h"
#include <string.h>

static yaml_node_t *node_of(struct yaml_edit *y, int node)
{
    return node ? yaml_document_get_node(y->doc, node) : NULL;
}

bool ye_is(struct yaml_edit *y, int node, yaml_node_type_t type)
{
    const yaml_node_t *n = node_of(y, node);
    return n && n->type == type;
}

struct sv ye_text(struct yaml_edit *y, int node)
{
    const yaml_node_t *n = node_of(y, node);
    return n && n->type == YAML_SCALAR_NODE ? sv_of(n->data.scalar.value, n->data.scalar.length)
                                            : SV_NONE;
}

static yaml_node_pair_t *find(struct yaml_edit *y, int map, const char *key)
{
    yaml_node_t *n = node_of(y, map);
    if (!n || n->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
        if (sv_eq(ye_text(y, p->key), sv_z(key)))
            return p;
    return NULL;
}

int ye_get(struct yaml_edit *y, int map, const char *key)
{
    const yaml_node_pair_t *p = find(y, map, key);
    return p ? p->value : 0;
}

int ye_path(struct yaml_edit *y, int map, const char *dotted)
{
    char part[64];
    for (struct sv rest = sv_z(dotted); rest.len && map;) {
        size_t dot = sv_index(rest, '.');
        if (!sv_to_z(sv_sub(rest, 0, dot), part, sizeof(part)))
            return 0;
        map = ye_get(y, map, part);
        rest = dot < rest.len ? sv_from(rest, dot + 1) : SV_NONE;
    }
    return map;
}

struct sv ye_get_text(struct yaml_edit *y, int map, const char *key)
{
    return ye_text(y, ye_get(y, map, key));
}

size_t ye_len(struct yaml_edit *y, int list)
{
    const yaml_node_t *n = node_of(y, list);
    return n && n->type == YAML_SEQUENCE_NODE
               ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start)
               : 0;
}

int ye_item(struct yaml_edit *y, int list, size_t i)
{
    return i < ye_len(y, list) ? node_of(y, list)->data.sequence.items.start[i] : 0;
}

bool ye_pair(struct yaml_edit *y, int map, size_t i, struct sv *ret_key, int *ret_value)
{
    const yaml_node_t *n = node_of(y, map);
    if (!n || n->type != YAML_MAPPING_NODE ||
        i >= (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start))
        return false;
    *ret_key = ye_text(y, n->data.mapping.pairs.start[i].key);
    *ret_value = n->data.mapping.pairs.start[i].value;
    return true;
}

static int made(struct yaml_edit *y, int node)
{
    y->failed |= node == 0;
    return node;
}

int ye_map(struct yaml_edit *y)
{
    return made(y, yaml_document_add_mapping(y->doc, NULL, YAML_BLOCK_MAPPING_STYLE));
}

int ye_list(struct yaml_edit *y)
{
    return made(y, yaml_document_add_sequence(y->doc, NULL, YAML_BLOCK_SEQUENCE_STYLE));
}

int ye_flow_list(struct yaml_edit *y)
{
    return made(y, yaml_document_add_sequence(y->doc, NULL, YAML_FLOW_SEQUENCE_STYLE));
}

static int scalar(struct yaml_edit *y, struct sv text, yaml_scalar_style_t style)
{
    return made(y, yaml_document_add_scalar(y->doc, NULL, (const yaml_char_t *)text.p,
                                            (int)text.len, style));
}

int ye_str(struct yaml_edit *y, struct sv text)
{
    return scalar(y, text.p ? text : SV(""), YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

int ye_plain(struct yaml_edit *y, struct sv text)
{
    return scalar(y, text, YAML_PLAIN_SCALAR_STYLE);
}

void ye_set(struct yaml_edit *y, int map, const char *key, int value)
{
    yaml_node_pair_t *p = find(y, map, key);
    if (!ye_is(y, map, YAML_MAPPING_NODE) || !value)
        return;
    if (p) {
        p->value = value;
        return;
    }
    int name = ye_plain(y, sv_z(key));
    if (name && !yaml_document_append_mapping_pair(y->doc, map, name, value))
        y->failed = true;
}

void ye_set_str(struct yaml_edit *y, int map, const char *key, struct sv text)
{
    ye_set(y, map, key, ye_str(y, text));
}

void ye_set_plain(struct yaml_edit *y, int map, const char *key, const char *text)
{
    ye_set(y, map, key, ye_plain(y, sv_z(text)));
}

void ye_drop(struct yaml_edit *y, int map, const char *key)
{
    yaml_node_pair_t *p = find(y, map, key);
    if (!p)
        return;
    yaml_node_t *n = node_of(y, map);
    for (; p + 1 < n->data.mapping.pairs.top; p++)
        p[0] = p[1];
    n->data.mapping.pairs.top--;
}

int ye_need_map(struct yaml_edit *y, int map, const char *key)
{
    int found = ye_get(y, map, key);
    if (ye_is(y, found, YAML_MAPPING_NODE))
        return found;
    found = ye_map(y);
    ye_set(y, map, key, found);
    return found;
}

int ye_need_list(struct yaml_edit *y, int map, const char *key)
{
    int found = ye_get(y, map, key);
    if (ye_is(y, found, YAML_SEQUENCE_NODE))
        return found;
    found = ye_list(y);
    ye_set(y, map, key, found);
    return found;
}

void ye_append(struct yaml_edit *y, int list, int value)
{
    if (ye_is(y, list, YAML_SEQUENCE_NODE) && value &&
        !yaml_document_append_sequence_item(y->doc, list, value))
        y->failed = true;
}

void ye_put_at(struct yaml_edit *y, int list, size_t at, int value)
{
    ye_append(y, list, value);
    if (y->failed || ye_len(y, list) == 0)
        return;
    yaml_node_item_t *items = node_of(y, list)->data.sequence.items.start;
    for (size_t i = ye_len(y, list) - 1; i > at; i--) {
        yaml_node_item_t other = items[i - 1];
        items[i - 1] = items[i];
        items[i] = other;
    }
}
