/* SPDX-License-Identifier: Apache-2.0
 * messages.c - gRPC's messages, counted as they pass, and told of while a call goes on.
 *
 * A call of gRPC may last for days. What has passed is told --tcp-report-interval after the first message that was
 * not told of, so a call in which nothing moves costs nothing, and at its end with its record. */
#include "proxy/stream.h"

static void on_timer(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, messages_timer);
    if (s->is_resp_started)
        stream_record_messages(s);
    else /* nobody has said who answers */
        timer_after(t, s->worker->opt->tcp_report_ns);
}

void messages_init(struct stream *s)
{
    timer_init(&s->messages_timer, s->worker->loop, on_timer);
}

static void count(struct stream *s, struct grpc_count *c, struct sv part)
{
    int64_t after_ns = s->worker->opt->tcp_report_ns;
    grpc_count(c, part);
    if (after_ns && !timer_is_set(&s->messages_timer))
        timer_after(&s->messages_timer, after_ns);
}

void messages_of_request(struct stream *s, struct sv part)
{
    if (s->is_grpc)
        count(s, &s->req_messages, part);
}

void messages_of_response(struct stream *s, struct sv part)
{
    if (s->is_resp_grpc)
        count(s, &s->resp_messages, part);
}
