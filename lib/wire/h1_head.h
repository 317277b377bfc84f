/* h1_head.h - the part of the HTTP/1 codec that judges a finished head. Private to lib/wire. */
#ifndef WIRE_H1_HEAD_H
#define WIRE_H1_HEAD_H

#include "wire/h1.h"

/* raw: the head's bytes as sent. Fills authority and path. False with h->err and h->bad_status set
 * when the head must be refused. */
bool h1_head_check(struct h1 *h, struct sv raw);
/* Records the refusal; `at` counts from the message's first byte. */
__attribute__((format(printf, 4, 5))) void h1_refuse(struct h1 *h, unsigned status, size_t at,
                                                     const char *fmt, ...);

#endif
