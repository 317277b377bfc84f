/* tls_priv.h - what connections know of TLS: OpenSSL stays inside lib/net. */
#ifndef NET_TLS_PRIV_H
#define NET_TLS_PRIV_H

#include "base/map.h"
#include "net/tls.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

struct tls_ctx {
    SSL_CTX *ssl;
    unsigned refs; /* atomic */
    bool is_server, is_mesh, has_cert;
    enum tls_peer peer;
    char *spiffe;
    char *trust_domains; /* NULL: any */
    char *peer_names;    /* NULL: any */
    int64_t not_after_ns;
    unsigned char alpn[128]; /* wire form: length, name, length, name ... */
    size_t alpn_len;
    struct map names; /* server names to contexts, a reference each; empty: this one serves all */
    struct tls_ctx *first_name; /* borrowed from names */
};

/* One connection's share. */
struct tls_state {
    SSL *ssl;
    struct tls_ctx *ctx;
    struct tls_ctx *door;   /* the context that chose ctx by name; NULL: nobody did */
    struct tls_client want; /* clients: text copied into want_text */
    char *want_text;
    bool was_asked; /* the server asked for our certificate */
    struct tls_info info;
    char *info_text; /* what info's views look into */
};

int tls_state_init(struct tls_state *t, struct tls_ctx *ctx, const struct tls_client *client,
                   int fd, struct err *err) MUST_USE;
void tls_state_done(struct tls_state *t);
/* After the handshake: checks identities and fills t->info. */
int tls_state_accept_peer(struct tls_state *t, struct err *err) MUST_USE;
/* tls_bio.c: ssl reads and writes there; fd stays the caller's. False: memory is out. */
bool tls_use_socket(SSL *ssl, int fd) MUST_USE;
/* Puts the reason of OpenSSL's last failure into err and empties its queue. */
int tls_failure(SSL *ssl, const char *doing, struct err *err);

/* Before a call whose SSL_get_error() will be asked: that reads OpenSSL's queue of errors too, which must
 * be empty. It nearly always is, and asking costs a tenth of clearing its sixteen places. */
static inline void tls_forget_failures(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

/* tls_names.c: a ClientHello callback for contexts with names (arg: the context). */
int tls_names_pick(SSL *ssl, int *alert, void *arg);
void tls_names_done(struct tls_ctx *c);

/* The SPIFFE id of a certificate that has exactly one URI name, else an empty view and why. The
 * text is copied to *ret_text (mem_free). */
int x509_spiffe(X509 *cert, char **ret_text, struct err *err) MUST_USE;
int64_t x509_not_after_ns(X509 *cert);
/* Subject and SHA-256 of a certificate, NUL-terminated, into out; empty when it does not fit. */
void x509_subject(X509 *cert, char *out, size_t size);
void x509_hash(X509 *cert, char out[65]);

#endif
