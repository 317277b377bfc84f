/* test_http.c - the door with known calls behind it, asked with libcurl and with raw sockets. */
#include "../sample.h"
#include "base/buf.h"
#include "base/gzip.h"
#include "http.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRACE_1 "aa000000000000000000000000000001" /* sample_trace(1) */

struct world {
    struct store *store;
    struct fold *fold;
    struct http *http;
    bool is_ready;
    int64_t now_ns;
};

static bool is_ready(void *to, char *why, size_t why_size)
{
    struct world *w = to;
    snprintf(why, why_size, "replaying");
    return w->is_ready;
}

static const struct value list_values[] = {
    { .type = VALUE_BOOL, .boolean = true },
    { .type = VALUE_BYTES, .str = { "\x00\x01\xff\xfe", 4 } },
    { .type = VALUE_EMPTY },
};
static const struct attr map_attrs[] = {
    { { "deep", 4 }, { .type = VALUE_DOUBLE, .real = 0.5 } },
};
static const struct attr span_attrs[] = {
    { { "http.request.method", 19 }, { .type = VALUE_STR, .str = { "GET", 3 } } },
    { { "big", 3 }, { .type = VALUE_INT, .integer = INT64_MAX } },
    { { "list", 4 }, { .type = VALUE_ARRAY, .len = 3, .array = list_values } },
    { { "map", 3 }, { .type = VALUE_KVLIST, .len = 1, .kvlist = map_attrs } },
};
static const struct attr resource_attrs[] = {
    { { "service.name", 12 }, { .type = VALUE_STR, .str = { "frontend", 8 } } },
};
static const struct resource resource = { .attrs = { resource_attrs, 1, 0 } };
static const struct scope scope = { .name = { "test", 4 } };
static const struct span_event events[] = { { 5, { "e", 1 }, { NULL, 0, 1 } } };
static const struct span_link links[] = { { .trace_id = { { 7 } }, .span_id = { { 8 } } } };

/* frontend > reviews by both proxies, reviews > ratings in plaintext, and user > frontend from the
 * root span of an application that does not say where it runs. */
static void fill(struct world *w)
{
    struct batch *b = batch_new();
    for (int i = 0; i < 10; i++)
        *batch_add_call(b) = sample_call(SV("frontend"), SV("reviews"), REPORTER_SOURCE,
                                         w->now_ns - i, i < 3 ? 503 : 200);
    for (int i = 0; i < 10; i++)
        *batch_add_call(b) = sample_call(SV("frontend"), SV("reviews"), REPORTER_DESTINATION,
                                         w->now_ns - i, 200);
    struct call *plain = batch_add_call(b);
    *plain = sample_call(SV("reviews"), SV("ratings"), REPORTER_SOURCE, w->now_ns, 200);
    plain->tls = TLS_PLAINTEXT;
    plain->trace_id = sample_trace(1);
    struct span *s = batch_add_span(b);
    *s = (struct span){
        .trace_id = sample_trace(1),
        .span_id = sample_span_id(1),
        .kind = SPAN_KIND_SERVER,
        .status = STATUS_ERROR,
        .start_ns = w->now_ns,
        .end_ns = w->now_ns + 1500 * NS_PER_US,
        .name = SV("GET \"/\""),
        .attrs = { span_attrs, NELEMS(span_attrs), 2 },
        .events = events,
        .events_len = 1,
        .links = links,
        .links_len = 1,
        .resource = &resource,
        .scope = &scope,
    };
    b->received_ns = w->now_ns;
    assert_int_equal(store_put(w->store, &b, 1, NULL), 0);
    fold_batch(w->fold, b, true);
    batch_free(b);
}

