/* flag.c - one table of options read from four places.
 *
 * Each value passes through flag_set(), whichever place it comes from, so ranges and messages are
 * the same everywhere. --help prints the rows. The file reader is in flag_file.c. */
#include "base/flag.h"
#include "flag_file.h"
#include "tulle_version.h"
#include <ctype.h>
#include <stdio.h>

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    { "ns", 1 },
    { "us", 1000 },
    { "ms", 1000000 },
    { "s", INT64_C(1000000000) },
    { "m", INT64_C(60000000000) },
    { "h", INT64_C(3600000000000) },
    { "d", INT64_C(86400000000000) },
};

static size_t number_len(struct sv s)
{
    size_t n = 0;
    while (n < s.len && (isdigit((unsigned char)s.p[n]) || s.p[n] == '.'))
        n++;
    return n;
}

bool duration_from_sv(struct sv text, int64_t *ret_ns)
{
    double total_ns = 0;
    if (sv_eq(text, SV("0"))) {
        *ret_ns = 0;
        return true;
    }
    if (text.len == 0)
        return false;
    while (text.len) {
        double v;
        size_t digits = number_len(text), letters = 0;
        if (!sv_to_double(sv_sub(text, 0, digits), &v))
            return false;
        text = sv_from(text, digits);
        while (letters < text.len && isalpha((unsigned char)text.p[letters]))
            letters++;
        const struct unit *u = NULL;
        for (size_t i = 0; i < NELEMS(units); i++)
            if (sv_eq(sv_sub(text, 0, letters), sv_z(units[i].name)))
                u = &units[i];
        if (!u)
            return false;
        total_ns += v * (double)u->ns;
        text = sv_from(text, letters);
    }
    if (total_ns > 9e18)
        return false;
    *ret_ns = (int64_t)total_ns;
    return true;
}

bool bytes_from_sv(struct sv text, uint64_t *ret_bytes)
{
    uint64_t v;
    size_t digits = number_len(text);
    struct sv unit = sv_from(text, digits);
    if (!sv_to_u64(sv_sub(text, 0, digits), &v))
        return false;
    unsigned shift = 0;
    if (unit.len && unit.p[0] != 'B') {
        static const char scale[] = "KMGT";
        const char *at = strchr(scale, unit.p[0]);
        if (!at)
            return false;
        shift = 10 * (unsigned)(at - scale + 1);
        unit = sv_from(unit, 1);
        if (unit.len && unit.p[0] == 'i')
            unit = sv_from(unit, 1);
    }
    if (unit.len && !sv_eq(unit, SV("B")))
        return false;
    if (v > UINT64_MAX >> shift)
        return false;
    *ret_bytes = v << shift;
    return true;
}

static bool bool_from_sv(struct sv text, bool *ret_v)
{
    bool is_true = sv_eq(text, SV("true")) || sv_eq(text, SV("1")) || sv_eq(text, SV("yes"));
    if (!is_true && !sv_eq(text, SV("false")) && !sv_eq(text, SV("0")) && !sv_eq(text, SV("no")))
        return false;
    *ret_v = is_true;
    return true;
}

static int add_line(const char **field, struct arena *mem, struct sv text, const char *where,
                    struct err *err)
{
    struct sv before = sv_z(*field);
    char *z = arena_alloc(mem, before.len + text.len + 2);
    if (!z)
        return err_set(err, ERR_NOMEM, "%s", where);
    snprintf(z, before.len + text.len + 2, "%.*s%s%.*s", SV_ARG(before), before.len ? "\n" : "",
             SV_ARG(text));
    *field = z;
    return 0;
}

static bool is_choice(const char *choices, struct sv text)
{
    struct sv rest = sv_z(choices), word;
    while (sv_cut(&rest, '|', &word))
        if (sv_eq(word, text))
            return true;
    return false;
}

