/* SPDX-License-Identifier: Apache-2.0
 * inject.c - `tulle inject FILE...`: puts a sidecar into the Pods that a file describes.
 *
 * Reads YAML, writes all of its documents to standard output, and changes those that make Pods: Pod,
 * Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, and what is in a List. A Pod that has a
 * sidecar, that is on its host's network, or that says so (sidecar.istio.io/inject: "false") stays as it is,
 * so a second run changes nothing. The annotations are Istio's. Comments are lost, as libyaml does not keep
 * them.
 *
 * The sidecar is a native one: an init container with restartPolicy Always, which starts before the
 * application and ends after it. docs/injection.md */
#include "cli/inject.h"
#include <errno.h>
#include <stdio.h>

#define USER      "1337" /* whose connections the rules of tulle-proxy init leave alone */
#define DRAIN_MIN 1
#define LISTS_MAX 3
#define GRACE_S   30 /* Kubernetes' default */
#define FLUSH_S   3  /* for telemetry, out of the grace period */

/* clang-format off */
static const struct flag rows[] = {
    { "image",          FLAG_STR, CLI_OFF(image),     "tulle-proxy:0.1.0", "of the proxy", NULL },
    { "send-to",        FLAG_STR, CLI_OFF(send_to),   "http://tulle-collector.tulle-system:4318", "where the proxies send records and spans; empty: nowhere", NULL },
    { "mesh-configmap", FLAG_STR, CLI_OFF(configmap), "tulle-mesh",        "ConfigMap with the mesh's YAML", NULL },
    { "certs-secret",   FLAG_STR, CLI_OFF(certs),     "tulle-certs",       "Secret with cert-chain.pem, key.pem, root-cert.pem; -SERVICEACCOUNT is added", NULL },
};
static const struct { const char *annotation, *option, *before; } capture[] = {
    { "traffic.sidecar.istio.io/includeInboundPorts",     "--include-inbound-ports=",  "" },
    { "traffic.sidecar.istio.io/excludeInboundPorts",     "--exclude-inbound-ports=",  "15090,15021,15020," },
    { "traffic.sidecar.istio.io/includeOutboundIPRanges", "--include-outbound-cidrs=", "" },
    { "traffic.sidecar.istio.io/excludeOutboundIPRanges", "--exclude-outbound-cidrs=", "" },
    { "traffic.sidecar.istio.io/includeOutboundPorts",    "--include-outbound-ports=", "" },
    { "traffic.sidecar.istio.io/excludeOutboundPorts",    "--exclude-outbound-ports=", "" },
};
static const struct { const char *kind, *path; } templates[] = {
    { "Deployment",  "spec.template" },
    { "StatefulSet", "spec.template" },
    { "DaemonSet",   "spec.template" },
    { "ReplicaSet",  "spec.template" },
    { "Job",         "spec.template" },
    { "CronJob",     "spec.jobTemplate.spec.template" },
};
/* clang-format on */

struct sv inject_annotation(const struct pod_edit *p, const char *name, const char *otherwise)
{
    struct sv found = ye_get_text(p->y, p->annotations, name);
    return found.len ? found : sv_z(otherwise);
}

static void add_text(struct yaml_edit *y, int list, const char *fmt, struct sv text)
{
    AUTO_DONE(buf) out = { 0 };
    buf_put(&out, sv_z(fmt));
    buf_put(&out, text);
    y->failed |= out.failed;
    ye_append(y, list, ye_str(y, buf_sv(&out)));
}

static struct sv label_or(struct pod_edit *p, const char *a, const char *b, struct sv otherwise)
{
    struct sv first = ye_get_text(p->y, p->labels, a), second = ye_get_text(p->y, p->labels, b);
    return first.len ? first : second.len ? second : otherwise;
}

static void set_labels(struct pod_edit *p)
{
    struct yaml_edit *y = p->y;
    const char *name = "service.istio.io/canonical-name";
    const char *revision = "service.istio.io/canonical-revision";
    if (!ye_get(y, p->labels, name))
        ye_set_str(y, p->labels, name, label_or(p, "app.kubernetes.io/name", "app", p->workload));
    if (!ye_get(y, p->labels, revision))
        ye_set_str(y, p->labels, revision,
                   label_or(p, "app.kubernetes.io/version", "version", SV("latest")));
    ye_set_str(y, p->labels, "security.istio.io/tlsMode", SV("istio"));
}

