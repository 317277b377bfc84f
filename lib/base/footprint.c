/* footprint.c - pages of code leave the resident set when starting is over.
 *
 * Reading options, YAML, certificates and OpenSSL's own tables runs through megabytes of code once.
 * Those pages count as ours as long as they are mapped, whether or not anybody runs them again, and
 * the kernel takes mapped pages last when memory is short. So the mappings are dropped: only of
 * segments that nobody can have written to (no write permission and no relocations in the text), so
 * their bytes are the file's. Not while a debugger looks on: its breakpoints are such writes. */
#include "base/footprint.h"
#include "base/sv.h"
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_traced(void)
{
    char status[2048];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, status, sizeof(status)) : -1;
    if (fd >= 0)
        close(fd);
    return n <= 0 || !sv_contains(sv_of(status, (size_t)n), SV("TracerPid:\t0\n"));
}

static bool has_text_relocations(const struct dl_phdr_info *object, const ElfW(Phdr) * dynamic)
{
    const ElfW(Dyn) *d = (const void *)(uintptr_t)(object->dlpi_addr + dynamic->p_vaddr);
    for (; d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
            return true;
    return false;
}

static int let_go(struct dl_phdr_info *object, size_t size, void *arg)
{
    uintptr_t page = *(const uintptr_t *)arg;
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC &&
            has_text_relocations(object, &object->dlpi_phdr[i]))
            return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uintptr_t from = (object->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t to = (object->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);
        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
            (void)madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

void footprint_shrink(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    malloc_trim(0);
    if (!is_traced())
        (void)dl_iterate_phdr(let_go, &page);
}
