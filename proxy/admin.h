/* admin.h - what the proxy tells operators: readiness, metrics, clusters, configuration. */
#ifndef PROXY_ADMIN_H
#define PROXY_ADMIN_H

#include "proxy/web.h"
#include "proxy/worker.h"

/* Opens the doors that have a port. */
int admin_open(struct worker *w, struct err *err) MUST_USE;
void admin_close(struct worker *w);

#endif
