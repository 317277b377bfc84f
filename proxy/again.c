/* again.c - a try has failed: what that says about the endpoint, and whether there is another try.
 *
 * The policy (upstream/retry.c) says which failures are worth repeating; here stands what must hold
 * besides: nothing of a response has gone to the caller, the request can be sent again from its
 * first byte, and tries are left. Its head lies in the stream until the end; its body is kept as it
 * was written, up to KEPT_MAX, and only when the policy has a use for it. Between two tries lies a
 * jittered wait; the route's timer runs through all of it, so nothing here can outlast it. */
#include "base/log.h"
#include "proxy/stream.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/retry.h"
#include "wire/grpc.h"

static void on_try_timer(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, try_timer);
    s->is_try_over = true;
    stream_run(s);
}

static const struct retry_policy *policy_of(const struct stream *s)
{
    return s->route ? s->route->retry : NULL;
}

void again_init(struct stream *s)
{
    timer_init(&s->try_timer, s->worker->loop, on_try_timer);
}

void again_begin_try(struct stream *s)
{
    const struct retry_policy *p = policy_of(s);
    s->attempts++;
    if (p && p->per_try_ns)
        timer_after(&s->try_timer, p->per_try_ns);
}

static void pardon(struct stream *s)
{
    s->is_last_resort = false;
    if (!outlier_pardon(&s->worker->outlier, s->endpoint, loop_now_ns(s->worker->loop)))
        return;
    tally(TALLY_OUTLIER_PARDONED);
    LOG_INFO("outlier.pardoned", KV_SV("endpoint", s->endpoint->text),
             KV_SV("cluster", s->cluster->name));
}

void again_judge(struct stream *s, enum outlier_sign sign)
{
    int64_t out_ns = 0;
    if (!s->endpoint || !s->cluster || !s->cluster->outlier)
        return;
    if (s->is_last_resort && sign == OUTLIER_OK)
        pardon(s);
    switch (outlier_report(&s->worker->outlier, s->cluster, s->endpoint, sign,
                           loop_now_ns(s->worker->loop), &out_ns)) {
    case OUTLIER_UNCHANGED: return;
    case OUTLIER_SPARED: tally(TALLY_OUTLIER_SPARED); return;
    case OUTLIER_EJECTED:
        tally(TALLY_OUTLIER_EJECTED);
        LOG_WARN("outlier.ejected", KV_SV("endpoint", s->endpoint->text),
                 KV_SV("cluster", s->cluster->name), KV_NSEC("for", out_ns));
        return;
    }
}

/* There is a policy, it has tries left, and the request can be sent again. */
static bool may_repeat(struct stream *s)
{
    if (s->is_resp_started || s->is_body_lost)
        return false;
    s->is_exhausted = s->retries >= policy_of(s)->attempts || !breaker_retry(&s->seat);
    return !s->is_exhausted;
}

static void remember_tried(struct stream *s)
{
    if (!s->endpoint || !policy_of(s)->prefers_others)
        return;
    s->tried[s->tried_len % TRIED_MAX] = s->endpoint;
    s->tried_len++;
}

static bool begin_again(struct stream *s, enum retry_cause cause)
{
    static const enum tally_id counts[RETRY_CAUSES_LEN] = {
        [RETRY_CONNECT] = TALLY_RETRY_CONNECT,   [RETRY_RESET] = TALLY_RETRY_RESET,
        [RETRY_REFUSED] = TALLY_RETRY_REFUSED,   [RETRY_TIMEOUT] = TALLY_RETRY_TIMEOUT,
        [RETRY_RESPONSE] = TALLY_RETRY_RESPONSE,
    };
    if (!may_repeat(s)) {
        if (s->is_exhausted)
            tally(TALLY_RETRY_EXHAUSTED);
        return false;
    }
    tally(counts[cause]);
    s->retries++;
    remember_tried(s);
    stream_drop_up(s, false);
    s->failure[0] = s->why[0] = '\0';
    s->is_why_inside = false;
    if (!s->is_req_read && !s->down_h2)
        conn_pause(s->down->conn); /* the rest of the body waits for the next try */
    s->is_try_over = false;
    timer_after(&s->try_timer, retry_backoff_ns(policy_of(s), s->retries, random_u64()));
    s->state = ST_BACKOFF;
    return true;
}

static bool has_policy(const struct stream *s)
{
    return policy_of(s) && policy_of(s)->attempts > 0;
}

bool again_after_failure(struct stream *s, enum retry_cause cause)
{
    again_judge(s, OUTLIER_NO_ANSWER);
    return has_policy(s) && retry_wants_failure(policy_of(s), cause) && begin_again(s, cause);
}

bool again_after_response(struct stream *s, unsigned status)
{
    timer_stop(&s->try_timer); /* what has begun may take as long as the route's timeout */
    s->is_try_over = false;
    uint64_t grpc_status;
    if (!s->is_grpc || status != 200)
        again_judge(s, outlier_sign_of(status));
    else if (sv_to_u64(s->grpc_status, &grpc_status))
        again_judge(s, outlier_sign_of(grpc_status_as_http(grpc_status)));
    return has_policy(s) && retry_wants_response(policy_of(s), status, s->grpc_status) &&
           begin_again(s, RETRY_RESPONSE);
}

void again_after_trailers(struct stream *s, const struct http_header *list, size_t len)
{
    uint64_t grpc_status;
    if (!s->is_grpc || s->grpc_status.len)
        return;
    for (size_t i = 0; i < len; i++)
        if (sv_eq_nocase(list[i].name, SV("grpc-status")))
            s->grpc_status = list[i].value;
    if (sv_to_u64(s->grpc_status, &grpc_status))
        again_judge(s, outlier_sign_of(grpc_status_as_http(grpc_status)));
}

void again_on_try_timeout(struct stream *s)
{
    s->is_try_over = false;
    if (again_after_failure(s, RETRY_TIMEOUT))
        return;
    snprintf(s->why, sizeof(s->why), "no response within perTryTimeout");
    (void)stream_fail(s, 504, TALLY_REPLIES_UT, "UT", "upstream_per_try_timeout");
}

enum step_result again_wait(struct stream *s)
{
    if (!s->is_try_over)
        return STEP_WAIT;
    s->is_try_over = false;
    s->state = ST_CONNECT;
    return STEP_AGAIN;
}

void again_choose_keeping(struct stream *s)
{
    s->is_body_kept = has_policy(s) && retry_needs_body(policy_of(s), s->is_grpc);
}

void again_expect_refusal(struct stream *s)
{
    s->is_body_kept = !s->is_body_lost;
}

void again_forbid(struct stream *s)
{
    s->is_body_kept = false;
    s->is_body_lost = true;
    buf_done(&s->kept);
}

void again_keep(struct stream *s, struct sv part)
{
    if (s->is_body_lost)
        return;
    if (s->is_body_kept && s->kept.len + part.len <= KEPT_MAX)
        buf_put(&s->kept, part);
    else
        s->is_body_kept = false;
    if (!s->is_body_kept || s->kept.failed)
        again_forbid(s);
}
