/* call.c - names of a call's enumerations, and what counts as an error. */
#include "model/call.h"

static const char *const reporter_names[REPORTERS_LEN] = { "source", "destination", "pair", "span",
                                                           "scrape" };
static const char *const protocol_names[PROTOCOLS_LEN] = { "http", "grpc", "tcp" };
static const char *const tls_state_names[TLS_STATES_LEN] = { "unknown", "plaintext", "tls",
                                                             "mutual" };

static const char *const tls_basis_names[TLS_BASES_LEN] = { "none", "inferred", "forwarded",
                                                            "reported", "handshake" };

static const char *const part_names[CALL_PARTS_LEN] = { "whole", "begin", "bytes", "end" };

/* The index of name in names, or len. */
static size_t name_index(const char *const *names, size_t len, struct sv name)
{
    for (size_t i = 0; i < len; i++)
        if (sv_eq(sv_z(names[i]), name))
            return i;
    return len;
}

const char *reporter_name(enum reporter r)
{
    INVARIANT((size_t)r < REPORTERS_LEN);
    return reporter_names[r];
}

const char *protocol_name(enum protocol p)
{
    INVARIANT((size_t)p < PROTOCOLS_LEN);
    return protocol_names[p];
}

const char *tls_state_name(enum tls_state t)
{
    INVARIANT((size_t)t < TLS_STATES_LEN);
    return tls_state_names[t];
}

const char *tls_basis_name(enum tls_basis b)
{
    INVARIANT((size_t)b < TLS_BASES_LEN);
    return tls_basis_names[b];
}

const char *call_part_name(enum call_part p)
{
    INVARIANT((size_t)p < CALL_PARTS_LEN);
    return part_names[p];
}

bool reporter_from_sv(struct sv name, enum reporter *ret)
{
    size_t i = name_index(reporter_names, REPORTERS_LEN, name);
    if (i == REPORTERS_LEN)
        return false;
    *ret = (enum reporter)i;
    return true;
}

bool protocol_from_sv(struct sv name, enum protocol *ret)
{
    size_t i = name_index(protocol_names, PROTOCOLS_LEN, name);
    if (i == PROTOCOLS_LEN)
        return false;
    *ret = (enum protocol)i;
    return true;
}

bool tls_state_from_sv(struct sv name, enum tls_state *ret)
{
    size_t i = name_index(tls_state_names, TLS_STATES_LEN, name);
    if (i == TLS_STATES_LEN)
        return false;
    *ret = (enum tls_state)i;
    return true;
}

bool call_part_from_sv(struct sv name, enum call_part *ret)
{
    size_t i = name_index(part_names, CALL_PARTS_LEN, name);
    if (i == CALL_PARTS_LEN)
        return false;
    *ret = (enum call_part)i;
    return true;
}

bool call_is_error(const struct call *c)
{
    if (c->grpc_status > 0 || c->response_code >= 500)
        return true;
    if (c->grpc_status == 0 || c->response_code > 0)
        return false;
    /* A TCP connection has no response; the proxy says with a flag when it failed. */
    return c->protocol != PROTOCOL_TCP || c->response_flags.len > 0;
}
