/* SPDX-License-Identifier: Apache-2.0
 * header_format.c - takes the values of header edits apart: texts, "%OPERATOR%", "%OPERATOR(ARGUMENT)%", "%%". */
#include "proxy/route/header_format.h"

/* clang-format off */
static const struct {
    const char *name;
    enum header_op op;
    bool has_argument;
} ops[] = {
    { "DOWNSTREAM_REMOTE_ADDRESS",                     HEADER_OP_REMOTE,       false },
    { "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",        HEADER_OP_REMOTE_IP,    false },
    { "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",              HEADER_OP_DIRECT,       false },
    { "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", HEADER_OP_DIRECT_IP,    false },
    { "DOWNSTREAM_LOCAL_ADDRESS",                      HEADER_OP_LOCAL,        false },
    { "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",         HEADER_OP_LOCAL_IP,     false },
    { "DOWNSTREAM_LOCAL_PORT",                         HEADER_OP_LOCAL_PORT,   false },
    { "PROTOCOL",                                      HEADER_OP_PROTOCOL,     false },
    { "REQ",                                           HEADER_OP_REQ,          true },
    { "HOSTNAME",                                      HEADER_OP_HOSTNAME,     false },
    { "REQUESTED_SERVER_NAME",                         HEADER_OP_SNI,          false },
    { "DOWNSTREAM_PEER_URI_SAN",                       HEADER_OP_PEER_URI,     false },
    { "DOWNSTREAM_PEER_SUBJECT",                       HEADER_OP_PEER_SUBJECT, false },
    { "DOWNSTREAM_PEER_FINGERPRINT_256",               HEADER_OP_PEER_HASH,    false },
    { "DOWNSTREAM_TLS_VERSION",                        HEADER_OP_TLS_VERSION,  false },
    { "DOWNSTREAM_TLS_CIPHER",                         HEADER_OP_TLS_CIPHER,   false },
    { "UPSTREAM_HOST",                                 HEADER_OP_UPSTREAM,     false },
    { "UPSTREAM_REMOTE_ADDRESS",                       HEADER_OP_UPSTREAM,     false },
    { "UPSTREAM_CLUSTER",                              HEADER_OP_CLUSTER,      false },
    { "START_TIME",                                    HEADER_OP_START_TIME,   false },
    { "TRACE_ID",                                      HEADER_OP_TRACE_ID,     false },
};
/* clang-format on */

static bool take_operator(struct sv body, struct header_part *ret)
{
    size_t open = sv_index(body, '(');
    struct sv name = sv_sub(body, 0, open);
    bool has_argument = open < body.len && sv_ends(body, SV(")"));
    if (open < body.len && !has_argument)
        return false;
    ret->text = has_argument ? sv_sub(body, open + 1, body.len - open - 2) : SV_NONE;
    for (size_t i = 0; i < NELEMS(ops); i++)
        if (sv_eq(name, sv_z(ops[i].name)) && ops[i].has_argument == (ret->text.len > 0)) {
            ret->op = ops[i].op;
            return true;
        }
    return false;
}

bool header_format_next(struct sv *rest, struct header_part *ret)
{
    struct sv text = *rest;
    size_t percent = sv_index(text, '%');
    if (!text.len)
        return false;
    if (percent > 0) {
        *ret = (struct header_part){ HEADER_OP_TEXT, sv_sub(text, 0, percent) };
        *rest = sv_from(text, percent);
        return true;
    }
    struct sv body = sv_from(text, 1);
    size_t end = sv_index(body, '%');
    if (end == body.len)
        return false;
    if (end == 0) { /* "%%" is one */
        *ret = (struct header_part){ HEADER_OP_TEXT, sv_sub(text, 0, 1) };
    } else if (!take_operator(sv_sub(body, 0, end), ret)) {
        return false;
    }
    *rest = sv_from(body, end + 1);
    return true;
}

int header_format_check(struct sv text, bool *ret, struct err *err)
{
    struct sv rest = text;
    *ret = sv_contains(text, SV("%"));
    for (struct header_part part; header_format_next(&rest, &part);)
        continue;
    if (!rest.len)
        return 0;
    return err_at(err, ERR_USAGE, text.len - rest.len, "'%.*s' is no operator that is known here",
                  SV_ARG(sv_sub(rest, 0, 60)));
}