static void set_annotations(struct pod_edit *p)
{
    struct yaml_edit *y = p->y;
    ye_set_str(y, p->annotations, "tulle.dev/status", SV("injected"));
    if (ye_get(y, p->annotations, "prometheus.io/scrape"))
        return; /* the application is scraped; the proxy's own numbers are on 15090 all the same */
    ye_set_str(y, p->annotations, "prometheus.io/scrape", SV("true"));
    ye_set_str(y, p->annotations, "prometheus.io/port", SV("15090"));
    ye_set_str(y, p->annotations, "prometheus.io/path", SV("/stats/prometheus"));
}

/* The application is to see who calls (interception.md): the sidecar needs NET_ADMIN, which Kubernetes gives to
 * root only; the rules know it by its group. */
static bool is_tproxy(const struct pod_edit *p)
{
    return sv_eq(ye_get_text(p->y, p->annotations, "sidecar.istio.io/interceptionMode"),
                 SV("TPROXY"));
}

static void set_security(struct pod_edit *p, int container, bool is_init)
{
    struct yaml_edit *y = p->y;
    bool is_root = is_init || is_tproxy(p);
    int context = ye_need_map(y, container, "securityContext");
    int capabilities = ye_need_map(y, context, "capabilities");
    int drop = ye_flow_list(y);
    ye_append(y, drop, ye_plain(y, SV("ALL")));
    ye_set(y, capabilities, "drop", drop);
    if (is_root) {
        int add = ye_flow_list(y);
        ye_append(y, add, ye_plain(y, SV("NET_ADMIN")));
        if (is_init)
            ye_append(y, add, ye_plain(y, SV("NET_RAW")));
        ye_set(y, capabilities, "add", add);
    }
    ye_set_plain(y, context, "allowPrivilegeEscalation", "false");
    ye_set_plain(y, context, "readOnlyRootFilesystem", "true");
    ye_set_plain(y, context, "runAsNonRoot", is_root ? "false" : "true");
    ye_set_plain(y, context, "runAsUser", is_root ? "0" : USER);
    ye_set_plain(y, context, "runAsGroup", is_init ? "0" : USER);
}

static void set_resources(struct pod_edit *p, int container)
{
    struct yaml_edit *y = p->y;
    int resources = ye_need_map(y, container, "resources");
    int requests = ye_need_map(y, resources, "requests");
    ye_set_str(y, requests, "cpu", inject_annotation(p, "sidecar.istio.io/proxyCPU", "10m"));
    ye_set_str(y, requests, "memory", inject_annotation(p, "sidecar.istio.io/proxyMemory", "16Mi"));
    int limits = ye_need_map(y, resources, "limits");
    ye_set_str(y, limits, "memory",
               inject_annotation(p, "sidecar.istio.io/proxyMemoryLimit", "128Mi"));
}

static int new_container(struct pod_edit *p, const char *name)
{
    struct yaml_edit *y = p->y;
    int c = ye_map(y);
    ye_set_plain(y, c, "name", name);
    ye_set_str(y, c, "image", inject_annotation(p, "sidecar.istio.io/proxyImage", p->c->image));
    ye_set_plain(y, c, "imagePullPolicy", "IfNotPresent");
    return c;
}

static int make_init(struct pod_edit *p)
{
    struct yaml_edit *y = p->y;
    int c = new_container(p, "tulle-init"), args = ye_list(y);
    ye_append(y, args, ye_str(y, SV("init")));
    if (is_tproxy(p))
        ye_append(y, args, ye_str(y, SV("--interception-mode=TPROXY")));
    for (size_t i = 0; i < NELEMS(capture); i++) {
        AUTO_DONE(buf) option = { 0 };
        if (!ye_get(y, p->annotations, capture[i].annotation))
            continue;
        buf_printf(&option, "%s%s", capture[i].option, capture[i].before);
        buf_putc(&option, '\0');
        y->failed |= option.failed;
        if (!option.failed)
            add_text(y, args, buf_sv(&option).p,
                     ye_get_text(y, p->annotations, capture[i].annotation));
    }
    ye_set(y, c, "args", args);
    set_security(p, c, true);
    return c;
}

