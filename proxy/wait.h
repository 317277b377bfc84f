/* wait.h - `tulle-proxy wait`: blocks until a proxy is ready. */
#ifndef PROXY_WAIT_H
#define PROXY_WAIT_H

/* argv[0] is "wait". The exit status: 0 ready, 1 not in time, 2 usage. */
int wait_main(int argc, char **argv);

#endif
