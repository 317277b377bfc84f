/* mesh.c - from the table of pods to files and processes.
 *
 * The proxies get exactly what a platform would give them: Kubernetes objects as YAML, a folder of
 * certificates, and a few options. The applications get an address to listen on and, as any program
 * behind a proxy, where to send their calls. */
#include "demo/mesh/mesh.h"
#include "base/buf.h"
#include "base/clock.h"
#include "demo/mesh/certs.h"
#include "demo/mesh/folders.h"
#include "demo/mesh/pods.h"
#include "demo/mesh/views.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_WAIT_S = 8 };

static int make_folders(struct demo_mesh *m, struct err *err)
{
    static const char *const parts[] = { "certs", "logs", "data", "secrets", "secrets/default" };
    char path[512];
    const char *tmp = getenv("TMPDIR");
    snprintf(m->dir, sizeof(m->dir), "%s/tulle-demo-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(m->dir)) {
        m->dir[0] = '\0';
        return err_set(err, ERR_IO, "no temporary folder: %s", strerror(errno));
    }
    for (size_t i = 0; i < NELEMS(parts); i++) {
        snprintf(path, sizeof(path), "%s/%s", m->dir, parts[i]);
        if (mkdir(path, 0700) < 0)
            return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    return 0;
}

/* Secrets of the document's Ingresses, as Kubernetes would mount them. */
static int make_secrets(const struct demo_mesh *m, const struct certs *certs, struct err *err)
{
    static const struct {
        const char *name, *host;
    } secrets[] = { { "tls-secret", "example.com" }, { "tls-cert", "api.example.com" } };
    char folder[512];
    int rc = 0;
    for (size_t i = 0; i < NELEMS(secrets) && rc == 0; i++) {
        snprintf(folder, sizeof(folder), "%s/secrets/default/%s", m->dir, secrets[i].name);
        rc = certs_host(certs, folder, secrets[i].host, err);
    }
    return rc;
}

static int make_identities(const struct demo_mesh *m, const struct certs *certs, struct err *err)
{
    char folder[512];
    int rc = 0;
    for (size_t i = 0; i < demo_pods_len && rc == 0; i++) {
        const struct pod_spec *p = &demo_pods[i];
        snprintf(folder, sizeof(folder), "%s/certs/%s", m->dir, p->account);
        if (p->kind != POD_PLAIN)
            rc = certs_identity(certs, folder, p->ns, p->account, err);
    }
    return rc;
}

static int make_certs(const struct demo_mesh *m, struct err *err)
{
    struct certs *certs = certs_new();
    int rc = certs ? make_identities(m, certs, err)
                   : err_set(err, ERR_TLS, "cannot make a root certificate");
    if (rc == 0)
        rc = make_secrets(m, certs, err);
    certs_free(certs);
    return rc;
}

static struct proc *add_proc(struct demo_mesh *m, const char *name, const char *program)
{
    char log[512];
    INVARIANT(m->procs_len < MESH_PROCS_MAX);
    struct proc *p = &m->procs[m->procs_len++];
    snprintf(log, sizeof(log), "%s/logs/%s.log", m->dir, name);
    proc_init(p, name, program, log);
    return p;
}

static void add_collector(struct demo_mesh *m)
{
    char program[512];
    snprintf(program, sizeof(program), "%s/tulle-collector", m->conf.programs);
    struct proc *p = add_proc(m, "collector", program);
    proc_arg(p, "--data");
    proc_arg(p, "%s/data", m->dir);
    proc_arg(p, "--http-port");
    proc_arg(p, "%u", m->conf.http_port);
    proc_arg(p, "--otlp-http-port");
    proc_arg(p, "%u", m->conf.otlp_port);
    proc_arg(p, "--grpc-port");
    proc_arg(p, "0");
}

/* Where a program without a sidecar finds the services it calls: all pods of the called app. */
static void add_hosts(struct proc *p, const char *net, const char *app)
{
    AUTO_DONE(buf) hosts = { 0 };
    char sep = '=';
    buf_printf(&hosts, "%s:9080", app);
    for (size_t i = 0; i < demo_pods_len; i++) {
        if (!sv_eq(sv_z(demo_pods[i].app), sv_z(app)))
            continue;
        buf_printf(&hosts, "%c%s.%u:15006", sep, net, demo_pods[i].number);
        sep = '|';
    }
    proc_arg(p, "--hosts");
    proc_arg(p, "%.*s", SV_ARG(buf_sv(&hosts)));
}

static void add_app(struct demo_mesh *m, const struct pod_spec *pod)
{
    char program[512], name[PROC_NAME_BYTES];
    snprintf(program, sizeof(program), "%s/demo-app", m->conf.here);
    snprintf(name, sizeof(name), "%s-%u-app", pod->workload, pod->number);
    struct proc *p = add_proc(m, name, program);
    const char *net = m->conf.net;
    proc_arg(p, "--listen=%s.%u:%u", net, pod->number, pod->app_port);
    proc_arg(p, "--service=%s", pod->app);
    proc_arg(p, "--workload=%s", pod->workload);
    proc_arg(p, "--revision=%s", pod->version);
    if (pod->kind == POD_SIDECAR) {
        proc_arg(p, "--proxy=%s.%u:15001", net, pod->number);
    } else {
        proc_arg(p, "--source=%s.%u", net, pod->number);
        add_hosts(p, net, "ratings");
    }
    for (size_t i = 0; i < POD_ROUTES_MAX && pod->routes[i]; i++)
        proc_arg(p, "%s", pod->routes[i]);
}

static void add_proxy(struct demo_mesh *m, const struct pod_spec *pod)
{
    char program[512], name[PROC_NAME_BYTES];
    snprintf(program, sizeof(program), "%s/tulle-proxy", m->conf.programs);
    snprintf(name, sizeof(name), "%s-%u-proxy", pod->workload, pod->number);
    struct proc *p = add_proc(m, name, program);
    proc_arg(p, "--role=%s", pod->kind == POD_GATEWAY ? "gateway" : "sidecar");
    proc_arg(p, "--config=%s/%s", m->dir, folder_of(pod));
    proc_arg(p, "--certs=%s/certs/%s", m->dir, pod->account);
    proc_arg(p, "--collector=http://127.0.0.1:%u", m->conf.otlp_port);
    proc_arg(p, "--cluster=demo");
    proc_arg(p, "--namespace=%s", pod->ns);
    proc_arg(p, "--workload=%s", pod->workload);
    proc_arg(p, "--service-account=%s", pod->account);
    proc_arg(p, "--pod=%s-7d4b9c-%02u", pod->workload, pod->number);
    proc_arg(p, "--listen=%s.%u", m->conf.net, pod->number);
    if (pod->kind == POD_SIDECAR)
        proc_arg(p, "--app=%s.%u:%u", m->conf.net, pod->number, pod->app_port);
    if (pod->kind != POD_GATEWAY)
        return;
    proc_arg(p, "--ingress-http-port=%d", GATEWAY_PORT);
    proc_arg(p, "--ingress-https-port=%d", GATEWAY_TLS_PORT);
    proc_arg(p, "--secrets=%s/secrets", m->dir);
}

int mesh_open(struct demo_mesh *m, const struct mesh_conf *conf, struct err *err)
{
    memset(m, 0, sizeof(*m));
    m->conf = *conf;
    snprintf(m->base_url, sizeof(m->base_url), "http://127.0.0.1:%u", conf->http_port);
    int rc = make_folders(m, err);
    if (rc == 0)
        rc = folders_make(m->dir, conf->here, conf->net, err);
    if (rc == 0)
        rc = make_certs(m, err);
    if (rc < 0) {
        mesh_close(m);
        return rc;
    }
    add_collector(m);
    for (size_t i = 0; i < demo_pods_len; i++)
        if (demo_pods[i].kind != POD_GATEWAY)
            add_app(m, &demo_pods[i]);
    for (size_t i = 0; i < demo_pods_len; i++)
        if (demo_pods[i].kind != POD_PLAIN)
            add_proxy(m, &demo_pods[i]);
    return 0;
}

int mesh_start(struct demo_mesh *m, struct err *err)
{
    for (size_t i = 0; i < m->procs_len; i++) {
        int rc = proc_start(&m->procs[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Any answer will do from an application, only a 200 from our own programs. */
static bool answers(const char *url, bool any)
{
    AUTO_DONE(buf) body = { 0 };
    int rc = http_get(url, &body, NULL);
    return rc == 0 || (any && rc == ERR_NOT_FOUND);
}

bool mesh_is_ready(struct demo_mesh *m, const char **ret_who)
{
    char url[128];
    *ret_who = "tulle-collector";
    snprintf(url, sizeof(url), "%s/readyz", m->base_url);
    if (!answers(url, false))
        return false;
    for (size_t i = 0; i < demo_pods_len; i++) {
        const struct pod_spec *p = &demo_pods[i];
        *ret_who = p->workload;
        snprintf(url, sizeof(url), "http://%s.%u:15021/healthz/ready", m->conf.net, p->number);
        if (p->kind != POD_PLAIN && !answers(url, false))
            return false;
        snprintf(url, sizeof(url), "http://%s.%u:%u/ready", m->conf.net, p->number, p->app_port);
        if (p->kind != POD_GATEWAY && !answers(url, true))
            return false;
    }
    return true;
}

const struct proc *mesh_fallen(struct demo_mesh *m)
{
    int status;
    for (size_t i = 0; i < m->procs_len; i++)
        if (proc_reap(&m->procs[i], &status))
            return &m->procs[i];
    return NULL;
}

void mesh_kill_collector(struct demo_mesh *m)
{
    proc_signal(&m->procs[0], SIGKILL);
    proc_wait(&m->procs[0], clock_mono_ns() + STOP_WAIT_S * NS_PER_S);
}

int mesh_restart_collector(struct demo_mesh *m, struct err *err)
{
    return proc_start(&m->procs[0], err);
}

static int remove_entry(const char *path, const struct stat *st UNUSED, int type UNUSED,
                        struct FTW *at UNUSED)
{
    return remove(path);
}

bool mesh_close(struct demo_mesh *m)
{
    bool is_clean = true;
    int64_t deadline_ns = clock_mono_ns() + STOP_WAIT_S * NS_PER_S;
    for (size_t i = 1; i < m->procs_len; i++) /* proxies flush to the collector, so it is last */
        proc_signal(&m->procs[i], SIGTERM);
    for (size_t i = 1; i < m->procs_len; i++)
        is_clean = proc_wait(&m->procs[i], deadline_ns) && is_clean;
    deadline_ns = clock_mono_ns() + STOP_WAIT_S * NS_PER_S;
    if (m->procs_len) {
        proc_signal(&m->procs[0], SIGTERM);
        is_clean = proc_wait(&m->procs[0], deadline_ns) && is_clean;
    }
    if (m->dir[0] && !m->conf.is_kept)
        nftw(m->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return is_clean;
}
