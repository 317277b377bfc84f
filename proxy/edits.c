/* SPDX-License-Identifier: Apache-2.0
 * edits.c - header edits, applied while a head is written.
 *
 * There is no head in memory to change: fields pass through, so what is removed or set is left out on
 * the way, and what is set or added comes behind. An edit that a later one undoes is not written. */
#include "proxy/edits.h"
#include "proxy/edit_values.h"
#include "wire/h1.h"

void edits_push(struct edits *e, const struct header_edits *list)
{
    if (list && list->len && e->len < EDITS_MAX)
        e->lists[e->len++] = list;
}

bool edits_hide(const struct edits *e, struct sv name)
{
    for (size_t i = 0; i < e->len; i++)
        for (size_t k = 0; k < e->lists[i]->len; k++)
            if (e->lists[i]->list[k].kind != HEADER_ADD &&
                sv_eq_nocase(e->lists[i]->list[k].name, name))
                return true;
    return false;
}

/* A later list, or a later edit of the same list, sets or removes the same field. */
static bool is_undone(const struct edits *e, size_t list, size_t at)
{
    struct sv name = e->lists[list]->list[at].name;
    for (size_t i = list; i < e->len; i++)
        for (size_t k = i == list ? at + 1 : 0; k < e->lists[i]->len; k++)
            if (e->lists[i]->list[k].kind != HEADER_ADD &&
                sv_eq_nocase(e->lists[i]->list[k].name, name))
                return true;
    return false;
}

/* Nothing is sent when nothing is left of the value. */
static void put_made(const struct header_edit *one, struct stream *s, struct buf *to)
{
    size_t before = to->len;
    buf_put(to, one->name);
    buf_put(to, SV(": "));
    size_t begin = to->len;
    edit_value_put(s, one->value, to);
    if (to->len == begin)
        to->len = before;
    else
        buf_put(to, SV("\r\n"));
}

void edits_put(const struct edits *e, struct stream *s, struct buf *to)
{
    for (size_t i = 0; i < e->len; i++)
        for (size_t k = 0; k < e->lists[i]->len; k++) {
            const struct header_edit *one = &e->lists[i]->list[k];
            if (one->kind == HEADER_REMOVE || is_undone(e, i, k))
                continue;
            if (one->is_format)
                put_made(one, s, to);
            else
                h1_put_field(to, one->name, one->value);
        }
}
