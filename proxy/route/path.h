/* path.h - the one spelling of a request's path that is matched, decided on and forwarded. */
#ifndef PROXY_ROUTE_PATH_H
#define PROXY_ROUTE_PATH_H

#include <stddef.h>

/* Rewrites a path (with or without query) in place and returns its new length, never a longer one.
 * Doing it again changes nothing. Anything that does not begin with '/' stays as it is. */
size_t path_normalize(char *path, size_t len);

#endif
