/* SPDX-License-Identifier: Apache-2.0
 * regex.c - PCRE2 behind the three calls a route needs.
 *
 * Istio's patterns are RE2, which cannot backtrack for ever; PCRE2 can, so each match runs under a
 * limit on steps and on heap. 100,000 steps are a few milliseconds at worst. The JIT is used when
 * the platform has it. The match block is made with the pattern, so that matching allocates
 * nothing. */
#include "proxy/route/regex.h"
#include "base/mem.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_STEPS_MAX    100000
#define MATCH_HEAP_MAX_KIB 256
#define GROUPS_MAX         10 /* \0 to \9 */

struct regex {
    pcre2_general_context *memory;
    pcre2_compile_context *compile;
    pcre2_match_context *limits;
    pcre2_match_data *block;
    pcre2_code *code;
};

static void *on_alloc(size_t bytes, void *arg)
{
    (void)arg;
    return mem_alloc(bytes);
}

static void on_free(void *p, void *arg)
{
    (void)arg;
    mem_free(p);
}

static int compile(struct regex *re, struct sv pattern, uint32_t options, struct err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    re->memory = pcre2_general_context_create(on_alloc, on_free, NULL);
    if (!re->memory)
        return err_set(err, ERR_NOMEM, "out of memory");
    re->compile = pcre2_compile_context_create(re->memory);
    re->limits = pcre2_match_context_create(re->memory);
    re->block = pcre2_match_data_create(GROUPS_MAX, re->memory);
    if (!re->compile || !re->limits || !re->block)
        return err_set(err, ERR_NOMEM, "out of memory");
    pcre2_set_match_limit(re->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(re->limits, MATCH_HEAP_MAX_KIB);
    re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len, options | PCRE2_NEVER_BACKSLASH_C,
                             &code, &at, re->compile);
    if (!re->code && code == PCRE2_ERROR_HEAP_FAILED)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (!re->code) {
        PCRE2_UCHAR text[120] = "";
        pcre2_get_error_message(code, text, sizeof(text));
        return err_at(err, ERR_MALFORMED, at, "%s", (const char *)text);
    }
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it matching is only slower */
    return 0;
}

static struct regex *make(struct sv pattern, uint32_t options, struct err *err)
{
    if (pattern.len == 0 || pattern.len > REGEX_PATTERN_MAX) {
        err_set(err, ERR_LIMIT, "a pattern has 1 to %d bytes, this one %zu", REGEX_PATTERN_MAX,
                pattern.len);
        return NULL;
    }
    struct regex *re = mem_zalloc(sizeof(*re));
    if (!re) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (compile(re, pattern, options, err) < 0)
        return regex_free(re);
    return re;
}

struct regex *regex_new(struct sv pattern, struct err *err)
{
    return make(pattern, PCRE2_ANCHORED | PCRE2_ENDANCHORED, err);
}

struct regex *regex_new_search(struct sv pattern, bool is_anchored, bool ignores_case,
                               struct err *err)
{
    return make(pattern, (is_anchored ? PCRE2_ANCHORED : 0) | (ignores_case ? PCRE2_CASELESS : 0),
                err);
}

struct regex *regex_free(struct regex *re)
{
    if (re) {
        pcre2_code_free(re->code);
        pcre2_match_data_free(re->block);
        pcre2_match_context_free(re->limits);
        pcre2_compile_context_free(re->compile);
        pcre2_general_context_free(re->memory);
        mem_free(re);
    }
    return NULL;
}

bool regex_matches(const struct regex *re, struct sv text)
{
    return pcre2_match(re->code, (PCRE2_SPTR)(text.p ? text.p : ""), text.len, 0, 0, re->block,
                       re->limits) > 0;
}

/* `with`, its marks replaced by the groups of the last match. */
static void put_replacement(const struct regex *re, int groups, struct sv text, struct sv with,
                            char mark, struct buf *to)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->block);
    for (size_t i = 0; i < with.len; i++) {
        bool is_group = with.p[i] == mark && i + 1 < with.len && with.p[i + 1] >= '0' &&
                        with.p[i + 1] <= '9';
        if (!is_group) {
            buf_putc(to, with.p[i]);
            continue;
        }
        int group = with.p[++i] - '0';
        if (group < groups && at[2 * group] != PCRE2_UNSET)
            buf_put(to, sv_sub(text, at[2 * group], at[2 * group + 1] - at[2 * group]));
    }
}

bool regex_rewrite(const struct regex *re, struct sv text, struct sv with, char mark, bool is_whole,
                   struct buf *to)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->block);
    size_t from = 0, copied = 0, len = to->len;
    for (int turn = 0; turn < REGEX_REWRITES && from <= text.len; turn++) {
        int groups = pcre2_match(re->code, (PCRE2_SPTR)(text.p ? text.p : ""), text.len, from, 0,
                                 re->block, re->limits);
        if (groups <= 0)
            break;
        if (!is_whole)
            buf_put(to, sv_sub(text, copied, at[0] - copied));
        put_replacement(re, groups, text, with, mark, to);
        if (is_whole)
            return true;
        copied = at[1];
        from = at[1] > at[0] ? at[1] : at[1] + 1; /* an empty match is not found again */
    }
    if (copied == 0 && to->len == len)
        return false;
    buf_put(to, sv_from(text, copied));
    return true;
}