/* The application's first port, as a guess for what is not taken over. */
static struct sv first_port(struct pod_edit *p)
{
    int containers = ye_get(p->y, p->spec, "containers");
    for (size_t i = 0; i < ye_len(p->y, containers); i++) {
        int ports = ye_get(p->y, ye_item(p->y, containers, i), "ports");
        struct sv found = ye_get_text(p->y, ye_item(p->y, ports, 0), "containerPort");
        if (found.len)
            return found;
    }
    return SV("8080");
}

static void add_labels(struct pod_edit *p, int args)
{
    AUTO_DONE(buf) all = { 0 };
    struct sv key;
    int value;
    for (size_t i = 0; ye_pair(p->y, p->labels, i, &key, &value); i++) {
        buf_put(&all, i ? SV(",") : SV(""));
        buf_put(&all, key);
        buf_putc(&all, '=');
        buf_put(&all, ye_text(p->y, value));
    }
    p->y->failed |= all.failed;
    add_text(p->y, args, "--labels=", buf_sv(&all));
}

static int make_args(struct pod_edit *p)
{
    struct yaml_edit *y = p->y;
    int args = ye_list(y);
    uint64_t grace_s = GRACE_S;
    char drain[48];
    (void)sv_to_u64(ye_get_text(y, p->spec, "terminationGracePeriodSeconds"), &grace_s);
    snprintf(drain, sizeof(drain), "--drain-timeout=%llus",
             (unsigned long long)(grace_s > FLUSH_S + DRAIN_MIN ? grace_s - FLUSH_S : DRAIN_MIN));
    static const char *const fixed[] = {
        "--role=sidecar",           "--listen=0.0.0.0",    "--config=/etc/tulle/mesh",
        "--certs=/etc/tulle/certs", "--status-port=15020",
    };
    for (size_t i = 0; i < NELEMS(fixed); i++)
        ye_append(y, args, ye_str(y, sv_z(fixed[i])));
    ye_append(y, args,
              ye_str(y, is_tproxy(p) ? SV("--intercept=tproxy") : SV("--intercept=redirect")));
    ye_append(y, args, ye_str(y, sv_z(drain)));
    add_text(y, args, "--workload=", p->workload);
    add_text(y, args, "--app=127.0.0.1:", first_port(p));
    add_labels(p, args);
    if (p->c->send_to[0])
        add_text(y, args, "--collector=", sv_z(p->c->send_to));
    return args;
}

static void add_env(struct yaml_edit *y, int env, const char *name, const char *field)
{
    int one = ye_map(y);
    ye_set_plain(y, one, "name", name);
    ye_set_plain(y, ye_need_map(y, ye_need_map(y, one, "valueFrom"), "fieldRef"), "fieldPath",
                 field);
    ye_append(y, env, one);
}

static void set_env(struct pod_edit *p, int container, const struct buf *probes)
{
    struct yaml_edit *y = p->y;
    int env = ye_need_list(y, container, "env");
    add_env(y, env, "TULLE_POD", "metadata.name");
    add_env(y, env, "TULLE_NAMESPACE", "metadata.namespace");
    add_env(y, env, "TULLE_SERVICE_ACCOUNT", "spec.serviceAccountName");
    if (probes->len <= 2) /* {} */
        return;
    int one = ye_map(y);
    ye_set_plain(y, one, "name", "TULLE_APP_PROBERS");
    ye_set_str(y, one, "value", buf_sv(probes));
    ye_append(y, env, one);
}

static void set_probe(struct yaml_edit *y, int container, const char *probe, const char *period,
                      const char *failures)
{
    int at = ye_need_map(y, container, probe);
    int get = ye_need_map(y, at, "httpGet");
    ye_set_plain(y, get, "path", "/healthz/ready");
    ye_set_plain(y, get, "port", "15021");
    ye_set_plain(y, at, "periodSeconds", period);
    ye_set_plain(y, at, "failureThreshold", failures);
}

