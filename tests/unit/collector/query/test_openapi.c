/* test_openapi.c - openapi.json and the table of routes say the same. */
#include "../sample.h"
#include "query/api.h"
#include "query/openapi_text.h"
#include <jansson.h>

static json_t *at(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    if (!v)
        fail_msg("no \"%s\"", key);
    return v;
}

/* Served routes and described paths are the same set, parameters included. */
static void test_openapi_is_complete(void **state)
{
    struct sv text = openapi_text();
    json_error_t error;
    json_t *doc = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &error);
    const char *path;
    json_t *item;
    size_t routes = 0;
    (void)state;
    if (!doc)
        fail_msg("line %d: %s", error.line, error.text);
    json_t *paths = at(doc, "paths");
    for (const struct route *r; (r = route_at(routes)); routes++) {
        json_t *parameters = at(at(at(paths, r->path), "get"), "parameters"), *p;
        size_t i, n = 0, in_query = 0;
        while (r->params[n].name)
            n++;
        json_array_foreach(parameters, i, p)
        {
            const char *ref = json_string_value(json_object_get(p, "$ref"));
            if (ref)
                p = at(at(at(doc, "components"), "parameters"), strrchr(ref, '/') + 1);
            if (strcmp(json_string_value(at(p, "in")), "query") != 0)
                continue;
            bool is_served = false;
            for (size_t k = 0; k < n; k++)
                is_served |= strcmp(r->params[k].name, json_string_value(at(p, "name"))) == 0;
            if (!is_served)
                fail_msg("%s does not take %s", r->path, json_string_value(at(p, "name")));
            in_query++;
        }
        if (in_query != n)
            fail_msg("%s takes %zu parameters, %zu are described", r->path, n, in_query);
    }
    json_object_foreach(paths, path, item)
    {
        bool is_served = false;
        for (size_t i = 0; i < routes; i++)
            is_served |= strcmp(route_at(i)->path, path) == 0;
        if (!is_served)
            fail_msg("%s is described and not served", path);
    }
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_openapi_is_complete) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
