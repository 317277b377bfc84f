/* list.h - intrusive doubly linked lists: the node lies in the object, nothing is allocated.
 *
 * A head is a node linked to itself. Not thread-safe. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/auto.h"
#include <stdbool.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *n)
{
    n->prev = n->next = n;
}
static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}
/* A zeroed node counts as unlinked. */
static inline bool list_is_linked(const struct list *n)
{
    return n->next && n->next != n;
}
static inline void list_add_tail(struct list *head, struct list *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}
static inline void list_add_head(struct list *head, struct list *n)
{
    list_add_tail(head->next, n);
}
/* Safe on an unlinked node. */
static inline void list_remove(struct list *n)
{
    if (!list_is_linked(n))
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#define LIST_FIRST(head, type, member)                                                             \
    (list_is_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))
/* The current element may be removed inside the loop. */
#define LIST_EACH(it, after, head)                                                                 \
    for (struct list *it = (head)->next, *after = it->next; it != (head);                          \
         it = after, after = it->next)

#endif
