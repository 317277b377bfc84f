/* proc.h - child processes that never outlive the demo.
 *
 * Each child is asked by the kernel to die with its parent, so that even a killed demo leaves
 * nothing behind. Children stand in process groups of their own: Ctrl-C reaches only the demo,
 * which stops them in order. All functions are called from the main thread (the kernel ties a
 * child's life to the thread that forked it). */
#ifndef DEMO_MESH_PROC_H
#define DEMO_MESH_PROC_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROC_ARGS_MAX = 64, PROC_TEXT_BYTES = 4096, PROC_NAME_BYTES = 64 };

struct proc {
    char name[PROC_NAME_BYTES];
    char log[512];              /* file for stdout and stderr */
    char *argv[PROC_ARGS_MAX];  /* into text; NULL-terminated */
    char text[PROC_TEXT_BYTES]; /* the arguments, one after the other */
    size_t argc, text_len;
    pid_t pid; /* 0: not running */
};

/* program: path. log: path of the log file, appended to. */
void proc_init(struct proc *p, const char *name, const char *program, const char *log_path);
/* One more argument, printf-like. Too many or too long ones end the program: the table is ours. */
void proc_arg(struct proc *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
int proc_start(struct proc *p, struct err *err) MUST_USE;
void proc_signal(const struct proc *p, int sig);
/* Has it ended? Reaps it; *ret_status as waitpid() gives it. */
bool proc_reap(struct proc *p, int *ret_status);
/* Waits for its end until deadline_ns (monotonic), then kills it. True: it ended by itself with
 * status 0. */
bool proc_wait(struct proc *p, int64_t deadline_ns);

#endif
