/* SPDX-License-Identifier: Apache-2.0
 * client.c - one GET with libcurl, its answer bounded and parsed with jansson. */
#include "cli/client.h"
#include <curl/curl.h>
#include <stdio.h>

#define TIMEOUT_S        30
#define ANSWER_BYTES_MAX ((size_t)256 * 1024 * 1024)

static size_t on_bytes(char *p, size_t size, size_t n, void *to)
{
    struct buf *b = to;
    size_t bytes = size * n;
    if (b->len + bytes > ANSWER_BYTES_MAX)
        return 0;
    buf_append(b, p, bytes);
    return b->failed ? 0 : bytes;
}

static void put_url(struct buf *to, CURL *curl, const struct cli *c, const char *path,
                    const struct query_param *params, size_t len)
{
    struct sv base = sv_z(c->collector);
    char separator = '?';
    while (base.len && base.p[base.len - 1] == '/')
        base.len--;
    buf_put(to, base);
    buf_printf(to, "/api/v1/%s", path);
    for (size_t i = 0; i < len; i++) {
        char *value = params[i].value && params[i].value[0]
                          ? curl_easy_escape(curl, params[i].value, 0)
                          : NULL;
        if (!value)
            continue;
        buf_printf(to, "%c%s=%s", separator, params[i].name, value);
        separator = '&';
        curl_free(value);
    }
    buf_putc(to, '\0');
}

/* The collector tells what is wrong as {"error":{"message":...}}. */
static json_t *read_answer(const struct cli *c, long status, const struct buf *raw, struct err *err)
{
    json_error_t why;
    json_t *answer = json_loadb(buf_sv(raw).p, raw->len, 0, &why);
    if (status / 100 == 2 && answer)
        return answer;
    const char *message = json_text(json_object_get(answer, "error"), "message");
    if (status / 100 == 2)
        err_set(err, ERR_MALFORMED, "%s: the answer is no JSON: %s", c->collector, why.text);
    else if (message[0])
        err_set(err, ERR_USAGE, "%s", message);
    else
        err_set(err, ERR_IO, "%s answered HTTP %ld; is it a collector's query port?", c->collector,
                status);
    json_decref(answer);
    return NULL;
}

json_t *client_get(const struct cli *c, const char *path, const struct query_param *params,
                   size_t len, struct buf *raw, struct err *err)
{
    AUTO_DONE(buf) url = { 0 };
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *curl = curl_easy_init();
    if (!curl) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    put_url(&url, curl, c, path, params, len);
    curl_easy_setopt(curl, CURLOPT_URL, buf_sv(&url).p);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, raw);
    CURLcode rc = url.failed ? CURLE_OUT_OF_MEMORY : curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc != CURLE_OK) {
        err_set(err, ERR_IO, "%s: %s", c->collector, why[0] ? why : curl_easy_strerror(rc));
        return NULL;
    }
    return read_answer(c, status, raw, err);
}

const char *json_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

double json_number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}
