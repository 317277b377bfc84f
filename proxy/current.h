/* current.h - the configuration and the certificates that are in force, taken as a whole or not at
 * all.
 *
 * Each call leaves what was in force alone when it fails. Requests in flight keep the mesh they began
 * with, connections the contexts. The loop's thread. */
#ifndef PROXY_CURRENT_H
#define PROXY_CURRENT_H

#include "proxy/worker.h"

/* Reads --config and, in a gateway, opens and closes ports after it. The first time also completes
 * who we are. ERR_USAGE: "file:line:column: reason"; ERR_TLS, ERR_NOMEM. */
int current_take_config(struct worker *w, struct err *err) MUST_USE;
/* Reads --certs; without the option there are none. ERR_TLS. */
int current_take_certs(struct worker *w, struct err *err) MUST_USE;
/* A gateway's certificates anew, after a change in --secrets. */
int current_take_secrets(struct worker *w, struct err *err) MUST_USE;
/* Opens the ports that are not open yet. ERR_IO, ERR_LIMIT. */
int current_open_ports(struct worker *w, struct err *err) MUST_USE;

/* Host names mean other addresses now: the configuration is made anew with them. */
void current_on_names(void *to);

#endif
