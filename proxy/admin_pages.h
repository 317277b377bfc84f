/* admin_pages.h - the pages of the admin port; for admin*.c only. */
#ifndef PROXY_ADMIN_PAGES_H
#define PROXY_ADMIN_PAGES_H

#include "proxy/web.h"
#include "proxy/worker.h"

struct web_routes admin_pages(void);

/* admin.c */
unsigned admin_ready(void *to, struct buf *body);
unsigned admin_metrics(void *to, struct buf *body);
unsigned admin_server_info(void *to, struct buf *body);
/* admin_state.c: what is in force */
unsigned admin_config_dump(void *to, struct buf *body);
unsigned admin_certs(void *to, struct buf *body);
unsigned admin_listeners(void *to, struct buf *body);
void admin_clusters(void *to, const struct web_ask *ask, struct web_reply *reply);

/* The value of a parameter in a query, decoded, into mem; an empty view without p when there is none.
 * *at: 0 at first, then where to look for one more of the same name. */
struct sv admin_parameter(struct sv query, struct sv name, size_t *at, struct arena *mem);

#endif
