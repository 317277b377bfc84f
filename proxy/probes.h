/* probes.h - the application's own probes, asked on its behalf.
 *
 * A kubelet speaks plaintext and has no identity, so an injected Pod's probes point to the proxy's
 * status port, /app-health/CONTAINER/livez, and the proxy asks the application as the kubelet would
 * have. What to ask is JSON in the form that Istio's injector writes:
 *   {"/app-health/web/readyz":{"httpGet":{"path":"/ok","port":8080},"timeoutSeconds":1}} */
#ifndef PROXY_PROBES_H
#define PROXY_PROBES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "net/addr.h"
#include "net/loop.h"
#include <stdbool.h>

#define PROBES_MAX 64 /* three each of a Pod's containers, with room */

struct probe {
    struct sv path; /* "/app-health/web/readyz" */
    struct sv
        request; /* of httpGet, as it is sent; of grpc its head; empty: connecting is enough (tcpSocket) */
    struct sv message; /* of grpc: behind the head; empty: it is not grpc */
    uint16_t port;
    bool is_tls; /* httpGet with scheme HTTPS; the certificate is not checked, as kubelets do */
    int64_t timeout_ns;
};
struct probes {
    struct probe *list;
    size_t len;
    struct list asking; /* under way; linked by the first probe_run() */
};

/* Text lies in mem. ERR_USAGE says where and what was expected; ERR_UNSUPPORTED: exec. */
int probes_parse(struct sv json, struct arena *mem, struct probes *ret, struct err *err) MUST_USE;
const struct probe *probes_find(const struct probes *p, struct sv path);

/* status 200: the application is well. Another is its own answer, or 503 with the reason. */
typedef void probe_done_fn(void *to, unsigned status, const char *why);
/* Asks the application at host; done comes in a later turn, once. */
int probe_run(struct loop *l, struct probes *all, const struct probe *p, const struct addr *host,
              probe_done_fn *done, void *to, struct err *err) MUST_USE;
void probes_cancel(struct probes *all); /* those under way fail now */

#endif
