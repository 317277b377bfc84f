/* fuzz_json_in.c - any text as JSON: what the reader accepts, written again by json_out, is accepted
 * and comes out the same a second time; skipping accepts exactly what reading accepts. */
#include "base/json_in.h"
#include "base/json_out.h"

#define DEPTH 60

static void copy(struct json_in *j, struct json_out *o)
{
    struct sv key;
    switch (jin_kind(j)) {
    case JSON_OBJECT:
        json_open(o, '{');
        for (jin_object(j); jin_key(j, &key);) {
            json_key(o, key);
            copy(j, o);
        }
        json_close(o);
        return;
    case JSON_ARRAY:
        json_open(o, '[');
        for (jin_array(j); jin_element(j);)
            copy(j, o);
        json_close(o);
        return;
    case JSON_STRING: json_str(o, jin_str(j)); return;
    case JSON_NUMBER: json_raw(o, jin_number(j)); return;
    case JSON_BOOL: json_bool(o, jin_bool(j)); return;
    default:
        if (!jin_null(j))
            jin_fail(j, ERR_MALFORMED, "no value");
        json_null(o);
    }
}

static int copy_text(struct sv text, struct buf *to, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct json_in j = json_in_of(text, &mem, DEPTH);
    struct json_out o = json_out_of(to);
    copy(&j, &o);
    return jin_finish(&j, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct sv text = sv_of(p, n);
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) first = { 0 };
    AUTO_DONE(buf) second = { 0 };
    struct err err = { 0 };
    struct json_in j = json_in_of(text, &mem, DEPTH);
    jin_skip(&j);
    int skipped = jin_finish(&j, NULL);
    int rc = copy_text(text, &first, &err);
    INVARIANT((rc == 0) == (skipped == 0));
    if (rc < 0) {
        INVARIANT(err.code == (enum err_code)rc && err.at <= n && err.why[0]);
        return 0;
    }
    INVARIANT(copy_text(buf_sv(&first), &second, NULL) == 0);
    INVARIANT(sv_eq(buf_sv(&first), buf_sv(&second)));
    return 0;
}
