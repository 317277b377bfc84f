/* flag.h - a program's options as rows of a table: argv, TULLE_ environment, YAML file and --help
 * all read the same rows.
 *
 * Precedence, weakest first: default, file (--config-file FILE, flat `name: value` mapping),
 * environment (TULLE_HTTP_PORT for http-port), argument (--http-port 1, --http-port=1, --bool).
 * Called once from main(); not thread-safe. */
#ifndef BASE_FLAG_H
#define BASE_FLAG_H

#include "base/arena.h"
#include "base/err.h"
#include <stddef.h>

enum flag_type {
    FLAG_STR,    /* const char *, never NULL */
    FLAG_BOOL,   /* bool; --name, --name=false */
    FLAG_UINT,   /* uint64_t */
    FLAG_PORT,   /* uint16_t, 0 turns the door off */
    FLAG_NSEC,   /* int64_t nanoseconds: 250ms, 10s, 5m, 72h, 7d */
    FLAG_BYTES,  /* uint64_t: 512, 64KiB, 8MiB, 2GiB (K/M/G alone are the same powers of 1024) */
    FLAG_DOUBLE, /* double */
    FLAG_CHOICE, /* const char *, one of the '|'-separated words of `choices` */
    FLAG_LINES,  /* const char *, never NULL; given again: one more line. `choices`: "H" for -H */
};

struct flag {
    const char *name;
    enum flag_type type;
    size_t offset;       /* of the field in the conf struct */
    const char *initial; /* the default, as text */
    const char *help;    /* one line, unit included */
    const char *choices; /* FLAG_CHOICE and FLAG_LINES only */
};
struct flag_table {
    const char *program;  /* "tulle-collector" */
    const char *summary;  /* one line for --help */
    const char *operands; /* " FILE..." for the usage line, or NULL when none are taken */
    const struct flag *rows;
    size_t len;
};

enum { FLAG_RUN = 0, FLAG_EXIT = 1 };
/* Fills conf; strings live in mem or argv. Returns FLAG_RUN, FLAG_EXIT (--help or --version was
 * printed to stdout), or ERR_USAGE / ERR_IO / ERR_NOMEM. Arguments that are no options move to the end of
 * argv, in their order; *ret_operand is the index of the first one (argc when there is none);
 * ret_operand NULL means none are allowed. What follows "--" is no option. */
int flag_parse(const struct flag_table *t, void *conf, struct arena *mem, int argc, char **argv,
               int *ret_operand, struct err *err) MUST_USE;
/* One value by its row's rules; where names the source in messages ("--http-port"). */
int flag_set(const struct flag *row, void *conf, struct arena *mem, struct sv text,
             const char *where, struct err *err) MUST_USE;
/* "1m30s" style text into nanoseconds; false when it is not a duration. */
bool duration_from_sv(struct sv text, int64_t *ret_ns);
bool bytes_from_sv(struct sv text, uint64_t *ret_bytes);

#endif
