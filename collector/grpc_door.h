/* SPDX-License-Identifier: Apache-2.0
 * grpc_door.h - the gRPC door: the services that exporters and proxies call over HTTP/2 without TLS.
 *
 *   opentelemetry.proto.collector.{trace,logs}.v1.*Service/Export   OTLP
 *   envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs    Envoy's access logs (ALS)
 *   grpc.health.v1.Health/Check                                     SERVING while the door is open
 *
 * OK after the commit (with partial_success when records were refused); INVALID_ARGUMENT for bytes that
 * cannot be read (reason and offset), RESOURCE_EXHAUSTED over a limit, and, with a RetryInfo, when too
 * much is in flight; UNAVAILABLE when the store failed or the collector is stopping; UNIMPLEMENTED for
 * other methods and codings. A stream of access logs is answered at its end: what is not committed yet
 * holds the sender back by flow control. One loop thread. */
#ifndef COLLECTOR_GRPC_DOOR_H
#define COLLECTOR_GRPC_DOOR_H

#include "door.h"

struct grpc_door;
/* As door_open(), door_port(), door_drain() and door_close(). */
struct grpc_door *grpc_door_open(const struct door_conf *c, struct err *err) MUST_USE;
uint16_t grpc_door_port(const struct grpc_door *d);
void grpc_door_drain(struct grpc_door *d, int64_t wait_ns, door_drained_fn *fn, void *to);
struct grpc_door *grpc_door_close(struct grpc_door *d);

#endif
