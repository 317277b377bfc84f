/* attr.c - attr(attributes, 'http.route'): the value of one key of a JSON object.
 *
 * Names of attributes have dots in them, which JSON paths take for steps: ->> 'http.route' looks for
 * route inside http. The first of several equal keys counts, as it does in a search. */
#include "base/json_in.h"
#include "base/json_out.h"
#include "store/sql/table.h"

static struct sv text_of(sqlite3_value *v)
{
    const void *p = sqlite3_value_text(v);
    return sv_of(p, p ? (size_t)sqlite3_value_bytes(v) : 0);
}

static void put_number(sqlite3_context *to, struct sv text)
{
    int64_t integer;
    double real;
    if (sv_to_i64(text, &integer))
        sqlite3_result_int64(to, integer);
    else if (sv_to_double(text, &real))
        sqlite3_result_double(to, real);
}

/* The next value, as ->> gives it: objects and arrays as JSON text. */
static void put_value(sqlite3_context *to, struct json_in *j, struct sv object)
{
    size_t from;
    switch (jin_kind(j)) {
    case JSON_STRING: sql_put_text(to, jin_str(j)); break;
    case JSON_NUMBER: put_number(to, jin_number(j)); break;
    case JSON_BOOL: sqlite3_result_int(to, jin_bool(j)); break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        from = jin_offset(j);
        jin_skip(j);
        sql_put_text(to, sv_sub(object, from, jin_offset(j) - from));
        break;
    case JSON_NULL:
    case JSON_NOTHING: jin_skip(j);
    }
}

static void attr(sqlite3_context *to, int argc, sqlite3_value **argv)
{
    (void)argc;
    AUTO_DONE(arena) mem = { 0 };
    struct sv object = text_of(argv[0]), wanted = text_of(argv[1]);
    struct err err = { 0 };
    if (!object.p || !wanted.p)
        return;
    struct json_in j = json_in_of(object, &mem, JSON_DEPTH_MAX);
    bool is_found = false;
    jin_object(&j);
    for (struct sv key; jin_key(&j, &key);) {
        if (!is_found && sv_eq(key, wanted)) {
            is_found = true;
            put_value(to, &j, object);
        } else {
            jin_skip(&j);
        }
    }
    int rc = jin_finish(&j, &err);
    if (rc == ERR_NOMEM)
        sqlite3_result_error_nomem(to);
    else if (rc < 0)
        sqlite3_result_error(to, "attr(): the first argument is no JSON object", -1);
}

int sql_add_attr(sqlite3 *db, struct err *err)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    if (sqlite3_create_function_v2(db, "attr", 2, flags, NULL, attr, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return err_set(err, ERR_NOMEM, "attr(): %s", sqlite3_errmsg(db));
}
