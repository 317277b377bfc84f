/* fingerprint.h - has anything in a folder changed? */
#ifndef PROXY_FINGERPRINT_H
#define PROXY_FINGERPRINT_H

#include <stdint.h>

/* A number that differs when a file below path was written, replaced, added or taken away: over name,
 * inode, size and times of change of everything up to three levels deep, links followed. Never 0; of
 * a path that cannot be read likewise, so its coming and going are changes. */
uint64_t fingerprint_of(const char *path);

#endif
