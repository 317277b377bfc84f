/* collector_url.h - where records go: "http://HOST[:PORT][/PREFIX]", port 4318 when none is named. */
#ifndef PROXY_TELEMETRY_COLLECTOR_URL_H
#define PROXY_TELEMETRY_COLLECTOR_URL_H

#include "base/err.h"
#include "base/sv.h"

struct collector_url {
    struct sv authority; /* as written: for the Host header */
    struct sv host;      /* name or address, without brackets */
    uint16_t port;
    struct sv prefix; /* "/otlp" or empty; never ends in '/' */
};
/* Views into text. ERR_USAGE with what is wrong; ret untouched then. */
int collector_url_parse(struct sv text, struct collector_url *ret, struct err *err) MUST_USE;

#endif
