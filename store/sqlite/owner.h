/* owner.h - one collector a file. Private to store/sqlite/. */
#ifndef SQLITE_OWNER_H
#define SQLITE_OWNER_H

#include "base/err.h"

/* Takes the lock FILE-owner beside the store; *ret_fd holds it until closed, or until the process
 * ends however it ends. ERR_CONFLICT names the process that has it. */
int owner_lock(const char *file, int *ret_fd, struct err *err) MUST_USE;
int owner_unlock(int fd); /* takes fd (or -1), returns -1 */

#endif
