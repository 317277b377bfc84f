/* status.h - what the status port serves: the application's probes, and ways to end the proxy. */
#ifndef PROXY_STATUS_H
#define PROXY_STATUS_H

#include "proxy/web.h"

struct worker;

/* --app-probers as JSON; before the ports open. */
int status_init(struct worker *w, struct err *err) MUST_USE;
struct web_routes status_routes(void);
void status_close(struct worker *w);

#endif