static int set_up(void **state)
{
    static struct world w;
    struct store_conf sc = { .url = SV("memory:") };
    struct fold_conf fc = fold_conf_default();
    struct err err = { 0 };
    w = (struct world){ .is_ready = true, .now_ns = clock_wall_ns() };
    w.store = store_open(&sc, NULL);
    w.fold = fold_new(&fc);
    struct http_conf hc = { .listen = "127.0.0.1",
                            .store = w.store,
                            .fold = w.fold,
                            .is_ready = is_ready,
                            .is_ready_to = &w };
    fill(&w);
    w.http = http_open(&hc, &err);
    if (!w.http)
        print_message("%s\n", err.why);
    *state = &w;
    return w.http ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    http_close(w->http);
    fold_free(w->fold);
    store_close(w->store);
    return 0;
}

struct reply {
    long status;
    struct buf body, head;
};

static void reply_done(struct reply *r)
{
    buf_done(&r->body);
    buf_done(&r->head);
}
DEFINE_AUTO_DONE(reply);

static size_t put_bytes(char *p, size_t size, size_t n, void *to)
{
    buf_append(to, p, size * n);
    return size * n;
}

static void ask(const struct world *w, const char *method, const char *path, const char *header,
                struct reply *r)
{
    char url[512];
    CURL *c = curl_easy_init();
    struct curl_slist *headers = header ? curl_slist_append(NULL, header) : NULL;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", http_port(w->http), path);
    buf_clear(&r->body);
    buf_clear(&r->head);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, put_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &r->body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, put_bytes);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, &r->head);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &r->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
}

static json_t *ask_json(const struct world *w, const char *path)
{
    AUTO_DONE(reply) r = { 0 };
    ask(w, "GET", path, NULL, &r);
    if (r.status != 200)
        fail_msg("%s: %ld %.*s", path, r.status, SV_ARG(buf_sv(&r.body)));
    json_error_t error;
    json_t *j = json_loadb(buf_sv(&r.body).p, r.body.len, JSON_REJECT_DUPLICATES, &error);
    if (!j)
        fail_msg("%s: %s in %.*s", path, error.text, SV_ARG(buf_sv(&r.body)));
    return j;
}

static json_t *at(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    if (!v)
        fail_msg("no \"%s\"", key);
    return v;
}

static void test_graph(void **state)
{
    json_t *g = ask_json(*state, "/api/v1/graph?window=5m");
    json_t *edges = at(g, "edges"), *e = json_array_get(edges, 0),
           *second = json_array_get(edges, 1);
    assert_int_equal(json_array_size(edges), 3);
    assert_int_equal(json_array_size(at(g, "nodes")), 5);
    assert_int_equal(json_integer_value(at(e, "requests")), 10);
    assert_int_equal(json_integer_value(at(e, "errors")), 3);
    assert_true(json_number_value(at(e, "errorRate")) == 0.3);
    assert_string_equal(json_string_value(at(e, "evidence")), "source");
    assert_string_equal(json_string_value(at(at(e, "source"), "workload")), "frontend");
    assert_string_equal(json_string_value(at(at(e, "tls"), "state")), "mutual");
    assert_int_equal(json_integer_value(at(at(e, "codes"), "5xx")), 3);
    double p95 = json_number_value(at(at(e, "latency"), "p95Ms"));
    assert_true(p95 > 2.8 && p95 < 3.2);
    assert_true(json_is_object(at(e, "serverLatency")));
    assert_string_equal(json_string_value(at(e, "health")), "failing");
    assert_string_equal(json_string_value(at(at(second, "tls"), "state")), "plaintext");
    assert_true(json_is_null(at(second, "serverLatency")));
    assert_int_equal(strlen(json_string_value(at(second, "exemplarTraceId"))), 32);
    json_decref(g);
}

