/* SPDX-License-Identifier: Apache-2.0
 * main.c - `tulle`: finds the subcommand, reads its options, runs it.
 *
 * Each subcommand is a row with its own option table, so `tulle NAME --help` and the environment come
 * from the same rows. One name is taken: in a proxy's environment TULLE_COLLECTOR is where records go, so
 * the address of the collector's API is TULLE_API here. Exit status: 0 done, 1 failed, 2 wrong usage. */
#include "cli/cli.h"
#include "tulle_version.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_graph,   &command_edges,    &command_services, &command_traces,
    &command_trace,   &command_unpaired, &command_check,    &command_snapshot,
    &command_compare, &command_sql,      &command_explain,  &command_inject,
};

int cli_print(const struct buf *out)
{
    struct sv rest = buf_sv(out);
    if (out->failed) {
        fputs("tulle: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    while (rest.len) {
        ssize_t n = write(STDOUT_FILENO, rest.p, rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "tulle: standard output: %s\n", strerror(errno));
            return EXIT_FAILED;
        }
        rest = sv_from(rest, (size_t)n);
    }
    return EXIT_OK;
}

int cli_fail(const struct err *err)
{
    fprintf(stderr, "tulle: %s\n", err->why);
    return EXIT_FAILED;
}

static void print_help(FILE *to)
{
    fputs("Usage: tulle COMMAND [OPTIONS]\n\nAsks a Tulle collector or its store, and checks "
          "configuration.\n\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < NELEMS(commands); i++) {
        const struct flag_table *t = &commands[i]->flags;
        char name[40];
        snprintf(name, sizeof(name), "%s%s", commands[i]->name, t->operands ? t->operands : "");
        fprintf(to, "  %-26s %s\n", name, t->summary);
    }
    fputs("  help                       this text; tulle COMMAND --help for a command's options\n"
          "\nTULLE_API names the collector as --collector does. (TULLE_COLLECTOR is the proxies': "
          "where they\n"
          "send to, which is another port.)\n",
          to);
}

static int run(const struct command *command, int argc, char **argv)
{
    AUTO_DONE(arena) mem = { 0 };
    struct cli c = { 0 };
    struct err err = { 0 };
    int operand = argc;
    int rc = flag_parse(&command->flags, &c, &mem, argc, argv, &operand, &err);
    if (rc == FLAG_EXIT)
        return EXIT_OK;
    c.operands = argv + operand;
    c.operands_len = argc - operand;
    if (rc == 0 && (c.operands_len < command->operands_min ||
                    (command->operands_max >= 0 && c.operands_len > command->operands_max)))
        rc = err_set(&err, ERR_USAGE, "expected%s",
                     command->flags.operands ? command->flags.operands : " no operands");
    if (rc < 0) {
        fprintf(stderr, "tulle %s: %s\nTry: tulle %s --help\n", command->name, err.why,
                command->name);
        return EXIT_USAGE;
    }
    return command->run(&c);
}

/* --collector's variable; whoever runs us inside a Pod has the proxy's. */
static void choose_environment(void)
{
    const char *api = getenv("TULLE_API");
    if (api)
        setenv("TULLE_COLLECTOR", api, 1);
    else
        unsetenv("TULLE_COLLECTOR");
}

int main(int argc, char **argv)
{
    choose_environment();
    struct sv name = sv_z(argc > 1 ? argv[1] : NULL);
    if (name.len == 0) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (sv_eq(name, SV("help")) || sv_eq(name, SV("--help")) || sv_eq(name, SV("-h"))) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (sv_eq(name, SV("--version")) || sv_eq(name, SV("version"))) {
        puts("tulle " TULLE_VERSION);
        return EXIT_OK;
    }
    for (size_t i = 0; i < NELEMS(commands); i++) {
        if (!sv_eq(name, sv_z(commands[i]->name)))
            continue;
        curl_global_init(CURL_GLOBAL_DEFAULT);
        int status = run(commands[i], argc - 1, argv + 1);
        curl_global_cleanup();
        return status;
    }
    bool is_option = sv_starts(name, SV("-"));
    fprintf(stderr, "tulle: there is no command '%.*s'%s\nTry: tulle help\n", SV_ARG(name),
            is_option ? "; options follow the command" : "");
    return EXIT_USAGE;
}
