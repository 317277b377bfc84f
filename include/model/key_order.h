/* key_order.h - the keys of an attribute list in their order, said once for all lists of a batch that have
 * the same.
 *
 * Spans of one program carry the same keys again and again. What is worked out for a key (what it
 * means, which number a store has for it) need then be worked out once a batch and order instead of
 * once for each attribute. An order lies in its batch's memory and means nothing outside of it. */
#ifndef MODEL_KEY_ORDER_H
#define MODEL_KEY_ORDER_H

#include <stdint.h>

struct key_order {
    uint32_t id;     /* below batch.key_orders_len */
    uint32_t len;    /* attributes of such a list */
    uint16_t keys[]; /* of each attribute: the index of its key in batch.keys */
};

#endif
