/* who.c - who calls whom, as far as certificates, peer metadata and addresses tell.
 *
 * Only a mutual TLS peer is believed when it names itself in headers, and only within the namespace
 * its certificate proves; a plaintext caller is looked up by its address. What remains is unknown,
 * and stays so in the record. */
#include "proxy/stream.h"

static struct sv or_unknown(struct sv s)
{
    return s.len ? s : IDENTITY_UNKNOWN;
}

/* Own identity, with the principal only where it was shown to somebody. */
static struct identity self_of(const struct stream *s, bool is_shown)
{
    struct identity self = s->worker->self;
    self.principal = is_shown && s->worker->certs ? s->worker->certs->spiffe : IDENTITY_UNKNOWN;
    return self;
}

/* What a certificate alone says: namespace and principal. */
static struct identity from_certificate(const struct tls_info *tls)
{
    struct identity who = identity_unknown();
    who.principal = or_unknown(tls->peer_spiffe);
    who.namespace = or_unknown(tls->peer_namespace);
    return who;
}

/* The claim, when it stays within what the certificate proves. */
static bool take_claim(struct stream *s, const struct identity *claim, const struct tls_info *tls,
                       bool is_shared, struct identity *ret_who)
{
    struct identity proven = from_certificate(tls);
    if (!claim || !sv_eq(claim->namespace, proven.namespace))
        return false;
    if (!is_shared)
        *ret_who = *claim; /* the connection is ours alone until the stream has been recorded */
    else if (identity_copy(&s->mem, claim, ret_who) < 0)
        return false;
    ret_who->principal = proven.principal;
    return true;
}

static struct identity by_address(const struct mesh *m, const struct conn *c)
{
    char text[ADDR_TEXT_SIZE];
    const struct endpoint *e = mesh_endpoint_by_ip(m, addr_host(conn_peer(c), text));
    struct identity who = e ? e->identity : identity_unknown();
    who.principal = IDENTITY_UNKNOWN; /* an address proves nothing */
    return who;
}

bool who_is_of_mesh(const struct conn *c)
{
    const struct tls_info *tls = conn_tls(c);
    return tls && tls->is_mutual && tls->peer_spiffe.len;
}

void who_has_proven(const struct tls_info *tls, struct authz_request *q)
{
    if (!tls->is_mutual || !tls->peer_namespace.len)
        return;
    q->trust_domain = tls->peer_trust_domain;
    q->namespace = tls->peer_namespace;
    q->account = tls->peer_account;
    q->principal = sv_from(tls->peer_spiffe, SV("spiffe://").len);
}

struct identity who_is_peer(const struct mesh *m, const struct conn *c)
{
    const struct tls_info *tls = conn_tls(c);
    struct identity who = by_address(m, c);
    if (!tls || !tls->is_mutual)
        return who;
    struct identity proven = from_certificate(tls);
    if (!sv_eq(who.namespace, proven.namespace))
        return proven;
    who.principal = proven.principal;
    return who;
}

static struct identity inbound_caller(struct stream *s)
{
    const struct tls_info *tls = conn_tls(s->down->conn);
    if (tls && tls->is_mutual) {
        struct identity who;
        const struct identity *claim = peer_cache_hear(&s->down->peer, s->seen[FIELD_METADATA],
                                                       s->seen[FIELD_METADATA_ID]);
        if (take_claim(s, claim, tls, s->down_h2 != NULL, &who))
            return who;
    }
    return who_is_peer(s->mesh, s->down->conn);
}

void who_is_calling(struct stream *s)
{
    s->destination = identity_unknown();
    switch (s->side) {
    case SIDE_OUTBOUND: s->source = self_of(s, false); break;
    case SIDE_INBOUND: {
        const struct tls_info *tls = conn_tls(s->down->conn);
        s->source = inbound_caller(s);
        s->destination = self_of(s, tls && tls->is_mutual);
        break;
    }
    case SIDE_GATEWAY:
        s->source = who_is_of_mesh(s->down->conn) ? inbound_caller(s) : identity_unknown();
        break;
    case SIDES_LEN: break;
    }
}

void who_has_answered(struct stream *s, const struct http_head *response)
{
    if (s->side == SIDE_INBOUND)
        return;
    const struct tls_info *tls = conn_tls(s->up->conn);
    if (!tls || !tls->is_mutual)
        return;
    struct identity who;
    const struct identity *claim = peer_cache_hear(&s->up->peer,
                                                   http_get(response, PEER_METADATA_HEADER),
                                                   http_get(response, PEER_METADATA_ID_HEADER));
    if (take_claim(s, claim, tls, s->up_h2 != NULL, &who))
        s->destination = who;
}
