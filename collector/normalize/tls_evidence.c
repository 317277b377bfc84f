/* tls_evidence.c - a dozen ways of saying that a call was, or was not, protected by TLS.
 *
 * Each way is a row: what it reads, and how much its word is worth. The row of the best basis that
 * knows an answer counts; unknown is an answer that no row gives, so a reporter that cannot tell
 * (Istio's client-side "unknown", Linkerd's "disabled", an SDK's silence) never speaks for a call
 * that another one has seen.
 *
 *   handshake   tls_state of Tulle's proxies; OpenTelemetry's tls.* of an SDK that ended TLS itself
 *   reported    connection_security_policy of the called side (mutual_tls, none); connection.mtls;
 *               the peer's URI SAN and the protocol in Envoy's access-log operators; ztunnel's
 *               identities, which it prints only under mutual TLS
 *   forwarded   x-forwarded-client-cert of the request, written by the proxy in front
 *   inferred    the SNI that only a mesh's own clients send; a destination's principal beside a
 *               call that its client says "unknown" of
 *
 * url.scheme says nothing: behind a sidecar an application speaks plaintext to its own host while
 * the wire is protected. */
#include "normalize/tls_evidence.h"

#define SPIFFE    SV("spiffe://")
#define MESH_SNI  SV("outbound_.")
#define NOT_THERE SV("-") /* as access logs spell it */

static struct sv text_of(const struct roles *r, enum role role)
{
    struct sv text = roles_str(r, role);
    return sv_eq(text, NOT_THERE) ? SV_NONE : text;
}

static bool is_spiffe(struct sv text)
{
    return text.len > SPIFFE.len && sv_starts(text, SPIFFE);
}

static bool flag_of(const struct roles *r, enum role role, bool *ret_flag)
{
    const struct value *v = r->value[role];
    if (!v)
        return false;
    if (v->type == VALUE_BOOL)
        *ret_flag = v->boolean;
    else if (v->type == VALUE_STR && (sv_eq(v->str, SV("true")) || sv_eq(v->str, SV("false"))))
        *ret_flag = sv_eq(v->str, SV("true"));
    else
        return false;
    return true;
}

/* The field of the last element of x-forwarded-client-cert: what the nearest proxy wrote. */
static struct sv forwarded_field(const struct roles *r, struct sv name)
{
    const struct value *v = r->value[ROLE_FORWARDED_CERT];
    if (v && v->type == VALUE_ARRAY && v->len > 0)
        v = &v->array[v->len - 1];
    struct sv text = v && v->type == VALUE_STR ? v->str : SV_NONE;
    size_t comma = sv_rindex(text, ',');
    if (comma < text.len)
        text = sv_from(text, comma + 1);
    for (struct sv field; sv_cut(&text, ';', &field);) {
        field = sv_trim(field);
        if (field.len > name.len && sv_eq_nocase(sv_sub(field, 0, name.len), name) &&
            is_spiffe(sv_from(field, name.len)))
            return sv_from(field, name.len);
    }
    return SV_NONE;
}

static enum tls_state of_tulle(const struct roles *r, bool is_calling)
{
    enum tls_state state = TLS_UNKNOWN;
    (void)is_calling;
    (void)tls_state_from_sv(roles_str(r, ROLE_TLS_STATE), &state);
    return state;
}

/* An SDK inside one of the two that shook hands. A failed handshake is no state of a call. */
static enum tls_state of_sdk(const struct roles *r, bool is_calling)
{
    bool is_established;
    bool is_told = flag_of(r, ROLE_TLS_ESTABLISHED, &is_established);
    (void)is_calling;
    if (is_told ? !is_established : !r->value[ROLE_TLS_SDK_VERSION])
        return TLS_UNKNOWN;
    return r->value[ROLE_TLS_CLIENT] ? TLS_MUTUAL : TLS_ONE_WAY;
}

static enum tls_state of_policy(const struct roles *r, bool is_calling)
{
    struct sv policy = roles_str(r, ROLE_TLS_POLICY);
    bool is_mutual;
    if (sv_eq(policy, SV("mutual_tls")))
        return TLS_MUTUAL;
    if (flag_of(r, ROLE_TLS_MUTUAL, &is_mutual) && is_mutual)
        return TLS_MUTUAL;
    /* "none" of a client means that it was not told. */
    return sv_eq(policy, SV("none")) && !is_calling ? TLS_PLAINTEXT : TLS_UNKNOWN;
}

/* Envoy's %DOWNSTREAM_PEER_URI_SAN% and %DOWNSTREAM_TLS_VERSION%: of the connection that came in, so
 * what they say of a call that goes out is of the application's own connection to its sidecar. */
static enum tls_state of_peer(const struct roles *r, bool is_calling)
{
    if (is_calling)
        return TLS_UNKNOWN;
    if (is_spiffe(text_of(r, ROLE_TLS_PEER)))
        return TLS_MUTUAL;
    if (!r->value[ROLE_TLS_DOWNSTREAM])
        return TLS_UNKNOWN;
    return text_of(r, ROLE_TLS_DOWNSTREAM).len ? TLS_ONE_WAY : TLS_PLAINTEXT;
}

