/* identity.c - who takes part in a call: comparing nodes and copying names. */
#include "model/identity.h"

struct identity identity_unknown(void)
{
    struct sv none = IDENTITY_UNKNOWN;
    return (struct identity){ none, none, none, none, none, none };
}

bool identity_same_node(const struct identity *a, const struct identity *b)
{
    /* Workload first: it differs most often. */
    return a == b || (sv_same(a->workload, b->workload) && sv_same(a->version, b->version) &&
                      sv_same(a->namespace, b->namespace) && sv_same(a->cluster, b->cluster));
}

static int copy_part(struct arena *mem, struct sv part, struct sv *ret_to)
{
    *ret_to = arena_copy(mem, part.len ? part : IDENTITY_UNKNOWN);
    return ret_to->p ? 0 : -1;
}

int identity_copy(struct arena *mem, const struct identity *from, struct identity *ret_to)
{
    struct identity copy;
    if (copy_part(mem, from->cluster, &copy.cluster) < 0 ||
        copy_part(mem, from->namespace, &copy.namespace) < 0 ||
        copy_part(mem, from->workload, &copy.workload) < 0 ||
        copy_part(mem, from->service, &copy.service) < 0 ||
        copy_part(mem, from->version, &copy.version) < 0 ||
        copy_part(mem, from->principal, &copy.principal) < 0)
        return -1;
    *ret_to = copy;
    return 0;
}