static void test_granularities(void **state)
{
    static const struct {
        const char *path;
        size_t edges, nodes;
    } cases[] = {
        { "/api/v1/graph?granularity=workload", 3, 5 },
        { "/api/v1/graph?granularity=versionedApp", 3, 5 },
        { "/api/v1/graph?granularity=app", 3, 5 },
        { "/api/v1/graph?granularity=service", 3, 5 },
        { "/api/v1/graph?granularity=namespace", 2, 2 },
        { "/api/v1/graph?namespace=shop", 2, 3 },
        { "/api/v1/graph?namespace=x,y", 0, 0 },
        { "/api/v1/graph?hide=plaintext", 2, 4 },
        { "/api/v1/graph?keep=name%3Dratings", 1, 2 },
        { "/api/v1/graph?external=false", 2, 3 },
        { "/api/v1/graph?minRequests=2", 1, 2 },
        { "/api/v1/graph?limit=1", 1, 2 },
        { "/api/v1/graph?limit=2&offset=2", 1, 2 },
        { "/api/v1/graph?trace=" TRACE_1, 2, 4 },
        { "/api/v1/graph?trace=" TRACE_1 "&keep=plaintext", 1, 2 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].path);
        json_t *g = ask_json(*state, cases[i].path);
        assert_int_equal(json_array_size(at(g, "edges")), cases[i].edges);
        assert_int_equal(json_array_size(at(g, "nodes")), cases[i].nodes);
        json_decref(g);
    }
}

static void test_edges_and_history(void **state)
{
    char path[128];
    json_t *table = ask_json(*state, "/api/v1/edges?sort=errors&limit=1");
    json_t *edge = json_array_get(at(table, "edges"), 0);
    assert_int_equal(json_integer_value(at(table, "total")), 3);
    assert_int_equal(json_array_size(at(table, "edges")), 1);
    snprintf(path, sizeof(path), "/api/v1/edges/%s/history?window=2m&step=10s",
             json_string_value(at(edge, "id")));
    json_t *h = ask_json(*state, path);
    json_int_t requests = 0;
    size_t i;
    json_t *point;
    json_array_foreach(at(h, "points"), i, point)
        requests += json_integer_value(at(point, "requests"));
    assert_int_equal(requests, 10);
    assert_in_range(json_array_size(at(h, "points")), 12, 13);
    json_decref(h);
    json_decref(table);
}

static void test_traces(void **state)
{
    json_t *found = ask_json(*state, "/api/v1/traces?service=frontend&status=error&minDuration=1ms"
                                     "&maxDuration=2ms&attr=big=9223372036854775807");
    json_t *none = ask_json(*state, "/api/v1/traces?attr=big=%225%22");
    json_t *trace = json_array_get(at(found, "traces"), 0);
    assert_int_equal(json_array_size(at(found, "traces")), 1);
    assert_int_equal(json_array_size(at(none, "traces")), 0);
    assert_string_equal(json_string_value(at(trace, "rootService")), "frontend");
    assert_int_equal(json_integer_value(at(trace, "errors")), 1);
    char path[128];
    snprintf(path, sizeof(path), "/api/v1/traces/%s", json_string_value(at(trace, "traceId")));
    json_t *t = ask_json(*state, path), *span = json_array_get(at(t, "spans"), 0);
    json_t *attrs = at(span, "attributes");
    assert_string_equal(json_string_value(at(span, "name")), "GET \"/\"");
    assert_true(json_is_null(at(span, "parentId")));
    assert_true(json_number_value(at(span, "durationMs")) == 1.5);
    assert_string_equal(json_string_value(at(json_array_get(attrs, 1), "value")),
                        "9223372036854775807");
    json_t *list = at(json_array_get(attrs, 2), "value");
    assert_true(json_is_true(at(json_array_get(list, 0), "value")));
    assert_string_equal(json_string_value(at(json_array_get(list, 1), "value")), "AAH//g==");
    assert_string_equal(json_string_value(at(json_array_get(list, 2), "type")), "empty");
    json_t *map = at(json_array_get(attrs, 3), "value");
    assert_string_equal(json_string_value(at(json_array_get(map, 0), "key")), "deep");
    assert_int_equal(json_integer_value(at(span, "droppedAttributes")), 2);
    assert_string_equal(json_string_value(at(json_array_get(at(span, "events"), 0), "timeNs")),
                        "5");
    assert_int_equal(json_array_size(at(span, "links")), 1);
    assert_int_equal(json_array_size(at(t, "resources")), 1);
    assert_string_equal(json_string_value(json_array_get(at(t, "services"), 0)), "frontend");
    json_decref(t);
    json_decref(none);
    json_decref(found);
}

