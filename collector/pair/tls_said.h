/* tls_said.h - one copy of what spans say of TLS sessions, for the halves that wait. One thread owns
 * it. */
#ifndef COLLECTOR_PAIR_TLS_SAID_H
#define COLLECTOR_PAIR_TLS_SAID_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "normalize/tls_evidence.h"

struct tls_said {
    struct sv version, cipher, source_principal, destination_principal; /* empty: not said */
};
/* All-zero is the valid empty set. */
struct tls_saids {
    struct arena mem;
    struct map by_text;
    struct buf key; /* scratch */
};

void tls_saids_done(struct tls_saids *s);
/* Valid until tls_saids_done(). NULL when e says nothing of the kind, when there are too many
 * different ones, or when memory is out: the TLS state counts without it. */
const struct tls_said *tls_said_get(struct tls_saids *s, const struct tls_evidence *e);

#endif