int flag_set(const struct flag *row, void *conf, struct arena *mem, struct sv text,
             const char *where, struct err *err)
{
    void *field = (char *)conf + row->offset;
    uint64_t port;
    const char *want = NULL;
    switch (row->type) {
    case FLAG_CHOICE:
        if (!is_choice(row->choices, text))
            return err_set(err, ERR_USAGE, "%s: '%.*s' is not one of %s", where, SV_ARG(text),
                           row->choices);
        /* fallthrough */
    case FLAG_STR: {
        char *z = arena_alloc(mem, text.len + 1);
        if (!z)
            return err_set(err, ERR_NOMEM, "%s", where);
        sv_to_z(text, z, text.len + 1);
        *(const char **)field = z;
        return 0;
    }
    case FLAG_LINES: return add_line(field, mem, text, where, err);
    case FLAG_BOOL: want = bool_from_sv(text, field) ? NULL : "true or false"; break;
    case FLAG_UINT: want = sv_to_u64(text, field) ? NULL : "a whole number"; break;
    case FLAG_NSEC: want = duration_from_sv(text, field) ? NULL : "a duration such as 10s"; break;
    case FLAG_BYTES: want = bytes_from_sv(text, field) ? NULL : "a size such as 8MiB"; break;
    case FLAG_DOUBLE: want = sv_to_double(text, field) ? NULL : "a number"; break;
    case FLAG_PORT:
        if (!sv_to_u64(text, &port) || port > 65535)
            want = "a port, 0 to 65535";
        else
            *(uint16_t *)field = (uint16_t)port;
        break;
    }
    if (want)
        return err_set(err, ERR_USAGE, "%s: '%.*s' is not %s", where, SV_ARG(text), want);
    return 0;
}

