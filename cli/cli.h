/* cli.h - what the subcommands of `tulle` share: their options and how they end. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/flag.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Every option of every subcommand; each table fills the fields it has rows for. */
struct cli {
    const char *collector;
    bool is_json, is_strict;
    const char *window, *namespace, *granularity, *sort;
    const char *hide, *keep;
    const char *at, *base_version, *new_version;
    const char *service, *operation, *status, *min_duration;
    uint64_t limit;
    const char *data, *store;
    const char *file, *format;
    bool is_schema;
    const char *config, *role, *workload, *labels, *service_account, *trust_domain; /* explain */
    const char *trust_domain_aliases;
    const char *headers, *principal, *source_ip, *destination_ip, *outbound_policy;
    bool is_inbound, is_plaintext;
    uint16_t port;
    const char *image, *send_to, *configmap, *certs; /* inject */
    char **operands;                                 /* what is left of argv */
    int operands_len;
};

#define CLI_OFF(field) offsetof(struct cli, field)
/* The rows all commands that ask a collector begin with. */
#define CLI_ROWS_COLLECTOR                                                                         \
    { "collector",                                                                                 \
      FLAG_STR,                                                                                    \
      CLI_OFF(collector),                                                                          \
      "http://127.0.0.1:16686",                                                                    \
      "the collector's address",                                                                   \
      NULL },                                                                                      \
    {                                                                                              \
        "json", FLAG_BOOL, CLI_OFF(is_json), "false", "print the collector's answer as it is",     \
            NULL                                                                                   \
    }

/* Runs with its options read; gives an exit status, having told the user what went wrong. */
typedef int command_fn(const struct cli *c);
struct command {
    const char *name;
    struct flag_table flags; /* program "tulle NAME", the summary, the operands */
    command_fn *run;
    int operands_min, operands_max; /* max -1: any number */
};
extern const struct command command_graph, command_edges, command_services, command_traces,
    command_trace, command_unpaired, command_check, command_snapshot, command_compare, command_sql,
    command_explain, command_inject;

/* Writes what is in out to standard output; EXIT_FAILED when that or memory failed. */
int cli_print(const struct buf *out);
/* "tulle: why" to standard error; gives EXIT_FAILED. */
int cli_fail(const struct err *err);

#endif
