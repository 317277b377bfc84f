/* yaml_edit.h - changing a YAML document that libyaml has loaded: look up, add, put in front.
 *
 * Nodes are libyaml's numbers; 0 is none, which every function takes and answers with 0, as it does for a
 * node of another type than it wants: nothing is changed then. Memory that
 * runs out shows in yaml_edit.failed. */
#ifndef CLI_YAML_EDIT_H
#define CLI_YAML_EDIT_H

#include "base/sv.h"
#include <stdbool.h>
#include <yaml.h>

struct yaml_edit {
    yaml_document_t *doc;
    bool failed;
};

/* The value of a mapping's key; 0 when there is none. */
int ye_get(struct yaml_edit *y, int map, const char *key);
int ye_path(struct yaml_edit *y, int map, const char *dotted); /* "spec.template" */
struct sv ye_text(struct yaml_edit *y, int node);              /* of a scalar, else empty */
struct sv ye_get_text(struct yaml_edit *y, int map, const char *key);
bool ye_is(struct yaml_edit *y, int node, yaml_node_type_t type);
size_t ye_len(struct yaml_edit *y, int list);
int ye_item(struct yaml_edit *y, int list, size_t i);
/* Pairs of a mapping, in order; false behind the last. */
bool ye_pair(struct yaml_edit *y, int map, size_t i, struct sv *ret_key, int *ret_value);

int ye_map(struct yaml_edit *y);
int ye_list(struct yaml_edit *y);
int ye_flow_list(struct yaml_edit *y);
int ye_str(struct yaml_edit *y, struct sv text);   /* always quoted */
int ye_plain(struct yaml_edit *y, struct sv text); /* a number, true, a word */
/* In place of what the key had, if anything. */
void ye_set(struct yaml_edit *y, int map, const char *key, int value);
void ye_set_str(struct yaml_edit *y, int map, const char *key, struct sv text);
void ye_set_plain(struct yaml_edit *y, int map, const char *key, const char *text);
void ye_drop(struct yaml_edit *y, int map, const char *key);
/* The mapping or list behind the key, made when it is missing. */
int ye_need_map(struct yaml_edit *y, int map, const char *key);
int ye_need_list(struct yaml_edit *y, int map, const char *key);
void ye_append(struct yaml_edit *y, int list, int value);
void ye_put_at(struct yaml_edit *y, int list, size_t at, int value);

#endif
