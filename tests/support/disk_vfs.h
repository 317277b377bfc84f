/* disk_vfs.h - a disk between SQLite and its files that remembers every write, and fails on demand.
 *
 * Between disk_start() and disk_stop() every file that SQLite opens by name goes through it. What it
 * remembers can be laid out again as a power cut at any moment would leave it. Thread-safe but for
 * start, stop and lay_out; one at a time in a process. */
#ifndef SUPPORT_DISK_VFS_H
#define SUPPORT_DISK_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void disk_start(void); /* becomes SQLite's default; remembers nothing yet */
void disk_stop(
    void); /* the default is what it was; what is remembered stays until the next start */

/* Notes that everything up to `value` was promised by now. */
void disk_mark(uint64_t value);
/* Writes, truncations, syncs, deletions and marks so far. */
size_t disk_len(void);

enum disk_loss { /* what becomes of writes that were not synced when the power went */
                 DISK_LOSE_NONE,   /* all of them arrived */
                 DISK_LOSE_ALL,    /* none did */
                 DISK_TEAR_LAST,   /* all but a part of the very last one */
                 DISK_LOSE_RANDOM, /* each sector did, or did not, or holds zeros or rubbish */
                 DISK_LOSSES_LEN
};
/* Puts the files as they are after the first `len` operations into an existing folder, under their
 * own last names. Gives the newest mark before that. */
uint64_t disk_lay_out(size_t len, enum disk_loss loss, uint64_t seed, const char *dir);

enum disk_fault {
    DISK_FAULT_NONE,
    DISK_FULL,        /* writes answer SQLITE_FULL */
    DISK_BAD_WRITE,   /* writes answer SQLITE_IOERR_WRITE */
    DISK_SHORT_WRITE, /* half of the bytes are written, then SQLITE_IOERR_WRITE */
    DISK_BAD_SYNC,    /* syncs answer SQLITE_IOERR_FSYNC */
    DISK_BAD_TRUNCATE,
    DISK_BAD_READ,
    DISK_FAULTS_LEN
};
/* The nth such operation from now on (1: the next) and the `times` - 1 behind it fail. */
void disk_fail(enum disk_fault fault, uint64_t nth, uint64_t times);
/* Failures since the last disk_fail(). */
uint64_t disk_failed(void);

#endif
