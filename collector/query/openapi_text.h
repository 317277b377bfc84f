/* openapi_text.h - openapi.json, compiled into the program; static bytes. */
#ifndef COLLECTOR_QUERY_OPENAPI_TEXT_H
#define COLLECTOR_QUERY_OPENAPI_TEXT_H

#include "base/sv.h"

struct sv openapi_text(void);

#endif
