/* flag_file.c - reads a flat YAML mapping of option names to scalars with libyaml. */
#include "flag_file.h"
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

static const struct flag *row_of(const struct flag_table *t, struct sv name)
{
    for (size_t i = 0; i < t->len; i++)
        if (sv_eq(sv_z(t->rows[i].name), name))
            return &t->rows[i];
    return NULL;
}

static struct sv scalar(const yaml_event_t *ev)
{
    return sv_of(ev->data.scalar.value, ev->data.scalar.length);
}

/* One event; a scalar is a name or the value of the name before it. */
static int on_event(const struct flag_table *t, void *conf, struct arena *mem, const char *path,
                    const yaml_event_t *ev, const struct flag **key, struct err *err)
{
    char where[256];
    snprintf(where, sizeof(where), "%s:%zu:%zu", path, ev->start_mark.line + 1,
             ev->start_mark.column + 1);
    if (ev->type == YAML_SEQUENCE_START_EVENT || (ev->type == YAML_MAPPING_START_EVENT && *key))
        return err_set(err, ERR_USAGE, "%s: a single value is expected here", where);
    if (ev->type != YAML_SCALAR_EVENT)
        return 0;
    if (*key) {
        const struct flag *row = TAKE(*key);
        return flag_set(row, conf, mem, scalar(ev), where, err);
    }
    *key = row_of(t, scalar(ev));
    if (!*key)
        return err_set(err, ERR_USAGE, "%s: unknown option '%.*s'", where, SV_ARG(scalar(ev)));
    return 0;
}

int flag_file_read(const struct flag_table *t, void *conf, struct arena *mem, const char *path,
                   struct err *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return err_set(err, ERR_NOMEM, "%s", path);
    }
    yaml_parser_set_input_file(&parser, f);
    const struct flag *key = NULL;
    int rc = 0;
    for (bool is_end = false; rc == 0 && !is_end;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&parser, &ev)) {
            rc = err_set(err, ERR_USAGE, "%s:%zu:%zu: %s", path, parser.problem_mark.line + 1,
                         parser.problem_mark.column + 1, parser.problem);
            break;
        }
        is_end = ev.type == YAML_STREAM_END_EVENT;
        rc = on_event(t, conf, mem, path, &ev, &key, err);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
    fclose(f);
    return rc;
}
