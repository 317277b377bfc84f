/* prometheus_process.c - process_* from /proc, with the names every client library uses. */
#include "base/clock.h"
#include "query/prometheus.h"
#include "tulle_version.h"
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Pages of virtual and resident memory, zeros when /proc is missing. */
static void read_memory(uint64_t *ret_virtual, uint64_t *ret_resident)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    *ret_virtual = *ret_resident = 0;
    if (!f)
        return;
    if (fscanf(f, "%llu %llu", &size, &resident) == 2) {
        uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
        *ret_virtual = size * page_bytes;
        *ret_resident = resident * page_bytes;
    }
    fclose(f);
}

static uint64_t count_open_files(void)
{
    uint64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n > 0 ? n - 1 : 0; /* the one that reads */
}

static double cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void prometheus_put_process(int64_t started_ns, enum exposition_format format, struct buf *out)
{
    uint64_t virtual_bytes, resident_bytes;
    struct rlimit files = { 0 };
    read_memory(&virtual_bytes, &resident_bytes);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        files.rlim_cur = 0;
    const struct {
        const char *name, *help;
        enum family_type type;
        double value;
    } rows[] = {
        { "process_cpu_seconds", "user and system CPU time", FAMILY_COUNTER, cpu_seconds() },
        { "process_resident_memory_bytes", "resident memory", FAMILY_GAUGE,
          (double)resident_bytes },
        { "process_virtual_memory_bytes", "virtual memory", FAMILY_GAUGE, (double)virtual_bytes },
        { "process_open_fds", "open file descriptors", FAMILY_GAUGE, (double)count_open_files() },
        { "process_max_fds", "limit of open file descriptors", FAMILY_GAUGE,
          (double)files.rlim_cur },
        { "process_start_time_seconds", "start of the process since the epoch", FAMILY_GAUGE,
          (double)started_ns / 1e9 },
    };
    for (size_t i = 0; i < NELEMS(rows); i++)
        exposition_put_one(format, rows[i].type, rows[i].name, rows[i].help, rows[i].value, out);
    struct family build = family_of(format, FAMILY_GAUGE, "tulle_build_info",
                                    "always 1; the version is in the label");
    struct labels l = { .format = format };
    labels_put(&l, "version", SV(TULLE_VERSION));
    family_put_number(&build, &l, 1);
    family_end(&build, out);
    labels_done(&l);
}
