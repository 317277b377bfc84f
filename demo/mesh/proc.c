/* proc.c - starting, watching and ending the demo's children.
 *
 * Between fork and exec only async-signal-safe calls happen, since the parent has threads. A parent
 * that died before prctl() took effect is noticed by comparing getppid(). */
#include "demo/mesh/proc.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void proc_init(struct proc *p, const char *name, const char *program, const char *log_path)
{
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "%s", name);
    snprintf(p->log, sizeof(p->log), "%s", log_path);
    proc_arg(p, "%s", program);
}

void proc_arg(struct proc *p, const char *fmt, ...)
{
    va_list ap;
    size_t room = sizeof(p->text) - p->text_len;
    char *at = p->text + p->text_len;
    va_start(ap, fmt);
    int len = vsnprintf(at, room, fmt, ap);
    va_end(ap);
    INVARIANT(len >= 0 && (size_t)len < room && p->argc + 1 < PROC_ARGS_MAX);
    p->argv[p->argc++] = at;
    p->text_len += (size_t)len + 1;
}

__attribute__((noreturn)) static void child(const struct proc *p, int log_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null_fd = open("/dev/null", O_RDONLY);
    if (getppid() == parent && dup2(null_fd, 0) == 0 && dup2(log_fd, 1) == 1 &&
        dup2(log_fd, 2) == 2)
        execv(p->argv[0], p->argv);
    _exit(127);
}

int proc_start(struct proc *p, struct err *err)
{
    pid_t parent = getpid();
    if (access(p->argv[0], X_OK) != 0)
        return err_set(err, ERR_IO, "%s: %s", p->argv[0], strerror(errno));
    int log_fd = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0)
        return err_set(err, ERR_IO, "%s: %s", p->log, strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        child(p, log_fd, parent);
    close(log_fd);
    if (pid < 0)
        return err_set(err, ERR_IO, "fork: %s", strerror(errno));
    p->pid = pid;
    return 0;
}

void proc_signal(const struct proc *p, int sig)
{
    if (p->pid > 0)
        kill(p->pid, sig);
}

bool proc_reap(struct proc *p, int *ret_status)
{
    if (p->pid <= 0 || waitpid(p->pid, ret_status, WNOHANG) != p->pid)
        return false;
    p->pid = 0;
    return true;
}

bool proc_wait(struct proc *p, int64_t deadline_ns)
{
    int status = 0;
    if (p->pid <= 0)
        return true;
    while (!proc_reap(p, &status)) {
        if (clock_mono_ns() >= deadline_ns) {
            kill(p->pid, SIGKILL);
            waitpid(p->pid, &status, 0);
            p->pid = 0;
            return false;
        }
        usleep(5000);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
