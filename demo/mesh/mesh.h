/* mesh.h - everything that runs in a demo: its folder, its configuration and its processes.
 *
 * The folder holds config/ and a folder for each gateway with Ingresses (YAML), certs/, secrets/, logs/ and
 * data/ (the collector's). One thread: the one
 * that called mesh_open(), because children live as long as the thread that started them. */
#ifndef DEMO_MESH_MESH_H
#define DEMO_MESH_MESH_H

#include "base/err.h"
#include "demo/mesh/pods.h"
#include "demo/mesh/proc.h"
#include <stdint.h>

enum { MESH_PROCS_MAX = 2 * PODS_MAX + 1 }; /* application and proxy, and the collector */

struct mesh_conf {
    const char *net; /* "127.1.0": pods are NET.N */
    uint16_t http_port, otlp_port;
    const char *programs; /* folder of tulle-collector and tulle-proxy */
    const char *here;     /* folder of demo-app and the YAML files */
    bool is_kept;         /* leave the folder behind */
};
struct demo_mesh {
    struct mesh_conf conf;
    char dir[256];
    char base_url[64];                 /* of the collector: "http://127.0.0.1:16686" */
    struct proc procs[MESH_PROCS_MAX]; /* the collector is the first */
    size_t procs_len;
};

/* Makes the folder and its files; starts nothing. On failure nothing is left. */
int mesh_open(struct demo_mesh *m, const struct mesh_conf *conf, struct err *err) MUST_USE;
/* Starts collector, applications and proxies, in this order; does not wait. */
int mesh_start(struct demo_mesh *m, struct err *err) MUST_USE;
/* Asks everybody once whether they are ready; *ret_who names one that is not. */
bool mesh_is_ready(struct demo_mesh *m, const char **ret_who);
/* A child that ended by itself, which it must not; NULL when all live. */
const struct proc *mesh_fallen(struct demo_mesh *m);
/* kill -9, and a new process on the same data. */
void mesh_kill_collector(struct demo_mesh *m);
int mesh_restart_collector(struct demo_mesh *m, struct err *err) MUST_USE;
/* Ends all children in order (who sends before who receives) and removes the folder. True: every
 * one of them ended by itself with status 0. */
bool mesh_close(struct demo_mesh *m);

#endif
