/* test_certs.h - a certificate authority and leaves in a temporary folder, for tests of TLS. */
#ifndef SUPPORT_TEST_CERTS_H
#define SUPPORT_TEST_CERTS_H

#include "base/sv.h"

struct test_ca;
/* A fresh authority whose files go to a folder of its own; aborts the test on failure. */
struct test_ca *test_ca_new(void);
/* Writes cert-chain.pem, key.pem and root-cert.pem into DIR/name. names: subjectAltName as OpenSSL's
 * configuration spells it, "URI:spiffe://td/ns/x/sa/y"; ends_in_s: seconds from now, may be < 0. */
void test_ca_leaf(struct test_ca *ca, const char *name, const char *names, long ends_in_s);
/* "DIR/name/file" in static memory that the 8th next call uses again. */
const char *test_ca_path(const struct test_ca *ca, const char *name, const char *file);
struct test_ca *test_ca_free(struct test_ca *ca); /* and the files */

#endif
