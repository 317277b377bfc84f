/* SPDX-License-Identifier: Apache-2.0
 * telling.c - the two forms of an explanation.
 *
 * Text from requests and files may hold anything, so control characters are printed as '?' on a
 * terminal; JSON escapes them. */
#include "proxy/explain/telling.h"
#include "base/clock.h"
#include <stdio.h>

#define INDENT 2

struct telling telling_of(struct buf *to, bool is_json)
{
    return (struct telling){ .to = to, .is_json = is_json, .json = json_out_of(to) };
}

static void put_printable(struct buf *to, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        buf_putc(to, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

/* Indentation, the dash of an element, and the key. */
static void begin_line(struct telling *t, const char *key)
{
    unsigned dash = t->is_item_due ? INDENT : 0;
    for (unsigned i = 0; i + dash < t->depth * INDENT; i++)
        buf_putc(t->to, ' ');
    if (dash)
        buf_put(t->to, SV("- "));
    t->is_item_due = false;
    for (const char *p = key; p && *p; p++)
        buf_putc(t->to, *p == '_' ? ' ' : *p);
    if (key)
        buf_putc(t->to, ':');
}

void tell_open(struct telling *t, const char *key, char bracket)
{
    if (t->is_json) {
        if (key)
            json_key(&t->json, sv_z(key));
        json_open(&t->json, bracket);
        return;
    }
    INVARIANT(t->depth + 1 < TELLING_DEPTH_MAX);
    t->opened[t->depth + 1] = t->filled[t->depth + 1] = t->to->len;
    if (key) {
        begin_line(t, key);
        buf_putc(t->to, '\n');
        t->depth++;
        t->filled[t->depth] = t->to->len;
    } else if (t->depth) {
        t->is_item_due = true;
        t->depth++;
    }
}

void tell_close(struct telling *t)
{
    if (t->is_json)
        json_close(&t->json);
    else if (t->depth) {
        if (t->to->len == t->filled[t->depth]) /* a key with nothing behind it */
            t->to->len = t->opened[t->depth];
        t->depth--;
    }
    t->is_item_due = false;
}

void tell_str(struct telling *t, const char *key, struct sv value)
{
    if (t->is_json) {
        if (key)
            json_key(&t->json, sv_z(key));
        json_str(&t->json, value);
        return;
    }
    if (!key) {
        t->depth++;
        t->is_item_due = true;
    }
    begin_line(t, key);
    if (key)
        buf_putc(t->to, ' ');
    else
        t->depth--;
    put_printable(t->to, value);
    buf_putc(t->to, '\n');
}

void tell_u64(struct telling *t, const char *key, uint64_t value)
{
    if (t->is_json)
        json_kv_u64(&t->json, key, value);
    else
        tell_printf(t, key, "%llu", (unsigned long long)value);
}

void tell_double(struct telling *t, const char *key, double value)
{
    if (t->is_json)
        json_kv_double(&t->json, key, value);
    else
        tell_printf(t, key, "%.6g", value);
}

void tell_bool(struct telling *t, const char *key, bool value)
{
    if (t->is_json)
        json_kv_bool(&t->json, key, value);
    else
        tell_str(t, key, value ? SV("yes") : SV("no"));
}

void tell_printf(struct telling *t, const char *key, const char *fmt, ...)
{
    char text[640]; /* two host names and what stands around them; more is cut */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    tell_str(t, key, sv_of(text, MIN((size_t)MAX(n, 0), sizeof(text) - 1)));
}

void tell_ns(struct telling *t, const char *key, int64_t ns)
{
    bool is_ms = ns < NS_PER_S;
    tell_printf(t, key, "%.6g%s", (double)ns / (double)(is_ms ? NS_PER_MS : NS_PER_S),
                is_ms ? "ms" : "s");
}
