/* check.h - `tulle-collector --check`. */
#ifndef COLLECTOR_CHECK_H
#define COLLECTOR_CHECK_H

#include "base/sv.h"
#include <stdio.h>

/* Opens the store read-only, prints a line for each thing that is wrong and a summary at the end.
 * True when it could be checked and nothing is wrong. Works beside a running collector. */
bool check_store(struct sv url, FILE *out);

#endif
