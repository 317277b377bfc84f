/* certs.h - certificates for the demo, made on the spot: one root, and one SPIFFE identity a
 * service account, valid for 24 hours. Nothing outlives the run's folder; the root's key is never
 * written. */
#ifndef DEMO_MESH_CERTS_H
#define DEMO_MESH_CERTS_H

#include "base/err.h"

/* Writes DIR/ACCOUNT/{cert-chain.pem,key.pem,root-cert.pem} for each of n accounts; the identity is
 * spiffe://cluster.local/ns/default/sa/ACCOUNT. Repeated names are made once. */
int certs_make(const char *dir, const char *const *accounts, size_t n, struct err *err) MUST_USE;

#endif