static void add_mount(struct yaml_edit *y, int mounts, const char *name, const char *path)
{
    int one = ye_map(y);
    ye_set_plain(y, one, "name", name);
    ye_set_plain(y, one, "mountPath", path);
    ye_set_plain(y, one, "readOnly", "true");
    ye_append(y, mounts, one);
}

static int make_proxy(struct pod_edit *p, const struct buf *probes)
{
    struct yaml_edit *y = p->y;
    int c = new_container(p, "tulle-proxy"), ports = ye_need_list(y, c, "ports"), port = ye_map(y);
    ye_set_plain(y, c, "restartPolicy", "Always");
    ye_set(y, c, "args", make_args(p));
    set_env(p, c, probes);
    ye_set_plain(y, port, "name", "http-envoy-prom");
    ye_set_plain(y, port, "containerPort", "15090");
    ye_append(y, ports, port);
    set_probe(y, c, "startupProbe", "1", "600");
    set_probe(y, c, "readinessProbe", "5", "3");
    set_resources(p, c);
    set_security(p, c, false);
    int mounts = ye_need_list(y, c, "volumeMounts");
    add_mount(y, mounts, "tulle-mesh", "/etc/tulle/mesh");
    add_mount(y, mounts, "tulle-certs", "/etc/tulle/certs");
    return c;
}

static void add_volumes(struct pod_edit *p)
{
    struct yaml_edit *y = p->y;
    AUTO_DONE(buf) secret = { 0 };
    struct sv account = ye_get_text(y, p->spec, "serviceAccountName");
    int volumes = ye_need_list(y, p->spec, "volumes"), mesh = ye_map(y), certs = ye_map(y);
    buf_printf(&secret, "%s-%.*s", p->c->certs, SV_ARG(account.len ? account : SV("default")));
    y->failed |= secret.failed;
    ye_set_plain(y, mesh, "name", "tulle-mesh");
    ye_set_str(y, ye_need_map(y, mesh, "configMap"), "name", sv_z(p->c->configmap));
    ye_append(y, volumes, mesh);
    ye_set_plain(y, certs, "name", "tulle-certs");
    ye_set_str(y, ye_need_map(y, certs, "secret"), "secretName", buf_sv(&secret));
    ye_append(y, volumes, certs);
}

static bool is_wanted(struct pod_edit *p)
{
    struct yaml_edit *y = p->y;
    struct sv asked = ye_get_text(y, ye_path(y, p->pod, "metadata.labels"),
                                  "sidecar.istio.io/inject");
    if (!asked.len)
        asked = ye_get_text(y, ye_path(y, p->pod, "metadata.annotations"),
                            "sidecar.istio.io/inject");
    int inits = ye_get(y, p->spec, "initContainers");
    for (size_t i = 0; i < ye_len(y, inits); i++)
        if (sv_eq(ye_get_text(y, ye_item(y, inits, i), "name"), SV("tulle-proxy")))
            return false;
    return ye_is(y, p->spec, YAML_MAPPING_NODE) && !sv_eq(asked, SV("false")) &&
           !sv_eq(ye_get_text(y, p->spec, "hostNetwork"), SV("true"));
}

static void inject_pod(const struct cli *c, struct yaml_edit *y, int pod, struct sv workload)
{
    AUTO_DONE(buf) probes = { 0 };
    struct pod_edit p = {
        .y = y, .c = c, .pod = pod, .spec = ye_get(y, pod, "spec"), .workload = workload
    };
    if (!is_wanted(&p))
        return;
    int metadata = ye_need_map(y, pod, "metadata");
    p.annotations = ye_need_map(y, metadata, "annotations");
    p.labels = ye_need_map(y, metadata, "labels");
    set_labels(&p);
    inject_probes(&p, &probes);
    y->failed |= probes.failed;
    int init = make_init(&p), proxy = make_proxy(&p, &probes);
    int inits = ye_need_list(y, p.spec, "initContainers");
    ye_put_at(y, inits, 0, init); /* first: the application's own init containers are in the mesh */
    ye_put_at(y, inits, 1, proxy);
    add_volumes(&p);
    set_annotations(&p);
}

