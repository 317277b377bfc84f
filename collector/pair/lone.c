/* lone.c - databases, external hosts, queues: the peers that never send spans.
 *
 * A client span without a server span is an edge all the same when it names its peer, to a
 * virtual node of that name. A proxy of our own sends an access record for every request, which
 * names both ends exactly, so its lone spans add nothing. */
#include "pair/lone.h"

struct call call_of_half(const struct half *h, const struct identity *source,
                         const struct identity *destination)
{
    return (struct call){
        .reporter = REPORTER_SPAN,
        .protocol = (enum protocol)h->protocol,
        .tls = (enum tls_state)h->tls,
        .tls_basis = (enum tls_basis)h->tls_basis,
        .tls_version = h->said ? h->said->version : SV_NONE,
        .tls_cipher = h->said ? h->said->cipher : SV_NONE,
        .source_principal_seen = h->said ? h->said->source_principal : SV_NONE,
        .destination_principal_seen = h->said ? h->said->destination_principal : SV_NONE,
        .resends = h->resends,
        .source = *source,
        .destination = *destination,
        .start_ns = h->start_ns,
        .duration_ns = h->duration_ns,
        .bytes_received = h->bytes_received,
        .bytes_sent = h->bytes_sent,
        .response_code = h->response_code,
        .grpc_status = h->grpc_status,
        .response_flags = h->has_failed ? SPAN_ERROR_FLAG : SV_NONE,
        .trace_id = h->trace,
        .span_id = h->own,
    };
}

enum lone lone_judge(const struct half *h, struct call *ret_call)
{
    if (h->is_matched)
        return LONE_NOTHING;
    if (h->emitter == EMITTER_TULLE_PROXY)
        return LONE_COVERED;
    if (!h->peer)
        return LONE_UNPAIRED;
    *ret_call = h->is_calling ? call_of_half(h, h->who, h->peer) : call_of_half(h, h->peer, h->who);
    return LONE_VIRTUAL;
}
