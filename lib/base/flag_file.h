/* flag_file.h - options from a YAML file; private to lib/base. */
#ifndef BASE_FLAG_FILE_H
#define BASE_FLAG_FILE_H

#include "base/flag.h"

/* Sets every `name: value` of the file; messages carry file:line:column. */
int flag_file_read(const struct flag_table *t, void *conf, struct arena *mem, const char *path,
                   struct err *err) MUST_USE;

#endif
