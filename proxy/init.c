/* SPDX-License-Identifier: Apache-2.0
 * init.c - puts the rules in force, prints them, or takes them away.
 *
 * The rules are applied by the system's own tools, which know its kernel: nft where it is there, else
 * iptables-restore and ip6tables-restore. Applying takes away what the other tool may have left, so a
 * change of tools does not leave two sets. For IPv6 the loopback interface gets the address ::6, from
 * which the sidecar calls the application (127.0.0.6 is there already). TPROXY needs a routing rule besides,
 * which ip makes. */
#include "proxy/init.h"
#include "base/flag.h"
#include "proxy/init_rules.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP_NET_ADMIN_BIT 12
#define TEXT_OF(number)   #number
#define AS_TEXT(number)   TEXT_OF(number)
#define MARK              AS_TEXT(CAPTURE_TPROXY_MARK)

enum { EXIT_FINE = 0, EXIT_REFUSED = 1, EXIT_MISTAKE = 2 };

struct init_conf {
    uint16_t outbound, inbound;
    uint64_t uid, gid;
    const char *backend, *ipv6, *mode;
    const char *in, *not_in, *out, *not_out, *out_nets, *not_out_nets;
    bool is_dry_run, is_undo;
};
#define OFF(field) offsetof(struct init_conf, field)
/* clang-format off */
static const struct flag rows[] = {
    { "outbound-port",          FLAG_PORT,   OFF(outbound),     "15001", "of the sidecar: where connections of the application are sent", NULL },
    { "inbound-port",           FLAG_PORT,   OFF(inbound),      "15006", "of the sidecar: where connections to the application are sent", NULL },
    { "proxy-uid",              FLAG_UINT,   OFF(uid),          "1337",  "user of the sidecar: its own connections are left alone", NULL },
    { "proxy-gid",              FLAG_UINT,   OFF(gid),          "1337",  "its group", NULL },
    { "include-inbound-ports",  FLAG_STR,    OFF(in),           "*",     "ports of the application to take over: 8080,9090, * for all, empty for none", NULL },
    { "exclude-inbound-ports",  FLAG_STR,    OFF(not_in),       "15090,15021,15020", "of all, these not", NULL },
    { "include-outbound-cidrs", FLAG_STR,    OFF(out_nets),     "*",     "addresses the application calls to take over: 10.0.0.0/8,fd00::/8, * for all, empty for none", NULL },
    { "exclude-outbound-cidrs", FLAG_STR,    OFF(not_out_nets), "",      "of them, these not", NULL },
    { "include-outbound-ports", FLAG_STR,    OFF(out),          "",      "ports to take over whatever the address", NULL },
    { "exclude-outbound-ports", FLAG_STR,    OFF(not_out),      "",      "ports never to take over", NULL },
    { "interception-mode",      FLAG_CHOICE, OFF(mode),         "REDIRECT", "how connections to the application come to the sidecar; TPROXY: the application sees the caller's address, and the sidecar runs with --intercept=tproxy and NET_ADMIN", "REDIRECT|TPROXY" },
    { "backend",                FLAG_CHOICE, OFF(backend),      "auto",  "what applies the rules; auto: nftables if nft is there", "auto|nftables|iptables" },
    { "ipv6",                   FLAG_CHOICE, OFF(ipv6),         "auto",  "rules for IPv6, too; auto: if this network namespace has it", "auto|yes|no" },
    { "dry-run",                FLAG_BOOL,   OFF(is_dry_run),   "false", "print the rules, change nothing", NULL },
    { "undo",                   FLAG_BOOL,   OFF(is_undo),      "false", "take the rules away", NULL },
};
/* clang-format on */
static const struct flag_table table = {
    "tulle-proxy init",
    "brings the connections of this network namespace to the sidecar",
    NULL,
    rows,
    NELEMS(rows),
};

struct init {
    struct init_conf conf;
    struct capture capture;
    bool has_nft, has_iptables, has_ip6tables, is_nft, has_v6;
};

