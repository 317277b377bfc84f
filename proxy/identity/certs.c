/* certs.c - loads certificate, key and roots from a folder, under Istio's or cert-manager's names.
 *
 * All or nothing: a set is used only when the key fits, the chain leads to the roots and the leaf
 * has one SPIFFE id, so a half-written folder never reaches a handshake. */
#include "proxy/identity/certs.h"
#include "base/mem.h"
#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct names {
    const char *cert, *key, *root;
};
/* clang-format off */
static const struct names known_names[] = {
    { "cert-chain.pem", "key.pem", "root-cert.pem" }, /* Istio */
    { "tls.crt",        "tls.key", "ca.crt" },        /* Kubernetes secrets, cert-manager */
};
/* clang-format on */

/* Istio's client list: an Istio server recognises mutual TLS of the mesh by it. A server must not
 * offer "istio" itself. */
#define CLIENT_ALPN    "istio-http/1.1,istio,http/1.1"
#define CLIENT_ALPN_H2 "istio-h2,istio,h2"
#define SERVER_ALPN    TCP_ANSWERED_ALPN ",h2,http/1.1"
#define TCP_ALPN       TCP_ANSWERED_ALPN ",istio"

struct paths {
    char cert[PATH_BYTES], key[PATH_BYTES], root[PATH_BYTES];
};

static int join(char out[PATH_BYTES], const char *dir, const char *name, struct err *err)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", dir, name);
    return n > 0 && n < PATH_BYTES ? 0 : err_set(err, ERR_USAGE, "path too long: %s", dir);
}

static int find_files(const char *dir, struct paths *p, struct err *err)
{
    for (size_t i = 0; i < NELEMS(known_names); i++) {
        const struct names *n = &known_names[i];
        if (join(p->cert, dir, n->cert, err) < 0 || join(p->key, dir, n->key, err) < 0 ||
            join(p->root, dir, n->root, err) < 0)
            return ERR_USAGE;
        if (access(p->cert, F_OK) == 0)
            return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "%s: neither cert-chain.pem nor tls.crt", dir);
}

struct certs *certs_new(const char *dir, const char *trust_domains, struct err *err)
{
    struct paths p;
    if (find_files(dir, &p, err) < 0)
        return NULL;
    struct certs *c = mem_zalloc(sizeof(*c));
    if (!c) {
        err_set(err, ERR_NOMEM, "certificates");
        return NULL;
    }
    struct tls_conf conf = {
        .is_server = true,
        .cert_file = p.cert,
        .key_file = p.key,
        .ca_file = p.root,
        .peer = TLS_PEER_REQUIRE,
        .is_mesh = true,
        .trust_domains = trust_domains,
        .alpn = SERVER_ALPN,
    };
    c->server = tls_ctx_new(&conf, err);
    conf.is_server = false;
    conf.alpn = CLIENT_ALPN;
    if (c->server)
        c->client = tls_ctx_new(&conf, err);
    conf.alpn = CLIENT_ALPN_H2;
    if (c->client)
        c->client_h2 = tls_ctx_new(&conf, err);
    conf.alpn = TCP_ALPN;
    if (c->client_h2)
        c->client_tcp = tls_ctx_new(&conf, err);
    if (!c->client_tcp) {
        err_context(err, "%.100s", dir);
        return certs_free(c);
    }
    c->spiffe = tls_ctx_spiffe(c->server);
    c->not_after_ns = tls_ctx_not_after_ns(c->server);
    return c;
}

struct certs *certs_free(struct certs *c)
{
    if (!c)
        return NULL;
    tls_ctx_unref(c->server);
    tls_ctx_unref(c->client);
    tls_ctx_unref(c->client_tcp);
    tls_ctx_unref(c->client_h2);
    return mem_free(c);
}
