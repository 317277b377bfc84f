/* check.h - everything that is wrong or doubtful in configuration files, for `tulle check`.
 *
 * Reads as mesh_load() does, but goes on after an error and takes every object, whichever proxy it
 * is for. A file is checked by itself: that a Service it names is elsewhere is no finding unless
 * some Service was read. */
#ifndef PROXY_CONFIG_CHECK_H
#define PROXY_CONFIG_CHECK_H

#include "base/err.h"
#include "base/sv.h"

/* place: "FILE:LINE:COLUMN" (a file that cannot be read has no line). Both are borrowed until
 * return. In the order of reading. */
typedef void mesh_finding_fn(void *to, bool is_error, struct sv place, struct sv reason);
/* paths: files and folders. 0 when there was no error (warnings do not count); else the first. */
int mesh_check(const char *const *paths, size_t len, mesh_finding_fn *each, void *to,
               struct err *err) MUST_USE;

#endif
