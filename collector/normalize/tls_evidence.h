/* tls_evidence.h - whether a call was protected, from whatever a mesh or an SDK says of it. Pure. */
#ifndef COLLECTOR_NORMALIZE_TLS_EVIDENCE_H
#define COLLECTOR_NORMALIZE_TLS_EVIDENCE_H

#include "model/call.h"
#include "normalize/semconv.h"

struct tls_evidence {
    enum tls_state state;
    enum tls_basis basis;
    struct sv version, cipher;                         /* empty: not said */
    struct sv source_principal, destination_principal; /* SPIFFE ids; empty: not said */
};
/* is_calling: told by the caller's side. What is given points into the attributes. */
struct tls_evidence tls_evidence_of(const struct roles *r, bool is_calling);

#endif
