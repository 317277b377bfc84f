/* SPDX-License-Identifier: Apache-2.0
 * lookup.c - libuv's getaddrinfo. The system's resolver may block, so it runs on libuv's own
 * threads; a cancelled lookup stays behind without its owner until the resolver is done with it. */
#include "proxy/telemetry/lookup.h"
#include "base/mem.h"
#include <stdio.h>
#include <uv.h>

struct lookup {
    uv_getaddrinfo_t request;
    lookup_fn *fn; /* both NULL: cancelled */
    lookup_all_fn *all;
    void *to;
    uint16_t port;
};

static void tell_all(struct lookup *l, int status, const struct addrinfo *list)
{
    struct addr all[LOOKUP_MAX] = { 0 };
    struct err err = { 0 };
    size_t len = 0;
    for (const struct addrinfo *at = list; status == 0 && at && len < LOOKUP_MAX; at = at->ai_next)
        memcpy(&all[len++], at->ai_addr, MIN(sizeof(all[0]), (size_t)at->ai_addrlen));
    if (!len)
        err_set(&err, ERR_IO, "%s", status ? uv_strerror(status) : "no address");
    l->all(l->to, all, len, len ? NULL : &err);
}

static void on_result(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct lookup *l = CONTAINER_OF(request, struct lookup, request);
    struct addr addr = { 0 };
    struct err err = { 0 };
    if (l->all) {
        tell_all(l, status, list);
    } else if (l->fn && status == 0 && list) {
        memcpy(&addr, list->ai_addr, MIN(sizeof(addr), (size_t)list->ai_addrlen));
        l->fn(l->to, &addr, NULL);
    } else if (l->fn) {
        err_set(&err, ERR_IO, "%s", status ? uv_strerror(status) : "no address");
        l->fn(l->to, NULL, &err);
    }
    uv_freeaddrinfo(list);
    mem_free(l);
}

static struct lookup *start(struct loop *loop, struct sv host, const struct lookup *like,
                            struct err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    char name[256], service[8];
    struct lookup *l = mem_zalloc(sizeof(*l));
    if (!l || !sv_to_z(host, name, sizeof(name))) {
        err_set(err, ERR_NOMEM, "looking up a name");
        return mem_free(l);
    }
    snprintf(service, sizeof(service), "%u", like->port);
    *l = *like;
    int rc = uv_getaddrinfo(loop_uv(loop), &l->request, on_result, name, service, &hints);
    if (rc < 0) {
        err_set(err, ERR_IO, "%s: %s", name, uv_strerror(rc));
        return mem_free(l);
    }
    return l;
}

struct lookup *lookup_start(struct loop *loop, struct sv host, uint16_t port, lookup_fn *fn,
                            void *to, struct err *err)
{
    return start(loop, host, &(struct lookup){ .fn = fn, .to = to, .port = port }, err);
}

struct lookup *lookup_all(struct loop *loop, struct sv host, lookup_all_fn *fn, void *to,
                          struct err *err)
{
    return start(loop, host, &(struct lookup){ .all = fn, .to = to }, err);
}

void lookup_cancel(struct lookup *l)
{
    if (!l)
        return;
    l->fn = NULL;
    l->all = NULL;
    uv_cancel((uv_req_t *)&l->request);
}
