/* inject.h - what the parts of `tulle inject` share. */
#ifndef CLI_INJECT_H
#define CLI_INJECT_H

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/yaml_edit.h"

#define STATUS_PORT 15020

/* One Pod, or the template of one. */
struct pod_edit {
    struct yaml_edit *y;
    const struct cli *c;
    int pod; /* with metadata and spec */
    int annotations, labels, spec;
    struct sv workload;
};

/* An annotation of the Pod, else what is given. */
struct sv inject_annotation(const struct pod_edit *p, const char *name, const char *otherwise);
/* Points the probes of the application's containers to the status port; json: what they were, {} when
 * there are none. */
void inject_probes(struct pod_edit *p, struct buf *json);

#endif
