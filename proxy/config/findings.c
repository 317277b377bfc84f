/* SPDX-License-Identifier: Apache-2.0
 * findings.c - puts the place and the field's path in front of what a reader has to say.
 *
 * A path such as http[0].match[1].uri is built only when there is something to say, by walking up
 * from the node; "spec." is left out, because every reader's fields are there. */
#include "proxy/config/findings.h"
#include "base/buf.h"
#include <stdarg.h>

static void put_path(struct buf *to, const struct node *n, const struct node *object)
{
    if (!n || n == object)
        return;
    put_path(to, n->parent, object);
    bool is_item = n->parent && n->parent->kind == NODE_LIST;
    bool is_spec = n->parent == object && sv_eq(n->key, SV("spec"));
    if (is_item) {
        buf_printf(to, "[%u]", n->index);
    } else if (!is_spec) {
        if (n->parent && n->parent != object &&
            !(n->parent->parent == object && sv_eq(n->parent->key, SV("spec"))))
            buf_putc(to, '.');
        buf_put(to, sv_sub(n->key, 0, 80));
    }
}

static void put_place(struct buf *to, const char *file, uint32_t line, uint32_t column)
{
    struct sv name = sv_z(file ? file : "configuration");
    if (name.len > 96) { /* keeps the reason inside struct err */
        buf_put(to, SV("..."));
        name = sv_from(name, name.len - 93);
    }
    buf_put(to, name);
    if (line)
        buf_printf(to, ":%u:%u", line, column);
    buf_put(to, SV(": "));
}

static void add(struct findings *f, bool is_error, struct buf *text, size_t place_len)
{
    size_t count = is_error ? ++f->errors : ++f->warnings;
    if (count > FINDINGS_MAX)
        return;
    struct finding *found = arena_zalloc(f->mem, sizeof(*found));
    struct sv copy = found ? arena_copy(f->mem, buf_sv(text)) : SV_NONE;
    if (!copy.p || text->failed) {
        f->is_nomem = true;
        return;
    }
    found->is_error = is_error;
    found->text = copy;
    found->place_len = place_len;
    if (f->last)
        f->last->next = found;
    else
        f->first = found;
    f->last = found;
}

static void put_printf(struct buf *to, const char *fmt, va_list ap)
{
    char text[512];
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    if (n > 0)
        buf_put(to, sv_of(text, MIN((size_t)n, sizeof(text) - 1)));
}

static void at_node(struct findings *f, bool is_error, bool is_key, const struct node *at,
                    const char *fmt, va_list ap)
{
    AUTO_DONE(buf) text = { 0 };
    put_place(&text, f->file, is_key ? at->key_line : at->line,
              is_key ? at->key_column : at->column);
    size_t place_len = text.len;
    if (f->kind.len)
        buf_printf(&text, "%.*s %.*s: ", SV_ARG(f->kind), SV_ARG(sv_sub(f->name, 0, 80)));
    size_t before = text.len;
    put_path(&text, at, f->object);
    if (text.len > before)
        buf_put(&text, is_key ? SV(" ") : SV(": "));
    put_printf(&text, fmt, ap);
    add(f, is_error, &text, place_len);
}

void finding_error(struct findings *f, const struct node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    at_node(f, true, false, at, fmt, ap);
    va_end(ap);
}

void finding_warn(struct findings *f, const struct node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    at_node(f, false, false, at, fmt, ap);
    va_end(ap);
}

void finding_warn_key(struct findings *f, const struct node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    at_node(f, false, true, at, fmt, ap);
    va_end(ap);
}

void finding_place(struct findings *f, bool is_error, const struct place *at, const char *fmt, ...)
{
    AUTO_DONE(buf) text = { 0 };
    put_place(&text, at->file, at->line, at->column);
    size_t place_len = text.len;
    if (at->kind.len)
        buf_printf(&text, "%.*s %.*s: ", SV_ARG(at->kind), SV_ARG(sv_sub(at->name, 0, 80)));
    va_list ap;
    va_start(ap, fmt);
    put_printf(&text, fmt, ap);
    va_end(ap);
    add(f, is_error, &text, place_len);
}

struct place place_of(const struct findings *f, const struct node *n)
{
    return (struct place){
        .file = f->file, .line = n->line, .column = n->column, .kind = f->kind, .name = f->name
    };
}