static void test_state(void **state)
{
    json_t *services = ask_json(*state, "/api/v1/services");
    json_t *calls = ask_json(*state, "/api/v1/calls?limit=5");
    json_t *stats = ask_json(*state, "/api/v1/stats");
    json_t *one = json_array_get(at(services, "services"), 0);
    assert_string_equal(json_string_value(at(one, "name")), "frontend");
    assert_int_equal(json_array_size(at(one, "operations")), 1);
    assert_int_equal(json_array_size(at(calls, "calls")), 5);
    assert_int_equal(json_integer_value(at(at(stats, "store"), "calls")), 21);
    assert_int_equal(json_integer_value(at(at(stats, "fold"), "callsCounted")), 22);
    json_decref(services);
    json_decref(calls);
    json_decref(stats);
}

/* Every row: method, path, status, and what the answer must contain. */
static const struct {
    const char *method, *path;
    long status;
    const char *contains;
} replies[] = {
    { "GET", "/healthz", 200, "ok" },
    { "HEAD", "/healthz", 200, NULL },
    { "GET", "/readyz", 200, "ready" },
    { "GET", "/", 200, "<html" },
    { "HEAD", "/", 200, NULL },
    { "GET", "/index.html", 200, "<html" },
    { "GET", "/nothing", 404, "no such path" },
    { "GET", "/../etc/passwd", 404, "no such path" },
    { "GET", "/api/v1/nothing", 404, "\"code\":404" },
    { "GET", "/api/v1/graph/", 404, "\"code\":404" },
    { "GET", "//api/v1/graph", 404, "\"code\":404" },
    { "GET", "/api/v1/traces/", 404, "\"code\":404" },
    { "GET", "/api/v1/traces/xyz", 400, "\"parameter\":\"id\"" },
    { "GET", "/api/v1/traces/00000000000000000000000000000001", 404, "\"parameter\":\"id\"" },
    { "GET", "/api/v1/edges/0000000000000001/history", 404, "\"parameter\":\"id\"" },
    { "GET", "/api/v1/edges/0000000000000000/history", 404, "\"parameter\":\"id\"" },
    { "GET", "/api/v1/edges/1/history", 400, "\"parameter\":\"id\"" },
    { "GET", "/api/v1/graph?colour=red", 400, "allowed are window, from, to, granularity" },
    { "GET", "/api/v1/graph?window=60s&window=60s", 400, "\"parameter\":\"window\"" },
    { "GET", "/api/v1/graph?granularity=pod", 400, "workload|versionedApp|app|service|namespace" },
    { "GET", "/api/v1/graph?hide=name%3D", 400, "at byte 5: want a value" },
    { "GET", "/api/v1/graph?keep=colour%3Dred", 400, "\"parameter\":\"keep\"" },
    { "GET", "/api/v1/graph?node=0000000000000001", 404, "\"parameter\":\"node\"" },
    { "GET", "/api/v1/graph?node=1", 400, "\"parameter\":\"node\"" },
    { "GET", "/api/v1/graph?depth=2", 400, "\"parameter\":\"node\"" },
    { "GET", "/api/v1/graph?trace=1", 400, "\"parameter\":\"trace\"" },
    { "GET", "/api/v1/graph?trace=00000000000000000000000000000001", 404, "no such trace" },
    { "GET", "/api/v1/graph?window=1h&trace=" TRACE_1, 400, "\"parameter\":\"window\"" },
    { "GET", "/api/v1/compare", 200, "\"verdict\":\"too little data\"" },
    { "GET", "/api/v1/compare?window=1m&granularity=workload", 200, "\"status\":\"new\"" },
    { "GET", "/api/v1/compare?service=reviews&baseVersion=v1&version=v2", 200, "\"gone\":2" },
    { "GET", "/api/v1/compare?service=reviews&version=v2", 400, "\"parameter\":\"baseVersion\"" },
    { "GET", "/api/v1/compare?from=2026-01-01T00:00:00Z", 400, "\"parameter\":\"baseFrom\"" },
    { "GET", "/api/v1/compare?at=9999999999", 400, "\"parameter\":\"at\"" },
    { "GET", "/api/v1/compare?at=1&from=2", 400, "\"parameter\":\"at\"" },
    { "GET", "/api/v1/services?offset=1", 200, "{\"services\":[],\"total\":1}" },
    { "GET", "/api/v1/edges/0000000000000001/exemplars", 404, "\"parameter\":\"id\"" },
    { "GET", "/api/v1/health/events?state=idle", 400, "\"parameter\":\"state\"" },
    { "GET", "/api/v1/health/events", 200, "\"total\":0" },
    { "GET", "/api/v1/edges?minRate=-1", 400, "\"parameter\":\"minRate\"" },
    { "GET", "/api/v1/edges?external=no", 400, "true|false" },
    { "GET", "/api/v1/edges?sort=up", 400, "\"parameter\":\"sort\"" },
    { "GET", "/api/v1/edges?limit=0", 400, "\"parameter\":\"limit\"" },
    { "GET", "/api/v1/traces?attr=novalue", 400, "\"parameter\":\"attr\"" },
    { "GET", "/api/v1/traces?minDuration=2s&maxDuration=1s", 400, "\"parameter\":\"minDuration\"" },
    { "GET", "/api/v1/live?window=1s", 400, "\"parameter\":\"window\"" },
    { "GET", "/api/v1/live?hide=name%20~%20x", 400, "\"parameter\":\"hide\"" },
    { "GET", "/api/v1/live?depth=2", 400, "\"parameter\":\"node\"" },
    { "GET", "/api/v1/live?limit=2", 400, "\"parameter\":\"limit\"" },
    { "GET", "/api/v1/stats?x=1", 400, "takes no parameters" },
    { "POST", "/api/v1/graph", 405, "only GET and HEAD" },
    { "DELETE", "/", 405, "only GET and HEAD" },
    { "GET", "/metrics", 200, "tulle_edge_requests_total{" },
    { "GET", "/metrics", 200, "process_resident_memory_bytes" },
};

