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

static int compile(struct regex *re, struct sv pattern, struct err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    re->memory = pcre2_general_context_create(on_alloc, on_free, NULL);
    if (!re->memory)
        return err_set(err, ERR_NOMEM, "out of memory");
    re->compile = pcre2_compile_context_create(re->memory);
    re->limits = pcre2_match_context_create(re->memory);
    re->block = pcre2_match_data_create(1, re->memory);
    if (!re->compile || !re->limits || !re->block)
        return err_set(err, ERR_NOMEM, "out of memory");
    pcre2_set_match_limit(re->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(re->limits, MATCH_HEAP_MAX_KIB);
    re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len,
                             PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C, &code,
                             &at, re->compile);
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

struct regex *regex_new(struct sv pattern, struct err *err)
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
    if (compile(re, pattern, err) < 0)
        return regex_free(re);
    return re;
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