/* depth: a List in a List in a List is nobody's file, but an alias may make one that never ends. */
static void inject_object(const struct cli *c, struct yaml_edit *y, int object, unsigned depth)
{
    struct sv kind = ye_get_text(y, object, "kind");
    struct sv name = ye_get_text(y, ye_get(y, object, "metadata"), "name");
    int items = ye_get(y, object, "items");
    if (sv_eq(kind, SV("List")) && depth < LISTS_MAX)
        for (size_t i = 0; i < ye_len(y, items); i++)
            inject_object(c, y, ye_item(y, items, i), depth + 1);
    if (sv_eq(kind, SV("Pod")))
        inject_pod(c, y, object, name.len ? name : SV("unknown"));
    for (size_t i = 0; i < NELEMS(templates); i++)
        if (sv_eq(kind, sv_z(templates[i].kind)))
            inject_pod(c, y, ye_path(y, object, templates[i].path), name);
}

static int broken(const char *file, const yaml_parser_t *p)
{
    fprintf(stderr, "tulle inject: %s:%zu:%zu: %s\n", file, p->problem_mark.line + 1,
            p->problem_mark.column + 1, p->problem ? p->problem : "not YAML");
    return EXIT_FAILED;
}

/* All documents of a file. libyaml frees a document that it has written. */
static int inject_file(const struct cli *c, const char *file, FILE *in, yaml_emitter_t *out)
{
    yaml_parser_t parser;
    int status = EXIT_OK;
    if (!yaml_parser_initialize(&parser))
        return EXIT_FAILED;
    yaml_parser_set_input_file(&parser, in);
    while (status == EXIT_OK) {
        yaml_document_t doc;
        if (!yaml_parser_load(&parser, &doc)) {
            status = broken(file, &parser);
            break;
        }
        if (!yaml_document_get_root_node(&doc)) {
            yaml_document_delete(&doc);
            break;
        }
        struct yaml_edit y = { .doc = &doc };
        inject_object(c, &y, 1, 0); /* the root is the first node */
        doc.start_implicit = 0;
        if (y.failed) {
            yaml_document_delete(&doc);
            fputs("tulle inject: out of memory\n", stderr);
            status = EXIT_FAILED;
        } else if (!yaml_emitter_dump(out, &doc)) {
            fprintf(stderr, "tulle inject: %s\n", out->problem ? out->problem : "cannot write");
            status = EXIT_FAILED;
        }
    }
    yaml_parser_delete(&parser);
    return status;
}

static int inject_named(const struct cli *c, const char *file, yaml_emitter_t *out)
{
    if (strcmp(file, "-") == 0)
        return inject_file(c, "standard input", stdin, out);
    FILE *in = fopen(file, "re");
    if (!in) {
        fprintf(stderr, "tulle inject: %s: %s\n", file, strerror(errno));
        return EXIT_FAILED;
    }
    int status = inject_file(c, file, in, out);
    fclose(in);
    return status;
}

static int run_inject(const struct cli *c)
{
    yaml_emitter_t out;
    if (!yaml_emitter_initialize(&out))
        return EXIT_FAILED;
    yaml_emitter_set_output_file(&out, stdout);
    yaml_emitter_set_unicode(&out, 1);
    yaml_emitter_set_width(&out, -1);
    int status = yaml_emitter_open(&out) ? EXIT_OK : EXIT_FAILED;
    for (int i = 0; i < c->operands_len && status == EXIT_OK; i++)
        status = inject_named(c, c->operands[i], &out);
    if (status == EXIT_OK && (!yaml_emitter_close(&out) || fflush(stdout) != 0))
        status = EXIT_FAILED;
    yaml_emitter_delete(&out);
    return status;
}

const struct command command_inject = {
    .name = "inject",
    .flags = { "tulle inject",
               "put a sidecar into the Pods of Kubernetes YAML; - is standard input", " FILE...",
               rows, NELEMS(rows) },
    .run = run_inject,
    .operands_min = 1,
    .operands_max = -1,
};
