/* SPDX-License-Identifier: Apache-2.0
 * init.h - `tulle-proxy init`: the rules that bring a pod's connections to its sidecar. */
#ifndef PROXY_INIT_H
#define PROXY_INIT_H

/* Exit status: 0, 1 when the system refused, 2 for a mistake in the options. */
int init_main(int argc, char **argv);

#endif
