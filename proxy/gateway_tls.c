/* SPDX-License-Identifier: Apache-2.0
 * gateway_tls.c - certificates of a gateway's ports, from Secrets, mounted folders or named files.
 *
 * Each port has one context that callers meet, and behind it one for each certificate, chosen by the
 * server name they ask for. Where a certificate comes from: the mesh (ISTIO_MUTUAL); the Secret among the
 * objects; else the folder --secrets, laid out as mounted Secrets are; else the files a Gateway names.
 * One that cannot be loaded takes only its own hosts down. */
#include "proxy/gateway_tls.h"
#include "base/mem.h"
#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define ALPN       "h2,http/1.1"

struct port_tls {
    uint16_t listen;
    struct tls_ctx *ctx;
};
struct gateway_tls {
    size_t len;
    struct port_tls ports[];
};

struct maker {
    const char *secrets;
    struct tls_ctx *mesh; /* NULL: no --certs */
    gateway_tls_warn_fn *warn;
    void *to;
};

/* A name that stays inside its folder. */
static bool is_plain_name(struct sv name)
{
    return name.len && sv_index(name, '/') == name.len && name.p[0] != '.';
}

struct files {
    char cert[PATH_BYTES], key[PATH_BYTES], ca[PATH_BYTES], crl[PATH_BYTES];
};

static bool join(char out[PATH_BYTES], const struct maker *m, const struct gateway_cert *c,
                 const char *name)
{
    int n = snprintf(out, PATH_BYTES, "%s/%.*s/%.*s/%s", m->secrets, SV_ARG(c->namespace),
                     SV_ARG(c->secret), name);
    return n > 0 && n < PATH_BYTES;
}

static int use_folder(const struct maker *m, const struct gateway_cert *c, struct files *f,
                      struct tls_conf *conf, struct err *err)
{
    if (!m->secrets || !m->secrets[0])
        return err_set(err, ERR_NOT_FOUND, "no such Secret, and there is no --secrets folder");
    if (!is_plain_name(c->namespace) || !is_plain_name(c->secret))
        return err_set(err, ERR_USAGE, "this is no Secret's name");
    if (!join(f->cert, m, c, "tls.crt") || !join(f->key, m, c, "tls.key") ||
        !join(f->ca, m, c, "ca.crt") || !join(f->crl, m, c, "ca.crl"))
        return err_set(err, ERR_USAGE, "path too long");
    conf->cert_file = f->cert;
    conf->key_file = f->key;
    if ((c->is_mutual || c->may_be_mutual) && access(f->ca, R_OK) == 0)
        conf->ca_file = f->ca;
    if (conf->ca_file && access(f->crl, R_OK) == 0)
        conf->crl_file = f->crl;
    return 0;
}

static int use_files(const struct gateway_cert *c, struct files *f, struct tls_conf *conf,
                     struct err *err)
{
    if (!sv_to_z(c->cert_file, f->cert, PATH_BYTES) || !sv_to_z(c->key_file, f->key, PATH_BYTES) ||
        !sv_to_z(c->ca_file, f->ca, PATH_BYTES) || !sv_to_z(c->crl_file, f->crl, PATH_BYTES))
        return err_set(err, ERR_USAGE, "path too long");
    conf->cert_file = f->cert;
    conf->key_file = f->key;
    conf->ca_file = c->ca_file.len ? f->ca : NULL;
    conf->crl_file = c->crl_file.len ? f->crl : NULL;
    return 0;
}

static struct tls_ctx *load(const struct maker *m, const struct gateway_cert *c, struct err *err)
{
    struct files *f = mem_zalloc(sizeof(*f));
    struct tls_conf conf = {
        .is_server = true,
        .version_min = c->tls_min,
        .alpn = ALPN,
        .peer = c->is_mutual       ? TLS_PEER_REQUIRE
                : c->may_be_mutual ? TLS_PEER_REQUEST
                                   : TLS_PEER_NONE,
        .cert_pem = c->cert,
        .key_pem = c->key,
        .peer_names = c->peer_names,
    };
    int rc = f ? 0 : err_set(err, ERR_NOMEM, "paths");
    if (c->cert.len && conf.peer != TLS_PEER_NONE) {
        conf.ca_pem = c->ca;
        conf.crl_pem = c->crl;
    }
    if (rc == 0 && !c->cert.len)
        rc = c->secret.len ? use_folder(m, c, f, &conf, err) : use_files(c, f, &conf, err);
    if (rc == 0 && conf.peer != TLS_PEER_NONE && !conf.ca_file && !conf.ca_pem.len)
        rc = err_set(err, ERR_NOT_FOUND, "callers must show certificates, but there is no ca.crt");
    struct tls_ctx *ctx = rc == 0 ? tls_ctx_new(&conf, err) : NULL;
    mem_free(f);
    return ctx;
}

static struct tls_ctx *mesh_ctx(const struct maker *m, struct err *err)
{
    if (m->mesh)
        return tls_ctx_ref(m->mesh);
    err_set(err, ERR_NOT_FOUND, "ISTIO_MUTUAL, but there are no --certs");
    return NULL;
}

static int add_cert(const struct maker *m, struct tls_ctx *door, const struct gateway_cert *c,
                    struct err *err)
{
    struct err why = { 0 };
    struct tls_ctx *ctx = c->is_mesh ? mesh_ctx(m, &why) : load(m, c, &why);
    if (!ctx) {
        m->warn(m->to, c, why.why);
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; i < c->hosts_len && rc == 0; i++)
        rc = tls_ctx_add_name(door, c->hosts[i], ctx, err);
    tls_ctx_unref(ctx);
    return rc;
}

/* Until a name is added, and for names nobody has, there is no certificate: handshakes fail. */
static struct tls_ctx *port_ctx(const struct maker *m, const struct gateway_port *p,
                                struct err *err)
{
    struct tls_conf conf = { .is_server = true, .version_min = 0x0303, .alpn = ALPN };
    struct tls_ctx *door = tls_ctx_new(&conf, err);
    for (size_t i = 0; door && i < p->certs_len; i++)
        if (add_cert(m, door, &p->certs[i], err) < 0)
            return tls_ctx_unref(door);
    return door;
}

struct gateway_tls *gateway_tls_new(const struct mesh *mesh, const char *secrets,
                                    struct tls_ctx *own, gateway_tls_warn_fn *warn, void *to,
                                    struct err *err)
{
    const struct gateway_port *ports;
    size_t len = mesh_gateway_ports(mesh, &ports);
    struct maker m = { secrets, own, warn, to };
    struct gateway_tls *t = mem_zalloc(sizeof(*t) + len * sizeof(*t->ports));
    if (!t) {
        err_set(err, ERR_NOMEM, "certificates");
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        if (!ports[i].is_tls || !ports[i].certs_len) /* passed on, all of it */
            continue;
        struct tls_ctx *ctx = port_ctx(&m, &ports[i], err);
        if (!ctx)
            return gateway_tls_free(t);
        t->ports[t->len++] = (struct port_tls){ ports[i].listen, ctx };
    }
    return t;
}

struct gateway_tls *gateway_tls_free(struct gateway_tls *t)
{
    for (size_t i = 0; t && i < t->len; i++)
        tls_ctx_unref(t->ports[i].ctx);
    return mem_free(t);
}

struct tls_ctx *gateway_tls_port(struct gateway_tls *t, uint16_t listen)
{
    for (size_t i = 0; t && i < t->len; i++)
        if (t->ports[i].listen == listen)
            return t->ports[i].ctx;
    return NULL;
}
