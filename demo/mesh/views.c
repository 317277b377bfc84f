/* views.c - the collector's two answers to the same question, in one shape.
 *
 * Nothing of the collector is linked in: what is compared is what any client would read. A source
 * that no pod of the demo is called is shown as "user", whatever name the collector gives it. */
#include "demo/mesh/views.h"
#include "demo/mesh/pods.h"
#include <curl/curl.h>
#include <jansson.h>

static size_t on_body(char *p, size_t size, size_t n, void *to)
{
    buf_append(to, p, size * n);
    return size * n;
}

int http_get(const char *url, struct buf *ret_body, struct err *err)
{
    CURL *h = curl_easy_init();
    long status = 0;
    if (!h)
        return err_set(err, ERR_NOMEM, "libcurl");
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, ret_body);
    CURLcode rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    if (rc != CURLE_OK)
        return err_set(err, ERR_IO, "%s: %s", url, curl_easy_strerror(rc));
    if (status != 200)
        return err_set(err, ERR_NOT_FOUND, "%s: status %ld: %.*s", url, status,
                       (int)MIN(buf_sv(ret_body).len, 100), buf_sv(ret_body).p);
    return 0;
}

static struct sv known(struct sv workload)
{
    return pod_by_workload(workload) ? workload : SV(USER_NAME);
}

static struct sv text_of(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return sv_of(json_string_value(v), json_string_length(v));
}

static uint64_t number_of(json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

int views_edges(const char *base_url, int64_t from_ns, struct counts *to, struct err *err)
{
    AUTO_DONE(buf) body = { 0 };
    char url[256];
    snprintf(url, sizeof(url), "%s/api/v1/edges?from=%lld&limit=1000", base_url,
             (long long)from_ns);
    int rc = http_get(url, &body, err);
    if (rc < 0)
        return rc;
    json_t *root = json_loadb(buf_sv(&body).p, buf_sv(&body).len, 0, NULL);
    json_t *edges = json_object_get(root, "edges");
    size_t i;
    json_t *e;
    counts_clear(to);
    json_array_foreach(edges, i, e)
    {
        counts_add(to, known(text_of(json_object_get(e, "source"), "workload")),
                   text_of(json_object_get(e, "destination"), "workload"),
                   text_of(json_object_get(e, "tls"), "state"), number_of(e, "requests"),
                   number_of(e, "errors"));
    }
    rc = json_is_array(edges) ? 0 : err_set(err, ERR_MALFORMED, "%s: no list of edges", url);
    json_decref(root);
    return rc;
}

/* The value of name="..." among the labels; the demo's own names need no unescaping. */
static struct sv label(struct sv labels, const char *name)
{
    struct sv part, key;
    while (sv_cut(&labels, ',', &part)) {
        sv_cut(&part, '=', &key);
        if (sv_eq(key, sv_z(name)) && part.len >= 2)
            return sv_sub(part, 1, part.len - 2);
    }
    return SV_NONE;
}

static void read_sample(struct sv line, struct counts *to)
{
    struct sv family, labels;
    double value = 0;
    sv_cut(&line, '{', &family);
    bool is_requests = sv_eq(family, SV("tulle_edge_requests_total"));
    if (!is_requests && !sv_eq(family, SV("tulle_edge_errors_total")))
        return;
    sv_cut(&line, '}', &labels);
    if (!sv_to_double(sv_trim(line), &value))
        return;
    counts_add(to, known(label(labels, "source_workload")), label(labels, "destination_workload"),
               label(labels, "tls"), is_requests ? (uint64_t)value : 0,
               is_requests ? 0 : (uint64_t)value);
}

int views_metrics(const char *base_url, struct counts *to, struct err *err)
{
    AUTO_DONE(buf) body = { 0 };
    char url[256];
    snprintf(url, sizeof(url), "%s/metrics", base_url);
    int rc = http_get(url, &body, err);
    if (rc < 0)
        return rc;
    struct sv rest = buf_sv(&body), line;
    counts_clear(to);
    while (sv_cut(&rest, '\n', &line))
        read_sample(line, to);
    return 0;
}