static enum tls_state of_identities(const struct roles *r, bool is_calling)
{
    (void)is_calling;
    return is_spiffe(roles_str(r, ROLE_ZTUNNEL_SOURCE)) &&
                   is_spiffe(roles_str(r, ROLE_ZTUNNEL_DESTINATION))
               ? TLS_MUTUAL
               : TLS_UNKNOWN;
}

static enum tls_state of_forwarded(const struct roles *r, bool is_calling)
{
    return !is_calling && forwarded_field(r, SV("URI=")).len ? TLS_MUTUAL : TLS_UNKNOWN;
}

static enum tls_state of_sni(const struct roles *r, bool is_calling)
{
    struct sv sni = roles_str(r, ROLE_TLS_SNI);
    if (is_calling || !sni.len)
        return TLS_UNKNOWN;
    if (sv_starts(sni, MESH_SNI))
        return TLS_MUTUAL;
    return sv_eq(sni, NOT_THERE) ? TLS_PLAINTEXT : TLS_ONE_WAY;
}

static enum tls_state of_principals(const struct roles *r, bool is_calling)
{
    (void)is_calling;
    return is_spiffe(roles_str(r, ROLE_DESTINATION_PRINCIPAL)) ? TLS_MUTUAL : TLS_UNKNOWN;
}

static const struct {
    enum tls_basis basis;
    enum tls_state (*state)(const struct roles *r, bool is_calling);
} ways[] = {
    { TLS_BASIS_HANDSHAKE, of_tulle },     { TLS_BASIS_HANDSHAKE, of_sdk },
    { TLS_BASIS_REPORTED, of_policy },     { TLS_BASIS_REPORTED, of_peer },
    { TLS_BASIS_REPORTED, of_identities }, { TLS_BASIS_FORWARDED, of_forwarded },
    { TLS_BASIS_INFERRED, of_sni },        { TLS_BASIS_INFERRED, of_principals },
};

/* What a span without one of these attributes need not be asked. */
#define TLS_ROLES                                                                                  \
    (ROLE_BIT(ROLE_TLS_STATE) | ROLE_BIT(ROLE_TLS_ESTABLISHED) | ROLE_BIT(ROLE_TLS_SDK_VERSION) |  \
     ROLE_BIT(ROLE_TLS_POLICY) | ROLE_BIT(ROLE_TLS_MUTUAL) | ROLE_BIT(ROLE_TLS_PEER) |             \
     ROLE_BIT(ROLE_TLS_DOWNSTREAM) | ROLE_BIT(ROLE_ZTUNNEL_SOURCE) |                               \
     ROLE_BIT(ROLE_FORWARDED_CERT) | ROLE_BIT(ROLE_TLS_SNI) | ROLE_BIT(ROLE_SOURCE_PRINCIPAL) |    \
     ROLE_BIT(ROLE_DESTINATION_PRINCIPAL))

static struct sv first_spiffe(struct sv a, struct sv b, struct sv c)
{
    return is_spiffe(a) ? a : is_spiffe(b) ? b : is_spiffe(c) ? c : SV_NONE;
}

static struct sv first_text(struct sv a, struct sv b, struct sv c)
{
    return a.len ? a : b.len ? b : c;
}

struct tls_evidence tls_evidence_of(const struct roles *r, bool is_calling)
{
    struct tls_evidence e = { .state = TLS_UNKNOWN };
    if (!(r->played & TLS_ROLES))
        return e;
    for (size_t i = 0; i < NELEMS(ways) && e.state == TLS_UNKNOWN; i++) {
        e.state = ways[i].state(r, is_calling);
        e.basis = e.state == TLS_UNKNOWN ? TLS_BASIS_NONE : ways[i].basis;
    }
    bool is_downstream = !is_calling; /* Envoy's operators name the connection that came in */
    e.version = first_text(roles_str(r, ROLE_TLS_VERSION), roles_str(r, ROLE_TLS_SDK_VERSION),
                           is_downstream ? text_of(r, ROLE_TLS_DOWNSTREAM) : SV_NONE);
    e.cipher = first_text(roles_str(r, ROLE_TLS_CIPHER),
                          is_downstream ? text_of(r, ROLE_TLS_DOWNSTREAM_CIPHER) : SV_NONE,
                          SV_NONE);
    e.source_principal = first_spiffe(roles_str(r, ROLE_SOURCE_PRINCIPAL),
                                      roles_str(r, ROLE_ZTUNNEL_SOURCE),
                                      is_downstream ? roles_str(r, ROLE_TLS_PEER) : SV_NONE);
    e.destination_principal = first_spiffe(roles_str(r, ROLE_DESTINATION_PRINCIPAL),
                                           roles_str(r, ROLE_ZTUNNEL_DESTINATION), SV_NONE);
    if (is_downstream && !e.source_principal.len)
        e.source_principal = forwarded_field(r, SV("URI="));
    if (is_downstream && !e.destination_principal.len)
        e.destination_principal = forwarded_field(r, SV("By="));
    return e;
}
