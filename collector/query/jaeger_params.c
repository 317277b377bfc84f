/* jaeger_params.c - Jaeger's ways of writing ids, times, durations and flags.
 *
 * An empty value counts as a missing one, and of a repeated parameter the first is taken: that is
 * how Go's form values behave, and clients rely on both. */
#include "base/base64.h"
#include "base/clock.h"
#include "base/flag.h"
#include "query/jaeger.h"

enum { BASE64_ID_MAX = 24 /* of 16 bytes, padded */ };

static bool id_of_hex(struct sv text, struct trace_id *ret_id)
{
    char digits[2 * sizeof(ret_id->b)];
    if (text.len == 0 || text.len > sizeof(digits))
        return false;
    memset(digits, '0', sizeof(digits));
    memcpy(digits + sizeof(digits) - text.len, text.p, text.len);
    return sv_to_bytes(sv_of(digits, sizeof(digits)), ret_id->b, sizeof(ret_id->b));
}

static bool id_of_base64(struct sv text, struct trace_id *ret_id)
{
    AUTO_DONE(arena) mem = { 0 };
    struct sv bytes;
    size_t size = sizeof(ret_id->b);
    if (text.len > BASE64_ID_MAX || !base64_decode(&mem, text, &bytes) ||
        (bytes.len != size && bytes.len != size / 2))
        return false;
    *ret_id = (struct trace_id){ { 0 } };
    memcpy(ret_id->b + size - bytes.len, bytes.p, bytes.len);
    return true;
}

bool jaeger_trace_id(struct sv text, struct trace_id *ret_id)
{
    struct trace_id id;
    if ((!id_of_hex(text, &id) && !id_of_base64(text, &id)) || !trace_id_is_set(id))
        return false;
    *ret_id = id;
    return true;
}

bool jaeger_path_trace_id(struct query *q, struct trace_id *ret_id)
{
    struct sv text;
    return params_path_text(&q->params, q->id, &text) && jaeger_trace_id(text, ret_id);
}

void jaeger_kv_trace_id(struct json_out *j, const char *key, struct trace_id id)
{
    static const uint8_t zeros[8];
    char text[32];
    size_t skip = memcmp(id.b, zeros, sizeof(zeros)) == 0 ? sizeof(zeros) : 0;
    hex_encode(text, id.b + skip, sizeof(id.b) - skip);
    json_kv_str(j, key, sv_of(text, 2 * (sizeof(id.b) - skip)));
}

void jaeger_kv_span_id(struct json_out *j, const char *key, struct span_id id)
{
    char text[16];
    hex_encode(text, id.b, sizeof(id.b));
    json_kv_str(j, key, sv_of(text, sizeof(text)));
}

bool jaeger_get(const struct params *p, const char *name, struct sv *ret_value)
{
    struct sv text;
    if (!params_get(p, name, &text) || text.len == 0)
        return false;
    *ret_value = text;
    return true;
}

int jaeger_bool(struct params *p, const char *name, bool *ret_v)
{
    static const struct {
        struct sv word;
        bool v;
    } words[] = {
        { { "true", 4 }, true },   { { "1", 1 }, true },  { { "t", 1 }, true },
        { { "false", 5 }, false }, { { "0", 1 }, false }, { { "f", 1 }, false },
    };
    struct sv text;
    if (!jaeger_get(p, name, &text))
        return 0;
    for (size_t i = 0; i < NELEMS(words); i++)
        if (sv_eq_nocase(text, words[i].word)) {
            *ret_v = words[i].v;
            return 0;
        }
    return params_fault(p, name, "want true or false");
}

int jaeger_u64(struct params *p, const char *name, uint64_t max, uint64_t *ret_v)
{
    struct sv text;
    return jaeger_get(p, name, &text) ? params_u64(p, name, 0, max, ret_v) : 0;
}

int jaeger_time(struct params *p, const char *name, int64_t unit_ns, int64_t *ret_ns)
{
    uint64_t v;
    struct sv text;
    if (!jaeger_get(p, name, &text))
        return 0;
    if (params_u64(p, name, 0, (uint64_t)(PARAM_TIME_MAX_NS / unit_ns), &v) < 0)
        return -1;
    *ret_ns = (int64_t)v * unit_ns;
    return 0;
}

/* Go writes microseconds with either of two letters that are not ASCII. */
static bool go_duration(struct params *p, struct sv text, int64_t *ret_ns)
{
    char *plain = arena_alloc(&p->mem, text.len + 1);
    size_t n = 0;
    if (!plain)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        struct sv letter = sv_sub(text, i, 2);
        bool is_micro = sv_eq(letter, SV("\xc2\xb5")) || sv_eq(letter, SV("\xce\xbc"));
        plain[n++] = is_micro ? 'u' : text.p[i];
        i += is_micro;
    }
    return duration_from_sv(sv_of(plain, n), ret_ns);
}

int jaeger_go_duration(struct params *p, const char *name, int64_t *ret_ns)
{
    struct sv text;
    if (!jaeger_get(p, name, &text))
        return 0;
    if (!go_duration(p, text, ret_ns))
        return params_fault(p, name, "want a duration such as 250ms, 1.5s, 2m");
    return 0;
}

int jaeger_rfc3339(struct params *p, const char *name, int64_t *ret_ns)
{
    struct sv text;
    return jaeger_get(p, name, &text) ? params_time(p, name, ret_ns) : 0;
}

int jaeger_kind(struct params *p, const char *name, bool *ret_is_given, enum span_kind *ret_kind)
{
    struct sv text;
    *ret_is_given = false;
    if (!jaeger_get(p, name, &text))
        return 0;
    for (int k = SPAN_KIND_UNSPECIFIED; k <= SPAN_KIND_CONSUMER; k++)
        if (sv_eq_nocase(text, sv_z(span_kind_name((enum span_kind)k)))) {
            *ret_is_given = true;
            *ret_kind = (enum span_kind)k;
            return 0;
        }
    return params_fault(p, name, "want server, client, producer, consumer or internal");
}