static bool is_there(const char *tool)
{
    AUTO_DONE(buf) path = { 0 };
    const char *dirs = getenv("PATH");
    struct sv all = sv_z(dirs && dirs[0] ? dirs : "/usr/sbin:/usr/bin:/sbin:/bin");
    for (struct sv dir; sv_cut(&all, ':', &dir);) {
        buf_clear(&path);
        buf_printf(&path, "%.*s/%s", SV_ARG(dir), tool);
        buf_putc(&path, '\0');
        if (!path.failed && access(path.mem + path.from, X_OK) == 0)
            return true;
    }
    return false;
}

static void write_all(int fd, struct sv text)
{
    while (text.len) {
        ssize_t n = write(fd, text.p, text.len);
        if (n < 0 && errno != EINTR)
            return; /* the tool has ended: its status says why */
        text = sv_from(text, n > 0 ? (size_t)n : 0);
    }
}

/* Runs a tool with this input; its exit status, -1 when it could not be run. is_quiet: what it says
 * does not matter. */
static int run(const char *const *argv, struct sv input, bool is_quiet)
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    pid_t pid = 0;
    int in[2], status = -1;
    if (pipe2(in, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&files) != 0)
        return -1;
    (void)posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
    if (is_quiet) {
        (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        (void)posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    int rc = posix_spawnp(&pid, argv[0], &files, NULL, (char **)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    close(in[0]);
    if (rc == 0)
        write_all(in[1], input);
    close(in[1]);
    if (rc != 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(is_quiet, input, ...) run((const char *const[]){ __VA_ARGS__, NULL }, input, is_quiet)

static bool has_capability(void)
{
    char line[256];
    unsigned long long bits = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "CapEff: %llx", &bits) == 1)
            break;
    if (f)
        (void)fclose(f);
    return bits >> CAP_NET_ADMIN_BIT & 1;
}

static int refused(const char *what)
{
    fprintf(stderr, "tulle-proxy init: %s\n", what);
    return EXIT_REFUSED;
}

static void undo_iptables_table(const char *tool, const char *in)
{
    static const char *const jumps[][2] = { { "PREROUTING", "TULLE_INBOUND" },
                                            { "OUTPUT", "TULLE_OUTPUT" } };
    static const char *const chains[] = { "TULLE_INBOUND",     "TULLE_OUTPUT", "TULLE_REDIRECT",
                                          "TULLE_IN_REDIRECT", "TULLE_DIVERT", "TULLE_TPROXY" };
    for (size_t i = 0; i < NELEMS(jumps); i++)
        while (RUN(true, SV_NONE, tool, "-w", "-t", in, "-D", jumps[i][0], "-p", "tcp", "-j",
                   jumps[i][1]) == 0)
            continue;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < NELEMS(chains); i++)
            (void)RUN(true, SV_NONE, tool, "-w", "-t", in, pass ? "-X" : "-F", chains[i]);
}

static void undo_iptables(const char *tool)
{
    undo_iptables_table(tool, "mangle");
    undo_iptables_table(tool, "nat");
}

/* Packets with TPROXY's mark are for this namespace, whosever their address is. */
static void undo_routes(bool is_v6)
{
    const char *family = is_v6 ? "-6" : "-4", *all = is_v6 ? "::/0" : "0.0.0.0/0";
    while (RUN(true, SV_NONE, "ip", family, "rule", "del", "fwmark", MARK, "lookup",
               CAPTURE_TPROXY_TABLE) == 0)
        continue;
    (void)RUN(true, SV_NONE, "ip", family, "route", "del", "local", all, "dev", "lo", "table",
              CAPTURE_TPROXY_TABLE);
}

static int apply_routes(bool is_v6)
{
    const char *family = is_v6 ? "-6" : "-4", *all = is_v6 ? "::/0" : "0.0.0.0/0";
    undo_routes(is_v6);
    bool is_done = RUN(false, SV_NONE, "ip", family, "route", "replace", "local", all, "dev", "lo",
                       "table", CAPTURE_TPROXY_TABLE) == 0 &&
                   RUN(false, SV_NONE, "ip", family, "rule", "add", "fwmark", MARK, "lookup",
                       CAPTURE_TPROXY_TABLE) == 0;
    return is_done ? EXIT_FINE
                   : refused("ip could not route what is marked for the sidecar (TPROXY)");
}

static void undo(const struct init *i, bool is_nft)
{
    if (is_nft && i->has_nft)
        (void)RUN(true, SV(CAPTURE_NFT_UNDO), "nft", "-f", "-");
    if (!is_nft && i->has_iptables)
        undo_iptables("iptables");
    if (!is_nft && i->has_ip6tables)
        undo_iptables("ip6tables");
}

static bool has_jump(const char *tool, const char *in)
{
    return RUN(true, SV_NONE, tool, "-w", "-t", in, "-C", "OUTPUT", "-p", "tcp", "-j",
               "TULLE_OUTPUT") == 0;
}

static int apply_iptables(const struct init *i, bool is_v6)
{
    AUTO_DONE(buf) rules = { 0 };
    const char *tool = is_v6 ? "ip6tables" : "iptables";
    if (has_jump(tool, "mangle") != i->capture.is_tproxy)
        undo_iptables(tool); /* of the other mode */
    capture_iptables(&i->capture, is_v6, has_jump(tool, "nat"), &rules);
    if (rules.failed)
        return refused("out of memory");
    int rc = RUN(false, buf_sv(&rules), is_v6 ? "ip6tables-restore" : "iptables-restore",
                 "--noflush", "-w");
    return rc == 0 ? EXIT_FINE
                   : refused(is_v6 ? "ip6tables-restore refused the rules"
                                   : "iptables-restore refused the rules");
}

static int apply_nft(const struct init *i)
{
    AUTO_DONE(buf) rules = { 0 };
    capture_nft(&i->capture, i->has_v6, &rules);
    if (rules.failed)
        return refused("out of memory");
    int rc = RUN(false, buf_sv(&rules), "nft", "-f", "-");
    return rc == 0 ? EXIT_FINE : refused("nft refused the rules");
}

static int route(const struct init *i)
{
    int rc = EXIT_FINE;
    for (int is_v6 = 0; is_v6 <= i->has_v6 && rc == EXIT_FINE; is_v6++) {
        if (i->capture.is_tproxy)
            rc = apply_routes(is_v6);
        else
            undo_routes(is_v6);
    }
    return rc;
}

static int apply(const struct init *i)
{
    undo(i, !i->is_nft);
    if (i->has_v6 &&
        RUN(false, SV_NONE, "ip", "-6", "addr", "replace", "::6/128", "dev", "lo") != 0)
        return refused(
            "ip could not give the loopback interface the address ::6; --ipv6=no does without");
    int rc = route(i);
    if (rc != EXIT_FINE)
        return rc;
    if (i->is_nft)
        return apply_nft(i);
    rc = apply_iptables(i, false);
    return rc == EXIT_FINE && i->has_v6 ? apply_iptables(i, true) : rc;
}

static int take_away(const struct init *i)
{
    undo(i, true);
    undo(i, false);
    undo_routes(false);
    if (i->has_v6)
        undo_routes(true);
    if (i->has_v6)
        (void)RUN(true, SV_NONE, "ip", "-6", "addr", "del", "::6/128", "dev", "lo");
    return EXIT_FINE;
}

static int print(const struct init *i)
{
    AUTO_DONE(buf) text = { 0 };
    if (i->is_nft) {
        buf_printf(&text, "# nft -f -\n");
        capture_nft(&i->capture, i->has_v6, &text);
    } else {
        buf_printf(&text, "# iptables-restore --noflush\n");
        capture_iptables(&i->capture, false, false, &text);
        if (i->has_v6) {
            buf_printf(&text, "# ip6tables-restore --noflush\n");
            capture_iptables(&i->capture, true, false, &text);
        }
    }
    if (i->has_v6)
        buf_printf(&text, "# ip -6 addr replace ::6/128 dev lo\n");
    for (int is_v6 = 0; i->capture.is_tproxy && is_v6 <= i->has_v6; is_v6++)
        buf_printf(&text,
                   "# ip -%d route replace local %s dev lo table " CAPTURE_TPROXY_TABLE
                   "\n# ip -%d rule add fwmark " MARK " lookup " CAPTURE_TPROXY_TABLE "\n",
                   is_v6 ? 6 : 4, is_v6 ? "::/0" : "0.0.0.0/0", is_v6 ? 6 : 4);
    struct sv all = buf_sv(&text);
    return !text.failed && fwrite(all.p, 1, all.len, stdout) == all.len ? EXIT_FINE
                                                                        : refused("cannot print");
}

static bool has_ipv6(void)
{
    char first = '1';
    FILE *f = fopen("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "re");
    if (f) {
        first = (char)fgetc(f);
        (void)fclose(f);
    }
    return first == '0';
}

static int read_lists(struct init *i, struct err *err)
{
    const struct init_conf *o = &i->conf;
    struct capture *c = &i->capture;
    int rc = capture_read_ports(sv_z(o->in), "include-inbound-ports", &c->in, err);
    if (rc == 0)
        rc = capture_read_ports(sv_z(o->not_in), "exclude-inbound-ports", &c->not_in, err);
    if (rc == 0)
        rc = capture_read_ports(sv_z(o->out), "include-outbound-ports", &c->out, err);
    if (rc == 0)
        rc = capture_read_ports(sv_z(o->not_out), "exclude-outbound-ports", &c->not_out, err);
    if (rc == 0)
        rc = capture_read_nets(sv_z(o->out_nets), "include-outbound-cidrs", &c->out_nets, err);
    return rc < 0 ? rc
                  : capture_read_nets(sv_z(o->not_out_nets), "exclude-outbound-cidrs",
                                      &c->not_out_nets, err);
}

static int check(struct init *i, struct err *err)
{
    const struct init_conf *o = &i->conf;
    i->has_nft = is_there("nft");
    i->has_iptables = is_there("iptables-restore");
    i->has_ip6tables = is_there("ip6tables-restore");
    i->is_nft = strcmp(o->backend, "auto") == 0 ? i->has_nft || !i->has_iptables
                                                : strcmp(o->backend, "nftables") == 0;
    i->has_v6 = strcmp(o->ipv6, "auto") == 0 ? has_ipv6() : strcmp(o->ipv6, "yes") == 0;
    i->capture.is_tproxy = strcmp(o->mode, "TPROXY") == 0;
    i->capture.outbound = o->outbound;
    i->capture.inbound = o->inbound;
    i->capture.uid = (uint32_t)o->uid;
    i->capture.gid = (uint32_t)o->gid;
    if (o->uid >= UINT32_MAX || o->gid >= UINT32_MAX || !o->outbound || !o->inbound)
        return err_set(err, ERR_USAGE,
                       "--proxy-uid, --proxy-gid and both ports must be numbers that "
                       "can be");
    return read_lists(i, err);
}

static int go(const struct init *i)
{
    if (i->conf.is_dry_run)
        return print(i);
    if (!has_capability())
        return refused(
            "needs the capability NET_ADMIN: run it as root in the network namespace of the "
            "application (an init container with capabilities.add [NET_ADMIN, NET_RAW])");
    if (i->conf.is_undo)
        return take_away(i);
    if (i->is_nft && !i->has_nft)
        return refused("neither nft nor iptables-restore is in PATH: install nftables or iptables");
    if (!i->is_nft && !i->has_iptables)
        return refused("iptables-restore is not in PATH");
    return apply(i);
}

int init_main(int argc, char **argv)
{
    AUTO_DONE(arena) mem = { 0 };
    struct init i = { .has_nft = false };
    struct err err = { 0 };
    int rc = flag_parse(&table, &i.conf, &mem, argc, argv, NULL, &err);
    if (rc == FLAG_EXIT)
        return EXIT_FINE;
    if (rc == FLAG_RUN)
        rc = check(&i, &err);
    if (rc < 0) {
        fprintf(stderr, "tulle-proxy init: %s\n", err.why);
        return EXIT_MISTAKE;
    }
    return go(&i);
}
