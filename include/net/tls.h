/* tls.h - TLS contexts (OpenSSL 3), SPIFFE identities and what a handshake proved.
 *
 * A context is immutable and counted; connections keep the one they began with, so new
 * certificates are a new context. Thread-safe counts; everything else belongs to one thread. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"
#include "base/sv.h"
#include <stdbool.h>
#include <stdint.h>

struct tls_ctx;

enum tls_peer {
    TLS_PEER_NONE,    /* the peer need not prove anything */
    TLS_PEER_REQUEST, /* ask; a certificate that is shown must verify */
    TLS_PEER_REQUIRE, /* no certificate, no connection */
};
struct tls_conf {
    bool is_server;
    const char *cert_file; /* PEM chain, leaf first; NULL: show none (clients only) */
    const char *key_file;  /* PEM */
    const char *ca_file;   /* PEM bundle the peer must chain to; NULL: the system's */
    const char *crl_file;  /* PEM; NULL: nobody is revoked. Of every authority in a chain */
    struct sv cert_pem, key_pem, ca_pem; /* the same as text; empty: see the files */
    struct sv crl_pem;
    struct sv
        peer_names; /* servers: a certificate that is shown must have one of these, DNS names or URIs,
                             "a,b"; empty: any */
    enum tls_peer peer;
    bool is_mesh; /* TLS 1.3 only, and the peer's leaf must hold exactly one SPIFFE URI SAN */
    const char *trust_domains; /* is_mesh: "a,b", those peers may be of, and which are one to
                                  whoever expects an id; NULL: any that chains, ids as they are */
    uint16_t version_min;      /* 0x0304: TLS 1.3 only; else 1.2 too */
    const char *alpn;          /* "istio-http/1.1,istio,http/1.1"; server: in order of preference */
};
/* Checks that files parse and the key matches the leaf; with is_mesh also that the chain verifies
 * against ca_file and the leaf has one SPIFFE id. Gives one reference. */
struct tls_ctx *tls_ctx_new(const struct tls_conf *conf, struct err *err) MUST_USE;
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
struct tls_ctx *tls_ctx_unref(struct tls_ctx *c);      /* NULL is fine; returns NULL */
struct sv tls_ctx_spiffe(const struct tls_ctx *c);     /* our own id, empty when there is none */
int64_t tls_ctx_not_after_ns(const struct tls_ctx *c); /* wall time; 0 without a certificate */

/* A certificate of a context, for people. Text is the visitor's until it returns. */
struct tls_cert_text {
    bool is_root;      /* of those that peers must chain to; else of our chain, leaf first */
    struct sv subject; /* RFC 2253 */
    struct sv serial;  /* hexadecimal */
    struct sv spiffe;  /* empty: it has none, or several */
    int64_t not_before_ns, not_after_ns;
};
typedef void tls_cert_fn(void *to, const struct tls_cert_text *cert);
/* Our chain, then the roots. */
void tls_ctx_each_cert(const struct tls_ctx *c, tls_cert_fn *each, void *to);

/* Server side, before the first connection: callers who ask for host ("a.b", "*.b", "*") get `to`
 * instead. The first one of a host stays. A caller who asks for no name gets "*", else the first
 * name's; one who asks for another is refused. Keeps a reference to `to`. */
int tls_ctx_add_name(struct tls_ctx *c, struct sv host, struct tls_ctx *to, struct err *err)
    MUST_USE;
/* May a caller whose handshake was for `asked` be served as one of `host`? Not when callers of that
 * host must show a certificate that this one was not asked for. */
bool tls_ctx_serves(const struct tls_ctx *c, struct sv asked, struct sv host);

/* A place for the newest session ticket of one peer; all-zero is the valid empty state. */
struct tls_session {
    void *session;
    bool was_asked; /* the server asked for our certificate when it began */
};
void tls_session_done(struct tls_session *s);

/* What a client asks of one connection. */
struct tls_client {
    struct sv sni;      /* empty: none is sent */
    struct sv spiffe;   /* the peer must be one of these, "a,b"; empty: any that chains */
    struct sv dns_name; /* the certificate must have one of these, DNS names or URIs, "a,b";
                                    empty: any */
    struct tls_session *session; /* tried first and replaced by newer ones; may be NULL.
                                       Must outlive the connection. */
};

/* What the handshake proved. Text lies in the connection. */
struct tls_info {
    struct sv version; /* "TLSv1.3" */
    struct sv cipher;  /* "TLS_AES_128_GCM_SHA256" */
    struct sv alpn, sni;
    struct sv peer_spiffe; /* empty: none proven */
    struct sv peer_trust_domain, peer_namespace,
        peer_account;          /* its parts; empty: it has other ones */
    struct sv peer_subject;    /* RFC 2253 */
    struct sv peer_hash;       /* lower-case hex SHA-256 of the peer's leaf; empty without one */
    int64_t peer_not_after_ns; /* wall time; 0 without a certificate */
    bool is_mutual;            /* both sides showed certificates that verified */
    bool is_resumed;
};

/* Do the first bytes of a connection (one is enough) begin a TLS ClientHello? No text protocol
 * starts with its first byte. */
bool tls_looks_like_hello(struct sv first);
/* "spiffe://td/ns/NS/sa/SA" into its parts, views into id; false when it has another shape. */
bool spiffe_parse(struct sv id, struct sv *ret_domain, struct sv *ret_ns, struct sv *ret_sa);
/* Is a peer that has proven `id` one to speak with? want: the ids expected, "a,b"; empty: any. domains: as
 * trust_domains of tls_conf. */
int spiffe_check(struct sv id, struct sv want, struct sv domains, struct err *err) MUST_USE;

#endif
