/* findings.h - what a configuration's readers have to say: errors and warnings with their place.
 *
 * Readers go on after an error, so that a checker sees all of them at once; the loader fails when
 * there was any. Text lives in the arena. One thread. */
#ifndef PROXY_CONFIG_FINDINGS_H
#define PROXY_CONFIG_FINDINGS_H

#include "base/arena.h"
#include "proxy/config/yaml_doc.h"
#include <stdint.h>

#define FINDINGS_MAX 1000 /* more of them help nobody; the rest are only counted */

/* Where an object or one of its fields was, for what is found out after its document is gone. */
struct place {
    const char *file;      /* NULL: no file in particular */
    uint32_t line, column; /* 0: the file as a whole */
    struct sv kind, name;  /* "VirtualService", "reviews"; empty: no object */
};
struct finding {
    bool is_error;
    struct sv text;   /* "FILE:LINE:COLUMN: KIND NAME: FIELD: what is wrong" */
    size_t place_len; /* of it, "FILE:LINE:COLUMN: " */
    struct finding *next;
};
struct findings {
    struct arena *mem;
    struct finding *first, *last;
    size_t errors, warnings; /* all, also those past FINDINGS_MAX */
    bool is_nomem;           /* an allocation failed: the whole load does */
    /* where the readers are */
    const char *file;
    const struct node *object; /* root of the object being read */
    struct sv kind, name;      /* "VirtualService", "reviews" */
};

void finding_error(struct findings *f, const struct node *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void finding_warn(struct findings *f, const struct node *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* As finding_warn(), placed at the field's name instead of its value. */
void finding_warn_key(struct findings *f, const struct node *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Without a node: errors of the YAML itself, of a file, or about objects already read. */
void finding_place(struct findings *f, bool is_error, const struct place *at, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Where n of the object being read stands. */
struct place place_of(const struct findings *f, const struct node *n);

#endif
