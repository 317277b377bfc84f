/* banned.h - libc calls that write without a bound, keep hidden state or ignore errors do not
 * compile. Force-included by meson into every file of ours. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atoll atof
#pragma GCC poison gmtime localtime asctime ctime gets

#endif
