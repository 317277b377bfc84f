/* mesh_fixture.h - configuration folders for tests: text to a folder, folder to a mesh. */
#ifndef TESTS_MESH_FIXTURE_H
#define TESTS_MESH_FIXTURE_H

#include "proxy/config/mesh.h"

/* The demo's reviews in short: service reviews (port 9080), pods v1, v2, v3 with sidecars at
 * 10.0.0.1 .. 10.0.0.3, service ratings with EndpointSlices, namespace default. */
extern const char mesh_fixture_reviews[];

/* A mesh of these texts, a file each (NULL ends the list); self is productpage in default. */
struct mesh *mesh_fixture_load(const char *const *texts, struct err *err);
struct mesh *mesh_fixture_load_as(const struct mesh_conf *conf, const char *const *texts,
                                  struct err *err);
struct mesh_conf mesh_fixture_conf(void);
/* A GET of that authority and path. slots: up to 8 "name: value" headers, NULL-ended. */
struct http_head mesh_fixture_request(const char *authority, const char *path,
                                      struct http_header *slots);
/* Does the mesh have a warning that contains part? */
bool mesh_fixture_warns(const struct mesh *m, const char *part);

#endif