static void test_replies(void **state)
{
    for (size_t i = 0; i < NELEMS(replies); i++) {
        AUTO_DONE(reply) r = { 0 };
        print_message("case: %s %s\n", replies[i].method, replies[i].path);
        ask(*state, replies[i].method, replies[i].path, NULL, &r);
        assert_int_equal(r.status, replies[i].status);
        if (replies[i].contains && !sv_contains(buf_sv(&r.body), sv_z(replies[i].contains)))
            fail_msg("no \"%s\" in %.*s", replies[i].contains, SV_ARG(buf_sv(&r.body)));
        if (!replies[i].contains)
            assert_int_equal(r.body.len, 0);
        assert_true(sv_contains(buf_sv(&r.head), SV("X-Content-Type-Options: nosniff")));
        assert_true(sv_contains(buf_sv(&r.head), SV("Content-Security-Policy: default-src ")));
        if (r.status == 405)
            assert_true(sv_contains(buf_sv(&r.head), SV("Allow: GET, HEAD")));
    }
}

static void test_readiness(void **state)
{
    struct world *w = *state;
    AUTO_DONE(reply) r = { 0 };
    w->is_ready = false;
    ask(w, "GET", "/readyz", NULL, &r);
    w->is_ready = true;
    assert_int_equal(r.status, 503);
    assert_true(sv_eq(buf_sv(&r.body), SV("replaying\n")));
}

