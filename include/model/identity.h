/* identity.h - who takes part in a call. A missing part is "unknown", never empty. */
#ifndef MODEL_IDENTITY_H
#define MODEL_IDENTITY_H

#include "base/arena.h"
#include "base/sv.h"
#include <stdbool.h>

#define IDENTITY_UNKNOWN SV("unknown")

struct identity {
    struct sv cluster, namespace, workload;
    struct sv service; /* canonical service: own label > app.kubernetes.io/name > app > workload */
    struct sv version; /* canonical revision, "latest" when there is none */
    struct sv principal; /* SPIFFE id, "spiffe://td/ns/NS/sa/SA"; "unknown" unless proven */
};

/* All parts "unknown". */
struct identity identity_unknown(void);
/* Same cluster, namespace, workload and version: the same node of the graph. The service name and
 * the principal are facts about the node, not part of its key. */
bool identity_same_node(const struct identity *a, const struct identity *b);
/* Copies every part into mem, empty parts as "unknown"; -1 when memory is out. */
int identity_copy(struct arena *mem, const struct identity *from, struct identity *ret_to) MUST_USE;

#endif
