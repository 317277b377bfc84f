/* SPDX-License-Identifier: Apache-2.0
 * reason_out.c - why the proxy answered by itself, in words beside Envoy's details: an attribute of the
 * record, and an event at the end of the span, where trace viewers show what happened when. */
#include "proxy/telemetry/otlp_out.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

static bool was_answered_here(const struct exchange *x)
{
    return x->call.response_code_details.len &&
           !sv_eq(x->call.response_code_details, SV("via_upstream"));
}

void otlp_put_reason(struct buf *to, const struct exchange *x)
{
    otlp_put_text(to, OTLP_LOG_ATTRIBUTES, SV("reason"), x->reason);
}

void otlp_put_reply_event(struct buf *to, const struct exchange *x)
{
    const struct call *c = &x->call;
    if (!was_answered_here(x))
        return;
    size_t event = pb_open(to, OTLP_SPAN_EVENTS);
    pb_put_fixed64(to, OTLP_EVENT_TIME, (uint64_t)(c->start_ns + c->duration_ns));
    pb_put_bytes(to, OTLP_EVENT_NAME, SV("proxy.reply"));
    otlp_put_text(to, OTLP_EVENT_ATTRIBUTES, SV("response_code_details"), c->response_code_details);
    otlp_put_text(to, OTLP_EVENT_ATTRIBUTES, SV("response_flags"), c->response_flags);
    otlp_put_text(to, OTLP_EVENT_ATTRIBUTES, SV("reason"), x->reason);
    pb_close(to, event);
}
