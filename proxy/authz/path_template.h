/* path_template.h - "/shops/{*}/items/{**}": paths with operators, as AuthorizationPolicy has them. */
#ifndef PROXY_AUTHZ_PATH_TEMPLATE_H
#define PROXY_AUTHZ_PATH_TEMPLATE_H

#include "base/err.h"
#include "base/sv.h"
#include <stdbool.h>

/* Has an operator: else it is an ordinary string. */
bool path_template_is(struct sv text);
/* 0 when it can be matched; else why not. */
int path_template_check(struct sv text, struct err *err) MUST_USE;
/* text: checked. path: without query. */
bool path_template_matches(struct sv text, struct sv path);

#endif
