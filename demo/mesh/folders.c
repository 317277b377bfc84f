/* folders.c - which of the document's files go into which folder.
 *
 * All eleven run unchanged. Three of them want example.com's "/" for themselves (03, 04, 09), and 02 and 11
 * both all of api.example.com, so there are three gateways for Ingresses, each with a folder of its own;
 * what concerns the mesh is in the folder that sidecars read. */
#include "demo/mesh/folders.h"
#include <errno.h>
#include <sys/stat.h>

enum { FILES_MAX = 8 };

static const char *const everywhere[] = { "services.yaml", "peer-authentication.yaml" };

static const struct folder {
    const char *name; /* that of the app whose proxy reads it; "config" is for all others */
    bool is_istio;
    const char *files[FILES_MAX];
} folders[] = {
    { "config",
      false,
      { "gateway.yaml", "reviews-subsets.yaml", "05-reviews-header-and-weights.yaml",
        "06-mtls-strict.yaml", "07-authz-database.yaml", "08-ratings-resilience.yaml",
        "10-app-canary.yaml" } },
    { "ingress",
      false,
      { "01-ingress-basic.yaml", "02-ingress-hosts.yaml", "03-ingress-paths.yaml" } },
    { "ingress-tls",
      true,
      { "04-ingress-tls.yaml", "11-ingress-gateway-canary.yaml", "istio-ingressgateway.yaml" } },
    { "ingress-ab", false, { "09-ingress-canary-annotations.yaml" } },
};

static const struct folder *find(const struct pod_spec *pod)
{
    for (size_t i = 1; pod->kind == POD_GATEWAY && i < NELEMS(folders); i++)
        if (sv_eq(sv_z(pod->app), sv_z(folders[i].name)))
            return &folders[i];
    return &folders[0];
}

const char *folder_of(const struct pod_spec *pod)
{
    return find(pod)->name;
}

bool folder_is_istio(const struct pod_spec *pod)
{
    return find(pod)->is_istio;
}

static int write_file(const char *path, struct sv text, struct err *err)
{
    FILE *f = fopen(path, "we");
    if (!f || fwrite(text.p, 1, text.len, f) != text.len || fclose(f) != 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    return 0;
}

static int copy_file(const char *from, const char *to, struct err *err)
{
    AUTO_DONE(buf) text = { 0 };
    FILE *f = fopen(from, "re");
    if (!f)
        return err_set(err, ERR_IO, "%s: %s", from, strerror(errno));
    for (size_t n = 1; n && !text.failed;) {
        char *at = buf_reserve(&text, 4096);
        n = at ? fread(at, 1, 4096, f) : 0;
        buf_commit(&text, n);
    }
    fclose(f);
    return write_file(to, buf_sv(&text), err);
}

static int copy_files(const char *to_folder, const char *here, const char *const *names, size_t n,
                      struct err *err)
{
    char from[512], to[512];
    for (size_t i = 0; i < n && names[i]; i++) {
        snprintf(from, sizeof(from), "%s/%s", here, names[i]);
        snprintf(to, sizeof(to), "%s/%s", to_folder, names[i]);
        int rc = copy_file(from, to, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_folder(const struct folder *f, const char *dir, const char *here, struct sv pods,
                       struct err *err)
{
    char path[300], file[512];
    snprintf(path, sizeof(path), "%s/%s", dir, f->name);
    if (mkdir(path, 0700) < 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    int rc = copy_files(path, here, everywhere, NELEMS(everywhere), err);
    if (rc == 0)
        rc = copy_files(path, here, f->files, FILES_MAX, err);
    snprintf(file, sizeof(file), "%s/pods.yaml", path);
    return rc < 0 ? rc : write_file(file, pods, err);
}

int folders_make(const char *dir, const char *here, const char *net, struct err *err)
{
    AUTO_DONE(buf) pods = { 0 };
    pods_yaml(net, &pods);
    for (size_t i = 0; i < NELEMS(folders); i++) {
        int rc = make_folder(&folders[i], dir, here, buf_sv(&pods), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
