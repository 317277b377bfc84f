/* client.h - asks a collector and gives its answer as JSON. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/cli.h"
#include <jansson.h>

struct query_param {
    const char *name, *value; /* value NULL or "": left out */
};
/* GET /api/v1/PATH?params. On success the parsed answer (gives; json_decref) and its text in
 * raw. A refusal of the collector is an error with the collector's own words. */
json_t *client_get(const struct cli *c, const char *path, const struct query_param *params,
                   size_t len, struct buf *raw, struct err *err) MUST_USE;

/* Members of an object, forgiving: missing ones are "", 0, or an empty list. */
const char *json_text(const json_t *o, const char *key);
double json_number(const json_t *o, const char *key);

#endif
