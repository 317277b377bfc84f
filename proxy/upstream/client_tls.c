/* SPDX-License-Identifier: Apache-2.0
 * client_tls.c - from file names, or a Secret, to a client's context.
 *
 * Without CA certificates the system's roots decide, as in Istio; nothing is accepted unchecked but
 * by insecureSkipVerify. A context that cannot be made is tried again by the next request: files
 * may come late. */
#include "proxy/upstream/client_tls.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdio.h>
#include <unistd.h>

void client_tls_done(struct client_tls_cache *c)
{
    void *value;
    for (size_t i = 0; map_next(&c->contexts, &i, NULL, &value);)
        tls_ctx_unref(value);
    map_done(&c->contexts);
}

/* Names, NUL-terminated, in one arena. */
static const char *file_name(struct arena *mem, struct sv name)
{
    char *z = name.len ? arena_alloc(mem, name.len + 1) : NULL;
    if (z)
        (void)sv_to_z(name, z, name.len + 1);
    return z;
}

static const char *secret_file(struct arena *mem, const char *secrets, const struct client_tls *t,
                               const char *name)
{
    AUTO_DONE(buf) path = { 0 };
    buf_printf(&path, "%s/%.*s/%.*s/%s", secrets, SV_ARG(t->namespace), SV_ARG(t->secret), name);
    const char *z = path.failed ? NULL : file_name(mem, buf_sv(&path));
    return z && access(z, R_OK) == 0 ? z : NULL;
}

static struct tls_ctx *make(const struct client_tls *t, bool is_mutual, const char *secrets,
                            const char *alpn, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct tls_conf conf = { .peer = t->trusts_anybody ? TLS_PEER_NONE : TLS_PEER_REQUIRE,
                             .alpn = alpn };
    bool is_in_folder = t->secret.len && !t->cert.len && !t->ca.len && secrets && secrets[0] &&
                        sv_index(t->secret, '/') == t->secret.len && t->secret.p[0] != '.';
    if (is_in_folder) {
        conf.cert_file = is_mutual ? secret_file(&mem, secrets, t, "tls.crt") : NULL;
        conf.key_file = secret_file(&mem, secrets, t, "tls.key");
        conf.ca_file = secret_file(&mem, secrets, t, "ca.crt");
        conf.crl_file = secret_file(&mem, secrets, t, "ca.crl");
    } else if (t->secret.len) {
        conf.cert_pem = is_mutual ? t->cert : SV_NONE;
        conf.key_pem = is_mutual ? t->key : SV_NONE;
        conf.ca_pem = t->ca;
        conf.crl_pem = t->crl;
    } else {
        conf.cert_file = is_mutual ? file_name(&mem, t->cert_file) : NULL;
        conf.key_file = file_name(&mem, t->key_file);
        conf.ca_file = file_name(&mem, t->ca_file);
        conf.crl_file = file_name(&mem, t->crl_file);
    }
    if (is_mutual && !conf.cert_pem.len && (!conf.cert_file || !conf.key_file)) {
        err_set(err, ERR_TLS, "tls mode MUTUAL without a certificate of our own");
        return NULL;
    }
    return tls_ctx_new(&conf, err);
}

struct tls_ctx *client_tls_get(struct client_tls_cache *c, const struct client_tls *want,
                               bool is_mutual, bool is_h2, const char *secrets, struct err *err)
{
    AUTO_DONE(buf) key = { 0 };
    const struct sv parts[] = { want->cert_file, want->key_file, want->ca_file,
                                want->namespace, want->secret,   want->cert,
                                want->ca,        want->crl,      want->crl_file };
    for (size_t i = 0; i < NELEMS(parts); i++) {
        buf_put(&key, parts[i]);
        buf_putc(&key, '|');
    }
    buf_putc(&key, is_mutual ? 'm' : 's');
    buf_putc(&key, want->trusts_anybody ? 'x' : '.');
    buf_putc(&key, is_h2 ? '2' : '1');
    struct tls_ctx *ctx = key.failed ? NULL : map_get(&c->contexts, buf_sv(&key));
    if (ctx)
        return ctx;
    const char *alpn = c->is_tcp ? NULL : is_h2 ? "h2" : "http/1.1";
    ctx = make(want, is_mutual, secrets, alpn, err);
    if (ctx && (key.failed || map_put(&c->contexts, buf_sv(&key), ctx, NULL) < 0)) {
        err_set(err, ERR_NOMEM, "TLS context");
        ctx = tls_ctx_unref(ctx);
    }
    return ctx;
}