static void test_gzip_and_etag(void **state)
{
    AUTO_DONE(reply) plain = { 0 };
    AUTO_DONE(reply) packed = { 0 };
    AUTO_DONE(reply) again = { 0 };
    AUTO_DONE(buf) inflated = { 0 };
    char header[96];
    ask(*state, "GET", "/api/v1/openapi.json", NULL, &plain);
    ask(*state, "GET", "/api/v1/openapi.json", "Accept-Encoding: br;q=1, gzip;q=0.5", &packed);
    assert_true(sv_contains(buf_sv(&packed.head), SV("Content-Encoding: gzip")));
    assert_true(packed.body.len < plain.body.len / 4);
    assert_int_equal(gzip_inflate(buf_sv(&packed.body), GZIP_FORMAT_GZIP, 1 << 20, &inflated, NULL),
                     0);
    assert_true(sv_eq(buf_sv(&inflated), buf_sv(&plain.body)));
    ask(*state, "GET", "/api/v1/openapi.json", "Accept-Encoding: gzip;q=0", &again);
    assert_int_equal(again.body.len, plain.body.len);

    static const char *const paths[] = { "/", "/api/v1/openapi.json" };
    for (size_t i = 0; i < NELEMS(paths); i++) {
        ask(*state, "GET", paths[i], NULL, &plain);
        struct sv head = buf_sv(&plain.head), rest = head, line, etag = SV_NONE;
        while (sv_cut(&rest, '\n', &line))
            if (sv_starts(line, SV("ETag: ")))
                etag = sv_trim(sv_from(line, 6));
        assert_true(etag.len > 2);
        snprintf(header, sizeof(header), "If-None-Match: W/%.*s", SV_ARG(etag));
        ask(*state, "GET", paths[i], header, &again);
        assert_int_equal(again.status, 304);
        assert_int_equal(again.body.len, 0);
        ask(*state, "GET", paths[i], "If-None-Match: \"other\"", &again);
        assert_int_equal(again.status, 200);
    }
}

