/* SPDX-License-Identifier: Apache-2.0
 * sniff.h - what becomes of a caller's connection: TLS or not, requests or bytes.
 *
 * Decided once, by what the port is declared to speak and, where that leaves a choice, by the first
 * bytes. The loop's thread. */
#ifndef PROXY_SNIFF_H
#define PROXY_SNIFF_H

#include "proxy/downstream.h"

/* A connection was accepted. Requests, bytes or TLS begin at once, or down->is_sniffing is set; it may
 * also be closed afterwards. */
void sniff_begin(struct down *d);
/* Something came while is_sniffing. */
void sniff_run(struct down *d);

/* Whom the connection is for; NULL when nobody is known. */
const struct tcp_service *sniff_service(const struct down *d);

#endif
