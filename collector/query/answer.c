/* answer.c - errors as JSON.
 *
 * One shape for every error under /api, with the parameter to blame where there is one, so that a
 * program can tell its user which field to correct. */
#include "query/answer.h"
#include "base/json_out.h"
#include <stdarg.h>
#include <stdio.h>

void answer_done(struct answer *a)
{
    buf_done(&a->body);
    *a = (struct answer){ 0 };
}

void answer_error(struct answer *a, unsigned status, struct sv parameter, const char *fmt, ...)
{
    char message[384];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    buf_clear(&a->body);
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_open(&j, "error", '{');
    json_kv_u64(&j, "code", status);
    if (parameter.len)
        json_kv_str(&j, "parameter", parameter);
    json_kv_str(&j, "message", sv_z(message));
    json_close(&j);
    json_close(&j);
    a->status = status;
    a->content_type = "application/json";
    a->cache = "no-store";
    a->etag[0] = '\0';
}

void answer_fault(struct answer *a, const struct params *p)
{
    answer_error(a, 400, p->bad, "%s", p->why);
}

void answer_failure(struct answer *a, const struct err *err)
{
    switch (err->code) {
    case ERR_NOT_FOUND: answer_error(a, 404, SV_NONE, "%s", err->why); break;
    case ERR_BUSY:
    case ERR_NOMEM:
        a->retry_after_s = 1;
        answer_error(a, 503, SV_NONE, "%s", err->why);
        break;
    default: answer_error(a, 500, SV_NONE, "%s: %s", err_code_name(err->code), err->why);
    }
}