static void env_name(const char *name, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "TULLE_%s", name);
    for (size_t i = 0; i < n && i < size; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static void print_help(const struct flag_table *t)
{
    printf("%s - %s\n\nUsage: %s [OPTION...]%s\n\nOptions (each also as environment variable, "
           "--http-port as TULLE_HTTP_PORT,\nand as `http-port: 1` in --config-file):\n",
           t->program, t->summary, t->program, t->operands ? t->operands : "");
    for (size_t i = 0; i < t->len; i++) {
        const struct flag *r = &t->rows[i];
        char left[64];
        static const char *const kinds[] = {
            [FLAG_STR] = "TEXT",      [FLAG_BOOL] = "",       [FLAG_UINT] = "N",
            [FLAG_PORT] = "PORT",     [FLAG_NSEC] = "DUR",    [FLAG_BYTES] = "BYTES",
            [FLAG_DOUBLE] = "NUMBER", [FLAG_CHOICE] = "WORD", [FLAG_LINES] = "TEXT",
        };
        bool is_short = r->type == FLAG_LINES && r->choices;
        snprintf(left, sizeof(left), "%s%s%s--%s %s", is_short ? "-" : "",
                 is_short ? r->choices : "", is_short ? ", " : "", r->name, kinds[r->type]);
        printf("  %-34s %s", left, r->help);
        if (r->choices && !is_short)
            printf(" (%s)", r->choices);
        if (r->initial[0])
            printf(" [%s]", r->initial);
        putchar('\n');
    }
    printf("  %-34s %s\n  %-34s %s\n  %-34s %s\n", "--config-file FILE",
           "YAML mapping of option to value", "--help", "this text", "--version",
           "name and version");
}

static const struct flag *find_row(const struct flag_table *t, struct sv name)
{
    for (size_t i = 0; i < t->len; i++)
        if (sv_eq(sv_z(t->rows[i].name), name))
            return &t->rows[i];
    return NULL;
}

/* Splits --name=value; value.p is NULL when there is no '='. */
static struct sv option_name(const char *arg, struct sv *ret_value)
{
    struct sv s = sv_from(sv_z(arg), 2);
    size_t eq = sv_index(s, '=');
    *ret_value = eq < s.len ? sv_of(s.p + eq + 1, s.len - eq - 1) : SV_NONE;
    return sv_sub(s, 0, eq);
}

static int set_defaults(const struct flag_table *t, void *conf, struct arena *mem, struct err *err)
{
    for (size_t i = 0; i < t->len; i++) {
        if (t->rows[i].type == FLAG_LINES)
            *(const char **)((char *)conf + t->rows[i].offset) = "";
        int rc = flag_set(&t->rows[i], conf, mem, sv_z(t->rows[i].initial), t->rows[i].name, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int set_from_env(const struct flag_table *t, void *conf, struct arena *mem, struct err *err)
{
    for (size_t i = 0; i < t->len; i++) {
        char name[80];
        env_name(t->rows[i].name, name, sizeof(name));
        const char *value = getenv(name);
        if (!value)
            continue;
        int rc = flag_set(&t->rows[i], conf, mem, sv_z(value), name, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The row that "--name" or "-N" means. */
static const struct flag *row_of_option(const struct flag_table *t, const char *arg, struct sv name)
{
    if (arg[1] == '-')
        return find_row(t, name);
    for (size_t i = 0; i < t->len; i++)
        if (t->rows[i].type == FLAG_LINES && t->rows[i].choices &&
            strcmp(arg + 1, t->rows[i].choices) == 0)
            return &t->rows[i];
    return NULL;
}

/* The option at *i, and its value, which may be the next argument. */
static int set_option(const struct flag_table *t, void *conf, struct arena *mem, int argc,
                      char **argv, int *i, struct err *err)
{
    const char *arg = argv[*i];
    struct sv value = SV_NONE, name = arg[1] == '-' ? option_name(arg, &value) : sv_z(arg + 1);
    const struct flag *row = row_of_option(t, arg, name);
    bool is_file = arg[1] == '-' && sv_eq(name, SV("config-file"));
    char where[80];
    snprintf(where, sizeof(where), "%s%.*s", arg[1] == '-' ? "--" : "-", SV_ARG(name));
    if (!row && !is_file)
        return err_set(err, ERR_USAGE, "%s: unknown option, see --help", where);
    if (row && row->type == FLAG_BOOL && !value.p)
        value = SV("true");
    if (!value.p) {
        if (++*i == argc)
            return err_set(err, ERR_USAGE, "%s: a value is missing", where);
        value = sv_z(argv[*i]);
    }
    return is_file ? 0 : flag_set(row, conf, mem, value, where, err);
}

static void move_to_end(int argc, char **argv, int i)
{
    char *operand = argv[i];
    memmove(argv + i, argv + i + 1, (size_t)(argc - i - 1) * sizeof(*argv));
    argv[argc - 1] = operand;
}

static int set_from_argv(const struct flag_table *t, void *conf, struct arena *mem, int argc,
                         char **argv, int *ret_operand, struct err *err)
{
    int i = 1, end = argc; /* from end on: operands that were met */
    while (i < end) {
        bool is_option = argv[i][0] == '-' && argv[i][1];
        if (!is_option && !ret_operand)
            return err_set(err, ERR_USAGE, "'%s': no operand is expected, see --help", argv[i]);
        if (!is_option) {
            move_to_end(argc, argv, i);
            end--;
        } else if (strcmp(argv[i], "--") == 0) {
            for (i++; end > i; end--)
                move_to_end(argc, argv, i);
        } else {
            int rc = set_option(t, conf, mem, end, argv, &i, err);
            if (rc < 0)
                return rc;
            i++;
        }
    }
    if (!ret_operand && i < argc)
        return err_set(err, ERR_USAGE, "'%s': no operand is expected, see --help", argv[i]);
    if (ret_operand)
        *ret_operand = i;
    return 0;
}

/* The last --config-file, so that arguments before and after it override the file alike. */
static const char *config_file(int argc, char **argv)
{
    const char *path = getenv("TULLE_CONFIG_FILE");
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--config-file") == 0 && i + 1 < argc)
            path = argv[i + 1];
        else if (strncmp(argv[i], "--config-file=", 14) == 0)
            path = argv[i] + 14;
    }
    return path;
}

int flag_parse(const struct flag_table *t, void *conf, struct arena *mem, int argc, char **argv,
               int *ret_operand, struct err *err)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(t);
            return FLAG_EXIT;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", t->program, TULLE_VERSION);
            return FLAG_EXIT;
        }
    }
    int rc = set_defaults(t, conf, mem, err);
    const char *path = config_file(argc, argv);
    if (rc == 0 && path)
        rc = flag_file_read(t, conf, mem, path, err);
    if (rc == 0)
        rc = set_from_env(t, conf, mem, err);
    return rc == 0 ? set_from_argv(t, conf, mem, argc, argv, ret_operand, err) : rc;
}
