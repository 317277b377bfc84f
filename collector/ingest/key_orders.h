/* key_orders.h - finds the order of keys of an attribute list while a request is decoded.
 *
 * All-zero is the valid empty table; it belongs to one batch. Not thread-safe. */
#ifndef INGEST_KEY_ORDERS_H
#define INGEST_KEY_ORDERS_H

#include "model/batch.h"

/* One list of keys and where it goes on. */
struct key_node {
    struct sv key; /* the last of the list; of the first list with it, in the batch */
    uint32_t longer,
        other; /* lists with one key more; another with its last key different; 0: none */
    uint16_t key_id, len;          /* index in batch.keys; keys of the list */
    uint32_t before;               /* the list without its last key */
    const struct key_order *order; /* NULL until a whole list ends here */
};
struct key_orders {
    struct key_node *nodes; /* nodes[0] is the empty list */
    uint32_t len, cap;
    struct sv *keys; /* batch.keys */
    uint32_t keys_cap;
};

enum {
    KEYS_MAX = 256,        /* a program's attributes; who sends more makes them up */
    KEY_NODES_MAX = 1024,  /* 56 KiB while decoding */
    KEY_BRANCHES_MAX = 16, /* are compared for one key at most */
    KEY_LIST_MAX = 128,    /* as many as SDKs allow a span */
};

void key_orders_done(struct key_orders *t);
/* *ret_keys: NULL when the list is empty or the table is full. Keys of n attributes must live as long
 * as b. 0, ERR_NOMEM. */
int key_orders_find(struct key_orders *t, struct batch *b, const struct attr *list, size_t n,
                    const struct key_order **ret_keys) MUST_USE;

DEFINE_AUTO_DONE(key_orders);

#endif
