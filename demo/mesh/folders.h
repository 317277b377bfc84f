/* folders.h - the folders of configuration: what sidecars and each gateway read, and where secrets lie. */
#ifndef DEMO_MESH_FOLDERS_H
#define DEMO_MESH_FOLDERS_H

#include "base/err.h"
#include "demo/mesh/pods.h"

/* Writes DIR/FOLDER/NAME.yaml for every folder: copies of files in here, and the pods with addresses in net. */
int folders_make(const char *dir, const char *here, const char *net, struct err *err) MUST_USE;
/* The folder below DIR whose files the pod's proxy reads. */
const char *folder_of(const struct pod_spec *pod);
/* Does the pod carry the label of Istio's own gateway, which 11-ingress-gateway-canary.yaml selects? */
bool folder_is_istio(const struct pod_spec *pod);

#endif
