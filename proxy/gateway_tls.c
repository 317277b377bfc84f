/* SPDX-License-Identifier: Apache-2.0
 * gateway_tls.c - certificates of a gateway's ports, from Secrets, mounted folders or named files.
 *
 * Each port has one context that callers meet, and behind it one for each certificate, chosen by the
 * server name they ask for. Where a certificate comes from: the mesh (ISTIO_MUTUAL); the Secret among the
 * objects; else the folder --secrets, laid out as mounted Secrets are; else the files a Gateway names.
 * One that is there but cannot be loaded, half-written perhaps, leaves the one in force that was loaded for it
 * before; without one, or when it is gone, only its own hosts go down. */
#include "proxy/gateway_tls.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define ALPN       "h2,http/1.1"

struct port_tls {
    uint16_t listen;
    struct tls_ctx *ctx;
};
struct loaded {
    char *id;            /* where from, and how it is used */
    struct tls_ctx *ctx; /* a reference */
};
struct gateway_tls {
    struct loaded *loaded; /* one for each certificate, so that the next generation can keep it */
    size_t loaded_len;
    size_t len;
    struct port_tls ports[];
};

struct maker {
    struct gateway_tls *made;
    const struct gateway_tls_from *from;
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
    int n = snprintf(out, PATH_BYTES, "%s/%.*s/%.*s/%s", m->from->secrets, SV_ARG(c->namespace),
                     SV_ARG(c->secret), name);
    return n > 0 && n < PATH_BYTES;
}

static int use_folder(const struct maker *m, const struct gateway_cert *c, struct files *f,
                      struct tls_conf *conf, struct err *err)
{
    if (!m->from->secrets || !m->from->secrets[0])
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

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
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
    if (rc == 0 && conf.cert_file && !(is_there(conf.cert_file) && is_there(conf.key_file)))
        rc = err_set(err, ERR_NOT_FOUND, "%s and its key are not both there", conf.cert_file);
    if (rc == 0 && conf.peer != TLS_PEER_NONE && !conf.ca_file && !conf.ca_pem.len)
        rc = err_set(err, ERR_NOT_FOUND, "callers must show certificates, but there is no ca.crt");
    struct tls_ctx *ctx = rc == 0 ? tls_ctx_new(&conf, err) : NULL;
    mem_free(f);
    return ctx;
}

static struct tls_ctx *mesh_ctx(const struct maker *m, struct err *err)
{
    if (m->from->own)
        return tls_ctx_ref(m->from->own);
    err_set(err, ERR_NOT_FOUND, "ISTIO_MUTUAL, but there are no --certs");
    return NULL;
}

static char *id_of(const struct gateway_cert *c)
{
    AUTO_DONE(buf) id = { 0 };
    buf_printf(&id, "%.*s/%.*s %.*s %.*s %d%d %x", SV_ARG(c->namespace), SV_ARG(c->secret),
               SV_ARG(c->cert_file), SV_ARG(c->ca_file), c->is_mutual, c->may_be_mutual,
               (unsigned)c->tls_min);
    buf_putc(&id, '\0');
    return id.failed ? NULL : TAKE(id.mem);
}

/* What was in force for it; NULL: nothing. A reference. */
static struct tls_ctx *find_before(const struct maker *m, const char *id)
{
    const struct gateway_tls *before = m->from->before;
    for (size_t i = 0; before && i < before->loaded_len; i++)
        if (sv_eq(sv_z(before->loaded[i].id), sv_z(id)))
            return tls_ctx_ref(before->loaded[i].ctx);
    return NULL;
}

/* A reference; NULL when it cannot be loaded and was not before. */
static struct tls_ctx *load_or_keep(const struct maker *m, const struct gateway_cert *c,
                                    const char *id)
{
    struct err why = { 0 };
    struct tls_ctx *ctx = c->is_mesh ? mesh_ctx(m, &why) : load(m, c, &why);
    if (ctx)
        return ctx;
    if (why.code != ERR_NOT_FOUND)
        ctx = find_before(m, id);
    m->from->warn(m->from->to, c, why.why, ctx != NULL);
    return ctx;
}

static int add_cert(const struct maker *m, struct tls_ctx *door, const struct gateway_cert *c,
                    struct err *err)
{
    struct gateway_tls *t = m->made;
    char *id = id_of(c);
    if (!id)
        return err_set(err, ERR_NOMEM, "certificates");
    struct tls_ctx *ctx = load_or_keep(m, c, id);
    if (!ctx) {
        mem_free(id);
        return 0;
    }
    t->loaded[t->loaded_len++] = (struct loaded){ id, tls_ctx_ref(ctx) };
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

struct gateway_tls *gateway_tls_new(const struct mesh *mesh, const struct gateway_tls_from *from,
                                    struct err *err)
{
    const struct gateway_port *ports;
    size_t len = mesh_gateway_ports(mesh, &ports), certs = 0;
    struct gateway_tls *t = mem_zalloc(sizeof(*t) + len * sizeof(*t->ports));
    struct maker m = { t, from };
    for (size_t i = 0; i < len; i++)
        certs += ports[i].is_tls ? ports[i].certs_len : 0;
    if (t)
        t->loaded = mem_zalloc(MAX(certs, (size_t)1) * sizeof(*t->loaded));
    if (!t || !t->loaded) {
        err_set(err, ERR_NOMEM, "certificates");
        return gateway_tls_free(t);
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
    for (size_t i = 0; t && i < t->loaded_len; i++) {
        tls_ctx_unref(t->loaded[i].ctx);
        mem_free(t->loaded[i].id);
    }
    if (t)
        mem_free(t->loaded);
    return mem_free(t);
}

struct tls_ctx *gateway_tls_port(struct gateway_tls *t, uint16_t listen)
{
    for (size_t i = 0; t && i < t->len; i++)
        if (t->ports[i].listen == listen)
            return t->ports[i].ctx;
    return NULL;
}