static int dial(const struct world *w)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(http_port(w->http)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = { .tv_sec = 20 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until `part` has come; false at the end of the stream. */
static bool read_until(int fd, struct buf *got, struct sv part)
{
    while (!sv_contains(buf_sv(got), part)) {
        char bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            return false;
        buf_append(got, bytes, (size_t)n);
    }
    return true;
}

/* First the whole graph, then only the edge that changed. */
static void test_live_changes(void **state)
{
    struct world *w = *state;
    AUTO_DONE(buf) got = { 0 };
    int fd = dial(w);
    say(fd, "GET /api/v1/live?window=5m HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_until(fd, &got, SV("\n\n")));
    assert_true(sv_contains(buf_sv(&got), SV("Content-Type: text/event-stream")));
    assert_true(sv_contains(buf_sv(&got), SV("event: graph\ndata: {\"full\":true")));
    buf_clear(&got);
    struct batch *b = batch_new();
    *batch_add_call(b) = sample_call(SV("reviews"), SV("ratings"), REPORTER_SOURCE, clock_wall_ns(),
                                     200);
    b->received_ns = clock_wall_ns();
    fold_batch(w->fold, b, true);
    batch_free(b);
    assert_true(read_until(fd, &got, SV("removedEdges")));
    assert_true(sv_contains(buf_sv(&got), SV("{\"full\":false")));
    assert_true(sv_contains(buf_sv(&got), SV("\"workload\":\"ratings\"")));
    assert_false(sv_contains(buf_sv(&got), SV("\"workload\":\"frontend\"")));
    close(fd);
}

/* A stream leaves out what the graph leaves out by the same parameters, and begins without its node. */
static void test_live_sieves(void **state)
{
    static const char *const cases[][2] = {
        { "hide=name%3Dfrontend", "\"workload\":\"reviews\"" },
        { "minRequests=1000000", "\"edges\":[]" },
        { "node=00000000000000aa&depth=2", "\"nodes\":[],\"edges\":[]" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(buf) got = { 0 };
        char head[256];
        snprintf(head, sizeof(head), "GET /api/v1/live?%s HTTP/1.1\r\nHost: x\r\n\r\n",
                 cases[i][0]);
        int fd = dial(*state);
        say(fd, head);
        assert_true(read_until(fd, &got, SV("]}\n\n")));
        assert_true(sv_contains(buf_sv(&got), sv_z(cases[i][1])));
        assert_false(sv_contains(buf_sv(&got), SV("\"workload\":\"frontend\"")));
        close(fd);
    }
}

/* The 65th stream is refused, and all of them end when the door closes. */
static void test_live_is_bounded(void **state)
{
    struct world *w = *state;
    int fds[64];
    AUTO_DONE(reply) r = { 0 };
    for (size_t i = 0; i < NELEMS(fds); i++) {
        AUTO_DONE(buf) got = { 0 };
        fds[i] = dial(w);
        say(fds[i], "GET /api/v1/live?window=5m HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_until(fds[i], &got, SV("event: graph")));
    }
    ask(w, "GET", "/api/v1/live", NULL, &r);
    assert_int_equal(r.status, 503);
    assert_true(sv_contains(buf_sv(&r.head), SV("Retry-After: ")));
    http_close(w->http);
    w->http = NULL;
    for (size_t i = 0; i < NELEMS(fds); i++) {
        AUTO_DONE(buf) got = { 0 };
        assert_false(read_until(fds[i], &got, SV("never said")));
        close(fds[i]);
    }
}

/* Wrong bytes: an answer that says so, and the door lives. */
static void test_rubbish(void **state)
{
    static const char *const rubbish[] = {
        "\x16\x03\x01\x02\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /api/v1/graph HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "GET /api/v1/graph?%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /api/v1/graph HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    };
    for (size_t i = 0; i < NELEMS(rubbish); i++) {
        AUTO_DONE(buf) got = { 0 };
        AUTO_DONE(reply) r = { 0 };
        int fd = dial(*state);
        say(fd, rubbish[i]);
        shutdown(fd, SHUT_WR);
        (void)read_until(fd, &got, SV("never said"));
        close(fd);
        assert_true(sv_starts(buf_sv(&got), SV("HTTP/1.1 ")));
        assert_false(sv_starts(buf_sv(&got), SV("HTTP/1.1 5")) &&
                     !sv_starts(buf_sv(&got), SV("HTTP/1.1 505")));
        ask(*state, "GET", "/healthz", NULL, &r);
        assert_int_equal(r.status, 200);
    }
}

static void test_port_is_taken(void **state)
{
    struct world *w = *state;
    struct err err = { 0 };
    struct http_conf hc = {
        .listen = "127.0.0.1", .port = http_port(w->http), .store = w->store, .fold = w->fold
    };
    assert_null(http_open(&hc, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    hc.listen = "nowhere";
    err = (struct err){ 0 };
    assert_null(http_open(&hc, &err));
    assert_int_equal(err.code, ERR_USAGE);
}

#define WITH_DOOR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DOOR(test_graph),
        WITH_DOOR(test_granularities),
        WITH_DOOR(test_edges_and_history),
        WITH_DOOR(test_traces),
        WITH_DOOR(test_state),
        WITH_DOOR(test_replies),
        WITH_DOOR(test_readiness),
        WITH_DOOR(test_gzip_and_etag),
        WITH_DOOR(test_live_changes),
        WITH_DOOR(test_live_sieves),
        WITH_DOOR(test_live_is_bounded),
        WITH_DOOR(test_rubbish),
        WITH_DOOR(test_port_is_taken),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
