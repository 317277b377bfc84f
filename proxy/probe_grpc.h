/* SPDX-License-Identifier: Apache-2.0
 * probe_grpc.h - a probe by gRPC: grpc.health.v1.Health/Check as bytes, and what an answer means.
 *
 * Source: gRPC's health-checking.md and health.proto; what is well or not, as kubelets have it. Pure functions. */
#ifndef PROXY_PROBE_GRPC_H
#define PROXY_PROBE_GRPC_H

#include "base/buf.h"
#include "wire/http_msg.h"

#define PROBE_GRPC_PATH  "/grpc.health.v1.Health/Check"
#define PROBE_WHY_SIZE   200
#define PROBE_ANSWER_MAX 1024 /* a HealthCheckResponse has 2 bytes, and may get fields one day */

/* HealthCheckRequest behind gRPC's length; service empty: the server as a whole. */
void probe_grpc_put(struct buf *to, struct sv service);

struct probe_grpc_answer {
    const struct http_head *head;
    const struct http_header *trailers; /* none when the status stands in the head */
    size_t trailers_len;
    struct sv body; /* of at most PROBE_ANSWER_MAX bytes */
};
/* 200: SERVING. Else 503, and why says what came instead. */
unsigned probe_grpc_judge(const struct probe_grpc_answer *a, char why[PROBE_WHY_SIZE]);

#endif
